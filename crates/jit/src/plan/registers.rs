//! Which guest registers slots hold in a region, instruction by instruction.
//!
//! Between the blocks of a region the same guest registers are held: those that it uses most. Within a block a
//! slot is given to another guest register if that saves accesses to memory. Whatever leaves the region
//! puts everything back to where it is between all other blocks.

use super::holding::Holding;
use super::listing::{Block, Plan, Planned};
use super::parts::{Miss, Place, Role, Section, Shift, To};
use super::rotations::is_dead;
use super::step::Step;
use super::target::{SLOTS, Target};

/// How often instructions use a register.
fn uses(block: &[Planned], guest: u8) -> u32 {
    let counts = |planned: &Planned| {
        let insn = &planned.insn;
        (insn.reads_x() >> guest & 1) + (insn.writes_x() >> guest & 1)
    };
    block.iter().map(counts).sum()
}

/// A slot for another register.
#[derive(Clone, Copy)]
struct Vacant {
    slot: usize,
    /// Whether what is there is wanted no more.
    dead: bool,
}

/// Assigns registers, and says what each way out puts back.
pub(crate) struct Assignment<'a> {
    plan: &'a mut Plan,
    out: &'a mut Vec<Step>,
    /// Between blocks outside.
    pinned: Holding,
    /// Between the blocks of the region.
    between: Holding,
    /// Before the present instruction.
    now: Holding,
    /// A slot whose guest register gets its value by the present instruction.
    coming: Option<(usize, u8)>,
    /// Shifts that were put off, in that order: one in place is behind all others of its source.
    deferred: Vec<Shift>,
    block: Block,
    /// The present instruction.
    present: Option<Planned>,
}

/// Assigns the registers of a region, between whose blocks slots hold `between`.
pub(crate) fn assign(plan: &mut Plan, target: &Target, between: Holding, out: &mut Vec<Step>) {
    let steps = std::mem::take(&mut plan.steps);
    let block = plan.blocks[0];
    let mut assignment = Assignment {
        plan,
        out,
        pinned: Holding::pinned(target),
        between,
        now: between,
        coming: None,
        deferred: Vec::new(),
        block,
        present: None,
    };
    for index in 0..steps.len() {
        assignment.step(&steps, index);
    }
    assignment.prologues();
    plan.steps = steps;
}

