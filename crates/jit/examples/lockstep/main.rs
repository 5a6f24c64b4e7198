//! `cargo xtask lockstep`: the translator beside the interpreter, on generated guests with fresh seeds until the time is
//! over, on those of one seed, or on the boot of a whole system. For developers; host clocks are read for progress only.
//!
//! `lockstep --minutes N [--seed FIRST]`, `lockstep --seed SEED`, `lockstep --boot KERNEL INITRD`
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jit::{Options, Translator};
use machine::Engine;
use torture::boot;
use torture::lockstep::{Divergence, Maker, Reached, Stride, Way, interpreter};
use torture::trial::Trial;

/// As it is used, and with the smallest cache.
const ENGINES: [(&str, Maker<'static>); 2] =
    [("translator", &usual), ("translator with 1 MiB", &small)];
const PROGRESS: Duration = Duration::from_secs(5);
/// What the guest of `futago guest build` says when it is ready for commands.
const PROMPT: &str = "/ # ";

fn usual() -> Box<dyn Engine> {
    translator(Options::default())
}

fn small() -> Box<dyn Engine> {
    translator(Options {
        cache_bytes: 1 << 20,
        glance: 1,
        ..Options::default()
    })
}

fn translator(options: Options) -> Box<dyn Engine> {
    Box::new(Translator::new(options).expect("this host can be translated for"))
}

/// What is wanted.
#[derive(Default)]
struct Arguments {
    minutes: Option<f64>,
    seed: Option<u64>,
    boot: Option<[String; 2]>,
}

fn arguments() -> Option<Arguments> {
    let mut wanted = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--minutes" => wanted.minutes = Some(words.next()?.parse().ok()?),
            "--seed" => wanted.seed = Some(words.next()?.parse().ok()?),
            "--boot" => wanted.boot = Some([words.next()?, words.next()?]),
            _ => return None,
        }
    }
    Some(wanted)
}

fn main() -> ExitCode {
    let Some(wanted) = arguments() else {
        eprintln!(
            "usage: lockstep --minutes N [--seed FIRST] | --seed SEED | --boot KERNEL INITRD"
        );
        return ExitCode::FAILURE;
    };
    let result = match (wanted.boot, wanted.seed, wanted.minutes) {
        (Some(files), _, _) => boots(&files),
        (None, Some(seed), None) => trial(seed).map(|reached| {
            println!("seed {seed}: equal to position {}", reached.position);
        }),
        (None, seed, minutes) => {
            let first = seed.unwrap_or_else(fresh_seed);
            generated(first, minutes.unwrap_or(1.0))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(divergence) => {
            eprintln!("{divergence}");
            ExitCode::FAILURE
        }
    }
}

fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs()) << 20
}

fn trial(seed: u64) -> Result<Reached, Box<Divergence>> {
    let result = Trial::new(seed).run(&ENGINES);
    if result.is_err() {
        eprintln!("to repeat it: cargo xtask lockstep --seed {seed}");
    }
    result
}

fn generated(first: u64, minutes: f64) -> Result<(), Box<Divergence>> {
    let begin = Instant::now();
    let mut shown = begin;
    let mut positions = 0;
    for seed in first.. {
        positions += trial(seed)?.position;
        let over = begin.elapsed().as_secs_f64() > minutes * 60.0;
        if over || shown.elapsed() > PROGRESS {
            shown = Instant::now();
            let seconds = begin.elapsed().as_secs();
            let millions = positions as f64 / 1e6;
            let count = seed - first + 1;
            println!(
                "{seconds} s: {count} guests from seed {first} on, {millions:.1} M instructions, all equal"
            );
        }
        if over {
            break;
        }
    }
    Ok(())
}

fn boots(files: &[String; 2]) -> Result<(), Box<Divergence>> {
    let [kernel, initrd] = files
        .each_ref()
        .map(|file| std::fs::read(file).expect("xtask names files that exist"));
    let guest = boot::guest(kernel, initrd);
    let ways = [
        Way::new("interpreter", &interpreter, Stride::Whole),
        Way::new("translator", &usual, Stride::Whole),
        Way::new("translator with 1 MiB", &small, Stride::Whole),
    ];
    let begin = Instant::now();
    let mut shown = begin;
    let reached = boot::run(&guest, &ways, PROMPT, u64::MAX, &mut |said, position| {
        print!("{}", String::from_utf8_lossy(said));
        if shown.elapsed() > PROGRESS {
            shown = Instant::now();
            let seconds = begin.elapsed().as_secs();
            eprintln!("\n{seconds} s: equal to {} M", position / 1_000_000);
        }
    })?;
    println!(
        "\nequal from reset to the prompt: {} positions in {} s",
        reached.position,
        begin.elapsed().as_secs()
    );
    Ok(())
}
