//! What each instruction means, written once, over a [`Context`].

use crate::context::{Context, CsrAccess};
use crate::float_operation::FloatOp;
use crate::float_operation::Precision::{self, Double, Single};
use crate::insn::Insn;
use crate::operation::{Amo, BOX, Binary, Comparison, Width};
use crate::table::Op;

/// Executes one instruction.
///
/// Registers are read before the memory or CSR access and written after it, so that an instruction
/// that traps changes no register. An instruction that does not call one of [`Context::branch`],
/// [`Context::jump`], [`Context::jump_to`], [`Context::machine_return`] or
/// [`Context::supervisor_return`] goes on behind itself.
///
/// The match is meant to be inlined into the loop of an interpreter and become its jump table.
///
/// # Errors
/// The instruction ended early, as the context said: whatever it had to write after the failing step is not written.
#[inline(always)]
pub fn execute<C: Context>(c: &mut C, insn: &Insn) -> Result<(), C::Exit> {
    match insn.op {
        Op::Lui => {
            let value = c.constant(i64::from(insn.imm).cast_unsigned());
            c.write_x(insn.rd, value);
        }
        Op::Auipc => {
            let value = c.pc_relative(insn.imm);
            c.write_x(insn.rd, value);
        }
        Op::Jal => {
            let link = c.pc_relative(i32::from(insn.length));
            c.write_x(insn.rd, link);
            c.jump(insn.imm);
        }
        Op::Jalr => {
            let address = address(c, insn);
            let even = c.constant(!1);
            let target = c.binary(Binary::And, address, even);
            let link = c.pc_relative(i32::from(insn.length));
            c.write_x(insn.rd, link);
            c.jump_to(target);
        }
        Op::Beq => branch(c, insn, Comparison::Equal),
        Op::Bne => branch(c, insn, Comparison::NotEqual),
        Op::Blt => branch(c, insn, Comparison::Less),
        Op::Bge => branch(c, insn, Comparison::GreaterEqual),
        Op::Bltu => branch(c, insn, Comparison::LessUnsigned),
        Op::Bgeu => branch(c, insn, Comparison::GreaterEqualUnsigned),

        Op::Lb => load(c, insn, Width::Byte, true)?,
        Op::Lh => load(c, insn, Width::Half, true)?,
        Op::Lw => load(c, insn, Width::Word, true)?,
        Op::Ld => load(c, insn, Width::Double, true)?,
        Op::Lbu => load(c, insn, Width::Byte, false)?,
        Op::Lhu => load(c, insn, Width::Half, false)?,
        Op::Lwu => load(c, insn, Width::Word, false)?,
        Op::Sb => store(c, insn, Width::Byte)?,
        Op::Sh => store(c, insn, Width::Half)?,
        Op::Sw => store(c, insn, Width::Word)?,
        Op::Sd => store(c, insn, Width::Double)?,

        Op::Addi => immediate(c, insn, Binary::Add),
        Op::Slti => immediate(c, insn, Binary::Less),
        Op::Sltiu => immediate(c, insn, Binary::LessUnsigned),
        Op::Xori => immediate(c, insn, Binary::Xor),
        Op::Ori => immediate(c, insn, Binary::Or),
        Op::Andi => immediate(c, insn, Binary::And),
        Op::Slli => immediate(c, insn, Binary::ShiftLeft),
        Op::Srli => immediate(c, insn, Binary::ShiftRight),
        Op::Srai => immediate(c, insn, Binary::ShiftRightSigned),
        Op::Addiw => immediate(c, insn, Binary::AddWord),
        Op::Slliw => immediate(c, insn, Binary::ShiftLeftWord),
        Op::Srliw => immediate(c, insn, Binary::ShiftRightWord),
        Op::Sraiw => immediate(c, insn, Binary::ShiftRightSignedWord),

        Op::Add => register(c, insn, Binary::Add),
        Op::Sub => register(c, insn, Binary::Subtract),
        Op::Sll => register(c, insn, Binary::ShiftLeft),
        Op::Slt => register(c, insn, Binary::Less),
        Op::Sltu => register(c, insn, Binary::LessUnsigned),
        Op::Xor => register(c, insn, Binary::Xor),
        Op::Srl => register(c, insn, Binary::ShiftRight),
        Op::Sra => register(c, insn, Binary::ShiftRightSigned),
        Op::Or => register(c, insn, Binary::Or),
        Op::And => register(c, insn, Binary::And),
        Op::Addw => register(c, insn, Binary::AddWord),
        Op::Subw => register(c, insn, Binary::SubtractWord),
        Op::Sllw => register(c, insn, Binary::ShiftLeftWord),
        Op::Srlw => register(c, insn, Binary::ShiftRightWord),
        Op::Sraw => register(c, insn, Binary::ShiftRightSignedWord),

        Op::Mul => register(c, insn, Binary::Multiply),
        Op::Mulh => register(c, insn, Binary::MultiplyHigh),
        Op::Mulhsu => register(c, insn, Binary::MultiplyHighSignedUnsigned),
        Op::Mulhu => register(c, insn, Binary::MultiplyHighUnsigned),
        Op::Div => register(c, insn, Binary::Divide),
        Op::Divu => register(c, insn, Binary::DivideUnsigned),
        Op::Rem => register(c, insn, Binary::Remainder),
        Op::Remu => register(c, insn, Binary::RemainderUnsigned),
        Op::Mulw => register(c, insn, Binary::MultiplyWord),
        Op::Divw => register(c, insn, Binary::DivideWord),
        Op::Divuw => register(c, insn, Binary::DivideUnsignedWord),
        Op::Remw => register(c, insn, Binary::RemainderWord),
        Op::Remuw => register(c, insn, Binary::RemainderUnsignedWord),

        Op::Fence => c.fence_memory()?,
        Op::FenceI => c.fence_instructions()?,
        Op::Ecall => c.environment_call()?,
        Op::Ebreak => c.breakpoint()?,
        Op::Sret => c.supervisor_return()?,
        Op::Mret => c.machine_return()?,
        Op::Wfi => c.wait_for_interrupt()?,
        Op::SfenceVma => {
            let address = (insn.rs1 != 0).then(|| c.read_x(insn.rs1));
            let space = (insn.rs2 != 0).then(|| c.read_x(insn.rs2));
            c.fence_translations(address, space)?;
        }
        Op::Illegal => c.illegal()?,

        Op::Csrrw => csr(c, insn, CsrAccess::Swap)?,
        Op::Csrrs => csr(c, insn, CsrAccess::Set)?,
        Op::Csrrc => csr(c, insn, CsrAccess::Clear)?,
        Op::Csrrwi => csr_immediate(c, insn, CsrAccess::Swap)?,
        Op::Csrrsi => csr_immediate(c, insn, CsrAccess::Set)?,
        Op::Csrrci => csr_immediate(c, insn, CsrAccess::Clear)?,

        Op::LrW => load_reserved(c, insn, Width::Word)?,
        Op::LrD => load_reserved(c, insn, Width::Double)?,
        Op::ScW => store_conditional(c, insn, Width::Word)?,
        Op::ScD => store_conditional(c, insn, Width::Double)?,
        Op::AmoswapW => amo(c, insn, Amo::Swap, Width::Word)?,
        Op::AmoaddW => amo(c, insn, Amo::Add, Width::Word)?,
        Op::AmoxorW => amo(c, insn, Amo::Xor, Width::Word)?,
        Op::AmoandW => amo(c, insn, Amo::And, Width::Word)?,
        Op::AmoorW => amo(c, insn, Amo::Or, Width::Word)?,
        Op::AmominW => amo(c, insn, Amo::Minimum, Width::Word)?,
        Op::AmomaxW => amo(c, insn, Amo::Maximum, Width::Word)?,
        Op::AmominuW => amo(c, insn, Amo::MinimumUnsigned, Width::Word)?,
        Op::AmomaxuW => amo(c, insn, Amo::MaximumUnsigned, Width::Word)?,
        Op::AmoswapD => amo(c, insn, Amo::Swap, Width::Double)?,
        Op::AmoaddD => amo(c, insn, Amo::Add, Width::Double)?,
        Op::AmoxorD => amo(c, insn, Amo::Xor, Width::Double)?,
        Op::AmoandD => amo(c, insn, Amo::And, Width::Double)?,
        Op::AmoorD => amo(c, insn, Amo::Or, Width::Double)?,
        Op::AmominD => amo(c, insn, Amo::Minimum, Width::Double)?,
        Op::AmomaxD => amo(c, insn, Amo::Maximum, Width::Double)?,
        Op::AmominuD => amo(c, insn, Amo::MinimumUnsigned, Width::Double)?,
        Op::AmomaxuD => amo(c, insn, Amo::MaximumUnsigned, Width::Double)?,

        Op::Flw => {
            c.require_float()?;
            let address = address(c, insn);
            let value = c.load(Width::Word, false, address)?;
            write_boxed(c, insn.rd, value);
        }
        Op::Fld => {
            c.require_float()?;
            let address = address(c, insn);
            let value = c.load(Width::Double, false, address)?;
            c.write_f(insn.rd, value);
        }
        Op::Fsw => float_store(c, insn, Width::Word)?,
        Op::Fsd => float_store(c, insn, Width::Double)?,

        Op::FsgnjS => sign(c, insn, Binary::SignSingle)?,
        Op::FsgnjnS => sign(c, insn, Binary::SignNegatedSingle)?,
        Op::FsgnjxS => sign(c, insn, Binary::SignXorSingle)?,
        Op::FsgnjD => sign(c, insn, Binary::SignDouble)?,
        Op::FsgnjnD => sign(c, insn, Binary::SignNegatedDouble)?,
        Op::FsgnjxD => sign(c, insn, Binary::SignXorDouble)?,

        Op::FmvXW => {
            c.require_float()?;
            let bits = c.read_f(insn.rs1);
            let zero = c.constant(0);
            let value = c.binary(Binary::AddWord, bits, zero);
            c.write_x(insn.rd, value);
        }
        Op::FmvXD => {
            c.require_float()?;
            let bits = c.read_f(insn.rs1);
            c.write_x(insn.rd, bits);
        }
        Op::FmvWX => {
            c.require_float()?;
            let bits = c.read_x(insn.rs1);
            write_boxed(c, insn.rd, bits);
        }
        Op::FmvDX => {
            c.require_float()?;
            let bits = c.read_x(insn.rs1);
            c.write_f(insn.rd, bits);
        }

        Op::FaddS => float(c, insn, FloatOp::Add, Single)?,
        Op::FsubS => float(c, insn, FloatOp::Subtract, Single)?,
        Op::FmulS => float(c, insn, FloatOp::Multiply, Single)?,
        Op::FdivS => float(c, insn, FloatOp::Divide, Single)?,
        Op::FsqrtS => float(c, insn, FloatOp::SquareRoot, Single)?,
        Op::FmaddS => float(c, insn, FloatOp::MultiplyAdd, Single)?,
        Op::FmsubS => float(c, insn, FloatOp::MultiplySubtract, Single)?,
        Op::FnmsubS => float(c, insn, FloatOp::NegatedMultiplyAdd, Single)?,
        Op::FnmaddS => float(c, insn, FloatOp::NegatedMultiplySubtract, Single)?,
        Op::FminS => float(c, insn, FloatOp::Minimum, Single)?,
        Op::FmaxS => float(c, insn, FloatOp::Maximum, Single)?,
        Op::FcvtSD => float(c, insn, FloatOp::Convert, Single)?,
        Op::FeqS => float_to_integer(c, insn, FloatOp::Equal, Single)?,
        Op::FltS => float_to_integer(c, insn, FloatOp::Less, Single)?,
        Op::FleS => float_to_integer(c, insn, FloatOp::LessOrEqual, Single)?,
        Op::FclassS => float_to_integer(c, insn, FloatOp::Classify, Single)?,
        Op::FcvtWS => float_to_integer(c, insn, FloatOp::ToI32, Single)?,
        Op::FcvtWuS => float_to_integer(c, insn, FloatOp::ToU32, Single)?,
        Op::FcvtLS => float_to_integer(c, insn, FloatOp::ToI64, Single)?,
        Op::FcvtLuS => float_to_integer(c, insn, FloatOp::ToU64, Single)?,
        Op::FcvtSW => float_from_integer(c, insn, FloatOp::FromI32, Single)?,
        Op::FcvtSWu => float_from_integer(c, insn, FloatOp::FromU32, Single)?,
        Op::FcvtSL => float_from_integer(c, insn, FloatOp::FromI64, Single)?,
        Op::FcvtSLu => float_from_integer(c, insn, FloatOp::FromU64, Single)?,

        Op::FaddD => float(c, insn, FloatOp::Add, Double)?,
        Op::FsubD => float(c, insn, FloatOp::Subtract, Double)?,
        Op::FmulD => float(c, insn, FloatOp::Multiply, Double)?,
        Op::FdivD => float(c, insn, FloatOp::Divide, Double)?,
        Op::FsqrtD => float(c, insn, FloatOp::SquareRoot, Double)?,
        Op::FmaddD => float(c, insn, FloatOp::MultiplyAdd, Double)?,
        Op::FmsubD => float(c, insn, FloatOp::MultiplySubtract, Double)?,
        Op::FnmsubD => float(c, insn, FloatOp::NegatedMultiplyAdd, Double)?,
        Op::FnmaddD => float(c, insn, FloatOp::NegatedMultiplySubtract, Double)?,
        Op::FminD => float(c, insn, FloatOp::Minimum, Double)?,
        Op::FmaxD => float(c, insn, FloatOp::Maximum, Double)?,
        Op::FcvtDS => float(c, insn, FloatOp::Convert, Double)?,
        Op::FeqD => float_to_integer(c, insn, FloatOp::Equal, Double)?,
        Op::FltD => float_to_integer(c, insn, FloatOp::Less, Double)?,
        Op::FleD => float_to_integer(c, insn, FloatOp::LessOrEqual, Double)?,
        Op::FclassD => float_to_integer(c, insn, FloatOp::Classify, Double)?,
        Op::FcvtWD => float_to_integer(c, insn, FloatOp::ToI32, Double)?,
        Op::FcvtWuD => float_to_integer(c, insn, FloatOp::ToU32, Double)?,
        Op::FcvtLD => float_to_integer(c, insn, FloatOp::ToI64, Double)?,
        Op::FcvtLuD => float_to_integer(c, insn, FloatOp::ToU64, Double)?,
        Op::FcvtDW => float_from_integer(c, insn, FloatOp::FromI32, Double)?,
        Op::FcvtDWu => float_from_integer(c, insn, FloatOp::FromU32, Double)?,
        Op::FcvtDL => float_from_integer(c, insn, FloatOp::FromI64, Double)?,
        Op::FcvtDLu => float_from_integer(c, insn, FloatOp::FromU64, Double)?,
    }
    Ok(())
}

