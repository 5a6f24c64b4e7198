//! Where an instruction goes on, and what it accesses in memory: the columns of [`crate::table`] that are neither names nor bits.

use crate::operation::Width;

/// Where an instruction goes on, and under which rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Behind itself.
    Next,
    /// Behind itself, or at a target that its address determines.
    Branch,
    /// At a target.
    Jump,
    /// Nowhere: it always traps.
    Trap,
    /// Where a trap came from, in the mode that it came from.
    Return,
    /// Behind itself, once an interrupt is pending.
    Wait,
    /// Behind itself, but what is there may be fetched, translated or interrupted under other rules.
    Context,
    /// Behind itself, but what is there may have been overwritten.
    Refetch,
}

impl Flow {
    /// Whether the next instruction may be another than the one behind this one, or may be fetched, translated or interrupted under
    /// other rules. A block of decoded instructions ends here.
    #[must_use]
    pub const fn ends_block(self) -> bool {
        !matches!(self, Flow::Next)
    }

    /// Whether the next instruction may be the one behind this one without a jump, a trap or a pause in between.
    #[must_use]
    pub const fn falls_through(self) -> bool {
        match self {
            Flow::Next | Flow::Branch | Flow::Context | Flow::Refetch => true,
            Flow::Jump | Flow::Trap | Flow::Return | Flow::Wait => false,
        }
    }

    /// Whether the hart has to be looked at behind it: its mode has changed, or it waits.
    #[must_use]
    pub const fn leaves(self) -> bool {
        matches!(self, Flow::Trap | Flow::Return | Flow::Wait)
    }
}

/// What an instruction loads, stores or modifies at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// How much.
    pub width: Width,
    /// Whether a loaded value is sign-extended.
    pub signed: bool,
}

impl Access {
    pub(crate) const fn signed(width: Width) -> Option<Self> {
        let signed = true;
        Some(Self { width, signed })
    }

    pub(crate) const fn unsigned(width: Width) -> Option<Self> {
        let signed = false;
        Some(Self { width, signed })
    }
}
