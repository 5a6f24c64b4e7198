//! `sim [COUNT] [--first SEED] [--real]` runs seeds in a row; `sim --seed S [--real]` repeats one and prints what
//! happened.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing is what this program is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "this program stands outside of the simulation: it reads its arguments, and compiles the guest"
)]

mod guest;

use sim::{Counts, Kind, Options, Outcome, simulate};
use std::process::ExitCode;

const USAGE: &str = "\
usage: sim [COUNT] [--first SEED] [--real]    run COUNT seeds (1000), from SEED (0) on
       sim --seed SEED [--real]               repeat one and print what happened
       --real: with a RISC-V machine and its guest instead of a counter";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("{why}");
            ExitCode::from(2)
        }
    }
}

/// Whether all seeds passed; an error says what to do instead.
fn run() -> Result<bool, String> {
    let (mut count, mut first, mut seed) = (1000, 0, None);
    let mut options = Options::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = |word: Option<String>| {
            let number = word.and_then(|word| word.parse::<u64>().ok());
            number.ok_or_else(|| USAGE.to_owned())
        };
        match word.as_str() {
            "--real" => options.machine = Kind::Real(guest::build()?.into()),
            "--seed" => seed = Some(number(words.next())?),
            "--first" => first = number(words.next())?,
            _ => count = number(Some(word))?,
        }
    }
    Ok(match seed {
        Some(seed) => one(seed, options),
        None => many(first, count, &options),
    })
}

fn one(seed: u64, mut options: Options) -> bool {
    options.transcript = true;
    let outcome = simulate(seed, &options);
    print!("{}", outcome.transcript);
    println!("seed {seed}: {}", outcome.counts);
    report(&outcome);
    outcome.verdict.is_ok()
}

fn report(outcome: &Outcome) {
    if let Err(violation) = &outcome.verdict {
        println!("{violation}");
    }
}

fn many(first: u64, count: u64, options: &Options) -> bool {
    let mut failed = 0;
    let mut counts = Counts::default();
    for seed in first..first + count {
        let outcome = simulate(seed, options);
        report(&outcome);
        failed += u64::from(outcome.verdict.is_err());
        counts += outcome.counts;
    }
    println!("{count} seeds from {first}: {failed} failed; {counts}");
    failed == 0
}
