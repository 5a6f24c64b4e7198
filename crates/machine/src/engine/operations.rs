//! What an instruction does to a [`Cpu`]: the interpreter's [`isa::Context`].

use isa::float::Flags;
use isa::{
    Amo, Binary, Comparison, Context, CsrAccess, FloatOp, Precision, Width, effective_rounding,
};

use crate::board::Board;
use crate::cpu::Cpu;
use crate::hart::csr::status;
use crate::hart::{Access, Cause, NO_RESERVATION, Trapped};

/// What exact floats cost more than a plain instruction.
const FLOAT_COST: u64 = 32;

/// One instruction in execution.
pub(super) struct Attempt<'a> {
    pub(super) cpu: &'a mut Cpu,
    pub(super) board: &'a mut Board,
    /// Set by a jump to its target.
    pub(super) jump: u64,
}

fn sign_extend_word(value: u64) -> u64 {
    i64::from(value as i32).cast_unsigned()
}

impl Attempt<'_> {
    fn illegal_instruction(&mut self) -> Trapped {
        self.cpu.hart.raise(Cause::IllegalInstruction, 0)
    }

    /// The bytes at a virtual address, by a fast entry.
    #[inline(always)]
    fn fast_load<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let offset = self.cpu.tlb.load_hit(address, N as u64)?;
        self.board.ram.load(offset)
    }

    #[inline(always)]
    fn fast_store<const N: usize>(&mut self, address: u64, value: [u8; N]) -> Option<()> {
        let offset = self.cpu.tlb.store_hit(address, N as u64)?;
        self.board.ram.store_plain(offset, value)
    }
}

impl Context for Attempt<'_> {
    type Value = u64;
    type Condition = bool;
    type Exit = Trapped;

    #[inline(always)]
    fn constant(&mut self, value: u64) -> u64 {
        value
    }

    #[inline(always)]
    fn read_x(&mut self, register: u8) -> u64 {
        self.cpu.hart.x[usize::from(register & 63)]
    }

    #[inline(always)]
    fn write_x(&mut self, register: u8, value: u64) {
        self.cpu.hart.x[usize::from(register & 63)] = value;
    }

    #[inline(always)]
    fn read_f(&mut self, register: u8) -> u64 {
        self.cpu.hart.f[usize::from(register & 31)]
    }

    #[inline(always)]
    fn write_f(&mut self, register: u8, value: u64) {
        self.cpu.hart.f[usize::from(register & 31)] = value;
        self.cpu.hart.csr.mstatus |= status::FS;
    }

    #[inline(always)]
    fn pc_relative(&mut self, offset: i32) -> u64 {
        self.cpu.hart.pc.wrapping_add_signed(offset.into())
    }

    #[inline(always)]
    fn binary(&mut self, op: Binary, a: u64, b: u64) -> u64 {
        op.evaluate(a, b)
    }

    #[inline(always)]
    fn compare(&mut self, comparison: Comparison, a: u64, b: u64) -> bool {
        comparison.evaluate(a, b)
    }

    #[inline(always)]
    fn branch(&mut self, condition: bool, offset: i32) {
        if condition {
            self.jump = self.cpu.hart.pc.wrapping_add_signed(offset.into());
        }
    }

    #[inline(always)]
    fn jump(&mut self, offset: i32) {
        self.jump = self.cpu.hart.pc.wrapping_add_signed(offset.into());
    }

    #[inline(always)]
    fn jump_to(&mut self, target: u64) {
        self.jump = target;
    }

    #[inline(always)]
    fn load(&mut self, width: Width, signed: bool, address: u64) -> Result<u64, Trapped> {
        let fast = match width {
            Width::Byte => self.fast_load(address).map(|b| u8::from_le_bytes(b).into()),
            Width::Half => self
                .fast_load(address)
                .map(|b| u16::from_le_bytes(b).into()),
            Width::Word => self
                .fast_load(address)
                .map(|b| u32::from_le_bytes(b).into()),
            Width::Double => self.fast_load(address).map(u64::from_le_bytes),
        };
        let value = match fast {
            Some(value) => value,
            None => self.cpu.load(self.board, address, width)?,
        };
        Ok(match (signed, width) {
            (true, Width::Byte) => i64::from(value as i8).cast_unsigned(),
            (true, Width::Half) => i64::from(value as i16).cast_unsigned(),
            (true, Width::Word) => sign_extend_word(value),
            _ => value,
        })
    }

    #[inline(always)]
    fn store(&mut self, width: Width, address: u64, value: u64) -> Result<(), Trapped> {
        let fast = match width {
            Width::Byte => self.fast_store(address, (value as u8).to_le_bytes()),
            Width::Half => self.fast_store(address, (value as u16).to_le_bytes()),
            Width::Word => self.fast_store(address, (value as u32).to_le_bytes()),
            Width::Double => self.fast_store(address, value.to_le_bytes()),
        };
        match fast {
            Some(()) => Ok(()),
            None => self.cpu.store(self.board, address, width, value),
        }
    }

    #[inline(always)]
    fn load_reserved(&mut self, width: Width, address: u64) -> Result<u64, Trapped> {
        self.cpu.load_reserved(self.board, width, address)
    }

    #[inline(always)]
    fn store_conditional(
        &mut self,
        width: Width,
        address: u64,
        value: u64,
    ) -> Result<u64, Trapped> {
        self.cpu
            .store_conditional(self.board, width, address, value)
    }

    #[inline(always)]
    fn amo(&mut self, amo: Amo, width: Width, address: u64, operand: u64) -> Result<u64, Trapped> {
        self.cpu.amo(self.board, amo, width, address, operand)
    }

    #[inline(always)]
    fn csr(&mut self, csr: u16, access: CsrAccess, operand: u64) -> Result<u64, Trapped> {
        self.cpu.access_csr(self.board, csr, access, operand)
    }

    #[inline(always)]
    fn require_float(&mut self) -> Result<(), Trapped> {
        if self.cpu.hart.csr.mstatus & status::FS == 0 {
            return Err(self.illegal_instruction());
        }
        Ok(())
    }

    #[inline(always)]
    fn float(
        &mut self,
        op: FloatOp,
        precision: Precision,
        rm: u8,
        operands: [u64; 3],
    ) -> Result<u64, Trapped> {
        self.cpu.charge(FLOAT_COST);
        let csr = &mut self.cpu.hart.csr;
        let Some(rounding) = effective_rounding(rm, csr.frm as u8) else {
            return Err(self.illegal_instruction());
        };
        let mut flags = Flags::from_bits(csr.fflags as u8);
        let value = op.evaluate(precision, rounding, operands, &mut flags);
        let flags = flags.bits().into();
        if flags != csr.fflags {
            csr.fflags = flags;
            csr.mstatus |= status::FS;
        }
        Ok(value)
    }

    fn environment_call(&mut self) -> Result<(), Trapped> {
        Err(self.cpu.hart.environment_call())
    }

    fn breakpoint(&mut self) -> Result<(), Trapped> {
        let pc = self.cpu.hart.pc;
        Err(self.cpu.hart.raise(Cause::Breakpoint, pc))
    }

    fn illegal(&mut self) -> Result<(), Trapped> {
        Err(self.illegal_instruction())
    }

    fn machine_return(&mut self) -> Result<(), Trapped> {
        self.jump = self.cpu.hart.machine_return()?;
        self.cpu.mode_changed();
        Ok(())
    }

    fn supervisor_return(&mut self) -> Result<(), Trapped> {
        self.jump = self.cpu.hart.supervisor_return()?;
        self.cpu.mode_changed();
        Ok(())
    }

    fn wait_for_interrupt(&mut self) -> Result<(), Trapped> {
        self.cpu.hart.wait_for_interrupt()?;
        self.cpu.attention = true;
        Ok(())
    }

    fn fence_translations(
        &mut self,
        address: Option<u64>,
        space: Option<u64>,
    ) -> Result<(), Trapped> {
        self.cpu.hart.check_fence()?;
        self.cpu.fence(address, space);
        Ok(())
    }

    #[inline(always)]
    fn fence_memory(&mut self) -> Result<(), Trapped> {
        Ok(())
    }

    #[inline(always)]
    fn fence_instructions(&mut self) -> Result<(), Trapped> {
        // Stores into code act at once anyway.
        Ok(())
    }
}

