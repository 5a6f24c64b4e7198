//! The steps of a plan: what host code is to do, without a word of how.
//!
//! A step is small and plain. It reads and writes *places*: virtual ones ([`Place::X`]) until registers are assigned,
//! slots and homes from then on. Within an instruction there is one temporary ([`Place::Temp`]); any step may use it up but
//! [`Step::Link`]. Moves ([`Step::Spill`], [`Step::Fill`], [`Step::Extend`]) keep it, and the condition of a
//! [`Step::Compare`], too. A host has one more register for the pointer of a group of accesses: [`Step::keeps_pointer`] says
//! which steps must leave that alone.

use isa::float::Rounding;
use isa::{Amo, Binary, Comparison, CsrAccess, FloatOp, Precision, Width};

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
    fn is_long(self) -> bool {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A block of the plan begins.
    Block(u16),
    /// From here on, code for a block of the plan that is entered from other code.
    Entry(u16),
    /// A guest instruction that is not planned yet.
    Guest(u16),
    /// What follows executes this guest instruction.
    Insn(u16),
    /// It is executed: what was done by others instead goes on here.
    Behind,
    /// A block of a region ends, and goes on at this offset.
    FallThrough(u16),
    /// Takes the positions of a block, or leaves.
    Charge {
        positions: u8,
        exit: Section,
    },
    /// Gives positions back.
    Refund(u8),
    /// Leaves unless the next page of addresses is the one at this offset in memory.
    ExpectNextPage {
        memory: u64,
        exit: Section,
    },
    /// The second version of the block that ends here.
    Second(Section),

    /// The home of a guest register gets what a slot has.
    Spill {
        guest: u8,
        slot: u8,
    },
    /// The reverse.
    Fill {
        guest: u8,
        slot: u8,
    },
    /// The words in these slots, one bit each, get their sign.
    Extend(u16),
    /// From here on, slots have what they have between blocks.
    Settle,
    /// A guest float register is as in memory again, wherever else it is.
    ReloadFloat(u8),

    /// `dst = value`.
    Set {
        dst: Place,
        value: u64,
    },
    /// `dst = src`.
    Move {
        dst: Place,
        src: Operand,
    },
    /// `dst` = address of the page + `offset`.
    PageAddress {
        dst: Place,
        offset: i64,
    },
    /// The same, while the temporary has the target of a jump.
    Link {
        dst: Place,
        offset: i64,
    },
    /// `dst = op(a, b)`. If it is narrow, only the low word counts.
    Compute {
        op: Binary,
        dst: Place,
        a: Operand,
        b: Operand,
        narrow: bool,
    },
    /// `dst` = `src` rotated to the right, as a word or not.
    Rotate {
        dst: Place,
        src: Place,
        by: u8,
        word: bool,
        narrow: bool,
    },
    /// A shift is put off: what its register has is outdated.
    Defer(Shift),
    /// A shift that was put off, before it is known where its registers are.
    Due(Shift),
    /// The same, when that is known.
    Materialize {
        op: Binary,
        dst: Place,
        src: Place,
        by: u8,
    },

    Load {
        width: Width,
        signed: bool,
        dst: Place,
        address: Address,
        access: Access,
        miss: Miss,
    },
    LoadFloat {
        precision: Precision,
        dst: u8,
        address: Address,
        access: Access,
        miss: Miss,
    },
    Store {
        width: Width,
        value: Operand,
        address: Address,
        access: Access,
        miss: Miss,
    },
    LoadReserved {
        width: Width,
        dst: Place,
        address: Place,
        miss: Miss,
    },
    StoreConditional {
        width: Width,
        dst: Place,
        address: Place,
        value: Operand,
        miss: Miss,
    },
    Amo {
        amo: Amo,
        width: Width,
        dst: Place,
        address: Place,
        operand: Operand,
        miss: Miss,
    },
    Csr {
        csr: Csr,
        access: CsrAccess,
        dst: Place,
        operand: Operand,
        miss: Miss,
    },

    NeedFloat {
        unit: FloatUnit,
        miss: Miss,
    },
    /// A float register must have a boxed single.
    NeedBox {
        float: u8,
        miss: Miss,
    },
    /// From float registers to one: arithmetic to nearest even, minimum and maximum, conversion from the other precision.
    Float {
        op: FloatOp,
        precision: Precision,
        dst: u8,
        operands: [u8; 3],
        miss: Miss,
    },
    FloatCompare {
        op: FloatOp,
        precision: Precision,
        dst: Place,
        a: u8,
        b: u8,
    },
    FloatToInteger {
        op: FloatOp,
        precision: Precision,
        rounding: Rounding,
        dst: Place,
        a: u8,
        miss: Miss,
    },
    /// To nearest even, or exactly if it is `exact`: otherwise a miss.
    FloatFromInteger {
        op: FloatOp,
        precision: Precision,
        dst: u8,
        src: Operand,
        exact: bool,
        miss: Miss,
    },
    /// Sign injection.
    FloatSign {
        op: Binary,
        dst: u8,
        a: u8,
        b: u8,
    },
    /// A float register gets these bits: of a single, in a box, or all.
    FloatBits {
        dst: u8,
        src: Operand,
        single: bool,
    },

    /// A helper executes the instruction.
    Helper,
    /// Sets the condition.
    Compare {
        comparison: Comparison,
        a: Operand,
        b: Operand,
    },
    /// Goes on elsewhere if the condition holds.
    Branch(To),
    Jump(To),
    /// The temporary = `base + offset`, made even.
    Target {
        base: Operand,
        offset: i32,
    },
    /// Goes on at an address.
    JumpTo(Operand),
    /// Goes on at an offset from the start of the page, in another page.
    Cross(i64),
    /// Leaves at an offset in the page: too few positions are left.
    Tail(u16),
    /// Leaves the instruction at an offset in the page to the interpreter.
    Interpret(u16),
}

