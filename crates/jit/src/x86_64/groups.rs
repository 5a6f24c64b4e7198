//! Accesses of a block that share one look-up: through the same register, which does not change between them.
//!
//! The first access of a group checks that the whole range of the group is fast. Nothing but a helper can change
//! that, so the others need no check, as long as a block that had to call one does not come back to them: it goes
//! on in a second version of itself, in which each access is checked for itself.

use isa::{Format, Insn, Op};

/// Bytes from the lowest to the highest that a group touches: larger ones straddle pages too often.
const SPAN_MAX: i32 = 512;
/// Groups whose pointers can be kept at the same time.
const POINTERS: usize = 4;

/// How an instruction of a block gets at memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// It does not, or by a helper.
    None,
    /// It is checked for itself.
    Alone,
    /// It checks the whole group: the lowest offset from the register, bytes from there on, where to keep
    /// the pointer, and whether it must be kept.
    First {
        lowest: i32,
        span: i32,
        pointer: u8,
        keep: bool,
    },
    /// It uses the group's pointer, to the lowest offset.
    Member {
        lowest: i32,
        pointer: u8,
        kept: bool,
    },
}

/// Bytes of a load or store that is translated in line, and whether it is a store.
fn access(op: Op) -> Option<(i32, bool)> {
    let store = match op.format() {
        Format::Load | Format::FloatLoad => false,
        Format::Store | Format::FloatStore => true,
        // Atomics are no members of groups, and nothing else accesses memory.
        _ => return None,
    };
    Some((op.access()?.width.bytes() as i32, store))
}

/// Whether an instruction that does not leave the block may change what is fast.
fn may_change_translations(op: Op) -> bool {
    matches!(
        op.format(),
        Format::Csr | Format::CsrImmediate | Format::FenceVma
    )
}

fn writes(insn: &Insn, register: u8) -> bool {
    insn.rd == register && insn.op.format().writes_x()
}

/// The plans for the instructions of a block; `None` if no access is in a group.
pub(super) fn plan(block: &[Insn]) -> Option<Vec<Plan>> {
    let mut plans: Vec<Plan> = block
        .iter()
        .map(|insn| access(insn.op).map_or(Plan::None, |_| Plan::Alone))
        .collect();
    // Where the groups that use a pointer end.
    let mut ends = [0; POINTERS];
    let mut any = false;
    for first in 0..block.len() {
        let insn = &block[first];
        let (Some((bytes, store)), Plan::Alone) = (access(insn.op), plans[first]) else {
            continue;
        };
        let Some(pointer) = ends.iter().position(|&end| end <= first) else {
            continue;
        };
        let base = insn.rs1;
        if base == 0 {
            continue;
        }
        let (mut lowest, mut highest) = (insn.imm, insn.imm + bytes);
        let mut members = Vec::new();
        let mut last = insn;
        for (index, insn) in block.iter().enumerate().skip(first + 1) {
            if writes(last, base) || may_change_translations(insn.op) {
                break;
            }
            last = insn;
            let Some((bytes, stores)) = access(insn.op) else {
                continue;
            };
            if insn.rs1 != base || stores != store || plans[index] != Plan::Alone {
                continue;
            }
            let (low, high) = (lowest.min(insn.imm), highest.max(insn.imm + bytes));
            if high - low > SPAN_MAX {
                break;
            }
            (lowest, highest) = (low, high);
            members.push(index);
        }
        let Some(&end) = members.last() else {
            continue;
        };
        ends[pointer] = end;
        any = true;
        let pointer = pointer as u8;
        let keep = end - first > members.len();
        plans[first] = Plan::First {
            lowest,
            span: highest - lowest,
            pointer,
            keep,
        };
        for index in members {
            plans[index] = Plan::Member {
                lowest,
                pointer,
                kept: keep,
            };
        }
    }
    any.then_some(plans)
}
