//! Atomic instructions. There is one hart, and nothing else touches memory while it runs: plain accesses will do.

use isa::{Amo, Width};
use machine::hart::NO_RESERVATION;

use super::asm::{Alu, B32, B64, Cond, RAX, RCX, RDX, RSP, Reg, Rm, at, indexed};
use super::emit::{Emitter, Leaf};
use super::layout::{self, LOAD_ADDEND, LOAD_TAG, STORE_ADDEND, STORE_TAG};
use super::memory::log;
use super::thunks::slot;

impl Emitter<'_> {
    /// Leaves the host's address of an aligned access to `address`, which is in RAX or in a register of the
    /// guest, in RCX. If it is misaligned or not fast, software executes the instruction.
    fn atomic_place(&mut self, address: Reg, width: Width, tag: i32, addend: i32) {
        self.asm.test_imm(address, width.bytes() as i32 - 1);
        let misaligned = self.asm.jump_if(Cond::NotEqual);
        self.exactly_if(misaligned);
        let site = self.look_up(address, width.bytes() as i32, tag);
        self.exactly_if(site);
        self.asm
            .mov(B64, RCX, indexed(super::asm::R14, RCX, 0, addend));
        self.asm.alu(Alu::Add, B64, RCX, address);
    }

    /// RDX = the offset in memory of what is at the host's address in RCX.
    fn offset_of_place(&mut self) {
        self.asm.mov(B64, RDX, RCX);
        self.asm.alu(Alu::Sub, B64, RDX, at(RSP, slot::MEMORY));
    }

    /// Completes an instruction whose result is in a scratch register.
    fn put_result(&mut self, from: Reg) {
        let rd = self.insn.rd;
        if !self.insn.discards_result() {
            match self.map.host(rd) {
                Some(host) => self.asm.mov(B64, host, from),
                None => self.put(rd, None, from),
            }
        }
    }

    pub(super) fn load_reserved_at(&mut self, width: Width, address: Reg) {
        self.atomic_place(address, width, LOAD_TAG, LOAD_ADDEND);
        self.offset_of_place();
        self.asm.store(layout::RESERVATION, RDX);
        self.asm.load_extended(log(width), true, RDX, at(RCX, 0));
        self.put_result(RDX);
    }

    pub(super) fn store_conditional_at(&mut self, width: Width, address: Reg, value: Leaf) {
        self.asm.test_imm(address, width.bytes() as i32 - 1);
        let misaligned = self.asm.jump_if(Cond::NotEqual);
        self.exactly_if(misaligned);
        // Without any reservation the address is not translated.
        self.asm
            .alu_imm(Alu::Cmp, B64, layout::RESERVATION, NO_RESERVATION as i32);
        let none = self.asm.jump_if(Cond::Equal);
        let site = self.look_up(address, width.bytes() as i32, STORE_TAG);
        self.exactly_if(site);
        self.asm
            .mov(B64, RCX, indexed(super::asm::R14, RCX, 0, STORE_ADDEND));
        self.asm.alu(Alu::Add, B64, RCX, address);
        self.offset_of_place();
        self.asm.alu(Alu::Cmp, B64, RDX, layout::RESERVATION);
        self.asm
            .store_imm(3, layout::RESERVATION, NO_RESERVATION as i32);
        let other = self.asm.jump_if(Cond::NotEqual);
        self.fetch(RDX, value);
        self.asm.store_sized(log(width), at(RCX, 0), RDX);
        self.clear(RDX);
        let done = self.asm.jump();
        self.asm.land(none);
        self.asm.land(other);
        self.asm.mov_imm(RDX, 1);
        self.asm.land(done);
        self.put_result(RDX);
    }

    pub(super) fn amo_at(&mut self, amo: Amo, width: Width, address: Reg, operand: Leaf) {
        self.atomic_place(address, width, STORE_TAG, STORE_ADDEND);
        self.asm.load_extended(log(width), true, RDX, at(RCX, 0));
        self.fetch(RAX, operand);
        let bits = if width == Width::Word { B32 } else { B64 };
        let choose = |emitter: &mut Self, unless: Cond| {
            emitter.asm.alu(Alu::Cmp, bits, RDX, RAX);
            emitter.asm.cmov(unless, bits, RAX, RDX);
        };
        match amo {
            Amo::Swap => {}
            Amo::Add => self.asm.alu(Alu::Add, bits, RAX, RDX),
            Amo::Xor => self.asm.alu(Alu::Xor, bits, RAX, RDX),
            Amo::And => self.asm.alu(Alu::And, bits, RAX, RDX),
            Amo::Or => self.asm.alu(Alu::Or, bits, RAX, RDX),
            Amo::Minimum => choose(self, Cond::Less),
            Amo::Maximum => choose(self, Cond::Greater),
            Amo::MinimumUnsigned => choose(self, Cond::Below),
            Amo::MaximumUnsigned => choose(self, Cond::Above),
        }
        self.asm.store_sized(log(width), at(RCX, 0), RAX);
        self.put_result(RDX);
    }

    /// The register that holds the address of an atomic access.
    pub(super) fn atomic_address(&mut self) -> Reg {
        let leaf = Leaf::X(self.insn.rs1);
        match self.operand(leaf) {
            Rm::Reg(host) => host,
            _ => {
                self.fetch(RAX, leaf);
                RAX
            }
        }
    }
}
