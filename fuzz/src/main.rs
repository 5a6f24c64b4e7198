//! Fuzzing where cargo-fuzz is not installed: `seeded TARGET SECONDS [SEED]` runs a target on random bytes and on what
//! mutation makes of them. It does not see coverage; cargo-fuzz finds more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fuzz::TARGETS;

/// Longest random input.
const BYTES_MAX: usize = 4096;
/// Slower than this is a hang to look at.
const INPUT_SECONDS_MAX: u64 = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.get(1).and_then(|text| text.parse().ok());
    let seed = arguments.get(2).map_or(Ok(0), |text| text.parse());
    let target = TARGETS
        .iter()
        .find(|(name, _)| arguments.first().is_some_and(|wanted| wanted == name));
    let (Some((name, target)), Some(seconds), Ok(seed)) = (target, seconds, seed) else {
        let names = TARGETS.map(|(name, _)| name).join(", ");
        eprintln!("usage: seeded TARGET SECONDS [SEED], where TARGET is one of {names}");
        return ExitCode::FAILURE;
    };
    let begin = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut runs = seed;
    while begin.elapsed() < Duration::from_secs(seconds) {
        let input = input(runs);
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        slowest = slowest.max(start.elapsed());
        if outcome.is_err() || start.elapsed() > Duration::from_secs(INPUT_SECONDS_MAX) {
            eprintln!("{name}: seed {runs} fails; repeat with `seeded {name} 1 {runs}`");
            return ExitCode::FAILURE;
        }
        runs += 1;
    }
    println!(
        "{name}: {} inputs from seed {seed} on, the slowest took {} ms",
        runs - seed,
        slowest.as_millis()
    );
    ExitCode::SUCCESS
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }
}

/// The input of a seed: random bytes, of which some are small, equal to others, or repeated.
fn input(seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let bits = random.below(13);
    let len = random.below((BYTES_MAX >> bits).max(1));
    let small = random.below(4);
    let mut bytes: Vec<u8> = (0..len)
        .map(|_| {
            let byte = random.bits() as u8;
            if random.below(4) < small {
                byte & 3
            } else {
                byte
            }
        })
        .collect();
    for _ in 0..random.below(8) {
        if bytes.is_empty() {
            break;
        }
        let (from, to) = (random.below(bytes.len()), random.below(bytes.len()));
        let count = random.below(bytes.len() - from.max(to)).min(64);
        bytes.copy_within(from..from + count, to);
    }
    bytes
}
