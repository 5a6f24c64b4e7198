//! A guest that executes anything, in any mode, with page tables, devices and inputs. Whatever it does, it gets through
//! its instructions, keeps no more than its bounds, and every way of executing it agrees.

use super::program::{Program, program};
use super::{Bytes, DEVICES_BYTES_MAX, board};
use crate::{
    Boot, Clock, Digest, Firmware, Input, Interpreter, InterpreterOptions, Machine, Output,
    Position, Snapshot, Stop,
};

/// How far a guest runs.
const POSITIONS: u64 = 3000;
const DIGEST_EVERY: u64 = 509;

/// How to execute: the results are the same.
#[derive(Clone, Copy, Debug)]
struct Way {
    block_cache: bool,
    /// Positions to run at once.
    stride: u64,
    /// Go on as the snapshot of the machine after each `Synchronize`.
    restore: bool,
}

const WAYS: [Way; 3] = [
    Way {
        block_cache: true,
        stride: u64::MAX,
        restore: false,
    },
    Way {
        block_cache: false,
        stride: 1,
        restore: false,
    },
    Way {
        block_cache: true,
        stride: 7,
        restore: true,
    },
];

/// What can be seen of a guest from outside.
#[derive(Debug, Default, PartialEq)]
struct Course {
    digests: Vec<Digest>,
    outputs: Vec<(Position, Output)>,
    refused: Vec<bool>,
    end: Option<Stop>,
}

/// How far a guest came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Positions executed.
    pub positions: u64,
    /// Whether it said something.
    pub spoke: bool,
    /// How often it was found in another mode than at the digest before.
    pub modes: usize,
}

/// Runs the guest that `data` spells in every way, and compares.
///
/// # Panics
/// If a promise of the machine is broken: that is what it looks for.
pub fn run(data: &[u8]) -> Reached {
    let mut bytes = Bytes(data);
    let inputs = inputs(&mut bytes);
    let program = program(&mut bytes, data.len());
    let mut reached = Reached::default();
    let first = play(&program, &inputs, WAYS[0], &mut reached);
    for way in &WAYS[1..] {
        let other = play(&program, &inputs, *way, &mut Reached::default());
        for (one, two) in first.digests.iter().zip(&other.digests) {
            let differences = one.compare(two);
            assert!(
                differences.is_empty(),
                "{way:?} differs at {:?}: {differences:?}",
                one.position
            );
        }
        assert_eq!(first, other, "{way:?} differs");
    }
    reached
}

/// Inputs and where they come in.
fn inputs(bytes: &mut Bytes<'_>) -> Vec<(u64, Input)> {
    let mut list = Vec::new();
    let mut position = 0;
    for _ in 0..bytes.byte() % 16 {
        position += 1 + u64::from(bytes.half()) % 700;
        let value = bytes.word();
        let input = match bytes.byte() % 8 {
            0 => Input::Console(vec![value as u8; 1 + value as usize % 40]),
            1 | 2 => Input::Synchronize,
            3 => Input::Frame {
                device: u8::from(value.is_multiple_of(8)),
                frame: vec![value as u8; value as usize % 2000],
            },
            4 => Input::Seed([value as u8; 32]),
            // Any clock: a log may come from anyone.
            5 => Input::Clock(Clock {
                time: u64::from(value) << (value % 33),
                rate: u64::from(value.rotate_left(9)) << (value % 31),
            }),
            _ => Input::Clock(Clock {
                time: u64::from(value) % (1 << 20),
                rate: u64::from(value) << 2,
            }),
        };
        list.push((position, input));
    }
    list
}

fn engine(way: Way) -> Box<Interpreter> {
    Box::new(Interpreter::new(InterpreterOptions {
        block_cache: way.block_cache,
    }))
}

fn boot(program: &Program, way: Way) -> Machine {
    let image = program.image.clone();
    let boot = if program.kernel {
        Boot {
            kernel: Some(image),
            ..Boot::default()
        }
    } else {
        Boot {
            firmware: Firmware::Image(image),
            ..Boot::default()
        }
    };
    Machine::boot(&board(), &boot, engine(way)).expect("the program fits the board")
}

fn play(program: &Program, inputs: &[(u64, Input)], way: Way, reached: &mut Reached) -> Course {
    let mut machine = boot(program, way);
    let mut course = Course::default();
    let mut inputs = inputs.iter().peekable();
    let mut mode = machine.hart().mode;
    while course.end.is_none() {
        let here = machine.position().0;
        while let Some((_, input)) = inputs.next_if(|(position, _)| *position <= here) {
            course.refused.push(machine.apply(input.clone()).is_err());
            if *input == Input::Synchronize {
                machine = synchronized(machine, way, &mut course);
            }
        }
        let next_input = inputs.peek().map_or(u64::MAX, |(position, _)| *position);
        let next_digest = (here / DIGEST_EVERY + 1) * DIGEST_EVERY;
        let until = (here.saturating_add(way.stride))
            .min(next_digest)
            .min(next_input);
        let stop = machine.run(Position(until));
        let position = machine.position();
        let outputs = machine.take_outputs();
        course.outputs = join(course.outputs, position, outputs);
        match stop {
            Stop::Reached if position.0 == next_digest => {
                course.digests.push(machine.digest());
                reached.modes += usize::from(machine.hart().mode != mode);
                mode = machine.hart().mode;
                if position.0 >= POSITIONS {
                    course.end = Some(Stop::Reached);
                }
            }
            Stop::Reached | Stop::Output => {}
            Stop::Idle => match inputs.next() {
                // What would have come later comes now, or the next deadline, or nothing ever.
                Some((_, input)) => course.refused.push(machine.apply(input.clone()).is_err()),
                None => match machine.timer_deadline() {
                    Some(time) => {
                        let rate = machine.clock().rate;
                        let clock = Input::Clock(Clock { time, rate });
                        machine.apply(clock).expect("a clock is always possible");
                    }
                    None => course.end = Some(stop),
                },
            },
            Stop::PowerOff | Stop::Reset => course.end = Some(stop),
        }
    }
    course.digests.push(machine.digest());
    reached.positions = machine.position().0;
    reached.spoke = !course.outputs.is_empty();
    course
}

/// Outputs, as far as they do not depend on where runs ended: console bytes come in pieces of any length.
fn join(
    mut all: Vec<(Position, Output)>,
    position: Position,
    new: Vec<Output>,
) -> Vec<(Position, Output)> {
    for output in new {
        match (&output, all.last_mut()) {
            (Output::Console(bytes), Some((_, Output::Console(said)))) => {
                said.extend_from_slice(bytes);
            }
            (Output::Console(_), _) => all.push((Position(0), output)),
            (Output::Frame { .. }, _) => all.push((position, output)),
        }
    }
    all
}

/// The machine after `Synchronize`, in this way of going on.
fn synchronized(mut machine: Machine, way: Way, course: &mut Course) -> Machine {
    let outputs = machine.take_outputs();
    course.outputs = join(
        std::mem::take(&mut course.outputs),
        machine.position(),
        outputs,
    );
    let snapshot = machine.snapshot();
    assert!(
        snapshot.state_bytes() <= DEVICES_BYTES_MAX,
        "a machine keeps {} bytes beside memory",
        snapshot.state_bytes()
    );
    let digest = machine.digest();
    if !way.restore {
        return machine;
    }
    let snapshot = Snapshot::from_bytes(&snapshot.to_bytes()).expect("our own snapshot");
    let mut restored = Machine::restore(&snapshot, engine(way)).expect("our own snapshot");
    let differences = restored.digest().compare(&digest);
    assert!(differences.is_empty(), "restored: {differences:?}");
    restored
}
