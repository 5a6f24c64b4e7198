//! From guest bytes to a plan, which is plain data, and says what host code is to do: no module here knows a host.

mod blocks;
mod explore;
mod fixed;
mod float;
mod groups;
mod holding;
mod listing;
mod lower;
mod near;
mod parts;
#[cfg(test)]
mod print;
mod profit;
mod region;
mod registers;
mod rotations;
mod step;
mod target;
mod trace;
mod words;

pub(crate) use blocks::{PAGE, Page};
pub(crate) use explore::REGION_MAX;
pub(crate) use groups::POINTERS;
pub(crate) use listing::Plan;
pub(crate) use parts::{
    Access, Address, Csr, FloatUnit, Miss, Operand, Place, Reload, Section, To,
};
pub(crate) use region::plan as plan_region;
pub(crate) use step::Step;
pub(crate) use target::{SLOTS, Target};
pub(crate) use trace::{STRADDLING, Source, TRACE_MAX, Trace, Tracer};
