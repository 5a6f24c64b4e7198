//! The CSRs that kernels touch with each system call and lock, where that has no effect but on themselves.

use isa::CsrAccess;
use machine::hart::Mode;
use machine::hart::csr::{EPC_WRITABLE, status};

use super::asm::{Alu, B64, Cond, Mem, RAX, RCX, RDX, Shift, Unary};
use super::emitter::Emitter;
use super::layout;
use crate::plan::{Csr, Miss, Operand, Place};

/// A CSR access in line.
pub(super) fn access(
    e: &mut Emitter<'_>,
    csr: Csr,
    access: CsrAccess,
    (to, operand): (Place, Operand),
    miss: Miss,
) {
    let (place, writable) = match csr {
        Csr::Sstatus => return status_access(e, access, (to, operand), miss),
        Csr::Sscratch => (layout::SSCRATCH, -1),
        Csr::Sepc => (layout::SEPC, EPC_WRITABLE as i32),
        Csr::Scause => (layout::SCAUSE, -1),
        Csr::Stval => (layout::STVAL, -1),
    };
    supervisor_only(e, miss);
    if access == CsrAccess::Read {
        e.asm.mov(B64, RAX, place);
    } else {
        modified(e, access, operand, place);
        if writable != -1 {
            e.asm.alu_imm(Alu::And, B64, RCX, writable);
        }
        e.asm.store(place, RCX);
    }
    e.put_from(to, RAX);
}

/// Below S-mode, the instruction is for others.
fn supervisor_only(e: &mut Emitter<'_>, miss: Miss) {
    e.asm.cmp_byte(layout::MODE, Mode::Supervisor as u8);
    let site = e.asm.jump_if(Cond::Below);
    e.miss(site, miss);
}

/// RAX = what is in a register, RCX = what is to be.
fn modified(e: &mut Emitter<'_>, access: CsrAccess, operand: Operand, place: Mem) {
    e.fetch(RCX, operand);
    e.asm.mov(B64, RAX, place);
    match access {
        CsrAccess::Set => e.asm.alu(Alu::Or, B64, RCX, RAX),
        CsrAccess::Clear => {
            e.asm.unary(Unary::Not, B64, RCX);
            e.asm.alu(Alu::And, B64, RCX, RAX);
        }
        CsrAccess::Read | CsrAccess::Write | CsrAccess::Swap => {}
    }
}

/// `sstatus`, unless what changes has an effect on translation, or lets an interrupt in that may be due.
fn status_access(
    e: &mut Emitter<'_>,
    access: CsrAccess,
    (to, operand): (Place, Operand),
    miss: Miss,
) {
    const OTHER_EFFECTS: u64 = status::SUM | status::MXR;
    supervisor_only(e, miss);
    if access != CsrAccess::Read {
        modified(e, access, operand, layout::MSTATUS);
        // RCX = the bits that change.
        e.asm.alu(Alu::Xor, B64, RCX, RAX);
        e.asm.alu_imm(Alu::And, B64, RCX, status::SUPERVISOR as i32);
        e.asm.test_imm(RCX, OTHER_EFFECTS as i32);
        let site = e.asm.jump_if(Cond::NotEqual);
        e.miss(site, miss);
        let may_enable = match (access, operand) {
            (CsrAccess::Clear, _) => false,
            (_, Operand::Const(value)) => value & status::SIE != 0,
            _ => true,
        };
        if may_enable {
            // Interrupts stay as they are, or are disabled, or nothing is pending.
            e.asm.alu(Alu::Xor, B64, RAX, RCX);
            e.asm.mov(B64, RDX, RAX);
            e.asm.alu(Alu::And, B64, RDX, RCX);
            e.asm.alu(Alu::Xor, B64, RAX, RCX);
            e.asm.test_imm(RDX, status::SIE as i32);
            let harmless = e.asm.jump_if(Cond::Equal);
            e.asm.mov(B64, RDX, layout::LINES);
            e.asm.alu(Alu::Or, B64, RDX, layout::MIP);
            let pending = e.asm.jump_if(Cond::NotEqual);
            e.miss(pending, miss);
            e.asm.cmp_byte(layout::TIMER_DUE, 0);
            let pending = e.asm.jump_if(Cond::NotEqual);
            e.miss(pending, miss);
            e.asm.land(harmless);
        }
        e.asm.alu_to(Alu::Xor, B64, layout::MSTATUS, RCX);
    } else {
        e.asm.mov(B64, RAX, layout::MSTATUS);
    }
    if to != Place::Nowhere {
        // SD is set if FS is dirty: all ones, to which one more carries into the next bit.
        const SHIFT: u8 = (status::SD.trailing_zeros() - status::FS.trailing_zeros() - 2) as u8;
        e.asm.mov(B64, RCX, RAX);
        e.asm.alu_imm(Alu::And, B64, RCX, status::FS as i32);
        e.asm
            .alu_imm(Alu::Add, B64, RCX, 1 << status::FS.trailing_zeros());
        e.asm.shift_imm(Shift::Left, B64, RCX, SHIFT);
        e.asm.mov_imm(RDX, status::SD);
        e.asm.alu(Alu::And, B64, RCX, RDX);
        e.asm.alu_imm(Alu::And, B64, RAX, status::SUPERVISOR as i32);
        e.asm.alu(Alu::Or, B64, RAX, RCX);
        e.asm.mov_imm(RCX, status::UXL);
        e.asm.alu(Alu::Or, B64, RAX, RCX);
    }
    e.put_from(to, RAX);
}
