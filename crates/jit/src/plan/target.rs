//! What plans take of the host that they are for: registers and abilities. Everything else is the host's own.

/// Host registers that hold guest integer registers, numbered from 0: *slots*.
pub(crate) const SLOTS: usize = 9;

/// A host, as far as a plan depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The guest register that each slot holds between blocks of which no region is made.
    pub(crate) pinned: [u8; SLOTS],
    /// It multiplies and adds with one rounding.
    pub(crate) fused: bool,
    /// It rounds to integral values in any direction.
    pub(crate) rounds: bool,
}
