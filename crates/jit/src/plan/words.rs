//! Words in a region: results of 32 bits that a slot holds are sign-extended only where that matters.

use isa::{Insn, Op};

use super::listing::Plan;
use super::parts::{Place, Role};
use super::step::Step;
use super::target::SLOTS;

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

/// Which guest registers are sign-extended words, one bit each, at a place in a block.
#[derive(Clone, Copy, Default)]
struct Words(u32);

impl Words {
    /// Whether an instruction of bits gives a word of words.
    fn are_passed_on(self, insn: &Insn) -> bool {
        is_bitwise(insn) && insn.reads_x() & !(self.0 | 1) == 0
    }

    /// An instruction is executed.
    fn note(&mut self, insn: &Insn) {
        if insn.writes_x() != 0 {
            self.set(insn.rd, is_word(insn) || self.are_passed_on(insn));
        }
    }

    fn set(&mut self, guest: u8, is_word: bool) {
        let bit = 1 << guest;
        self.0 = self.0 & !bit | if is_word { bit } else { 0 };
    }
}

/// Leaves out instructions that extend what is extended already, in a plan whose instructions are still the guest's.
pub(crate) fn leave_out(plan: &Plan, out: &mut Vec<Step>) {
    let mut words = Words::default();
    for step in &plan.steps {
        match *step {
            Step::Block(_) => words = Words::default(),
            Step::Guest(number) => {
                let insn = &plan.insns[usize::from(number)].insn;
                let does_nothing = insn.op == Op::Addiw
                    && insn.imm == 0
                    && insn.rd == insn.rs1
                    && words.0 >> insn.rd & 1 != 0;
                if does_nothing {
                    continue;
                }
                words.note(insn);
            }
            _ => {}
        }
        out.push(*step);
    }
}

/// What is known of slots.
struct State {
    words: Words,
    /// The guest register whose word a slot has without its extension.
    pending: [Option<u8>; SLOTS],
    /// The slot that the present instruction writes, its guest register, and whether what it writes is to be extended.
    written: Option<(usize, u8, bool)>,
}

impl State {
    /// The present instruction is over.
    fn finish(&mut self) {
        if let Some((slot, guest, narrow)) = self.written.take() {
            self.pending[slot] = narrow.then_some(guest);
        }
    }

    /// Which of these slots must be extended for these guest registers, one bit each. They are extended from then on.
    fn take(&mut self, guests: u32, among: u16) -> u16 {
        let mut slots = 0;
        for (slot, pending) in self.pending.iter_mut().enumerate() {
            if among >> slot & 1 != 0 && pending.is_some_and(|guest| guests >> guest & 1 != 0) {
                *pending = None;
                slots |= 1 << slot;
            }
        }
        slots
    }

    fn pending_slots(&self) -> u16 {
        let pending = (0..SLOTS).filter(|slot| self.pending[*slot].is_some());
        pending.fold(0, |all, slot| all | 1 << slot)
    }

    fn pending_guests(&self) -> u32 {
        (self.pending.iter().flatten()).fold(0, |all, guest| all | 1 << guest)
    }

    /// An instruction begins, whose result goes to `dst`: whether that is left without its extension, and which slots must
    /// be extended before.
    fn begin(
        &mut self,
        insn: &Insn,
        (dst, is_known): (Option<Place>, bool),
        read: u16,
    ) -> (bool, u16) {
        let slot = match dst {
            Some(Place::Slot(slot)) => Some(usize::from(slot)),
            _ => None,
        };
        let passes_on = slot.is_some() && self.words.are_passed_on(insn);
        let of_pending = insn.reads_x() & self.pending_guests() != 0;
        let narrow = slot.is_some() && !is_known && (is_narrow(insn.op) || passes_on && of_pending);
        let extended = match passes_on {
            true => 0,
            false => self.take(whole(insn), read),
        };
        self.words.note(insn);
        self.written = slot.map(|slot| (slot, insn.rd, narrow));
        (narrow, extended)
    }

