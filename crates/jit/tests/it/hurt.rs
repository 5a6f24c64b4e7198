//! Guests that are written to hurt, translated: nothing breaks, and every engine agrees.

use torture::generate::Random;
use torture::hurt;
use torture::lockstep::{Stride, Way};

use crate::engines::{small, usual};

const GUESTS: u64 = 60;
const BYTES: usize = 200;

#[test]
fn agrees_with_the_interpreter() {
    for seed in 0..GUESTS {
        let mut random = Random::new(seed);
        let data: Vec<u8> = (0..BYTES).map(|_| random.bits() as u8).collect();
        let ways = [
            Way::new("translator", &usual, Stride::Whole),
            Way {
                restore: true,
                ..Way::new("restored translator with 1 MiB", &small, Stride::Fixed(709))
            },
        ];
        if let Err(divergence) = hurt::compare(&data, &ways) {
            panic!("seed {seed}: {divergence}");
        }
    }
}
