//! The CSRs that kernels touch with each system call and lock, where that has no effect but on themselves.

use isa::CsrAccess;
use machine::hart::Mode;
use machine::hart::csr::status;

use super::asm::{Alu, B64, Cond, Mem, RAX, RCX, RDX, Shift, Unary};
use super::emit::{Emitter, Exit, Leaf, Value};
use super::layout;

const SSTATUS: u16 = 0x100;
const SSCRATCH: u16 = 0x140;
const SEPC: u16 = 0x141;
const SCAUSE: u16 = 0x142;
const STVAL: u16 = 0x143;

impl Emitter<'_> {
    /// A CSR access that is translated; its result is in RAX.
    pub(super) fn csr_access(
        &mut self,
        csr: u16,
        access: CsrAccess,
        operand: Leaf,
    ) -> Result<Value, Exit> {
        let (place, writable) = match csr {
            SSTATUS => return self.status_access(access, operand),
            SSCRATCH => (layout::SSCRATCH, -1),
            SEPC => (layout::SEPC, !1),
            SCAUSE => (layout::SCAUSE, -1),
            STVAL => (layout::STVAL, -1),
            _ => return self.float_csr(csr, access),
        };
        self.supervisor_only();
        if access == CsrAccess::Read {
            self.asm.mov(B64, RAX, place);
            return Ok(Value::Leaf(Leaf::Temp));
        }
        self.modified(access, operand, place);
        if writable != -1 {
            self.asm.alu_imm(Alu::And, B64, RCX, writable);
        }
        self.asm.store(place, RCX);
        Ok(Value::Leaf(Leaf::Temp))
    }

    /// Below S-mode, the instruction is for the helper.
    fn supervisor_only(&mut self) {
        self.asm.cmp_byte(layout::MODE, Mode::Supervisor as u8);
        let site = self.asm.jump_if(Cond::Below);
        self.exactly_if(site);
    }

    /// RAX = what is in a register, RCX = what is to be.
    fn modified(&mut self, access: CsrAccess, operand: Leaf, place: Mem) {
        self.fetch(RCX, operand);
        self.asm.mov(B64, RAX, place);
        match access {
            CsrAccess::Set => self.asm.alu(Alu::Or, B64, RCX, RAX),
            CsrAccess::Clear => {
                self.asm.unary(Unary::Not, B64, RCX);
                self.asm.alu(Alu::And, B64, RCX, RAX);
            }
            CsrAccess::Read | CsrAccess::Write | CsrAccess::Swap => {}
        }
    }

    /// `sstatus`, unless what changes has an effect on translation, or lets an interrupt in that may be due.
    fn status_access(&mut self, access: CsrAccess, operand: Leaf) -> Result<Value, Exit> {
        const OTHER_EFFECTS: u64 = status::SUM | status::MXR;
        self.supervisor_only();
        if access != CsrAccess::Read {
            self.modified(access, operand, layout::MSTATUS);
            // RCX = the bits that change.
            self.asm.alu(Alu::Xor, B64, RCX, RAX);
            self.asm
                .alu_imm(Alu::And, B64, RCX, status::SUPERVISOR as i32);
            self.asm.test_imm(RCX, OTHER_EFFECTS as i32);
            let site = self.asm.jump_if(Cond::NotEqual);
            self.exactly_if(site);
            let may_enable = match (access, operand) {
                (CsrAccess::Clear, _) => false,
                (_, Leaf::Const(value)) => value & status::SIE != 0,
                _ => true,
            };
            if may_enable {
                // Interrupts stay as they are, or are disabled, or nothing is pending.
                self.asm.alu(Alu::Xor, B64, RAX, RCX);
                self.asm.mov(B64, RDX, RAX);
                self.asm.alu(Alu::And, B64, RDX, RCX);
                self.asm.alu(Alu::Xor, B64, RAX, RCX);
                self.asm.test_imm(RDX, status::SIE as i32);
                let harmless = self.asm.jump_if(Cond::Equal);
                self.asm.mov(B64, RDX, layout::LINES);
                self.asm.alu(Alu::Or, B64, RDX, layout::MIP);
                let pending = self.asm.jump_if(Cond::NotEqual);
                self.exactly_if(pending);
                self.asm.cmp_byte(layout::TIMER_DUE, 0);
                let pending = self.asm.jump_if(Cond::NotEqual);
                self.exactly_if(pending);
                self.asm.land(harmless);
            }
            self.asm.alu_to(Alu::Xor, B64, layout::MSTATUS, RCX);
            self.facts.floats.helped(0, false);
        } else {
            self.asm.mov(B64, RAX, layout::MSTATUS);
        }
        if access != CsrAccess::Write && !self.insn.discards_result() {
            // SD is set if FS is dirty: all ones, to which one more carries into the next bit.
            const SHIFT: u8 = (status::SD.trailing_zeros() - status::FS.trailing_zeros() - 2) as u8;
            self.asm.mov(B64, RCX, RAX);
            self.asm.alu_imm(Alu::And, B64, RCX, status::FS as i32);
            self.asm
                .alu_imm(Alu::Add, B64, RCX, 1 << status::FS.trailing_zeros());
            self.asm.shift_imm(Shift::Left, B64, RCX, SHIFT);
            self.asm.mov_imm(RDX, status::SD);
            self.asm.alu(Alu::And, B64, RCX, RDX);
            self.asm
                .alu_imm(Alu::And, B64, RAX, status::SUPERVISOR as i32);
            self.asm.alu(Alu::Or, B64, RAX, RCX);
            self.asm.mov_imm(RCX, status::UXL);
            self.asm.alu(Alu::Or, B64, RAX, RCX);
        }
        Ok(Value::Leaf(Leaf::Temp))
    }
}
