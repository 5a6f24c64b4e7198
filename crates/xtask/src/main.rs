//! The one door for developers. Each command first sets up what it needs on the machine.

#![forbid(unsafe_code)]

mod bench;
mod fuzz;
mod lockstep;
mod process;
mod say;
mod setup;
mod steps;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use say::say;

/// The one door for developers.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the whole story on this machine: a guest outlives the kills of its primary.
    Demo {
        /// Arguments of `futago demo`, such as --kills 10 or --json.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run all tests.
    Test {
        /// Arguments of `cargo test`, such as -p machine.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run everything that a change must pass: .ci/run.
    Ci,
    /// Check what compilers do not: crate arrows, file shape, licences.
    Tidy,
    /// Run simulated clusters: `sim [COUNT] [--first SEED]`, or `sim --seed SEED` to repeat one.
    Sim {
        /// Arguments of the sim program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the translator beside the interpreter, on guests generated from fresh seeds: a difference is a bug.
    Lockstep {
        /// How long.
        #[arg(long, value_name = "N")]
        minutes: Option<f64>,
        /// Where the seeds start; without --minutes, the only one.
        #[arg(long)]
        seed: Option<u64>,
        /// Boot the default guest instead, to its prompt.
        #[arg(long, conflicts_with_all = ["minutes", "seed"])]
        boot: bool,
    },
    /// Rewrite the transcripts that tests expect: review the difference.
    Bless,
    /// Measure, beside peers and bars: boot of the guest, what protection costs, what a full code cache costs, and how
    /// fast the guest is; and, only when asked, pairs over bad links.
    Bench {
        /// Measure only this: boot, pair, eviction, speed, link or siege; the last two only when asked.
        #[arg(value_parser = ["boot", "pair", "eviction", "speed", "link", "siege"])]
        part: Option<String>,
        /// How often each is measured; medians count [default: 3, 5 for speed, 1 for link]
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
        rounds: Option<u8>,
        /// link, siege: write the figures to standard output as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        speed: bench::SpeedOptions,
    },
    /// Run fuzz targets, and print what the worst input of each cost. What fails is kept in fuzz/artifacts.
    Fuzz {
        /// One target; all, if none is named.
        target: Option<String>,
        /// How long all of them run together; those with more to find get more of it.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Where the seeds start.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Run this file instead, as it was kept.
        #[arg(long, value_name = "FILE", requires = "target")]
        input: Option<String>,
        /// Let coverage lead, by cargo-fuzz.
        #[arg(long, conflicts_with = "input")]
        coverage: bool,
    },
    /// Install what the other commands need, and build the guest.
    Setup,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo { arguments } => steps::demo(&arguments),
        Command::Test { arguments } => steps::test(&arguments),
        Command::Ci => steps::ci(),
        Command::Tidy => tidy::run(&process::root()),
        Command::Sim { arguments } => steps::sim(&arguments),
        Command::Lockstep {
            minutes,
            seed,
            boot,
        } => lockstep::run(&match (boot, minutes, seed) {
            (true, _, _) => lockstep::Guest::Boot,
            (false, None, Some(seed)) => lockstep::Guest::Seed(seed),
            (false, minutes, seed) => lockstep::Guest::Generated {
                minutes: minutes.unwrap_or(1.0),
                seed,
            },
        }),
        Command::Bless => steps::bless(),
        Command::Bench {
            part,
            rounds,
            json,
            speed,
        } => bench::run(part.as_deref(), rounds.map(usize::from), json, &speed),
        Command::Fuzz {
            target,
            seconds,
            seed,
            input,
            coverage,
        } => fuzz::run(&fuzz::Options {
            target: target.as_deref(),
            seconds,
            seed,
            input: input.as_deref(),
            coverage,
        }),
        Command::Setup => steps::setup_all(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
