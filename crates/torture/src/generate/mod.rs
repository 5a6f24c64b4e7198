//! Random streams of valid instructions, from a seed: work for tests that compare two engines, or one
//! with another machine.
//!
//! A stream starts at its first instruction and ends behind its last. It does not trap, if registers
//! [`BASE`] and [`STACK`] both hold the address of the middle of a scratch area, which is aligned to 16 bytes
//! and reaches from [`SCRATCH_BELOW`] bytes below to [`SCRATCH_ABOVE`] above, if floats are enabled and
//! if `frm` holds a valid rounding mode. It writes neither these registers nor memory elsewhere.

mod options;
mod random;
mod sequence;

pub use options::{BASE, Class, Options, SCRATCH_ABOVE, SCRATCH_BELOW, STACK};
pub use random::Random;

use isa::Insn;
use isa::table::Op;

/// A stream of at least `count` instructions, made from `seed`. Branches and jumps go forward only, at
/// most to the end.
///
/// # Panics
///
/// If no weight is positive.
#[must_use]
pub fn stream(seed: u64, count: usize, options: &Options) -> Vec<Insn> {
    let mut random = Random::new(seed);
    let mut sequences = Vec::new();
    let mut made = 0;
    while made < count {
        let class = choose(&mut random, &options.weights);
        let sequence = sequence::make(&mut random, class, options);
        made += sequence.len();
        sequences.push(sequence);
    }
    link(&mut random, &mut sequences, options.reach.clamp(1, 32));
    sequences.concat()
}

/// The stream as bytes in memory.
#[must_use]
pub fn code(stream: &[Insn]) -> Vec<u8> {
    let mut code = Vec::new();
    for insn in stream {
        code.extend_from_slice(&insn.bits.to_le_bytes()[..usize::from(insn.length)]);
    }
    code
}

fn choose(random: &mut Random, weights: &[(Class, usize)]) -> Class {
    let sum = weights.iter().map(|(_, weight)| weight).sum();
    assert!(sum > 0, "some class must have a weight");
    let mut rest = random.below(sum);
    for &(class, weight) in weights {
        match rest.checked_sub(weight) {
            Some(less) => rest = less,
            None => return class,
        }
    }
    unreachable!("the rest is less than the sum of all weights")
}

/// Gives each branch and jump, the last of its sequence, the start of a later sequence as its target.
fn link(random: &mut Random, sequences: &mut [Vec<Insn>], reach: usize) {
    let mut starts = vec![0];
    let mut end = 0;
    for sequence in &*sequences {
        end += length(sequence);
        starts.push(end);
    }
    for number in 0..sequences.len() {
        let target = starts[(number + 1 + random.below(reach)).min(sequences.len())];
        let start = starts[number];
        if let [before @ .., last] = &mut sequences[number][..] {
            let offset = target - start;
            match last.op {
                // Relative to the `auipc` that starts its sequence.
                Op::Jalr => last.imm = offset | i32::from(random.one_in(2)),
                Op::Jal | Op::Beq | Op::Bne | Op::Blt | Op::Bge | Op::Bltu | Op::Bgeu => {
                    last.imm = offset - length(before);
                }
                _ => continue,
            }
            *last = last.assembled();
        }
    }
}

fn length(sequence: &[Insn]) -> i32 {
    sequence.iter().map(|insn| i32::from(insn.length)).sum()
}
