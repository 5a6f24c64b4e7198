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
