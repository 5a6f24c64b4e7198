//! Plans for hot code: a region, which calls no helper. What is not fast in it is left to the other code for the page, or to
//! the interpreter.

use super::blocks::Page;
use super::explore::candidate;
use super::groups::Groups;
use super::holding::Holding;
use super::listing::Plan;
use super::lower::{Facts, Lowering};
use super::parts::Section;
use super::step::Step;
use super::target::Target;
use super::{near, profit, registers, rotations, words};

/// What has become of a plan when it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Blocks,
    LeaveOut,
    Rotations,
    Lower,
    Groups,
    BasePages,
    Registers,
    Words,
}

/// Plans the region that the instruction at an offset in a page is in; whether it is worth it. `shown` gets the plan after
/// each pass.
pub(crate) fn plan(
    page: Page<'_>,
    start: u16,
    target: &Target,
    plan: &mut Plan,
    shown: &mut dyn FnMut(Pass, &Plan),
) -> bool {
    plan.clear();
    let decided = candidate(page, start).and_then(|found| profit::decide(found, target));
    let Some((blocks, between)) = decided else {
        return false;
    };
    for block in &blocks {
        let number = plan.add_block(block.start, &block.insns);
        let first = plan.blocks[usize::from(number)].first;
        plan.steps.extend([
            Step::Block(number),
            Step::Charge {
                positions: block.insns.len() as u8,
                exit: Section(u16::MAX),
            },
        ]);
        let insns = first..first + block.insns.len() as u16;
        plan.steps.extend(insns.map(Step::Guest));
        let last = block.insns.last();
        if last.is_none_or(|last| last.op.flow().falls_through()) {
            plan.steps.push(Step::FallThrough(block.end));
        }
    }
    shown(Pass::Blocks, plan);
    refine(plan, target, between, shown);
    true
}

/// All passes, from blocks of guest instructions on.
fn refine(plan: &mut Plan, target: &Target, between: Holding, shown: &mut dyn FnMut(Pass, &Plan)) {
    let mut out = Vec::with_capacity(plan.steps.len());
    let mut done = |pass: Pass, plan: &mut Plan, out: &mut Vec<Step>| {
        std::mem::swap(&mut plan.steps, out);
        out.clear();
        shown(pass, plan);
    };
    words::leave_out(plan, &mut out);
    done(Pass::LeaveOut, plan, &mut out);
    rotations::put_off(plan, &mut out);
    done(Pass::Rotations, plan, &mut out);
    lower(plan, target, &mut out);
    done(Pass::Lower, plan, &mut out);
    groups(plan);
    std::mem::swap(&mut plan.steps, &mut out);
    done(Pass::Groups, plan, &mut out);
    near::base_pages(plan);
    std::mem::swap(&mut plan.steps, &mut out);
    done(Pass::BasePages, plan, &mut out);
    registers::assign(plan, target, between, &mut out);
    done(Pass::Registers, plan, &mut out);
    words::put_off(plan, &mut out);
    done(Pass::Words, plan, &mut out);
}

/// Plans what is still the guest's.
fn lower(plan: &Plan, target: &Target, out: &mut Vec<Step>) {
    let mut facts = Facts::default();
    let mut from = 0;
    while from < plan.steps.len() {
        let is_block = |step: &Step| matches!(step, Step::Block(_));
        let next = plan.steps[from + 1..].iter().position(is_block);
        let to = next.map_or(plan.steps.len(), |next| from + 1 + next);
        let mut lowering = Lowering::new(target, &mut facts, out, true);
        for step in &plan.steps[from..to] {
            match *step {
                Step::Guest(number) => {
                    lowering.instruction(number, &plan.insns[usize::from(number)]);
                }
                Step::Defer(shift) => lowering.pass(*step, Some(shift.guest)),
                Step::Rotate {
                    dst: super::parts::Place::X(guest),
                    ..
                } => lowering.pass(*step, Some(guest)),
                _ => lowering.pass(*step, None),
            }
        }
        from = to;
    }
}

/// Has accesses share their look-ups.
fn groups(plan: &mut Plan) {
    let mut groups = Groups::default();
    let mut start = 0;
    for number in 0..plan.blocks.len() {
        let block = plan.blocks[number];
        let end = plan.steps[start + 1..]
            .iter()
            .position(|step| matches!(step, Step::Block(_)))
            .map_or(plan.steps.len(), |next| start + 1 + next);
        groups.in_region(plan, block, start, end);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use isa::{Insn, Op};

    use super::*;
    use crate::plan::PAGE;

    /// A host as tests have it.
    const TARGET: Target = Target {
        pinned: [2, 8, 9, 10, 11, 12, 13, 14, 15],
        fused: true,
        rounds: true,
    };

    #[test]
    fn a_loop_that_rotates_a_word() {
        let insns = [
            (Op::Slliw, 5, 6, 0, 7),
            (Op::Srliw, 7, 6, 0, 25),
            (Op::Or, 6, 5, 7, 0),
            (Op::Lw, 28, 16, 0, 0),
            (Op::Addw, 6, 6, 28, 0),
            (Op::Addi, 17, 17, 0, -1),
            (Op::Bne, 0, 17, 0, -24),
        ];
        let mut page = vec![0; PAGE];
        for ((op, rd, rs1, rs2, imm), at) in insns.into_iter().zip((0..).step_by(4)) {
            let insn = Insn {
                rd,
                rs1,
                rs2,
                imm,
                ..Insn::new(op)
            };
            page[at..at + 4].copy_from_slice(&insn.encode().to_le_bytes());
        }
        let mut made = Plan::default();
        let mut printed = Vec::new();
        let source = Page { bytes: &page };
        assert!(plan(source, 0, &TARGET, &mut made, &mut |pass, plan| {
            printed.push((pass, plan.to_string()));
        }));
        let has = |pass, what: &str| {
            let text = printed.iter().find(|(shown, _)| *shown == pass);
            let text = &text.expect("each pass is shown").1;
            assert!(text.contains(what), "{what:?} is not in\n{text}");
        };
        has(Pass::Rotations, "defer x5 = ShiftLeftWord(x6, 7)");
        has(Pass::Rotations, "x6 = Rotate32(x6, 25)");
        has(Pass::Lower, "x28 = Word at x16 +0 (alone), or helper");
        has(Pass::Registers, "jump to block 0");
        has(Pass::Registers, "Rotate32(r");
        has(Pass::Words, ", narrow");
    }
}