/// `rs1 + imm`.
#[inline(always)]
fn address<C: Context>(c: &mut C, insn: &Insn) -> C::Value {
    let base = c.read_x(insn.rs1);
    let offset = c.constant(i64::from(insn.imm).cast_unsigned());
    c.binary(Binary::Add, base, offset)
}

#[inline(always)]
fn branch<C: Context>(c: &mut C, insn: &Insn, comparison: Comparison) {
    let (a, b) = (c.read_x(insn.rs1), c.read_x(insn.rs2));
    let condition = c.compare(comparison, a, b);
    c.branch(condition, insn.imm);
}

#[inline(always)]
fn immediate<C: Context>(c: &mut C, insn: &Insn, op: Binary) {
    let a = c.read_x(insn.rs1);
    let b = c.constant(i64::from(insn.imm).cast_unsigned());
    let value = c.binary(op, a, b);
    c.write_x(insn.rd, value);
}

#[inline(always)]
fn register<C: Context>(c: &mut C, insn: &Insn, op: Binary) {
    let (a, b) = (c.read_x(insn.rs1), c.read_x(insn.rs2));
    let value = c.binary(op, a, b);
    c.write_x(insn.rd, value);
}

#[inline(always)]
fn load<C: Context>(c: &mut C, insn: &Insn, width: Width, signed: bool) -> Result<(), C::Exit> {
    let address = address(c, insn);
    let value = c.load(width, signed, address)?;
    c.write_x(insn.rd, value);
    Ok(())
}

