//! `cargo xtask bench eviction`: how long the translator stands still to make room in its code cache, on a guest that
//! was made to make that hard, or on one that boots and works until it says something. Reads the host's clock, and
//! prints one line of JSON.
//!
//! `eviction --cache BYTES`, `eviction --cache BYTES --boot KERNEL INITRD APPEND UNTIL`
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod hostile;

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jit::{Forgetting, Options, Translator};
use machine::{BoardConfig, Boot, Clock, Firmware, Input, Machine, Output, Position, Stop};

/// Between two looks at what the guest says.
const STEP: u64 = 10_000_000;
const MEMORY_BYTES: u64 = 1 << 30;

/// What is wanted.
struct Arguments {
    cache_bytes: usize,
    /// Kernel, initial RAM disk, command line, and what the guest says when it is done.
    boot: Option<[String; 4]>,
}

fn arguments() -> Option<Arguments> {
    let mut words = std::env::args().skip(1);
    let mut wanted = Arguments {
        cache_bytes: Options::default().cache_bytes,
        boot: None,
    };
    while let Some(word) = words.next() {
        let mut next = || words.next();
        match word.as_str() {
            "--cache" => wanted.cache_bytes = next()?.parse().ok()?,
            "--boot" => wanted.boot = Some([next()?, next()?, next()?, next()?]),
            _ => return None,
        }
    }
    Some(wanted)
}

fn main() -> ExitCode {
    let Some(wanted) = arguments() else {
        eprintln!("usage: eviction --cache BYTES [--boot KERNEL INITRD APPEND UNTIL]");
        return ExitCode::FAILURE;
    };
    let (engine, stalls) = observed(wanted.cache_bytes);
    let begin = Instant::now();
    match wanted.boot {
        None => hostile(engine),
        Some(words) => work(engine, words),
    }
    report(&stalls, begin.elapsed());
    ExitCode::SUCCESS
}

/// A translator, and how long each of its pauses took, with the pages that were forgotten.
fn observed(cache_bytes: usize) -> (Translator, Receiver<(Duration, usize)>) {
    let options = Options {
        cache_bytes,
        ..Options::default()
    };
    let mut engine = Translator::new(options).expect("this host can be translated for");
    let (sender, stalls) = channel();
    let mut begin = Instant::now();
    engine.observe_forgetting(Box::new(move |what| match what {
        Forgetting::Begins => begin = Instant::now(),
        Forgetting::Ends { pages } => {
            // Nobody listens any more when the machine is dropped.
            let _ = sender.send((begin.elapsed(), pages));
        }
    }));
    (engine, stalls)
}

fn hostile(engine: Translator) {
    let board = BoardConfig {
        memory_bytes: MEMORY_BYTES,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(hostile::image()),
        ..Boot::default()
    };
    let mut machine =
        Machine::boot(&board, &boot, Box::new(engine)).expect("a guest of our own boots");
    machine.run(Position(hostile::POSITIONS));
}

/// Time passes with the guest's work, and not at all while it waits.
fn work(engine: Translator, [kernel, initrd, append, until]: [String; 4]) {
    let read = |file: &str| std::fs::read(file).expect("xtask names files that exist");
    let board = BoardConfig {
        memory_bytes: MEMORY_BYTES,
        ..BoardConfig::default()
    };
    let boot = Boot {
        kernel: Some(read(&kernel)),
        initrd: Some(read(&initrd)),
        append: Some(append),
        ..Boot::default()
    };
    let mut machine =
        Machine::boot(&board, &boot, Box::new(engine)).expect("xtask names a guest that boots");
    drop(boot);
    let mut said = String::new();
    while !said.contains(&until) {
        let next = Position(machine.position().0 + STEP);
        let stop = machine.run(next);
        for output in machine.take_outputs() {
            if let Output::Console(bytes) = output {
                eprint!("{}", String::from_utf8_lossy(&bytes));
                said += &String::from_utf8_lossy(&bytes);
            }
        }
        match stop {
            Stop::Reached | Stop::Output => {}
            Stop::Idle => {
                let time = machine.timer_deadline().expect("a guest that works wakes");
                let rate = machine.clock().rate;
                let clock = Input::Clock(Clock { time, rate });
                (machine.apply(clock)).expect("a clock is always possible");
            }
            Stop::PowerOff | Stop::Reset => return,
        }
    }
}

fn report(stalls: &Receiver<(Duration, usize)>, took: Duration) {
    let mut times = Vec::new();
    let mut pages_max = 0;
    while let Ok((time, pages)) = stalls.try_recv() {
        times.push(time);
        pages_max = pages_max.max(pages);
    }
    times.sort_unstable();
    let us = |share: f64| {
        let last = times.len().saturating_sub(1) as f64;
        let time = times.get((last * share).round() as usize);
        time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    println!(
        "{{\"stalls\":{},\"p50_us\":{:.1},\"p99_us\":{:.1},\"max_us\":{:.1},\"pages_max\":{pages_max},\
         \"total_us\":{:.0},\"seconds\":{:.2}}}",
        times.len(),
        us(0.5),
        us(0.99),
        us(1.0),
        times.iter().sum::<Duration>().as_secs_f64() * 1e6,
        took.as_secs_f64()
    );
}
