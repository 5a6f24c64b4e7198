//! Which float instructions are planned in line: those whose results and exceptions the host's arithmetic has, but for a few
//! cases, all of which are noticed and left to the software of crate isa.
//!
//! - The host's arithmetic is only used while `mstatus.FS` is dirty and `frm` is "to nearest even": asked once a block.
//! - A NaN as result is made canonical; where the host's exceptions may differ then, software computes it.
//! - A single operand whose box is broken is left to the interpreter, with the rest of the block.

use isa::float::Rounding;
use isa::{FloatOp, Insn, Precision, effective_rounding};

use super::parts::{FloatUnit, Miss, Operand, Place};
use super::step::Step;
use super::target::Target;

/// What is known of floats, within a block.
#[derive(Clone, Default)]
pub(crate) struct Floats {
    /// The state that arithmetic needs was found.
    ready: bool,
    /// `mstatus.FS` was found not to be off.
    on: bool,
    /// Registers that hold a boxed single for sure, one bit each.
    boxed: u32,
}

impl Floats {
    /// A helper executed an instruction with this destination (perhaps an integer register).
    pub(crate) fn helped(&mut self, rd: u8, is_float: bool) {
        self.ready &= is_float;
        self.on &= is_float;
        self.boxed &= !(1 << (rd & 31));
    }

    /// Whether it must be asked for, because it is not known. From then on it is.
    pub(crate) fn needs(&mut self, unit: FloatUnit) -> bool {
        match unit {
            FloatUnit::On => !self.ready && !std::mem::replace(&mut self.on, true),
            FloatUnit::Ready => !std::mem::replace(&mut self.ready, true),
        }
    }

    /// The same for the box of a single.
    pub(crate) fn needs_box(&mut self, float: u8) -> bool {
        let bit = 1 << float;
        let known = self.boxed & bit != 0;
        self.boxed |= bit;
        !known
    }

    /// A register got a new value.
    pub(crate) fn written(&mut self, float: u8, precision: Precision) {
        match precision {
            Precision::Single => self.boxed |= 1 << float,
            Precision::Double => self.boxed &= !(1 << float),
        }
    }
}

/// A float operation in line.
pub(crate) struct Operation {
    pub(crate) step: Step,
    /// Registers that must hold values of this precision.
    pub(crate) boxes: Precision,
    pub(crate) needed: [u8; 3],
    pub(crate) needed_len: usize,
    /// A float register gets a value of this precision.
    pub(crate) written: Option<Precision>,
    /// A helper may have to execute it.
    pub(crate) shared: bool,
}

/// The operation of an instruction, whose integer result goes to `dst`, and whose integer operand is `integer`; `None` if it
/// is a helper's.
pub(crate) fn operation(
    op: FloatOp,
    precision: Precision,
    rm: u8,
    insn: &Insn,
    dst: Place,
    integer: Operand,
    target: &Target,
) -> Option<Operation> {
    // `frm` is 0, or this is not reached.
    let rounding = effective_rounding(rm, 0)?;
    let nearest = rounding == Rounding::NearestEven;
    let [a, b, c] = [insn.rs1, insn.rs2, insn.rs3];
    let miss = Miss::Helper;
    let float = |needed_len, boxes| Operation {
        step: Step::Float {
            op,
            precision,
            dst: insn.rd,
            operands: [a, b, c],
            miss,
        },
        boxes,
        needed: [a, b, c],
        needed_len,
        written: Some(precision),
        shared: false,
    };
    let to_integer = |step, needed_len, shared| Operation {
        step,
        boxes: precision,
        needed: [a, b, c],
        needed_len,
        written: None,
        shared,
    };
    let from_integer = |exact| Operation {
        step: Step::FloatFromInteger {
            op,
            precision,
            dst: insn.rd,
            src: integer,
            exact,
            miss,
        },
        boxes: precision,
        needed: [0; 3],
        needed_len: 0,
        written: Some(precision),
        shared: exact || op == FloatOp::FromU64,
    };
    let convert = Step::FloatToInteger {
        op,
        precision,
        rounding,
        dst,
        a,
        miss,
    };
    Some(match op {
        FloatOp::Add | FloatOp::Subtract | FloatOp::Multiply | FloatOp::Divide if nearest => {
            float(2, precision)
        }
        FloatOp::SquareRoot if nearest => float(1, precision),
        FloatOp::MultiplyAdd
        | FloatOp::MultiplySubtract
        | FloatOp::NegatedMultiplyAdd
        | FloatOp::NegatedMultiplySubtract
            if nearest && target.fused =>
        {
            Operation {
                shared: true,
                ..float(3, precision)
            }
        }
        FloatOp::Minimum | FloatOp::Maximum => Operation {
            shared: true,
            ..float(2, precision)
        },
        // From the other precision.
        FloatOp::Convert if precision == Precision::Double => float(1, Precision::Single),
        FloatOp::Convert if nearest => float(0, Precision::Double),
        FloatOp::Equal | FloatOp::Less | FloatOp::LessOrEqual => {
            // The other way round, so that a NaN makes the condition false.
            let (a, b) = if op == FloatOp::Equal { (a, b) } else { (b, a) };
            let step = Step::FloatCompare {
                op,
                precision,
                dst,
                a,
                b,
            };
            Operation {
                needed: [a, b, c],
                ..to_integer(step, 2, false)
            }
        }
        FloatOp::ToI32 | FloatOp::ToI64 => match rounding {
            Rounding::NearestEven | Rounding::TowardZero => to_integer(convert, 1, true),
            Rounding::Down | Rounding::Up if target.rounds => to_integer(convert, 1, true),
            _ => return None,
        },
        FloatOp::ToU32 | FloatOp::ToU64 => match rounding {
            Rounding::NearestEven | Rounding::TowardZero => to_integer(convert, 1, true),
            _ => return None,
        },
        // A double holds every word.
        FloatOp::FromI32 | FloatOp::FromU32 if nearest || precision == Precision::Double => {
            from_integer(false)
        }
        FloatOp::FromI64 | FloatOp::FromU64 if nearest => from_integer(false),
        FloatOp::FromI64 if precision == Precision::Double => from_integer(true),
        _ => return None,
    })
}