#[inline(always)]
fn store<C: Context>(c: &mut C, insn: &Insn, width: Width) -> Result<(), C::Exit> {
    let address = address(c, insn);
    let value = c.read_x(insn.rs2);
    c.store(width, address, value)
}

#[inline(always)]
fn csr<C: Context>(c: &mut C, insn: &Insn, access: CsrAccess) -> Result<(), C::Exit> {
    let operand = c.read_x(insn.rs1);
    csr_access(c, insn, access, operand)
}

#[inline(always)]
fn csr_immediate<C: Context>(c: &mut C, insn: &Insn, access: CsrAccess) -> Result<(), C::Exit> {
    let operand = c.constant(u64::from(insn.rs1));
    csr_access(c, insn, access, operand)
}

/// The register or immediate number decides which halves take place, not its value.
#[inline(always)]
fn csr_access<C: Context>(
    c: &mut C,
    insn: &Insn,
    access: CsrAccess,
    operand: C::Value,
) -> Result<(), C::Exit> {
    let access = match access {
        CsrAccess::Swap if insn.discards_result() => CsrAccess::Write,
        CsrAccess::Set | CsrAccess::Clear if insn.rs1 == 0 => CsrAccess::Read,
        access => access,
    };
    let old = c.csr(insn.csr(), access, operand)?;
    c.write_x(insn.rd, old);
    Ok(())
}

