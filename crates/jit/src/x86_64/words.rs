//! Words in a region: results of 32 bits that a host register holds are sign-extended only where that matters.

use isa::{Insn, Op};

use super::asm::{Asm, Reg};
use super::emit::Emitter;

/// Only the low words of its operands count, and its result is a word, extended at the end.
fn is_narrow(op: Op) -> bool {
    matches!(
        op,
        Op::Addiw
            | Op::Slliw
            | Op::Srliw
            | Op::Sraiw
            | Op::Addw
            | Op::Subw
            | Op::Sllw
            | Op::Srlw
            | Op::Sraw
            | Op::Mulw
    )
}

/// What it does with extended words is an extended word, bit by bit.
fn is_bitwise(insn: &Insn) -> bool {
    match insn.op {
        Op::And | Op::Or | Op::Xor | Op::Ori | Op::Xori => true,
        // The mask may clear the extension.
        Op::Andi => insn.imm < 0,
        // Moves.
        Op::Addi => insn.imm == 0,
        Op::Add => insn.rs1 == 0 || insn.rs2 == 0,
        _ => false,
    }
}

/// Whether its result is a word, whatever the operands are.
fn is_word(insn: &Insn) -> bool {
    is_narrow(insn.op)
        || matches!(
            insn.op,
            Op::Lw | Op::Lh | Op::Lb | Op::Lhu | Op::Lbu | Op::Lui
        )
        || insn.op == Op::Andi && insn.imm >= 0
        || insn.op == Op::Addi && insn.rs1 == 0
}

/// The registers of which an instruction needs all bits.
fn whole(insn: &Insn) -> u32 {
    match insn.op {
        Op::Andi if insn.imm >= 0 => 0,
        op if is_narrow(op) => 0,
        Op::Sb | Op::Sh | Op::Sw => 1 << (insn.rs1 & 31),
        _ => insn.reads_x(),
    }
}

/// `reg` = its low word, sign-extended. The flags stay as they are.
pub(super) fn extend(asm: &mut Asm, reg: Reg) {
    asm.load_extended(2, true, reg, reg);
}

impl Emitter<'_> {
    /// In a region: whether an instruction extends what is extended already.
    pub(super) fn does_nothing(&self, insn: &Insn) -> bool {
        insn.op == Op::Addiw
            && insn.imm == 0
            && insn.rd == insn.rs1
            && self.facts.words >> insn.rd & 1 != 0
    }

    /// Extends what the instruction needs whole, and decides whether its result is. `held` says that this goes to a host
    /// register.
    pub(super) fn prepare_words(&mut self, insn: &Insn, held: bool) {
        let Some(region) = &self.region else {
            return;
        };
        let (read, pending) = (insn.reads_x(), region.registers.pending());
        let words = self.facts.words | 1;
        let passes_on = held && is_bitwise(insn) && read & !words == 0;
        self.narrow = held && (is_narrow(insn.op) || passes_on && read & pending != 0);
        if !passes_on {
            self.extend_pending(whole(insn));
        }
        if insn.writes_x() != 0 {
            self.note_word(
                insn.rd,
                is_word(insn) || is_bitwise(insn) && read & !words == 0,
            );
        }
    }

    /// Notes whether a register is now a word.
    pub(super) fn note_word(&mut self, guest: u8, is_word: bool) {
        let bit = 1 << guest;
        self.facts.words = self.facts.words & !bit | if is_word { bit } else { 0 };
    }

    /// Extends the words that are pending in these registers.
    pub(super) fn extend_pending(&mut self, guests: u32) {
        if let Some(region) = &mut self.region {
            region.registers.extend(guests, &mut self.asm);
        }
    }
}
