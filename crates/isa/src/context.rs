//! What the meaning of instructions needs from whoever gives it: an interpreter, in which a value is a
//! `u64`, or a translator, in which a value is a piece of code that will compute one.

use crate::float_operation::{FloatOp, Precision};
use crate::operation::{Amo, Binary, Comparison, Width};

/// Which halves of a CSR access take place, and with what effect. Reading and writing may both have side
/// effects, so a half that is not named must not happen (manual, volume I, chapter "Zicsr").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrAccess {
    /// Read only; legal for read-only CSRs. The operand is to be ignored.
    Read,
    /// Write the operand without reading. The result is ignored.
    Write,
    /// Read, and write the operand.
    Swap,
    /// Read, and set the bits that are set in the operand. It is a write, even if the operand is 0.
    Set,
    /// Read, and clear the bits that are set in the operand. It is a write, even if the operand is 0.
    Clear,
}

/// The machine as the instructions see it. See [`crate::execute()`] for the order of the calls.
///
/// A method that can end the instruction early returns `Err` with the reason: a trap, or that the
/// engine must do something before it goes on. Nothing of the instruction has happened then, beyond
/// what the method itself did.
pub trait Context {
    /// A 64-bit value.
    type Value: Copy;
    /// The truth of a comparison.
    type Condition;
    /// Why an instruction ended early.
    type Exit;

    /// A known value.
    fn constant(&mut self, value: u64) -> Self::Value;
    /// The value of integer register `register`, 0 to 31. Register 0 reads as 0.
    fn read_x(&mut self, register: u8) -> Self::Value;
    /// Writes integer register `register`: 0 to 31, where 0 is without effect, or [`crate::SINK`], likewise
    /// (it only appears if the instructions were prepared by [`crate::Insn::with_sink`]).
    fn write_x(&mut self, register: u8, value: Self::Value);
    /// All 64 bits of float register `register`, 0 to 31.
    fn read_f(&mut self, register: u8) -> Self::Value;
    /// Writes all 64 bits of float register `register`, 0 to 31, and makes `mstatus.FS` dirty.
    fn write_f(&mut self, register: u8, value: Self::Value);

    /// The address of this instruction plus `offset` bytes.
    fn pc_relative(&mut self, offset: i32) -> Self::Value;
    /// `op.evaluate(a, b)`.
    fn binary(&mut self, op: Binary, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `comparison.evaluate(a, b)`.
    fn compare(
        &mut self,
        comparison: Comparison,
        a: Self::Value,
        b: Self::Value,
    ) -> Self::Condition;

    /// If `condition` holds, the next instruction is at this one's address plus `offset`; else it is the
    /// one behind it.
    fn branch(&mut self, condition: Self::Condition, offset: i32);
    /// The next instruction is at this one's address plus `offset`.
    fn jump(&mut self, offset: i32);
    /// The next instruction is at `target`, which is even.
    fn jump_to(&mut self, target: Self::Value);

    /// The `width` at `address`, sign- or zero-extended to 64 bits.
    fn load(
        &mut self,
        width: Width,
        signed: bool,
        address: Self::Value,
    ) -> Result<Self::Value, Self::Exit>;
    /// Stores the low `width` of `value` at `address`.
    fn store(
        &mut self,
        width: Width,
        address: Self::Value,
        value: Self::Value,
    ) -> Result<(), Self::Exit>;
    /// Loads the sign-extended `width` (word or double) at `address` and reserves it.
    fn load_reserved(
        &mut self,
        width: Width,
        address: Self::Value,
    ) -> Result<Self::Value, Self::Exit>;
    /// Stores if `address` is reserved, and gives up the reservation; the result is 0 if it stored,
    /// else 1.
    fn store_conditional(
        &mut self,
        width: Width,
        address: Self::Value,
        value: Self::Value,
    ) -> Result<Self::Value, Self::Exit>;
    /// Stores `amo.evaluate(width, old, operand)` at `address`; the result is the sign-extended old
    /// value. Its faults are those of a store.
    fn amo(
        &mut self,
        amo: Amo,
        width: Width,
        address: Self::Value,
        operand: Self::Value,
    ) -> Result<Self::Value, Self::Exit>;

    /// Accesses CSR `csr`, 0 to 4095; the result is its old value.
    fn csr(
        &mut self,
        csr: u16,
        access: CsrAccess,
        operand: Self::Value,
    ) -> Result<Self::Value, Self::Exit>;

    /// Ends the instruction as illegal if `mstatus.FS` is off. Called first in every instruction that
    /// names a float register.
    fn require_float(&mut self) -> Result<(), Self::Exit>;
    /// `op.evaluate(precision, …)` on whole register values, with the rounding mode that
    /// [`crate::effective_rounding`] finds for `rm` and `frm`; if there is none, the instruction ends as
    /// illegal. Adds to `fflags` (a change of which makes `mstatus.FS` dirty). Operands that the
    /// operation does not have are arbitrary.
    fn float(
        &mut self,
        op: FloatOp,
        precision: Precision,
        rm: u8,
        operands: [Self::Value; 3],
    ) -> Result<Self::Value, Self::Exit>;

    /// `ecall`.
    fn environment_call(&mut self) -> Result<(), Self::Exit>;
    /// `ebreak`.
    fn breakpoint(&mut self) -> Result<(), Self::Exit>;
    /// Bits that are no instruction.
    fn illegal(&mut self) -> Result<(), Self::Exit>;
    /// `mret`: checks the mode, and sets the next instruction.
    fn machine_return(&mut self) -> Result<(), Self::Exit>;
    /// `sret`: checks the mode and `mstatus.TSR`, and sets the next instruction.
    fn supervisor_return(&mut self) -> Result<(), Self::Exit>;
    /// `wfi`: checks the mode and `mstatus.TW`.
    fn wait_for_interrupt(&mut self) -> Result<(), Self::Exit>;
    /// `sfence.vma` for one address or all, and one address space or all; checks the mode and
    /// `mstatus.TVM`.
    fn fence_translations(
        &mut self,
        address: Option<Self::Value>,
        space: Option<Self::Value>,
    ) -> Result<(), Self::Exit>;
    /// `fence`: the order of memory accesses.
    fn fence_memory(&mut self) -> Result<(), Self::Exit>;
    /// `fence.i`: later fetches see earlier stores.
    fn fence_instructions(&mut self) -> Result<(), Self::Exit>;
}