#[inline(always)]
fn load_reserved<C: Context>(c: &mut C, insn: &Insn, width: Width) -> Result<(), C::Exit> {
    let address = c.read_x(insn.rs1);
    let value = c.load_reserved(width, address)?;
    c.write_x(insn.rd, value);
    Ok(())
}

#[inline(always)]
fn store_conditional<C: Context>(c: &mut C, insn: &Insn, width: Width) -> Result<(), C::Exit> {
    let (address, value) = (c.read_x(insn.rs1), c.read_x(insn.rs2));
    let failed = c.store_conditional(width, address, value)?;
    c.write_x(insn.rd, failed);
    Ok(())
}

#[inline(always)]
fn amo<C: Context>(c: &mut C, insn: &Insn, amo: Amo, width: Width) -> Result<(), C::Exit> {
    let (address, operand) = (c.read_x(insn.rs1), c.read_x(insn.rs2));
    let old = c.amo(amo, width, address, operand)?;
    c.write_x(insn.rd, old);
    Ok(())
}

#[inline(always)]
fn write_boxed<C: Context>(c: &mut C, register: u8, single: C::Value) {
    let ones = c.constant(BOX);
    let boxed = c.binary(Binary::Or, single, ones);
    c.write_f(register, boxed);
}

#[inline(always)]
fn float_store<C: Context>(c: &mut C, insn: &Insn, width: Width) -> Result<(), C::Exit> {
    c.require_float()?;
    let address = address(c, insn);
    let value = c.read_f(insn.rs2);
    c.store(width, address, value)
}

