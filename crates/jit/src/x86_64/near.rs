//! Accesses of a region to tables: to a register plus a small index. The page is most likely that of the register,
//! which is known long before the index is.

use isa::{Insn, Op};

use super::asm::{Alu, B32, B64, Cond, R14, RCX, RDX, Reg, Shift, Site, at, indexed};
use super::cold::{Cold, Leave};
use super::emit::{Emitter, Leaf};
use super::layout::{DATA_CONTEXT, INDEX_MASK, INDEX_SHIFT};

/// Larger indices often lead to other pages.
const INDEX_MAX: u64 = 4096;

/// What is known of the value of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Near {
    /// It is at most this.
    AtMost(u64),
    /// It is the value of a register, or more, but not by much.
    Beyond(u8),
}

/// A look-up by another address, which did not find the page.
pub(super) struct Elsewhere {
    pub(super) site: Site,
    pub(super) back: u32,
    pub(super) address: Reg,
    pub(super) tag: i32,
    /// What happens if the access is not fast.
    pub(super) leave: Leave,
}

impl Emitter<'_> {
    /// In a region: notes what the instruction, which was emitted, says about its result.
    pub(super) fn note_near(&mut self, insn: &Insn) {
        if insn.writes_x() == 0 {
            return;
        }
        let of = |guest: u8| self.facts.near[usize::from(guest)];
        let at_most = |guest: u8| match of(guest) {
            Some(Near::AtMost(bound)) => Some(bound),
            _ => None,
        };
        let near = match insn.op {
            Op::Andi => u64::try_from(insn.imm).ok().map(Near::AtMost),
            Op::Lbu => Some(Near::AtMost(0xff)),
            Op::Slli => at_most(insn.rs1)
                .filter(|_| insn.imm < 16)
                .map(|bound| Near::AtMost(bound << insn.imm)),
            Op::Srliw if insn.imm >= 20 => Some(Near::AtMost(0xffff_ffff >> insn.imm)),
            Op::Srli if insn.imm >= 52 => Some(Near::AtMost(u64::MAX >> insn.imm)),
            Op::Add => match (at_most(insn.rs1), at_most(insn.rs2)) {
                (Some(_), None) if insn.rs2 != insn.rd => Some(Near::Beyond(insn.rs2)),
                (None, Some(_)) if insn.rs1 != insn.rd => Some(Near::Beyond(insn.rs1)),
                _ => None,
            },
            _ => None,
        };
        self.forget_near(insn.rd);
        self.facts.near[usize::from(insn.rd)] =
            near.filter(|near| !matches!(near, Near::AtMost(bound) if *bound >= INDEX_MAX));
    }

    /// Notes that a register has another value, of which nothing is known.
    pub(super) fn forget_near(&mut self, guest: u8) {
        for near in &mut self.facts.near {
            if *near == Some(Near::Beyond(guest)) {
                *near = None;
            }
        }
        self.facts.near[usize::from(guest)] = None;
    }

    /// The register near to which the present instruction accesses memory.
    pub(super) fn near_base(&self) -> Option<u8> {
        self.region.as_ref()?;
        match self.facts.near[usize::from(self.insn.rs1)] {
            Some(Near::Beyond(base)) => Some(base),
            _ => None,
        }
    }

    /// As [`Emitter::look_up`], where the page is most likely that of a base; goes on with its index in RCX if the
    /// access is fast.
    pub(super) fn look_up_near(&mut self, base: u8, address: Reg, bytes: i32, tag: i32) {
        match self.map.host(base) {
            Some(host) => self.asm.lea(B32, RCX, at(host, self.insn.imm)),
            None => {
                self.fetch(RCX, Leaf::X(base));
                self.asm.alu_imm(Alu::Add, B32, RCX, self.insn.imm);
            }
        }
        self.index_of_page();
        self.tag_of_page(address, bytes);
        self.asm.alu(Alu::Cmp, B64, RDX, indexed(R14, RCX, 0, tag));
        let site = self.asm.jump_if(Cond::NotEqual);
        self.cold.push(Cold::Elsewhere(Box::new(Elsewhere {
            site,
            back: self.asm.here(),
            address,
            tag,
            leave: self.leave_here(),
        })));
    }

    /// RCX = the place of the page of an address in RCX in the fast translations.
    pub(super) fn index_of_page(&mut self) {
        self.asm.shift_imm(Shift::Right, B32, RCX, INDEX_SHIFT);
        self.asm.alu_imm(Alu::And, B32, RCX, INDEX_MASK);
    }

    /// RDX = the tag of the page of the last byte of an access, at the place of the first: one that straddles pages
    /// finds nothing.
    pub(super) fn tag_of_page(&mut self, address: Reg, bytes: i32) {
        match bytes - 1 {
            0 => self.asm.mov(B64, RDX, address),
            last => self.asm.lea(B64, RDX, at(address, last)),
        }
        self.asm.alu_imm(Alu::And, B64, RDX, -4096);
        self.asm.alu(Alu::Or, B64, RDX, DATA_CONTEXT);
    }

    /// Looks up once more, by the address itself.
    pub(super) fn emit_elsewhere(&mut self, elsewhere: Elsewhere) {
        self.asm.land(elsewhere.site);
        self.asm.mov(B32, RCX, elsewhere.address);
        self.index_of_page();
        self.asm
            .alu(Alu::Cmp, B64, RDX, indexed(R14, RCX, 0, elsewhere.tag));
        self.asm.jump_if_to(Cond::Equal, elsewhere.back);
        let mut leave = elsewhere.leave;
        leave.sites.push(self.asm.jump());
        self.cold.push(Cold::Leave(leave));
    }
}
