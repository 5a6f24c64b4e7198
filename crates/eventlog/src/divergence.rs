//! How a replay that differs from its record is described.

use machine::Position;

/// Where a replay first differs from what was recorded, and in what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The last position at which both agreed.
    pub after: Position,
    /// The position at which they differ.
    pub at: Position,
    /// What differs, one phrase each: registers, devices, pages.
    pub what: Vec<String>,
}
