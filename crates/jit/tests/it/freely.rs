//! A run that ends where it likes ends as one that was told to end there: what comes next may come to the one machine in
//! the middle of a long run, and to the other between two.

use isa::Op;
use isa::csr;
use machine::{BoardConfig, Boot, Clock, Firmware, Input, Machine, Output, Position, Stop};
use torture::generate::Random;
use torture::lockstep::{Guest, Maker, interpreter};
use torture::{hurt, kernel};

use crate::engines::ENGINES;
use crate::image::Image;

const BYTES: usize = 200;
const POSITIONS: u64 = 1_000_000;
/// Positions that a run may go at most: not a divisor of anything.
const RUN: usize = 30_011;

#[test]
fn guests_that_hurt() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let data: Vec<u8> = (0..BYTES).map(|_| random.bits() as u8).collect();
        check(&format!("hurt {seed}"), &hurt::guest(&data), seed);
    }
}

#[test]
fn kernels() {
    for seed in 0..8 {
        check(&format!("kernel {seed}"), &kernel::guest(seed), seed);
    }
}

/// Lets every engine lead.
fn check(name: &str, guest: &Guest, seed: u64) {
    let led: Maker<'static> = &interpreter;
    let engines = ENGINES.iter().copied().chain([("interpreter", led)]);
    for (engine, make) in engines {
        lead(&format!("{name}, {engine}"), guest, make, seed);
    }
}

/// One machine runs freely, another exactly as far; at each stop they are the same, and get the same inputs.
fn lead(name: &str, guest: &Guest, make: Maker<'_>, seed: u64) {
    let (mut free, mut exact) = (
        guest.origin.machine(make()),
        guest.origin.machine(interpreter()),
    );
    let mut random = Random::new(seed);
    let mut inputs = guest.inputs.iter().peekable();
    let (mut said, mut repeated) = (Vec::new(), Vec::new());
    while free.position().0 < POSITIONS {
        let until = Position(free.position().0 + 1 + random.below(RUN) as u64);
        let stop = match random.below(2) {
            0 => free.run_towards(until),
            _ => free.run_about(until),
        };
        said.extend(free.take_outputs());
        while exact.run(free.position()) == Stop::Output {
            repeated.extend(exact.take_outputs());
        }
        repeated.extend(exact.take_outputs());
        let here = free.position();
        assert_eq!(exact.position(), here, "{name}");
        let differs = free.digest().compare(&exact.digest());
        assert!(differs.is_empty(), "{name}, at {}: {differs:?}", here.0);
        let mut apply = |input: &Input| {
            let [one, other] = [&mut free, &mut exact].map(|machine| machine.apply(input.clone()));
            assert_eq!(one, other, "{name}");
        };
        while let Some((_, input)) = inputs.next_if(|(at, _)| *at <= here) {
            apply(input);
        }
        let ahead = match stop {
            Stop::PowerOff | Stop::Reset => break,
            Stop::Idle => match exact.timer_deadline() {
                Some(time) if time < u64::MAX / 2 => time.saturating_sub(exact.time()),
                _ => break,
            },
            Stop::Reached | Stop::Output => (random.below(3) * random.below(2_000)) as u64,
        };
        let clock = Clock {
            time: exact.time() + ahead,
            rate: exact.clock().rate,
        };
        let [one, other] =
            [&mut free, &mut exact].map(|machine| machine.apply(Input::Clock(clock)));
        assert_eq!(one, other, "{name}");
    }
    assert_eq!(bytes(&said), bytes(&repeated), "{name}");
}

/// What was said, frames apart, console bytes as one.
fn bytes(outputs: &[Output]) -> (Vec<&[u8]>, Vec<u8>) {
    let (mut frames, mut console) = (Vec::new(), Vec::new());
    for output in outputs {
        match output {
            Output::Frame { frame, .. } => frames.push(&frame[..]),
            Output::Console(bytes) => console.extend_from_slice(bytes),
        }
    }
    (frames, console)
}

/// Exact floats take the interpreter ten times as long as other instructions: a run that was to be short is, with them, too.
#[test]
fn what_floats_cost_is_counted() {
    let mut image = Image(vec![0; 0x1000]);
    let at = image.code(
        0,
        &[
            (Op::Lui, 28, 0, 0, 0x6000),
            (Op::Csrrs, 0, 28, 0, csr::MSTATUS.into()),
            (Op::FdivD, 2, 1, 2, 0),
            (Op::Jal, 0, 0, 0, -4),
        ],
    );
    assert_eq!(at, 16);
    let boot = Boot {
        firmware: Firmware::Image(image.0),
        ..Boot::default()
    };
    let mut machine =
        Machine::boot(&BoardConfig::default(), &boot, interpreter()).expect("it fits");
    let far = Position(10_000_000);
    assert_eq!(machine.run_towards(far), Stop::Reached);
    assert!(machine.position() < Position(100_000));
    assert_eq!(machine.run(far), Stop::Reached);
    assert_eq!(machine.position(), far);
}
