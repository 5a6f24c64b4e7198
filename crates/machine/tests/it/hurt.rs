//! Guests that are written to hurt: every way agrees, and no run, access or input costs more than its bound.

use machine::{Clock, Input, Machine, Output, Position, RUN_COST_MAX, Stop};
use torture::lockstep::{Origin, interpreter};
use torture::{DEVICES_BYTES_MAX, OUTPUT_BYTES_MAX};

use crate::hostile::random;

const BYTES: usize = 200;
/// Longer than a run that costs anything beside plain instructions may be.
const RUN: u64 = 200_000;
const RUNS: u64 = 8;

#[test]
fn every_way_agrees() {
    let (mut far, mut spoke) = (0, 0);
    for seed in 0..50 {
        match torture::hurt::compare(&random(seed, BYTES), &[]) {
            Ok(reached) => {
                far += usize::from(reached.position >= torture::hurt::POSITIONS);
                spoke += usize::from(reached.spoke);
            }
            Err(divergence) => panic!("seed {seed}: {divergence}"),
        }
    }
    assert!(far > 40 && spoke > 2, "{far} came far, {spoke} spoke");
}

/// What one stop costs, counted: beside plain instructions, in outputs, and in what devices keep.
#[test]
fn no_stop_costs_much() {
    let mut short = 0;
    for seed in 0..50 {
        let guest = torture::hurt::guest(&random(seed, BYTES));
        let Origin::Boot(board, boot) = &guest.origin else {
            panic!("it starts from reset");
        };
        let mut machine = Machine::boot(board, boot, interpreter()).expect("it fits");
        let mut inputs = guest.inputs.iter().peekable();
        for run in 1..=RUNS {
            while machine.position().0 < run * RUN {
                let spent = machine.cost();
                // As a recorder does.
                while machine.cost() - spent < RUN_COST_MAX
                    && let Some((_, input)) = inputs.next_if(|(at, _)| *at <= machine.position())
                {
                    let _ = machine.apply(input.clone());
                }
                let before = machine.position();
                let stop = machine.run_about(Position(run * RUN));
                let cost = machine.cost() - spent;
                assert!(cost <= 2 * RUN_COST_MAX, "seed {seed}: {cost}");
                short += usize::from(stop == Stop::Reached && cost >= RUN_COST_MAX);
                let before_outputs = machine.cost();
                let said = machine.take_outputs();
                let said: usize = said.iter().map(Output::bytes).sum();
                assert_eq!(machine.cost() - before_outputs, said as u64 / 2);
                assert!(
                    said <= OUTPUT_BYTES_MAX,
                    "seed {seed}: {said} bytes at once"
                );
                if matches!(stop, Stop::PowerOff | Stop::Reset) {
                    break;
                }
                if stop == Stop::Idle && !wake(&mut machine) {
                    break;
                }
                assert!(stop != Stop::Reached || machine.position() > before);
            }
        }
        machine.apply(Input::Synchronize).expect("always possible");
        let _ = machine.take_outputs();
        let bytes = machine.snapshot().state_bytes();
        assert!(
            bytes <= DEVICES_BYTES_MAX,
            "seed {seed}: {bytes} bytes kept"
        );
    }
    assert!(short > 50, "{short} runs were cut short by what they cost");
}

fn wake(machine: &mut Machine) -> bool {
    let Some(time) = machine.timer_deadline().filter(|time| *time < u64::MAX / 2) else {
        return false;
    };
    let rate = machine.clock().rate;
    machine
        .apply(Input::Clock(Clock { time, rate }))
        .expect("always possible");
    true
}
