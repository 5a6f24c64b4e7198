//! Whether a region is worth it, and what is best held between its blocks.

use super::explore::{ALONE_MIN, Candidate, Found};
use super::holding::Holding;
use super::target::Target;

/// How much more often a loop is executed than what is around it, as its logarithm.
const LOOP_LOG: u32 = 3;
/// Nested loops of which note is taken.
const DEPTH_MAX: u32 = 3;

/// The blocks of a candidate, and what slots hold between them, if it is worth a region.
pub(crate) fn decide(candidate: Candidate, target: &Target) -> Option<(Vec<Found>, Holding)> {
    let is_long = |block: &Found| block.insns.len() >= ALONE_MIN;
    let pinned = Holding::pinned(target);
    match candidate {
        Candidate::Loop(blocks) => {
            let between = between(&blocks, target);
            let is_worth = between != pinned || blocks.iter().any(is_long);
            is_worth.then_some((blocks, between))
        }
        Candidate::Alone(block) => is_long(&block).then(|| (vec![block], pinned)),
    }
}

/// What is best held between the blocks of a loop.
fn between(blocks: &[Found], target: &Target) -> Holding {
    let mut weights = [0; 32];
    let mut written = 0;
    for block in blocks {
        let around = |other: &&Found| {
            let back = other.next().min().is_some_and(|to| to <= block.start);
            back && other.start >= block.start
        };
        let depth = blocks.iter().filter(around).count() as u32;
        let weight = 1 << (LOOP_LOG * depth.min(DEPTH_MAX));
        for insn in &block.insns {
            let (reads, writes) = (insn.reads_x(), insn.writes_x());
            written |= writes;
            for (guest, all) in weights.iter_mut().enumerate().skip(1) {
                *all += weight * ((reads >> guest & 1) + (writes >> guest & 1));
            }
        }
    }
    Holding::heaviest(target, &weights, written)
}
