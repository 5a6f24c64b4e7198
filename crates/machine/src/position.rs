//! Units of the machine: where it is in its execution, and where a byte is in its physical memory.

use serde::{Deserialize, Serialize};

/// Instruction attempts since reset. An instruction that traps counts one, as does a WFI; taking an
/// interrupt counts none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct Position(pub u64);

/// A guest physical address.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct GuestAddr(pub u64);