// A trace of the longest kind stays in the first level of caches.
const _: () = assert!(size_of::<Step>() <= 56);

impl Step {
    /// The place that it writes.
    pub(crate) fn dst_mut(&mut self) -> Option<&mut Place> {
        match self {
            Step::Set { dst, .. }
            | Step::Move { dst, .. }
            | Step::PageAddress { dst, .. }
            | Step::Link { dst, .. }
            | Step::Compute { dst, .. }
            | Step::Rotate { dst, .. }
            | Step::Materialize { dst, .. }
            | Step::Load { dst, .. }
            | Step::LoadReserved { dst, .. }
            | Step::StoreConditional { dst, .. }
            | Step::Amo { dst, .. }
            | Step::Csr { dst, .. }
            | Step::FloatCompare { dst, .. }
            | Step::FloatToInteger { dst, .. } => Some(dst),
            _ => None,
        }
    }

    /// The place that it writes.
    pub(crate) fn dst(mut self) -> Option<Place> {
        self.dst_mut().copied()
    }

    /// Calls `each` with all places that it reads. That of a base page comes with `false`: it is only a guess.
    pub(crate) fn reads_mut(&mut self, mut each: impl FnMut(&mut Place, bool)) {
        let mut operand = |operand: &mut Operand| {
            if let Operand::At(place) = operand {
                each(place, true);
            }
        };
        match self {
            Step::Move { src, .. }
            | Step::FloatFromInteger { src, .. }
            | Step::FloatBits { src, .. }
            | Step::JumpTo(src) => operand(src),
            Step::Compute { a, b, .. } | Step::Compare { a, b, .. } => {
                operand(a);
                operand(b);
            }
            Step::Target { base, .. } => operand(base),
            Step::Csr { operand: value, .. } => operand(value),
            Step::Load {
                address, access, ..
            }
            | Step::LoadFloat {
                address, access, ..
            } => {
                operand(&mut address.base);
                if let Access::BasePage(place) = access {
                    each(place, false);
                }
            }
            Step::Store {
                address,
                access,
                value,
                ..
            } => {
                operand(&mut address.base);
                operand(value);
                if let Access::BasePage(place) = access {
                    each(place, false);
                }
            }
            Step::StoreConditional { address, value, .. } => {
                operand(value);
                each(address, true);
            }
            Step::Amo {
                address,
                operand: value,
                ..
            } => {
                operand(value);
                each(address, true);
            }
            Step::LoadReserved { address, .. } => each(address, true),
            Step::Rotate { src, .. } | Step::Materialize { src, .. } => each(src, true),
            _ => {}
        }
    }

