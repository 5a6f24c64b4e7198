//! Lockstep on generated guests (`machine::hostile::trial`). `cargo xtask lockstep` goes on with other seeds.

use machine::hostile::trial::Trial;

use crate::engines::ENGINES;

const POSITIONS_MIN: u64 = 10_000_000;

#[test]
fn agrees_with_the_interpreter() {
    let mut positions = 0;
    let mut seed = 0;
    while positions < POSITIONS_MIN {
        match Trial::new(seed).run(&ENGINES) {
            Ok(reached) => positions += reached.position,
            Err(divergence) => {
                panic!("repeat with `cargo xtask lockstep --seed {seed}`\n{divergence}")
            }
        }
        seed += 1;
    }
}
