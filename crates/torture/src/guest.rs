//! A guest that executes anything, in any mode, with page tables, devices and inputs. Whatever it does, it gets through
//! its instructions, keeps no more than its bounds, and every way of executing it agrees.

use super::lockstep::{
    Divergence, Guest, Lockstep, Origin, Pace, Reached, Stride, Way, interpreter, reference,
};
use super::program::{Program, program};
use super::{Bytes, board};
use machine::{Boot, Clock, Firmware, Input, Position};

/// How far a guest runs.
const POSITIONS: u64 = 3054;
const PACE: Pace = Pace {
    registers: 509,
    digests: 509,
};

/// Runs the guest that `data` spells in all ways that this crate has, and compares.
///
/// # Panics
/// If a promise of the machine is broken: that is what it looks for.
pub fn run(data: &[u8]) -> Reached {
    match compare(data, &[]) {
        Ok(reached) => reached,
        Err(divergence) => panic!("{divergence}"),
    }
}

/// Runs the guest that `data` spells in all ways that this crate has and in `more`.
///
/// # Errors
/// The first way that differs.
///
/// # Panics
/// If a promise of the machine is broken.
pub fn compare(data: &[u8], more: &[Way<'_>]) -> Result<Reached, Box<Divergence>> {
    let guest = guest(data);
    let own = [
        Way::new("reference", &reference, Stride::Fixed(1)),
        Way::new("interpreter", &interpreter, Stride::Whole),
        Way {
            restore: true,
            ..Way::new("restored interpreter", &interpreter, Stride::Fixed(7))
        },
    ];
    Lockstep::new(&guest, &[&own, more].concat(), PACE).run(POSITIONS)
}

/// The guest that `data` spells.
pub fn guest(data: &[u8]) -> Guest {
    let mut bytes = Bytes(data);
    let inputs = inputs(&mut bytes);
    let program = program(&mut bytes, data.len());
    Guest {
        origin: Origin::Boot(Box::new(board()), Box::new(boot(program))),
        inputs,
    }
}

/// Inputs and where they come in.
pub(super) fn inputs(bytes: &mut Bytes<'_>) -> Vec<(Position, Input)> {
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
        list.push((Position(position), input));
    }
    list
}

fn boot(program: Program) -> Boot {
    if program.kernel {
        Boot {
            kernel: Some(program.image),
            ..Boot::default()
        }
    } else {
        Boot {
            firmware: Firmware::Image(program.image),
            ..Boot::default()
        }
    }
}
