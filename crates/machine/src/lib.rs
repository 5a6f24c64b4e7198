//! One deterministic RISC-V computer, compatible with QEMU's `virt` board. Inputs arrive as values at a
//! position, outputs leave as values; nothing here reads a host clock, thread, file or random source.
#![forbid(unsafe_code)]

mod event;
mod position;

pub use event::{Clock, Input, Output, Stop, TICKS_PER_SECOND};
pub use position::{GuestAddr, Position};
