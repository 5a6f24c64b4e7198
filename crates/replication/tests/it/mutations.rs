//! The judges can fail: a core that is broken on purpose is caught, in each of its ways.

use crate::chaos;
use replication::Mutation;
use std::panic::{AssertUnwindSafe, catch_unwind};

const SEEDS_MAX: u64 = 2_000;

#[test]
fn every_mutation_is_caught() {
    let mut survivors = Vec::new();
    for mutation in Mutation::ALL {
        let caught = (0..SEEDS_MAX).find(|seed| {
            let adjust = |config: &mut replication::Config| config.mutation = Some(mutation);
            catch_unwind(AssertUnwindSafe(|| chaos::run(*seed, &adjust))).is_err()
        });
        if caught.is_none() {
            survivors.push(mutation);
        }
    }
    assert!(survivors.is_empty(), "not caught: {survivors:?}");
}
