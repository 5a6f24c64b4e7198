//! The x86-64 host. Another host is another module with the same names.

mod asm;
mod atomic;
mod cold;
mod context;
mod control;
mod emit;
mod exceptions;
mod float;
mod float_convert;
mod float_move;
mod groups;
mod helpers;
mod integer;
mod layout;
mod lazy;
mod map;
mod memory;
mod near;
mod region;
mod registers;
mod run;
mod thunks;
mod translate;
mod words;

pub(crate) use region::REGION_MAX;
pub(crate) use run::{Reason, enter};
pub(crate) use thunks::Thunks;
pub(crate) use translate::{is_at_hand, link, replace, translate, translate_hot};

/// Why translated code was left: in RAX.
mod reason {
    /// A helper asked for it, or the hart was left where it is.
    pub(super) const LEFT: u64 = 0;
    /// There is no code for the address, or its page is not in the fast translations.
    pub(super) const LOOK_UP: u64 = 1;
    /// Too few positions are left for the next block.
    pub(super) const TAIL: u64 = 2;
    /// The next instruction is the interpreter's.
    pub(super) const STEP: u64 = 3;
    /// As `LOOK_UP`, and a jump in the same page wants to be directed there.
    pub(super) const LINK: u64 = 4;
}
