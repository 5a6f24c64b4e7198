//! A small machine for tests: registers and one piece of memory, no privileges.

use isa::csr::{FCSR, FFLAGS, FRM};
use isa::float::Flags;
use isa::{
    Amo, Binary, Comparison, Context, CsrAccess, FloatOp, Insn, Precision, SINK, Width, decode,
    effective_rounding, execute,
};

/// Why the machine stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    EnvironmentCall,
    Breakpoint,
    Illegal,
    /// A load (false) or store (true) outside memory.
    Fault(bool),
    /// One that belongs to the privileged architecture, which the machine does not have.
    Privileged,
}

/// Registers and memory.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) x: [u64; 64],
    pub(crate) f: [u64; 32],
    pub(crate) pc: u64,
    pub(crate) next: u64,
    /// Address of the first byte of `memory`.
    pub(crate) base: u64,
    pub(crate) memory: Vec<u8>,
    pub(crate) reservation: Option<u64>,
    pub(crate) flags: Flags,
    pub(crate) frm: u8,
    pub(crate) float_enabled: bool,
    /// The halves of CSR accesses that took place.
    pub(crate) csr_accesses: Vec<(u16, CsrAccess, u64)>,
    /// The address and space operands of translation fences.
    pub(crate) fences: Vec<(Option<u64>, Option<u64>)>,
}

impl Machine {
    /// A machine with `size` bytes of memory at `base`, and `pc` there.
    pub(crate) fn new(base: u64, size: usize) -> Self {
        Self {
            x: [0; 64],
            f: [0; 32],
            pc: base,
            next: base,
            base,
            memory: vec![0; size],
            reservation: None,
            flags: Flags::default(),
            frm: 0,
            float_enabled: true,
            csr_accesses: Vec::new(),
            fences: Vec::new(),
        }
    }

    /// Executes `insn` at `pc`, and moves `pc` to the next instruction if it did not end early.
    pub(crate) fn execute(&mut self, insn: &Insn) -> Result<(), Exit> {
        self.next = self.pc.wrapping_add(u64::from(insn.length));
        execute(self, insn)?;
        self.pc = self.next;
        Ok(())
    }

    /// Executes at most `steps` instructions from memory.
    pub(crate) fn run(&mut self, steps: usize) -> Option<Exit> {
        for _ in 0..steps {
            let Some(offset) = self.offset(self.pc, Width::Half) else {
                return Some(Exit::Fault(false));
            };
            let rest = &self.memory[offset..];
            let mut bytes = [0; 4];
            let available = rest.len().min(4);
            bytes[..available].copy_from_slice(&rest[..available]);
            let insn = decode(u32::from_le_bytes(bytes)).with_sink();
            if let Err(exit) = self.execute(&insn) {
                return Some(exit);
            }
        }
        None
    }

    pub(crate) fn read(&self, width: Width, address: u64) -> Option<u64> {
        let offset = self.offset(address, width)?;
        let length = width.bytes() as usize;
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(&self.memory[offset..offset + length]);
        Some(u64::from_le_bytes(bytes))
    }

    pub(crate) fn write(&mut self, width: Width, address: u64, value: u64) -> Option<()> {
        let offset = self.offset(address, width)?;
        let length = width.bytes() as usize;
        self.memory[offset..offset + length].copy_from_slice(&value.to_le_bytes()[..length]);
        Some(())
    }

    fn offset(&self, address: u64, width: Width) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        (offset.checked_add(width.bytes() as usize)? <= self.memory.len()).then_some(offset)
    }
}

impl Context for Machine {
    type Value = u64;
    type Condition = bool;
    type Exit = Exit;

    fn constant(&mut self, value: u64) -> u64 {
        value
    }

    fn read_x(&mut self, register: u8) -> u64 {
        self.x[usize::from(register)]
    }

    fn write_x(&mut self, register: u8, value: u64) {
        assert!(register <= SINK);
        self.x[usize::from(register)] = value;
        self.x[0] = 0;
    }

    fn read_f(&mut self, register: u8) -> u64 {
        self.f[usize::from(register)]
    }

    fn write_f(&mut self, register: u8, value: u64) {
        self.f[usize::from(register)] = value;
    }

    fn pc_relative(&mut self, offset: i32) -> u64 {
        self.pc.wrapping_add_signed(offset.into())
    }

