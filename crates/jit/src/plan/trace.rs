//! Plans for code that was never seen before: a trace, which is blocks that follow each other in a page, from a first
//! instruction on.

use isa::{Insn, Op, decode};

use super::blocks::{PAGE, Page};
use super::fixed::Fixed;
use super::groups::Groups;
use super::listing::Plan;
use super::lower::{Facts, Lowering};
use super::parts::To;
use super::step::Step;
use super::target::Target;

/// Longest block, in instructions.
const BLOCK_MAX: usize = 64;
/// Instructions after which no new block is begun.
pub(crate) const TRACE_MAX: usize = 192;
/// The offset in a page of an instruction that straddles its end.
pub(crate) const STRADDLING: usize = PAGE - 2;

/// What a trace is made of.
pub(crate) struct Source<'a, F> {
    pub(crate) page: Page<'a>,
    /// The offset in memory of the next page of addresses, if it is known, and its first half-word.
    pub(crate) next_page: Option<(usize, [u8; 2])>,
    /// Whether there is code for an offset in the page.
    pub(crate) has_code: F,
}

/// What is known of a trace besides its steps.
pub(crate) struct Trace {
    /// Where it ends in the page.
    pub(crate) end: usize,
    /// The offset in memory of another page that it depends on.
    pub(crate) depends_on: Option<usize>,
}

/// Plans traces. Kept for its capacity.
pub(crate) struct Tracer {
    target: Target,
    fixed: Fixed,
    groups: Groups,
    facts: Facts,
    block: Vec<Insn>,
}

impl Tracer {
    pub(crate) fn new(target: Target) -> Tracer {
        Tracer {
            target,
            fixed: Fixed::new(&target),
            groups: Groups::default(),
            facts: Facts::default(),
            block: Vec::new(),
        }
    }

    /// The trace from an offset in the page on: after `limit` instructions no block is begun, and none is longer. `seen` is
    /// shown the plan after each pass.
    pub(crate) fn plan<F: Fn(usize) -> bool>(
        &mut self,
        source: &Source<'_, F>,
        start: usize,
        limit: usize,
        plan: &mut Plan,
    ) -> Trace {
        plan.clear();
        let trace = self.blocks(source, start, limit, plan);
        self.fixed.assign(plan);
        trace
    }

    /// One that leaves the instruction at an offset in the page to the interpreter.
    pub(crate) fn leave(&mut self, at: u16, plan: &mut Plan) -> Trace {
        plan.clear();
        let block = plan.add_block(at, &[]);
        plan.steps.extend([Step::Block(block), Step::Interpret(at)]);
        Trace {
            end: usize::from(at) + 2,
            depends_on: None,
        }
    }

    fn blocks<F: Fn(usize) -> bool>(
        &mut self,
        source: &Source<'_, F>,
        start: usize,
        limit: usize,
        plan: &mut Plan,
    ) -> Trace {
        let mut trace = Trace {
            end: start,
            depends_on: None,
        };
        let mut block = std::mem::take(&mut self.block);
        let mut made = 0;
        let mut at = start;
        loop {
            let end = source
                .page
                .decode_block(at, limit.min(BLOCK_MAX), &mut block);
            if block.is_empty() {
                trace.depends_on = self.straddling(source, plan);
                match trace.depends_on {
                    Some(_) => trace.end = PAGE,
                    None => plan.steps.push(Step::Jump(To::Offset(at as i64))),
                }
                break;
            }
            trace.end = end;
            let number = plan.add_block(at as u16, &block);
            plan.steps.push(Step::Block(number));
            self.block(plan, number);
            made += block.len();
            let last = block[block.len() - 1];
            let falls_through = last.op.flow().falls_through();
            // Behind a call, the return is likely to come.
            let returns = matches!(last.op, Op::Jal | Op::Jalr) && !last.discards_result();
            let over = end == PAGE || made >= limit || (source.has_code)(end);
            if falls_through && over {
                plan.steps.push(Step::Jump(To::Offset(end as i64)));
            }
            if over || !(falls_through || returns) {
                break;
            }
            at = end;
        }
        self.block = block;
        trace
    }

    /// An instruction that straddles the end of the page, executed as long as the other half is in the page where
    /// it is now, which is returned. There is no code if it is not at hand.
    fn straddling<F>(&mut self, source: &Source<'_, F>, plan: &mut Plan) -> Option<usize> {
        let (other, high) = source.next_page?;
        let low = source.page.bytes.get(STRADDLING..)?.first_chunk()?;
        let [low, high] = [*low, high].map(|half| u32::from(u16::from_le_bytes(half)));
        let insn = decode(low | high << 16).with_sink();
        let at = STRADDLING as u16;
        let number = plan.add_block(at, &[insn]);
        let exit = plan.add_section(&[Step::Interpret(at)]);
        plan.steps.extend([
            Step::Block(number),
            Step::ExpectNextPage {
                memory: other as u64,
                exit,
            },
        ]);
        self.block(plan, number);
        if insn.op.flow().falls_through() {
            plan.steps.push(Step::Jump(To::Offset(PAGE as i64 + 2)));
        }
        Some(other)
    }

    /// A block of the plan.
    fn block(&mut self, plan: &mut Plan, number: u16) {
        let block = plan.blocks[usize::from(number)];
        let positions = block.len as u8;
        let exit = plan.add_section(&[Step::Refund(positions), Step::Tail(block.start)]);
        let start = plan.steps.len();
        plan.steps.push(Step::Charge { positions, exit });
        let mut lowering = Lowering::new(&self.target, &mut self.facts, &mut plan.steps, false);
        for number in block.first..block.first + block.len {
            lowering.instruction(number, &plan.insns[usize::from(number)]);
        }
        self.groups.in_trace(plan, block, start);
    }
}