/// Atomic instructions, for every engine.
impl Cpu {
    /// LR: loads, sign-extended, and reserves the physical address.
    ///
    /// # Errors
    /// It traps.
    pub fn load_reserved(
        &mut self,
        board: &mut Board,
        width: Width,
        address: u64,
    ) -> Result<u64, Trapped> {
        let offset = self.translate_atomic(board, Access::Load, address, width)?;
        self.hart.reservation = offset as u64;
        Ok(load_atomic(board, offset, width))
    }

    /// SC: stores if the reservation is for this physical address, and gives it up. 0 if it stored, else
    /// 1. Without any reservation the address is not translated.
    ///
    /// # Errors
    /// It traps.
    pub fn store_conditional(
        &mut self,
        board: &mut Board,
        width: Width,
        address: u64,
        value: u64,
    ) -> Result<u64, Trapped> {
        if self.hart.reservation == NO_RESERVATION && address.is_multiple_of(width.bytes()) {
            return Ok(1);
        }
        let offset = self.translate_atomic(board, Access::Store, address, width)?;
        let reserved = self.hart.reservation == offset as u64;
        self.hart.reservation = NO_RESERVATION;
        if reserved {
            self.store_atomic(board, offset, width, value);
        }
        Ok(u64::from(!reserved))
    }

    /// An AMO: the sign-extended old value.
    ///
    /// # Errors
    /// It traps.
    pub fn amo(
        &mut self,
        board: &mut Board,
        amo: Amo,
        width: Width,
        address: u64,
        operand: u64,
    ) -> Result<u64, Trapped> {
        let bytes = width;
        let offset = match self.tlb.store_hit(address, bytes.bytes()) {
            Some(offset) if address.is_multiple_of(bytes.bytes()) => offset,
            _ => self.translate_atomic(board, Access::Store, address, bytes)?,
        };
        let old = load_atomic(board, offset, bytes);
        self.store_atomic(board, offset, bytes, amo.evaluate(width, old, operand));
        Ok(old)
    }

    fn store_atomic(&mut self, board: &mut Board, offset: usize, width: Width, value: u64) {
        let ram = &mut board.ram;
        let done = match width {
            Width::Double => ram.store_plain(offset, value.to_le_bytes()),
            _ => ram.store_plain(offset, (value as u32).to_le_bytes()),
        };
        done.expect("the address was found to be in memory");
        ram.note_store(offset, width.bytes() as usize);
        self.attention |= ram.has_stale();
    }
}

fn load_atomic(board: &Board, offset: usize, width: Width) -> u64 {
    let value = match width {
        Width::Double => board.ram.load(offset).map(u64::from_le_bytes),
        _ => (board.ram.load(offset)).map(|b| sign_extend_word(u32::from_le_bytes(b).into())),
    };
    value.expect("the address was found to be in memory")
}
