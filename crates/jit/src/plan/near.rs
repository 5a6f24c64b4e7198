//! Accesses of a region to tables: to a register plus a small index. The page is most likely that of the register,
//! which is known long before the index is.

use isa::{Insn, Op};

use super::listing::Plan;
use super::parts::{Access, Place};
use super::step::Step;

/// Larger indices often lead to other pages.
const INDEX_MAX: u64 = 4096;

/// What is known of the value of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// It is at most this.
    AtMost(u64),
    /// It is the value of a register, or more, but not by much.
    Beyond(u8),
}

/// What is known of registers at a place in a block.
#[derive(Clone, Copy)]
struct Bounds([Option<Bound>; 32]);

impl Bounds {
    /// Notes what an instruction says about its result.
    fn note(&mut self, insn: &Insn) {
        if insn.writes_x() == 0 {
            return;
        }
        let at_most = |guest: u8| match self.0[usize::from(guest)] {
            Some(Bound::AtMost(bound)) => Some(bound),
            _ => None,
        };
        let bound = match insn.op {
            Op::Andi => u64::try_from(insn.imm).ok().map(Bound::AtMost),
            Op::Lbu => Some(Bound::AtMost(0xff)),
            Op::Slli => at_most(insn.rs1)
                .filter(|_| insn.imm < 16)
                .map(|bound| Bound::AtMost(bound << insn.imm)),
            Op::Srliw if insn.imm >= 20 => Some(Bound::AtMost(0xffff_ffff >> insn.imm)),
            Op::Srli if insn.imm >= 52 => Some(Bound::AtMost(u64::MAX >> insn.imm)),
            Op::Add => match (at_most(insn.rs1), at_most(insn.rs2)) {
                (Some(_), None) if insn.rs2 != insn.rd => Some(Bound::Beyond(insn.rs2)),
                (None, Some(_)) if insn.rs1 != insn.rd => Some(Bound::Beyond(insn.rs1)),
                _ => None,
            },
            _ => None,
        };
        self.forget(insn.rd);
        self.0[usize::from(insn.rd)] =
            bound.filter(|bound| !matches!(bound, Bound::AtMost(most) if *most >= INDEX_MAX));
    }

    /// Notes that a register has another value, of which nothing is known.
    fn forget(&mut self, guest: u8) {
        for bound in &mut self.0 {
            if *bound == Some(Bound::Beyond(guest)) {
                *bound = None;
            }
        }
        self.0[usize::from(guest)] = None;
    }
}

/// Has accesses to tables look for the page of the table first.
pub(crate) fn base_pages(plan: &mut Plan) {
    let mut bounds = Bounds([None; 32]);
    let mut present: Option<Insn> = None;
    for step in &mut plan.steps {
        match *step {
            Step::Block(_) => {
                bounds = Bounds([None; 32]);
                present = None;
            }
            Step::Insn(number) => {
                if let Some(insn) = present {
                    bounds.note(&insn);
                }
                present = Some(plan.insns[usize::from(number)].insn);
            }
            Step::Defer(shift) => {
                if let Some(insn) = present.take() {
                    bounds.note(&insn);
                }
                bounds.forget(shift.guest);
            }
            _ => {}
        }
        if let Some((access @ Access::Alone, _)) = step.access_mut()
            && let Some(insn) = present
            && let Some(Bound::Beyond(base)) = bounds.0[usize::from(insn.rs1)]
        {
            *access = Access::BasePage(Place::X(base));
        }
    }
}