#[inline(always)]
fn sign<C: Context>(c: &mut C, insn: &Insn, op: Binary) -> Result<(), C::Exit> {
    c.require_float()?;
    let (a, b) = (c.read_f(insn.rs1), c.read_f(insn.rs2));
    let value = c.binary(op, a, b);
    c.write_f(insn.rd, value);
    Ok(())
}

/// A float operation from float registers to a float register.
#[inline(always)]
fn float<C: Context>(
    c: &mut C,
    insn: &Insn,
    op: FloatOp,
    precision: Precision,
) -> Result<(), C::Exit> {
    let value = float_result(c, insn, op, precision)?;
    c.write_f(insn.rd, value);
    Ok(())
}

/// A float operation from float registers to an integer register.
#[inline(always)]
fn float_to_integer<C: Context>(
    c: &mut C,
    insn: &Insn,
    op: FloatOp,
    precision: Precision,
) -> Result<(), C::Exit> {
    let value = float_result(c, insn, op, precision)?;
    c.write_x(insn.rd, value);
    Ok(())
}

/// Reading a register that the operation does not have (its number is then 0) is harmless.
#[inline(always)]
fn float_result<C: Context>(
    c: &mut C,
    insn: &Insn,
    op: FloatOp,
    precision: Precision,
) -> Result<C::Value, C::Exit> {
    c.require_float()?;
    let operands = [c.read_f(insn.rs1), c.read_f(insn.rs2), c.read_f(insn.rs3)];
    c.float(op, precision, insn.rm, operands)
}

/// A float operation from an integer register to a float register.
#[inline(always)]
fn float_from_integer<C: Context>(
    c: &mut C,
    insn: &Insn,
    op: FloatOp,
    precision: Precision,
) -> Result<(), C::Exit> {
    c.require_float()?;
    let (operand, zero) = (c.read_x(insn.rs1), c.constant(0));
    let value = c.float(op, precision, insn.rm, [operand, zero, zero])?;
    c.write_f(insn.rd, value);
    Ok(())
}
