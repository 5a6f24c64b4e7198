//! Shifts of a region that are put off: two of them often become one rotation, and often nobody wants their results.

use isa::{Binary, Insn, Op};

use super::asm::{B32, B64, Shift};
use super::emit::{Emitter, Leaf};
use super::registers::is_dead;

/// A shift that was not emitted: what the register has is outdated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lazy {
    /// The register that should have the result.
    pub(super) guest: u8,
    pub(super) op: Binary,
    /// The register that is shifted: not a lazy one itself, but perhaps the same, which then has its old value.
    pub(super) source: u8,
    pub(super) by: u8,
}

impl Lazy {
    /// The shift of an instruction, if it is one by a constant.
    fn of(insn: &Insn) -> Option<Lazy> {
        let op = match insn.op {
            Op::Slliw => Binary::ShiftLeftWord,
            Op::Srliw => Binary::ShiftRightWord,
            Op::Slli => Binary::ShiftLeft,
            Op::Srli => Binary::ShiftRight,
            _ => return None,
        };
        let fits = insn.writes_x() != 0 && insn.rs1 != 0 && insn.imm != 0;
        fits.then_some(Lazy {
            guest: insn.rd,
            op,
            source: insn.rs1,
            by: insn.imm as u8,
        })
    }

    /// Whether it overwrites what it shifts: of all shifts of its source it is emitted last.
    pub(super) fn is_in_place(self) -> bool {
        self.guest == self.source
    }

    fn is_word(self) -> bool {
        matches!(self.op, Binary::ShiftLeftWord | Binary::ShiftRightWord)
    }

    fn is_left(self) -> bool {
        matches!(self.op, Binary::ShiftLeftWord | Binary::ShiftLeft)
    }

    /// Whether the results of both, put together, are a rotation.
    fn completes(self, other: Lazy) -> bool {
        let bits = if self.is_word() { 32 } else { 64 };
        self.is_word() == other.is_word()
            && self.is_left() != other.is_left()
            && self.source == other.source
            && self.by + other.by == bits
    }
}

/// Whether an instruction puts two shifts of a register together. A shift to the right of a word is not negative, so
/// that even a sum of all bits is right.
fn puts_together(insn: &Insn) -> bool {
    let op = matches!(insn.op, Op::Or | Op::Xor | Op::Add | Op::Addw);
    op && insn.writes_x() != 0 && insn.rs1 != insn.rs2
}