    fn binary(&mut self, op: Binary, a: u64, b: u64) -> u64 {
        op.evaluate(a, b)
    }

    fn compare(&mut self, comparison: Comparison, a: u64, b: u64) -> bool {
        comparison.evaluate(a, b)
    }

    fn branch(&mut self, condition: bool, offset: i32) {
        if condition {
            self.jump(offset);
        }
    }

    fn jump(&mut self, offset: i32) {
        self.next = self.pc.wrapping_add_signed(offset.into());
    }

    fn jump_to(&mut self, target: u64) {
        self.next = target;
    }

    fn load(&mut self, width: Width, signed: bool, address: u64) -> Result<u64, Exit> {
        let value = self.read(width, address).ok_or(Exit::Fault(false))?;
        Ok(if signed {
            width.sign_extend(value)
        } else {
            value
        })
    }

    fn store(&mut self, width: Width, address: u64, value: u64) -> Result<(), Exit> {
        self.write(width, address, value).ok_or(Exit::Fault(true))
    }

    fn load_reserved(&mut self, width: Width, address: u64) -> Result<u64, Exit> {
        let value = self.load(width, true, address)?;
        self.reservation = Some(address);
        Ok(value)
    }

    fn store_conditional(&mut self, width: Width, address: u64, value: u64) -> Result<u64, Exit> {
        if self.reservation.take() != Some(address) {
            return Ok(1);
        }
        self.store(width, address, value)?;
        Ok(0)
    }

    fn amo(&mut self, amo: Amo, width: Width, address: u64, operand: u64) -> Result<u64, Exit> {
        let old = self.read(width, address).ok_or(Exit::Fault(true))?;
        self.store(width, address, amo.evaluate(width, old, operand))?;
        Ok(width.sign_extend(old))
    }

    fn csr(&mut self, csr: u16, access: CsrAccess, operand: u64) -> Result<u64, Exit> {
        self.csr_accesses.push((csr, access, operand));
        let fcsr = u64::from(self.frm) << 5 | u64::from(self.flags.bits());
        let (old, shift, mask) = match csr {
            FFLAGS => (fcsr & 31, 0, 31),
            FRM => (fcsr >> 5, 5, 7),
            FCSR => (fcsr, 0, 255),
            _ => return Err(Exit::Illegal),
        };
        let new = match access {
            CsrAccess::Read => old,
            CsrAccess::Write | CsrAccess::Swap => operand,
            CsrAccess::Set => old | operand,
            CsrAccess::Clear => old & !operand,
        } & mask;
        let fcsr = fcsr & !(mask << shift) | new << shift;
        self.frm = (fcsr >> 5) as u8;
        self.flags = Flags::from_bits(fcsr as u8);
        Ok(old)
    }

    fn require_float(&mut self) -> Result<(), Exit> {
        if self.float_enabled {
            Ok(())
        } else {
            Err(Exit::Illegal)
        }
    }

    fn float(
        &mut self,
        op: FloatOp,
        precision: Precision,
        rm: u8,
        operands: [u64; 3],
    ) -> Result<u64, Exit> {
        let rounding = effective_rounding(rm, self.frm).ok_or(Exit::Illegal)?;
        Ok(op.evaluate(precision, rounding, operands, &mut self.flags))
    }

    fn environment_call(&mut self) -> Result<(), Exit> {
        Err(Exit::EnvironmentCall)
    }

    fn breakpoint(&mut self) -> Result<(), Exit> {
        Err(Exit::Breakpoint)
    }

    fn illegal(&mut self) -> Result<(), Exit> {
        Err(Exit::Illegal)
    }

    fn machine_return(&mut self) -> Result<(), Exit> {
        Err(Exit::Privileged)
    }

    fn supervisor_return(&mut self) -> Result<(), Exit> {
        Err(Exit::Privileged)
    }

    fn wait_for_interrupt(&mut self) -> Result<(), Exit> {
        Err(Exit::Privileged)
    }

    fn fence_translations(&mut self, address: Option<u64>, space: Option<u64>) -> Result<(), Exit> {
        self.fences.push((address, space));
        Ok(())
    }

    fn fence_memory(&mut self) -> Result<(), Exit> {
        Ok(())
    }

    fn fence_instructions(&mut self) -> Result<(), Exit> {
        Ok(())
    }
}
