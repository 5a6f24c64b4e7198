//! Engines on trial: each seed is a guest and a way to compare, and a failure is repeated by its seed.

use crate::generate::Random;

use super::lockstep::{
    Divergence, Guest, Lockstep, Maker, Pace, Reached, Stride, Way, interpreter, reference,
};
use super::{floats, guest, kernel};

/// How far a guest with a kernel, or one with floats, runs.
const POSITIONS: u64 = 40_000;
/// How far, if it is compared after each instruction.
const POSITIONS_SINGLY: u64 = 10_000;
/// How far a guest of random bytes runs, if it does not end before.
const POSITIONS_OF_BYTES: u64 = 3000;
const BYTES_MAX: usize = 3000;

/// The guest of a seed, how far it goes, and how it is compared.
pub struct Trial {
    /// What is executed.
    pub guest: Guest,
    /// How far.
    pub positions: u64,
    /// How often to compare.
    pub pace: Pace,
    /// Whether [`kernel::Counts`] can be read from it.
    pub has_kernel: bool,
    strides: [Stride; 2],
}

impl Trial {
    /// The trial of a seed.
    pub fn new(seed: u64) -> Trial {
        let mut random = Random::new(!seed);
        // Primes, so that digests come at any place. Translated blocks are seldom as short as one instruction.
        let (registers, digests) = random.pick(&[
            (1, 499),
            (53, 1009),
            (53, 4999),
            (997, 4999),
            (997, 9973),
            (10_007, 10_007),
        ]);
        let far = if registers == 1 {
            POSITIONS_SINGLY
        } else {
            POSITIONS
        };
        let kind = random.below(8);
        let (guest, positions) = match kind {
            0 | 1 => (guest::guest(&bytes(&mut random)), POSITIONS_OF_BYTES),
            2 => (floats::guest(seed), far),
            _ => (kernel::guest(seed), far),
        };
        let max = random.pick(&[2, 7, 30, 200]);
        Trial {
            guest,
            positions,
            pace: Pace { registers, digests },
            has_kernel: kind > 2,
            strides: [Stride::Whole, Stride::Random { seed, max }],
        }
    }

    /// Compares these engines, each named, and the interpreter as it is used, with the interpreter that keeps nothing.
    ///
    /// # Errors
    /// The first that differs.
    pub fn run(&self, engines: &[(&str, Maker<'_>)]) -> Result<Reached, Box<Divergence>> {
        self.start(engines).run(self.positions)
    }

    /// The same, before its first instruction.
    pub fn start<'a>(&'a self, engines: &[(&'a str, Maker<'a>)]) -> Lockstep<'a> {
        let mut ways = vec![
            Way::new("reference", &reference, Stride::Whole),
            Way::new("interpreter", &interpreter, self.strides[1]),
        ];
        for (name, engine) in engines {
            // After each instruction is after each instruction, however long the strides may be.
            let strides = if self.pace.registers == 1 {
                &self.strides[..1]
            } else {
                &self.strides
            };
            ways.extend(
                strides
                    .iter()
                    .map(|stride| Way::new(name, *engine, *stride)),
            );
        }
        Lockstep::new(&self.guest, &ways, self.pace)
    }
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let len = 1 + random.below(BYTES_MAX);
    (0..len).map(|_| random.bits() as u8).collect()
}
