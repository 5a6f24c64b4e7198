//! What the steps of a plan are about: places, addresses, and what becomes of instructions.

use isa::Binary;

/// Where an integer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: a result that nobody wants.
    Nowhere,
    /// A guest register, before it is known where that is.
    X(u8),
    /// A host register that holds a guest register.
    Slot(u8),
    /// The place in memory of a guest register.
    Home(u8),
    /// The temporary of the instruction.
    Temp,
}

/// What a place is to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Read,
    /// Perhaps of the same page as what is accessed.
    Guessed,
    Written,
}

/// What a step reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Const(u64),
    At(Place),
    /// The bits of a guest float register.
    F(u8),
}

impl Operand {
    /// A guest register, before it is known where that is.
    pub(crate) const fn x(guest: u8) -> Operand {
        Operand::At(Place::X(guest))
    }

    /// Whether it is a constant that takes more than 32 bits.
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Operand::Const(value) if i32::try_from(value.cast_signed()).is_err())
    }
}

/// A virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) base: Operand,
    pub(crate) offset: i32,
}

/// Code that is off the straight path: its number in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section(pub(crate) u16);

/// What becomes of an instruction that a step cannot execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// A helper executes it, and code goes on behind it.
    Helper,
    /// A helper executes it and the rest of the block.
    Rest,
    /// It is begun again in the second version of the block.
    Again,
    /// A side exit.
    Exit(Section),
}

/// How an access finds its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It looks the page up for itself.
    Alone,
    /// As `Alone`, but it looks for the page of this register first, which most likely is the same.
    BasePage(Place),
    /// It looks up `span` bytes from its address on, for a group, and makes the group's pointer. What it accesses is at a
    /// distance from there.
    First {
        pointer: u8,
        /// The pointer is needed when its register was used for something else.
        keep: bool,
        span: u16,
        distance: u16,
    },
    /// It uses the group's pointer. What it accesses is at a distance from there.
    Member {
        pointer: u8,
        distance: u16,
        reload: Reload,
    },
}

/// Whether a group's pointer is where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// It is.
    Not,
    /// It is to be fetched from where it is kept.
    Kept,
    /// It is lost: the access is a miss.
    Lost,
}

/// Where code goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// At an offset from the start of the page, in the page or not: before it is known what is there.
    Offset(i64),
    /// At an offset in the page, in whatever code there is.
    Page(u16),
    /// At a block of the plan.
    Block(u16),
    /// At a section of the plan.
    Section(Section),
}

/// What must hold of the float unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatUnit {
    /// It is not off: registers may be read.
    On,
    /// It is dirty, and rounds to nearest even: the host may compute.
    Ready,
}

/// A CSR that is accessed in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Csr {
    Sstatus,
    Sscratch,
    Sepc,
    Scause,
    Stval,
}

/// A shift by a constant, of guest registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) op: Binary,
    /// The register that should have the result.
    pub(crate) guest: u8,
    pub(crate) source: u8,
    pub(crate) by: u8,
}

impl Shift {
    /// Whether a shift is one of words.
    pub(crate) fn is_word_op(op: Binary) -> bool {
        matches!(op, Binary::ShiftLeftWord | Binary::ShiftRightWord)
    }
}