impl Emitter<'_> {
    fn lazies(&mut self) -> &mut Vec<Lazy> {
        &mut (self.region.as_mut())
            .expect("only regions are lazy")
            .registers
            .lazies
    }

    /// Whether the instruction at `index` is a shift that will be part of a rotation; then it is put off.
    pub(super) fn put_off(&mut self, block: &[Insn], index: usize) -> bool {
        let Some(lazy) = Lazy::of(&block[index]) else {
            return false;
        };
        if !is_for_rotation(lazy, block, index) {
            return false;
        }
        if !lazy.is_in_place() {
            self.before_write(1 << lazy.guest, &block[index..]);
        }
        self.materialize(1 << lazy.source);
        self.facts.known[usize::from(lazy.guest)] = None;
        self.note_word(lazy.guest, lazy.is_word());
        self.forget_near(lazy.guest);
        self.lazies().retain(|other| other.guest != lazy.guest);
        self.lazies().push(lazy);
        true
    }

    /// The rotation that the instruction completes: the source, how far to the right, and whether of a word.
    pub(super) fn rotation(&mut self, insn: &Insn) -> Option<(u8, u8, bool)> {
        if !puts_together(insn) {
            return None;
        }
        let find = |lazies: &[Lazy], guest| lazies.iter().copied().find(|lazy| lazy.guest == guest);
        let a = find(self.lazies(), insn.rs1)?;
        let b = find(self.lazies(), insn.rs2)?;
        if !a.completes(b) || insn.op == Op::Addw && !a.is_word() {
            return None;
        }
        let right = if a.is_left() { b } else { a };
        Some((a.source, right.by, a.is_word()))
    }

    /// Emits a rotation in the place of the present instruction.
    pub(super) fn rotate(&mut self, (source, by, is_word): (u8, u8, bool), held: bool) {
        let bits = if is_word { B32 } else { B64 };
        let rd = self.insn.rd;
        self.narrow = held && is_word;
        self.note_word(rd, is_word);
        if !is_word {
            self.extend_pending(1 << source);
        }
        let dst = self.destination(rd);
        self.fetch(dst, Leaf::X(source));
        self.asm.shift_imm(Shift::RotateRight, bits, dst, by);
        if is_word {
            self.extend_word(dst);
        }
        self.facts.known[usize::from(rd)] = None;
        let host = self.map.host(rd);
        self.put(rd, host, dst);
    }

    /// Emits the shifts whose sources are about to be overwritten: those in `written`, one bit each. `rest` is the block
    /// from the present instruction on.
    pub(super) fn before_write(&mut self, written: u32, rest: &[Insn]) {
        for lazy in self.lazies().clone() {
            // One in place is overwritten itself.
            if written >> lazy.source & 1 == 0 || lazy.is_in_place() {
                continue;
            }
            if is_dead(lazy.guest, rest) {
                self.lazies().retain(|other| *other != lazy);
            } else {
                self.emit_lazy(lazy);
            }
        }
    }

    /// Emits the shifts whose results are in `guests`.
    pub(super) fn materialize(&mut self, guests: u32) {
        for lazy in self.lazies().clone() {
            if guests >> lazy.guest & 1 != 0 {
                self.emit_lazy(lazy);
            }
        }
    }

    /// Emits a shift, unless that has been done.
    fn emit_lazy(&mut self, lazy: Lazy) {
        if !self.lazies().contains(&lazy) {
            return;
        }
        if lazy.is_in_place() {
            for other in self.lazies().clone() {
                if other.source == lazy.source && !other.is_in_place() {
                    self.emit_lazy(other);
                }
            }
        }
        if !lazy.is_word() {
            self.extend_pending(1 << lazy.source);
        }
        self.lazies().retain(|other| *other != lazy);
        self.compute_lazy(lazy);
        let region = self.region.as_mut().expect("only regions are lazy");
        region.registers.note_full(lazy.guest);
    }

    /// The shift itself, to where the register is.
    pub(super) fn compute_lazy(&mut self, lazy: Lazy) {
        let dst = self.destination(lazy.guest);
        let (a, b) = (Leaf::X(lazy.source), Leaf::Const(lazy.by.into()));
        let narrow = std::mem::take(&mut self.narrow);
        self.compute(dst, lazy.op, a, b);
        self.narrow = narrow;
        let host = self.map.host(lazy.guest);
        self.put(lazy.guest, host, dst);
    }
}

/// Whether the result of a shift at `index` is first read by an instruction that makes a rotation of it.
fn is_for_rotation(lazy: Lazy, block: &[Insn], index: usize) -> bool {
    let mut partner = block[..index]
        .iter()
        .enumerate()
        .rev()
        .take_while(|(_, insn)| insn.writes_x() >> lazy.source & 1 == 0)
        .filter_map(|(at, insn)| Some((at, Lazy::of(insn)?)))
        .find(|(at, other)| {
            let kept = |insn: &Insn| insn.writes_x() >> other.guest & 1 == 0;
            other.completes(lazy)
                && other.guest != lazy.guest
                && block[at + 1..index].iter().all(kept)
        })
        .map(|(_, other)| other);
    for insn in &block[index + 1..] {
        if insn.reads_x() >> lazy.guest & 1 != 0 {
            let with = |other: Lazy| {
                let pair = [insn.rs1, insn.rs2];
                pair == [lazy.guest, other.guest] || pair == [other.guest, lazy.guest]
            };
            return puts_together(insn) && partner.is_some_and(with);
        }
        let wants_source = insn.reads_x() >> lazy.source & 1 != 0;
        if wants_source && partner.is_some_and(Lazy::is_in_place) {
            return false;
        }
        let other =
            Lazy::of(insn).filter(|other| other.completes(lazy) && other.guest != lazy.guest);
        if other.is_some() {
            partner = other;
        } else if insn.writes_x() & (1 << lazy.guest | 1 << lazy.source) != 0 {
            return false;
        } else if partner.is_some_and(|other| insn.writes_x() >> other.guest & 1 != 0) {
            partner = None;
        }
    }
    false
}
