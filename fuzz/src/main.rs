//! Fuzzing where cargo-fuzz is not installed: a target on random bytes and on what mutation makes of them, until its time
//! is over. It does not see coverage; cargo-fuzz finds more. What it found is one line of JSON on standard output.
//!
//! `seeded TARGET MILLISECONDS FIRST_SEED`, or `seeded TARGET FILE` for one input.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fuzz::{Stops, TARGETS, Target};

/// Longest random input.
const BYTES_MAX: usize = 4096;
/// One input that takes longer than this, in whole, is a hang to look at.
const INPUT_SECONDS_MAX: u64 = 60;
/// How long a single stop may take: what a hostile guest, peer or file costs whoever waits.
const STOP_MAX: Duration = Duration::from_millis(10);
/// What a guest of 16 MiB may make us hold beyond its own memory, with a code cache of 8 MiB: as much again to find code by, and what
/// devices and frames take. What a peer may make us hold is less.
const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// A stop that was too long is tried again so often: it is too long if it always is.
const TRIES: usize = 8;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let target = (TARGETS.iter()).find(|target| arguments.first() == Some(&target.name.to_owned()));
    let outcome = match (target, &arguments[1.min(arguments.len())..]) {
        (Some(target), [file]) => repeat(target, Path::new(file)),
        (Some(target), [milliseconds, seed]) => match (milliseconds.parse(), seed.parse()) {
            (Ok(milliseconds), Ok(seed)) => Some(fuzz(target, milliseconds, seed)),
            _ => None,
        },
        (None, []) => {
            for target in &TARGETS {
                println!("{} {}", target.name, target.weight);
            }
            return ExitCode::SUCCESS;
        }
        _ => None,
    };
    let Some(outcome) = outcome else {
        let names = TARGETS.map(|target| target.name).join(", ");
        eprintln!(
            "usage: seeded TARGET MILLISECONDS SEED | TARGET FILE, where TARGET is one of {names}"
        );
        return ExitCode::FAILURE;
    };
    println!(
        "{}",
        outcome.to_json(target.map_or("", |target| target.name))
    );
    if outcome.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// What came out.
#[derive(Debug, Default)]
struct Outcome {
    inputs: u64,
    crashes: u64,
    longest: Option<Duration>,
    memory_bytes: Option<u64>,
    failed: bool,
}

impl Outcome {
    fn to_json(&self, target: &str) -> String {
        serde_json::json!({
            "target": target,
            "inputs": self.inputs,
            "crashes": self.crashes,
            "longest_stop_ms": self.longest.map(|longest| longest.as_secs_f64() * 1e3),
            "longest_stop_ms_max": STOP_MAX.as_secs_f64() * 1e3,
            "memory_mib": self.memory_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20)),
            "memory_mib_max": MEMORY_BYTES_MAX >> 20,
        })
        .to_string()
    }

    /// Runs an input. Says what is wrong with it, in a word.
    fn take(&mut self, target: &Target, input: &[u8]) -> Option<&'static str> {
        self.inputs += 1;
        let start = Instant::now();
        let Some(mut stops) = attempt(target, input) else {
            self.crashes += 1;
            return Some("crash");
        };
        if start.elapsed() > Duration::from_secs(INPUT_SECONDS_MAX) {
            return Some("hang");
        }
        // The host, too, may hold a thread up in the kernel.
        for _ in 1..TRIES {
            if !is_too_much(&stops) {
                break;
            }
            let again = attempt(target, input)?;
            stops.longest = stops.longest.min(again.longest);
            stops.memory_bytes = stops.memory_bytes.min(again.memory_bytes);
        }
        self.longest = self.longest.max(stops.longest);
        self.memory_bytes = self.memory_bytes.max(stops.memory_bytes);
        if stops.memory_bytes > Some(MEMORY_BYTES_MAX) {
            return Some("memory");
        }
        (stops.longest > Some(STOP_MAX)).then_some("stop")
    }
}

fn is_too_much(stops: &Stops) -> bool {
    stops.longest > Some(STOP_MAX) || stops.memory_bytes > Some(MEMORY_BYTES_MAX)
}

fn attempt(target: &Target, input: &[u8]) -> Option<Stops> {
    let mut stops = Stops::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input, &mut stops)));
    outcome.ok().map(|()| stops)
}

fn fuzz(target: &Target, milliseconds: u64, first: u64) -> Outcome {
    let end = Instant::now() + Duration::from_millis(milliseconds);
    let mut outcome = Outcome::default();
    let mut seed = first;
    // Even if the host is slow, each is tried.
    while seed == first || Instant::now() < end {
        let input = input(seed);
        if let Some(what) = outcome.take(target, &input) {
            outcome.failed = true;
            report(target, &input, &format!("{what}-{seed}"));
            return outcome;
        }
        seed += 1;
    }
    outcome
}

/// Keeps the input, and says how to repeat it.
fn report(target: &Target, input: &[u8], what: &str) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("artifacts");
    let file = directory.join(format!("{}-{what}", target.name));
    let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&file, input));
    match written {
        Ok(()) => eprintln!(
            "{}: {what}; repeat with `cargo xtask fuzz {} --input fuzz/artifacts/{}-{what}`",
            target.name, target.name, target.name
        ),
        Err(error) => eprintln!("{}: {what}; the input cannot be kept: {error}", target.name),
    }
}

fn repeat(target: &Target, file: &Path) -> Option<Outcome> {
    let input = match fs::read(file) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("cannot read {}: {error}", file.display());
            return None;
        }
    };
    let mut outcome = Outcome::default();
    if let Some(what) = outcome.take(target, &input) {
        outcome.failed = true;
        eprintln!("{}: {what}", target.name);
    }
    Some(outcome)
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