    /// What becomes of the instruction if it cannot be executed by the step.
    pub(crate) fn miss_mut(&mut self) -> Option<&mut Miss> {
        match self {
            Step::Load { miss, .. }
            | Step::LoadFloat { miss, .. }
            | Step::Store { miss, .. }
            | Step::LoadReserved { miss, .. }
            | Step::StoreConditional { miss, .. }
            | Step::Amo { miss, .. }
            | Step::Csr { miss, .. }
            | Step::NeedFloat { miss, .. }
            | Step::NeedBox { miss, .. }
            | Step::Float { miss, .. }
            | Step::FloatToInteger { miss, .. }
            | Step::FloatFromInteger { miss, .. } => Some(miss),
            _ => None,
        }
    }

    /// How it gets at memory, if it is a load or store, and the address.
    pub(crate) fn access_mut(&mut self) -> Option<(&mut Access, &mut Address)> {
        match self {
            Step::Load {
                access, address, ..
            }
            | Step::LoadFloat {
                access, address, ..
            }
            | Step::Store {
                access, address, ..
            } => Some((access, address)),
            _ => None,
        }
    }

    /// Whether a host must leave the pointer of a group alone.
    pub(crate) fn keeps_pointer(self) -> bool {
        match self {
            Step::Compute { op, a, b, .. } => {
                let is_const = |operand| matches!(operand, Operand::Const(_));
                match op {
                    // QUIRK
                    Binary::Or => !is_const(a) && !is_const(b),
                    Binary::Add | Binary::And | Binary::Xor => !a.is_long() && !b.is_long(),
                    Binary::Multiply | Binary::MultiplyWord => !a.is_long() && !b.is_long(),
                    Binary::Less | Binary::LessUnsigned => !a.is_long() && !b.is_long(),
                    Binary::AddWord => true,
                    Binary::Subtract => !b.is_long() && (!is_const(a) || a == Operand::Const(0)),
                    Binary::SubtractWord => !is_const(a) || a == Operand::Const(0),
                    Binary::ShiftLeft
                    | Binary::ShiftRight
                    | Binary::ShiftRightSigned
                    | Binary::ShiftLeftWord
                    | Binary::ShiftRightWord
                    | Binary::ShiftRightSignedWord => is_const(b),
                    _ => false,
                }
            }
            Step::Compare { a, b, .. } => !a.is_long() && !b.is_long(),
            // QUIRK
            Step::Rotate { .. } => false,
            Step::Load { access, .. }
            | Step::LoadFloat { access, .. }
            | Step::Store { access, .. } => {
                matches!(access, Access::First { .. } | Access::Member { .. })
            }
            Step::Float { op, miss, .. } => {
                let may_miss = matches!(
                    op,
                    FloatOp::MultiplyAdd
                        | FloatOp::MultiplySubtract
                        | FloatOp::NegatedMultiplyAdd
                        | FloatOp::NegatedMultiplySubtract
                        | FloatOp::Minimum
                        | FloatOp::Maximum
                );
                !may_miss || miss != Miss::Helper
            }
            Step::FloatCompare { op, .. } => op != FloatOp::Equal,
            Step::FloatToInteger {
                op, rounding, miss, ..
            } => {
                let signed = matches!(op, FloatOp::ToI32 | FloatOp::ToI64);
                let direct = matches!(rounding, Rounding::NearestEven | Rounding::TowardZero);
                signed && direct && miss != Miss::Helper
            }
            Step::FloatFromInteger {
                op, exact, miss, ..
            } => !exact && (op != FloatOp::FromU64 || miss != Miss::Helper),
            Step::LoadReserved { .. }
            | Step::StoreConditional { .. }
            | Step::Amo { .. }
            | Step::Csr { .. }
            | Step::Link { .. }
            | Step::Target { .. }
            | Step::JumpTo(_)
            | Step::Cross(_)
            | Step::ExpectNextPage { .. }
            | Step::Helper => false,
            _ => true,
        }
    }
}

impl Step {
    /// The section that it may go to.
    pub(crate) fn exit(mut self) -> Option<Section> {
        match self {
            Step::Charge { exit, .. }
            | Step::ExpectNextPage { exit, .. }
            | Step::Jump(To::Section(exit))
            | Step::Branch(To::Section(exit)) => Some(exit),
            _ => match self.miss_mut() {
                Some(Miss::Exit(exit)) => Some(*exit),
                _ => None,
            },
        }
    }
}

impl Shift {
    /// Whether a shift is one of words.
    pub(crate) fn is_word_op(op: Binary) -> bool {
        matches!(op, Binary::ShiftLeftWord | Binary::ShiftRightWord)
    }
}
