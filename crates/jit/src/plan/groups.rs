//! Accesses of a block that share one look-up: through the same register, which does not change between them.
//!
//! The first access of a group checks that the whole range of the group is fast. Nothing but a helper can change
//! that, so the others need no check, as long as a block that had to call one does not come back to them: it goes
//! on in a second version of itself, in which each access is checked for itself. In a region, it leaves.

use isa::{Flow, Format, Op};

use super::listing::{Block, Plan, Planned};
use super::parts::{Access, Miss, Operand, Place, Reload, To};
use super::step::Step;

/// Bytes from the lowest to the highest that a group touches: larger ones straddle pages too often.
const SPAN_MAX: i32 = 512;
/// Groups whose pointers can be kept at the same time.
pub(crate) const POINTERS: usize = 4;

/// How an instruction of a block gets at memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It does not, or by a helper.
    None,
    /// It is checked for itself.
    Alone,
    /// It checks the whole group: the lowest offset from the register, and how.
    First { lowest: i32, access: Access },
    /// It uses the group's pointer.
    Member {
        lowest: i32,
        pointer: u8,
        kept: bool,
    },
}

/// Bytes of a load or store that is planned in line, and whether it is a store.
fn access(op: Op) -> Option<(i32, bool)> {
    let store = match op.format() {
        Format::Load | Format::FloatLoad => false,
        Format::Store | Format::FloatStore => true,
        // Atomics are no members of groups, and nothing else accesses memory.
        _ => return None,
    };
    Some((op.access()?.width.bytes() as i32, store))
}

/// Finds groups. Kept for its capacity.
#[derive(Default)]
pub(crate) struct Groups {
    /// By the instructions of the block at hand.
    parts: Vec<Part>,
    members: Vec<usize>,
}

impl Groups {
    /// Has the accesses of a block share their look-ups. Its steps, which are the plan's from `start` on, are those of a
    /// trace: they get a second version where that is needed.
    pub(crate) fn in_trace(&mut self, plan: &mut Plan, block: Block, start: usize) {
        if !self.find(plan.of_block(block)) {
            return;
        }
        let is_again = |step: &Step| {
            matches!(
                step,
                Step::Load { .. }
                    | Step::LoadFloat { .. }
                    | Step::Store { .. }
                    | Step::LoadReserved { .. }
                    | Step::StoreConditional { .. }
                    | Step::Amo { .. }
                    | Step::Csr { .. }
            )
        };
        // The second version begins with the first instruction that may go on in it.
        let steps = &plan.steps[start..];
        let miss = steps.iter().position(is_again).unwrap_or(0);
        let begins = |step: &Step| matches!(step, Step::Insn(_));
        let first = steps[..miss].iter().rposition(begins).unwrap_or(0);
        let second = plan.aside.len() as u32;
        plan.aside.extend_from_slice(&plan.steps[start + first..]);
        let last = plan.insns[usize::from(block.first + block.len - 1)].insn;
        if last.op.flow().falls_through() {
            plan.aside.push(Step::Jump(To::Offset(block.end.into())));
        }
        let second = plan.end_section(second);
        for step in &mut plan.steps[start..] {
            if is_again(step)
                && let Some(miss) = step.miss_mut()
            {
                *miss = Miss::Again;
            }
        }
        self.share(&mut plan.steps[start..], block, &plan.insns);
        plan.steps.push(Step::Second(second));
    }

    /// The same for a block of a region: it leaves where an access is not fast.
    pub(crate) fn in_region(&mut self, plan: &mut Plan, block: Block, start: usize, end: usize) {
        if self.find(plan.of_block(block)) {
            self.share(&mut plan.steps[start..end], block, &plan.insns);
        }
    }

