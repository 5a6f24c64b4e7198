//! The x86-64 host.

mod asm;
mod atomic;
mod cold;
mod conventions;
mod csr;
mod emit;
mod emitter;
mod exceptions;
mod float;
mod float_convert;
mod float_move;
mod helpers;
mod integer;
mod layout;
mod memory;
mod pins;
mod run;
mod thunks;

pub(crate) use emit::{Code, emit, link, replace, target};
pub(crate) use emitter::Scratch;
pub(crate) use run::{Reason, enter};
pub(crate) use thunks::Thunks;