    /// The same for a rotation.
    fn begin_rotation(&mut self, insn: &Insn, step: Step) -> (bool, u16) {
        let Step::Rotate { dst, src, word, .. } = step else {
            return (false, 0);
        };
        let slot = match dst {
            Place::Slot(slot) => Some(usize::from(slot)),
            _ => None,
        };
        let narrow = slot.is_some() && word;
        self.words.set(insn.rd, word);
        let extended = match src {
            Place::Slot(slot) if !word => self.take_slot(usize::from(slot)),
            _ => 0,
        };
        self.written = slot.map(|slot| (slot, insn.rd, narrow));
        (narrow, extended)
    }

    fn take_slot(&mut self, slot: usize) -> u16 {
        let taken = self.pending[slot].take();
        taken.map_or(0, |_| 1 << slot)
    }
}

/// Puts extensions off, in a plan whose registers are assigned.
pub(crate) fn put_off(plan: &mut Plan, out: &mut Vec<Step>) {
    let mut state = State {
        words: Words::default(),
        pending: [None; SLOTS],
        written: None,
    };
    let mut narrow = false;
    let extend = |slots: u16, out: &mut Vec<Step>| {
        if slots != 0 {
            out.push(Step::Extend(slots));
        }
    };
    for (index, step) in plan.steps.iter().enumerate() {
        let mut step = *step;
        match &mut step {
            Step::Block(_) => {
                state.finish();
                state.words = Words::default();
            }
            Step::Insn(number) => {
                state.finish();
                let insn = plan.insns[usize::from(*number)].insn;
                let of_insn = plan.steps[index + 1..]
                    .iter()
                    .take_while(|step| !is_between_instructions(step));
                let mut of_insn = of_insn.copied();
                let extended;
                (narrow, extended) = match of_insn.clone().next() {
                    Some(rotation @ Step::Rotate { .. }) => state.begin_rotation(&insn, rotation),
                    _ => {
                        let read = of_insn.clone().fold(0, |all, step| all | slots_read(step));
                        // What is known is written whole.
                        let writing = of_insn.find(|step| step.dst().is_some());
                        let is_known = matches!(writing, Some(Step::Set { .. }));
                        state.begin(&insn, (writing.and_then(Step::dst), is_known), read)
                    }
                };
                extend(extended, out);
            }
            Step::Compute { narrow: is, .. } | Step::Rotate { narrow: is, .. } => *is = narrow,
            Step::Defer(shift) => {
                state.finish();
                state.words.set(shift.guest, shift.is_word());
            }
            Step::Materialize { dst, src, op, .. } => {
                state.finish();
                if let Place::Slot(slot) = src
                    && !super::parts::Shift::is_word_op(*op)
                {
                    extend(state.take_slot(usize::from(*slot)), out);
                }
                if let Place::Slot(slot) = dst {
                    state.pending[usize::from(*slot)] = None;
                }
            }
            Step::Spill { slot, .. } => {
                state.finish();
                extend(state.take_slot(usize::from(*slot)), out);
            }
            Step::Fill { slot, .. } => {
                state.finish();
                state.pending[usize::from(*slot)] = None;
            }
            Step::Settle => {
                state.finish();
                extend(state.take(u32::MAX, u16::MAX), out);
                continue;
            }
            _ => {}
        }
        if let Some(section) = step.exit() {
            let (start, _) = plan.sections[usize::from(section.0)];
            if let Some(Step::Extend(slots)) = plan.aside.get_mut(start as usize) {
                *slots = state.pending_slots();
            }
        }
        out.push(step);
    }
}

/// The slots that a step reads, one bit each.
fn slots_read(mut step: Step) -> u16 {
    let mut read = 0;
    step.places_mut(|place, role| {
        if let (Place::Slot(slot), Role::Read) = (*place, role) {
            read |= 1 << slot;
        }
    });
    read
}

/// Whether a step is not part of an instruction.
fn is_between_instructions(step: &Step) -> bool {
    matches!(
        step,
        Step::Block(_)
            | Step::Insn(_)
            | Step::Defer(_)
            | Step::Materialize { .. }
            | Step::FallThrough(_)
    )
}
