//! Shifts of a region that are put off: two of them often become one rotation, and often nobody wants their results.

use isa::{Binary, Format, Insn, Op};

use super::blocks::ends_block;
use super::listing::{Block, Plan, Planned};
use super::parts::{Place, Shift};
use super::step::Step;

impl Shift {
    /// The shift of an instruction, if it is one by a constant.
    fn of(insn: &Insn) -> Option<Shift> {
        let op = match insn.op {
            Op::Slliw => Binary::ShiftLeftWord,
            Op::Srliw => Binary::ShiftRightWord,
            Op::Slli => Binary::ShiftLeft,
            Op::Srli => Binary::ShiftRight,
            _ => return None,
        };
        let fits = insn.writes_x() != 0 && insn.rs1 != 0 && insn.imm != 0;
        fits.then_some(Shift {
            guest: insn.rd,
            op,
            source: insn.rs1,
            by: insn.imm as u8,
        })
    }

    /// Whether it overwrites what it shifts: of all shifts of its source it is executed last.
    pub(crate) fn is_in_place(self) -> bool {
        self.guest == self.source
    }

    pub(crate) fn is_word(self) -> bool {
        matches!(self.op, Binary::ShiftLeftWord | Binary::ShiftRightWord)
    }

    fn is_left(self) -> bool {
        matches!(self.op, Binary::ShiftLeftWord | Binary::ShiftLeft)
    }