impl Assignment<'_> {
    fn step(&mut self, steps: &[Step], index: usize) {
        let mut step = steps[index];
        match step {
            Step::Block(number) => {
                self.finish();
                self.block = self.plan.blocks[usize::from(number)];
                self.out.push(step);
            }
            Step::Charge { positions, .. } => {
                let start = self.plan.aside.len() as u32;
                self.pinned.take_over(&self.now, &mut self.plan.aside);
                let tail = Step::Tail(self.block.start);
                (self.plan.aside).extend([Step::Refund(positions), tail]);
                let exit = self.plan.end_section(start);
                self.out.push(Step::Charge { positions, exit });
            }
            Step::Insn(number) => {
                self.finish();
                self.present = Some(self.plan.insns[usize::from(number)]);
                self.give_slots(number, &steps[index + 1..]);
                self.out.push(step);
            }
            Step::Defer(shift) => {
                self.finish();
                self.deferred.retain(|other| other.guest != shift.guest);
                self.deferred.push(shift);
                self.out.push(step);
            }
            Step::Due(shift) => {
                self.finish();
                self.deferred.retain(|other| *other != shift);
                let materialized = materialize(shift, &self.now);
                self.out.push(materialized);
                self.now.overwrite(shift.guest);
            }
            Step::FallThrough(end) => {
                self.finish();
                self.settle();
                let next = self.plan.blocks.iter().position(|block| {
                    block.start == end && block.first == self.block.first + self.block.len
                });
                if next.is_none() {
                    let to = self.direct(end.into());
                    self.out.push(Step::Jump(to));
                }
            }
            Step::Jump(To::Offset(target)) => {
                self.settle();
                let to = self.direct(target);
                self.out.push(Step::Jump(to));
            }
            Step::Branch(To::Offset(target)) => {
                self.settle();
                let to = self.direct(target);
                self.out.push(Step::Branch(to));
            }
            Step::Helper => {
                let exit = self.side_exit();
                self.out.push(Step::Jump(To::Section(exit)));
            }
            _ => {
                let exit = step.miss_mut().is_some().then(|| self.side_exit());
                if let (Some(miss), Some(exit)) = (step.miss_mut(), exit) {
                    *miss = Miss::Exit(exit);
                }
                self.place(&mut step);
                self.out.push(step);
            }
        }
    }

    /// Where a guest register is behind the present instruction, which writes it.
    fn destination(&self, guest: u8) -> Place {
        match self.coming {
            Some((slot, coming)) if coming == guest => Place::Slot(slot as u8),
            _ => self.now.place(guest),
        }
    }

    fn place(&self, step: &mut Step) {
        step.places_mut(|place, role| match (*place, role) {
            (Place::X(guest), Role::Written) => *place = self.destination(guest),
            (Place::X(guest), _) => *place = self.now.place(guest),
            _ => {}
        });
    }

    /// Gives registers that the instruction uses a slot, where that is worth it. `steps` are its steps, and what follows.
    fn give_slots(&mut self, number: u16, steps: &[Step]) {
        let index = usize::from(number - self.block.first);
        let Some(Planned { insn, .. }) = self.present else {
            return;
        };
        let read = read_by(steps);
        let written = insn.writes_x();
        let busy = read | written;
        for guest in (1..32).filter(|guest| read >> guest & 1 != 0) {
            if self.now.slot(guest).is_none()
                && let Some(vacant) = self.worth(guest, index, busy)
            {
                self.clear(vacant);
                self.out.push(Step::Fill {
                    guest,
                    slot: vacant.slot as u8,
                });
                self.now.guests[vacant.slot] = guest;
            }
        }
        for guest in (1..32).filter(|guest| written >> guest & 1 != 0) {
            if self.now.slot(guest).is_none()
                && let Some(vacant) = self.worth(guest, index, busy)
            {
                self.clear(vacant);
                self.coming = Some((vacant.slot, guest));
            }
        }
    }

    /// Whether nobody needs what the slot of a guest register has.
    fn is_dead(&self, held: u8, rest: &[Planned]) -> bool {
        let shifted = |shift: &Shift| shift.source == held && !shift.is_in_place();
        is_dead(held, rest) && !self.deferred.iter().any(shifted)
    }

    /// The slot that a register should get for the instructions from `index` on, if it is worth it: not one of those
    /// in `busy`.
    fn worth(&self, guest: u8, index: usize, busy: u32) -> Option<Vacant> {
        let block = self.plan.of_block(self.block);
        let mut best: Option<(Vacant, usize, u32)> = None;
        for slot in 0..SLOTS {
            let held = self.now.guests[slot];
            if busy >> held & 1 != 0 || self.coming.is_some_and(|(coming, _)| coming == slot) {
                continue;
            }
            let mut next = usize::MAX;
            let mut needed = false;
            let dead = held == 0 || self.is_dead(held, &block[index..]);
            if !dead {
                let used = |planned: &Planned| {
                    (planned.insn.reads_x() | planned.insn.writes_x()) >> held & 1 != 0
                };
                match block[index..].iter().position(used) {
                    Some(distance) => {
                        next = index + distance;
                        needed = block[next].insn.reads_x() >> held & 1 != 0;
                    }
                    None if self.between.guests[slot] == held => {
                        next = block.len();
                        needed = true;
                    }
                    None => {}
                }
            }
            let cost = u32::from(!dead && self.now.dirty[slot]) + u32::from(needed);
            if best.is_none_or(|(_, furthest, least)| {
                next > furthest || next == furthest && cost < least
            }) {
                best = Some((Vacant { slot, dead }, next, cost));
            }
        }
        let (vacant, next, cost) = best?;
        let gain = uses(&block[index..next.min(block.len())], guest);
        (gain > cost).then_some(vacant)
    }

    fn clear(&mut self, Vacant { slot, dead }: Vacant) {
        let held = self.now.guests[slot];
        if dead {
            self.deferred.retain(|shift| shift.guest != held);
        } else if self.now.dirty[slot] {
            self.out.push(Step::Spill {
                guest: held,
                slot: slot as u8,
            });
        }
        self.now.guests[slot] = 0;
        self.now.dirty[slot] = false;
    }

    /// The present instruction is over.
    fn finish(&mut self) {
        let Some(Planned { insn, .. }) = self.present.take() else {
            return;
        };
        let written = insn.writes_x();
        if let Some((slot, guest)) = self.coming.take() {
            self.now.guests[slot] = guest;
        }
        self.deferred
            .retain(|shift| written >> shift.guest & 1 == 0);
        for slot in 0..SLOTS {
            if written >> self.now.guests[slot] & 1 != 0 {
                self.now.dirty[slot] = true;
            }
        }
    }

    /// Makes registers what they are between the blocks of the region.
    fn settle(&mut self) {
        self.out.push(Step::Settle);
        self.between.take_over(&self.now, self.out);
        self.now = self.between;
    }

    /// Where code goes on at an offset from the start of the page. The registers are those between blocks.
    fn direct(&mut self, target: i64) -> To {
        let inside = (self.plan.blocks.iter()).position(|block| i64::from(block.start) == target);
        if let Some(number) = inside {
            return To::Block(number as u16);
        }
        let start = self.plan.aside.len() as u32;
        self.pinned.take_over(&self.now, &mut self.plan.aside);
        self.plan.aside.push(go_to(target));
        To::Section(self.plan.end_section(start))
    }

    /// How code outside of the region executes the present instruction.
    fn side_exit(&mut self) -> Section {
        let start = self.plan.aside.len() as u32;
        let mut holding = self.now;
        // For the words that will be pending.
        self.plan.aside.push(Step::Extend(0));
        for shift in &self.deferred {
            self.plan.aside.push(materialize(*shift, &holding));
            holding.overwrite(shift.guest);
        }
        self.pinned.take_over(&holding, &mut self.plan.aside);
        if let Some(Planned {
            insn,
            offset,
            charged,
        }) = self.present
        {
            if insn.op.is_float() {
                self.plan.aside.push(Step::ReloadFloat(insn.rd & 31));
            }
            self.plan.aside.push(Step::Refund(charged));
            // Another block of this region would only come back here.
            let starts = |block: &Block| block.start == offset;
            self.plan
                .aside
                .push(if self.plan.blocks.iter().any(starts) {
                    Step::Interpret(offset)
                } else {
                    go_to(offset.into())
                });
        }
        self.plan.end_section(start)
    }

    /// The ways into the region, from code outside.
    fn prologues(&mut self) {
        self.finish();
        for number in 0..self.plan.blocks.len() as u16 {
            self.out.push(Step::Entry(number));
            self.between.take_over(&self.pinned, self.out);
            self.out.push(Step::Jump(To::Block(number)));
        }
    }
}

/// Goes on outside of the region.
fn go_to(target: i64) -> Step {
    match target {
        0..4096 => Step::Jump(To::Page(target as u16)),
        _ => Step::Cross(target),
    }
}

/// A shift that was put off, where registers are as told.
fn materialize(shift: Shift, holding: &Holding) -> Step {
    Step::Materialize {
        op: shift.op,
        dst: holding.place(shift.guest),
        src: holding.place(shift.source),
        by: shift.by,
    }
}

/// The guest registers that an instruction reads, one bit each: `steps` begin with its own.
fn read_by(steps: &[Step]) -> u32 {
    let mut read = 0;
    for step in steps {
        if matches!(
            step,
            Step::Insn(_) | Step::Block(_) | Step::Defer(_) | Step::Due(_)
        ) {
            break;
        }
        let mut step = *step;
        step.places_mut(|place, role| {
            if let (Place::X(guest), Role::Read) = (*place, role) {
                read |= 1 << guest & !1;
            }
        });
    }
    read
}