    /// Makes the accesses those of groups.
    fn share(&self, steps: &mut [Step], block: Block, insns: &[Planned]) {
        let mut number = block.first;
        // The pointer that is at hand.
        let mut at_hand = None;
        for step in steps {
            if let Step::Insn(next) = step {
                number = *next;
            }
            let insn = &insns[usize::from(number)].insn;
            let part = self.parts[usize::from(number - block.first)];
            if let Some((access, address)) = step.access_mut() {
                let base = Operand::At(Place::X(insn.rs1));
                match part {
                    Part::None | Part::Alone => {}
                    Part::First {
                        lowest,
                        access: first,
                    } => {
                        *access = first;
                        (address.base, address.offset) = (base, lowest);
                        if let Access::First { pointer, .. } = first {
                            at_hand = Some(pointer);
                        }
                    }
                    Part::Member {
                        lowest,
                        pointer,
                        kept,
                    } => {
                        let reload = match (at_hand == Some(pointer), kept) {
                            (true, _) => Reload::Not,
                            (false, true) => Reload::Kept,
                            (false, false) => Reload::Lost,
                        };
                        *access = Access::Member {
                            pointer,
                            distance: (insn.imm - lowest) as u16,
                            reload,
                        };
                        (address.base, address.offset) = (base, lowest);
                        at_hand = Some(pointer);
                    }
                }
            }
            if !step.keeps_pointer() {
                at_hand = None;
            }
        }
    }

    /// Finds the groups of a block; whether there are any.
    fn find(&mut self, block: &[Planned]) -> bool {
        let is_access = |planned: &Planned| access(planned.insn.op).is_some();
        if block.iter().filter(|planned| is_access(planned)).count() < 2 {
            return false;
        }
        self.parts.clear();
        self.parts
            .extend(block.iter().map(|planned| match access(planned.insn.op) {
                Some(_) => Part::Alone,
                None => Part::None,
            }));
        // Where the groups that use a pointer end.
        let mut ends = [0; POINTERS];
        let mut any = false;
        for first in 0..block.len() {
            if self.parts[first] != Part::Alone {
                continue;
            }
            let Some(pointer) = ends.iter().position(|&end| end <= first) else {
                continue;
            };
            let Some((lowest, highest)) = self.members_of(block, first) else {
                continue;
            };
            let Some(&end) = self.members.last() else {
                continue;
            };
            ends[pointer] = end;
            any = true;
            let pointer = pointer as u8;
            let kept = end - first > self.members.len();
            self.parts[first] = Part::First {
                lowest,
                access: Access::First {
                    pointer,
                    keep: kept,
                    span: (highest - lowest) as u16,
                    distance: (block[first].insn.imm - lowest) as u16,
                },
            };
            for index in &self.members {
                self.parts[*index] = Part::Member {
                    lowest,
                    pointer,
                    kept,
                };
            }
        }
        any
    }

    /// Finds the members of a group by its first access; the lowest offset from its register, and that behind the highest.
    fn members_of(&mut self, block: &[Planned], first: usize) -> Option<(i32, i32)> {
        self.members.clear();
        let insn = &block[first].insn;
        let (bytes, store) = access(insn.op)?;
        let base = insn.rs1;
        if base == 0 {
            return None;
        }
        let (mut lowest, mut highest) = (insn.imm, insn.imm + bytes);
        let mut last = insn;
        for (index, planned) in block.iter().enumerate().skip(first + 1) {
            let insn = &planned.insn;
            let writes_base = last.rd == base && last.op.format().writes_x();
            if writes_base || insn.op.flow() == Flow::Context {
                break;
            }
            last = insn;
            let Some((bytes, stores)) = access(insn.op) else {
                continue;
            };
            if insn.rs1 != base || stores != store || self.parts[index] != Part::Alone {
                continue;
            }
            let (low, high) = (lowest.min(insn.imm), highest.max(insn.imm + bytes));
            if high - low > SPAN_MAX {
                break;
            }
            (lowest, highest) = (low, high);
            self.members.push(index);
        }
        Some((lowest, highest))
    }
}
