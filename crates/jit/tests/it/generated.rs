//! Lockstep on generated guests (`torture::trial`). `cargo xtask lockstep` goes on with other seeds.

use torture::trial::Trial;

use crate::engines::ENGINES;

const POSITIONS_MIN: u64 = 10_000_000;
/// With each so many of the guests, the engine that is slowest by far: the last one, which meets its bounds all the time.
const ALL_EVERY: u64 = 4;

#[test]
fn agrees_with_the_interpreter() {
    let mut positions = 0;
    let mut seed: u64 = 0;
    while positions < POSITIONS_MIN {
        let engines = if seed.is_multiple_of(ALL_EVERY) {
            &ENGINES[..]
        } else {
            &ENGINES[..2]
        };
        match Trial::new(seed).run(engines) {
            Ok(reached) => positions += reached.position,
            Err(divergence) => {
                panic!("repeat with `cargo xtask lockstep --seed {seed}`\n{divergence}")
            }
        }
        seed += 1;
    }
}
