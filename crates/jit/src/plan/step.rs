//! The steps of a plan: what host code is to do, without a word of how.
//!
//! A step is small and plain. It reads and writes *places*: virtual ones ([`Place::X`]) until registers are assigned,
//! slots and homes from then on. Within an instruction there is one temporary ([`Place::Temp`]); any step may use it up but
//! [`Step::Link`]. Moves ([`Step::Spill`], [`Step::Fill`], [`Step::Extend`]) keep it, and the condition of a
//! [`Step::Compare`], too. A host has one more register for the pointer of a group of accesses: [`Step::keeps_pointer`] says
//! which steps must leave that alone.

use isa::float::Rounding;
use isa::{Amo, Binary, Comparison, CsrAccess, FloatOp, Precision, Width};

use super::parts::{
    Access, Address, Csr, FloatUnit, Miss, Operand, Place, Role, Section, Shift, To,
};

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
    /// Calls `each` with all places of the step.
    #[inline]
    pub(crate) fn places_mut(&mut self, mut each: impl FnMut(&mut Place, Role)) {
        use Role::{Guessed, Read, Written};
        fn read(operand: &mut Operand, each: &mut impl FnMut(&mut Place, Role)) {
            if let Operand::At(place) = operand {
                each(place, Read);
            }
        }
        match self {
            Step::Set { dst, .. }
            | Step::PageAddress { dst, .. }
            | Step::Link { dst, .. }
            | Step::FloatCompare { dst, .. }
            | Step::FloatToInteger { dst, .. } => each(dst, Written),
            Step::Move { dst, src } => {
                read(src, &mut each);
                each(dst, Written);
            }
            Step::Compute { dst, a, b, .. } => {
                read(a, &mut each);
                read(b, &mut each);
                each(dst, Written);
            }
            Step::Rotate { dst, src, .. } | Step::Materialize { dst, src, .. } => {
                each(src, Read);
                each(dst, Written);
            }
            Step::Load {
                dst,
                address,
                access,
                ..
            } => {
                read(&mut address.base, &mut each);
                if let Access::BasePage(place) = access {
                    each(place, Guessed);
                }
                each(dst, Written);
            }
            Step::LoadFloat {
                address, access, ..
            } => {
                read(&mut address.base, &mut each);
                if let Access::BasePage(place) = access {
                    each(place, Guessed);
                }
            }
            Step::Store {
                address,
                access,
                value,
                ..
            } => {
                read(&mut address.base, &mut each);
                read(value, &mut each);
                if let Access::BasePage(place) = access {
                    each(place, Guessed);
                }
            }
            Step::LoadReserved { dst, address, .. } => {
                each(address, Read);
                each(dst, Written);
            }
            Step::StoreConditional {
                dst,
                address,
                value: operand,
                ..
            }
            | Step::Amo {
                dst,
                address,
                operand,
                ..
            } => {
                read(operand, &mut each);
                each(address, Read);
                each(dst, Written);
            }
            Step::Csr { dst, operand, .. } => {
                read(operand, &mut each);
                each(dst, Written);
            }
            Step::Compare { a, b, .. } => {
                read(a, &mut each);
                read(b, &mut each);
            }
            Step::FloatFromInteger { src, .. }
            | Step::FloatBits { src, .. }
            | Step::JumpTo(src)
            | Step::Target { base: src, .. } => read(src, &mut each),
            Step::Block(_)
            | Step::Entry(_)
            | Step::Guest(_)
            | Step::Insn(_)
            | Step::Behind
            | Step::FallThrough(_)
            | Step::Charge { .. }
            | Step::Refund(_)
            | Step::ExpectNextPage { .. }
            | Step::Second(_)
            | Step::Spill { .. }
            | Step::Fill { .. }
            | Step::Extend(_)
            | Step::Settle
            | Step::ReloadFloat(_)
            | Step::Defer(_)
            | Step::Due(_)
            | Step::NeedFloat { .. }
            | Step::NeedBox { .. }
            | Step::Float { .. }
            | Step::FloatSign { .. }
            | Step::Helper
            | Step::Branch(_)
            | Step::Jump(_)
            | Step::Cross(_)
            | Step::Tail(_)
            | Step::Interpret(_) => {}
        }
    }

    /// The place that it writes.
    pub(crate) fn dst(mut self) -> Option<Place> {
        let mut dst = None;
        self.places_mut(|place, role| {
            if role == Role::Written {
                dst = Some(*place);
            }
        });
        dst
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
                    Binary::Add | Binary::And | Binary::Or | Binary::Xor => {
                        !a.is_long() && !b.is_long()
                    }
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