    /// Whether the results of both, put together, are a rotation.
    fn completes(self, other: Shift) -> bool {
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

/// Whether nobody will know what a register has: the block goes on to overwrite it, and cannot be left before.
/// The first instruction of `rest` is the present one, which does not read it.
pub(crate) fn is_dead(guest: u8, rest: &[Planned]) -> bool {
    for (index, planned) in rest.iter().enumerate() {
        let insn = &planned.insn;
        if !is_plain(insn) || index > 0 && insn.reads_x() >> guest & 1 != 0 {
            return false;
        }
        if insn.writes_x() >> guest & 1 != 0 {
            return true;
        }
    }
    false
}

/// Whether an instruction does nothing but to compute an integer, and cannot fail.
fn is_plain(insn: &Insn) -> bool {
    matches!(
        insn.op.format(),
        Format::Upper | Format::Immediate | Format::Shift | Format::ShiftWord | Format::Register
    ) && insn.writes_x() != 0
}

/// Puts shifts off, in a plan whose instructions are still the guest's.
pub(crate) fn put_off(plan: &Plan, out: &mut Vec<Step>) {
    let mut late = Late::default();
    let mut block = None;
    for step in &plan.steps {
        match (*step, block) {
            (Step::Guest(number), Some(Block { first, .. })) => {
                let insns = block.map_or(&[][..], |block| plan.of_block(block));
                late.instruction(insns, usize::from(number - first), number, out);
                continue;
            }
            (Step::Block(number), _) => block = Some(plan.blocks[usize::from(number)]),
            (Step::FallThrough(_), _) => late.materialize(u32::MAX, out),
            _ => {}
        }
        out.push(*step);
    }
}

/// What was put off.
#[derive(Default)]
struct Late {
    /// In that order: one in place is behind all others of its source.
    shifts: Vec<Shift>,
}

impl Late {
    fn instruction(&mut self, block: &[Planned], index: usize, number: u16, out: &mut Vec<Step>) {
        let insn = &block[index].insn;
        let rest = &block[index..];
        if let Some(shift) = Shift::of(insn)
            && is_for_rotation(shift, block, index)
        {
            if !shift.is_in_place() {
                self.before_write(1 << shift.guest, rest, out);
            }
            self.materialize(1 << shift.source, out);
            self.shifts.retain(|other| other.guest != shift.guest);
            self.shifts.push(shift);
            out.push(Step::Defer(shift));
            return;
        }
        let rotation = self.rotation(insn);
        if rotation.is_none() {
            self.materialize(insn.reads_x(), out);
        }
        if ends_block(insn.op) {
            self.materialize(u32::MAX, out);
        }
        self.before_write(insn.writes_x(), rest, out);
        match rotation {
            Some((source, by, word)) => out.extend([
                Step::Insn(number),
                Step::Rotate {
                    dst: Place::X(insn.rd),
                    src: Place::X(source),
                    by,
                    word,
                    narrow: false,
                },
            ]),
            None => out.push(Step::Guest(number)),
        }
        let written = insn.writes_x();
        self.shifts.retain(|shift| written >> shift.guest & 1 == 0);
    }

    /// The rotation that the instruction completes: the source, how far to the right, and whether of a word.
    fn rotation(&self, insn: &Insn) -> Option<(u8, u8, bool)> {
        if !puts_together(insn) {
            return None;
        }
        let find = |guest| {
            self.shifts
                .iter()
                .copied()
                .find(|shift| shift.guest == guest)
        };
        let (a, b) = (find(insn.rs1)?, find(insn.rs2)?);
        if !a.completes(b) || insn.op == Op::Addw && !a.is_word() {
            return None;
        }
        let right = if a.is_left() { b } else { a };
        Some((a.source, right.by, a.is_word()))
    }

    /// Executes the shifts whose sources are about to be overwritten: those in `written`, one bit each. `rest` is the block
    /// from the present instruction on.
    fn before_write(&mut self, written: u32, rest: &[Planned], out: &mut Vec<Step>) {
        for shift in self.shifts.clone() {
            // One in place is overwritten itself.
            if written >> shift.source & 1 == 0 || shift.is_in_place() {
                continue;
            }
            if is_dead(shift.guest, rest) {
                self.shifts.retain(|other| *other != shift);
            } else {
                self.execute(shift, out);
            }
        }
    }

    /// Executes the shifts whose results are in `guests`.
    fn materialize(&mut self, guests: u32, out: &mut Vec<Step>) {
        if self.shifts.is_empty() {
            return;
        }
        for shift in self.shifts.clone() {
            if guests >> shift.guest & 1 != 0 {
                self.execute(shift, out);
            }
        }
    }

    /// Executes a shift, unless that has been done.
    fn execute(&mut self, shift: Shift, out: &mut Vec<Step>) {
        if !self.shifts.contains(&shift) {
            return;
        }
        if shift.is_in_place() {
            for other in self.shifts.clone() {
                if other.source == shift.source && !other.is_in_place() {
                    self.execute(other, out);
                }
            }
        }
        self.shifts.retain(|other| *other != shift);
        out.push(Step::Due(shift));
    }
}

/// Whether the result of a shift at `index` is first read by an instruction that makes a rotation of it.
fn is_for_rotation(shift: Shift, block: &[Planned], index: usize) -> bool {
    let mut partner = block[..index]
        .iter()
        .enumerate()
        .rev()
        .take_while(|(_, planned)| planned.insn.writes_x() >> shift.source & 1 == 0)
        .filter_map(|(at, planned)| Some((at, Shift::of(&planned.insn)?)))
        .find(|(at, other)| {
            let kept = |planned: &Planned| planned.insn.writes_x() >> other.guest & 1 == 0;
            other.completes(shift)
                && other.guest != shift.guest
                && block[at + 1..index].iter().all(kept)
        })
        .map(|(_, other)| other);
    for planned in &block[index + 1..] {
        let insn = &planned.insn;
        if insn.reads_x() >> shift.guest & 1 != 0 {
            let with = |other: Shift| {
                let pair = [insn.rs1, insn.rs2];
                pair == [shift.guest, other.guest] || pair == [other.guest, shift.guest]
            };
            return puts_together(insn) && partner.is_some_and(with);
        }
        let wants_source = insn.reads_x() >> shift.source & 1 != 0;
        if wants_source && partner.is_some_and(Shift::is_in_place) {
            return false;
        }
        let other =
            Shift::of(insn).filter(|other| other.completes(shift) && other.guest != shift.guest);
        if other.is_some() {
            partner = other;
        } else if insn.writes_x() & (1 << shift.guest | 1 << shift.source) != 0 {
            return false;
        } else if partner.is_some_and(|other| insn.writes_x() >> other.guest & 1 != 0) {
            partner = None;
        }
    }
    false
}
