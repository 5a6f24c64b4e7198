//! Runs a kernel on two machines, one with and one without decoded blocks, and compares their digests; from
//! the middle on also on a machine restored from a snapshot. For developers.
//!
//! `lockstep KERNEL INITRD MILLIONS`
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs
)]

use machine::{
    BoardConfig, Boot, Clock, Input, Interpreter, InterpreterOptions, Machine, Position, Snapshot,
    Stop,
};

const MILLION: u64 = 1_000_000;

fn engine(block_cache: bool) -> Box<Interpreter> {
    Box::new(Interpreter::new(InterpreterOptions { block_cache }))
}

/// Runs to a position in steps of `stride`; time jumps when the hart waits.
fn run(machine: &mut Machine, until: u64, stride: u64) {
    while machine.position().0 < until {
        let next = Position(machine.position().0.saturating_add(stride).min(until));
        match machine.run(next) {
            Stop::Reached | Stop::Output => {
                machine.take_outputs();
            }
            Stop::Idle => {
                let time = machine
                    .timer_deadline()
                    .expect("a running kernel has a timer");
                let rate = machine.clock().rate;
                machine
                    .apply(Input::Clock(Clock { time, rate }))
                    .expect("a clock");
            }
            Stop::PowerOff | Stop::Reset => return,
        }
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut file = || std::fs::read(args.next().expect("a file name")).expect("a readable file");
    let boot = Boot {
        kernel: Some(file()),
        initrd: Some(file()),
        append: Some("console=ttyS0".to_owned()),
        ..Boot::default()
    };
    let millions: u64 = args
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number of millions");
    let board = BoardConfig::default();
    let machine =
        |cache| Machine::boot(&board, &boot, engine(cache)).expect("a machine that boots");
    let mut machines = vec![(machine(true), u64::MAX), (machine(false), 12_345)];
    for million in 1..=millions {
        let mut digests = Vec::new();
        for (machine, stride) in &mut machines {
            run(machine, million * MILLION, *stride);
            digests.push(machine.digest());
        }
        for digest in &digests[1..] {
            let phrases = digests[0].compare(digest);
            assert!(phrases.is_empty(), "at {million} million: {phrases:?}");
        }
        if million == millions / 2 {
            for (machine, _) in &mut machines {
                machine.apply(Input::Synchronize).expect("always possible");
            }
            let bytes = machines[0].0.snapshot().to_bytes();
            let snapshot = Snapshot::from_bytes(&bytes).expect("our own snapshot");
            let restored = Machine::restore(&snapshot, engine(true)).expect("our own snapshot");
            machines.push((restored, 777_777));
            println!("snapshot of {} bytes at {million} million", bytes.len());
        }
    }
    println!(
        "{} machines agree at {:?}",
        machines.len(),
        machines[0].0.position()
    );
}
