//! A log from anyone: what a backup, or a replay of a record, does with entries that nobody wrote in good faith.

use eventlog::{Entry, Event, OutputMark, ReplayState, Replayer};
use machine::{Boot, Clock, Firmware, Input, Interpreter, InterpreterOptions, Machine, Position};

use crate::Stops;

/// An endless loop: `ld a0, (sp)`, `addi sp, sp, 8`, `sd a0, (sp)`, `j .-12`, and a `wfi` where its trap leads.
const LOOP: [u32; 4] = [0x0001_3503, 0x0081_0113, 0x00a1_3023, 0xff5f_f06f];
const BUDGET: u64 = 2_000;
const ENTRIES_MAX: usize = 64;

/// Entries that bytes spell, applied as far as they let; then the machine goes on by itself, if it can.
pub(crate) fn replay(bytes: &[u8], stops: &mut Stops) {
    let code: Vec<u8> = LOOP.iter().flat_map(|word| word.to_le_bytes()).collect();
    let boot = Boot {
        firmware: Firmware::Image(code),
        ..Boot::default()
    };
    let engine = Box::new(Interpreter::new(InterpreterOptions::default()));
    let machine = Machine::boot(&torture::board(), &boot, engine).expect("it fits");
    let mut replayer = Replayer::new(machine);
    let mut position = 0u64;
    for spelled in bytes.chunks(8).take(ENTRIES_MAX) {
        let mut all = [0; 8];
        all[..spelled.len()].copy_from_slice(spelled);
        let [kind, far, rest @ ..] = all;
        let number = rest
            .iter()
            .fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        position = match far % 8 {
            0 => number << (number % 24),
            1 => u64::MAX - number % 3,
            _ => position.wrapping_add(u64::from(far)),
        };
        let entry = Entry {
            position: Position(position),
            event: event(kind, number),
        };
        let Ok(encoded) = entry.encode() else {
            continue;
        };
        stops.time(|| {
            if replayer.push(&encoded, number).is_ok() {
                replayer.step(BUDGET);
            }
        });
    }
    stops.time(|| {
        while replayer.step(BUDGET).state == ReplayState::Running
            && replayer.machine().position().0 < 40 * BUDGET
        {}
    });
    if let Ok(mut recorder) = replayer.into_recorder(Default::default()) {
        let host = bytes.len() as u64;
        stops.time(|| recorder.step(host, &mut Default::default(), BUDGET));
    }
}

fn event(kind: u8, number: u64) -> Event {
    match kind % 12 {
        0 => Event::Progress,
        1 => Event::Output(OutputMark::of(&[])),
        2 => Event::Stopped {
            reset: number.is_multiple_of(2),
        },
        3 => Event::Input(Input::Synchronize),
        4 => Event::Input(Input::Seed([number as u8; 32])),
        5 => Event::Input(Input::Console(vec![number as u8; number as usize % 70_000])),
        6 => Event::Input(Input::Frame {
            device: (number >> 40) as u8 % 2,
            frame: vec![number as u8; 14 + number as usize % 65_000],
        }),
        7 => Event::Input(Input::Clock(Clock {
            time: u64::MAX - number % 5,
            rate: number << (number % 24),
        })),
        8 => Event::Input(Input::Clock(Clock {
            time: number << (number % 24),
            rate: u64::MAX - number,
        })),
        9 => Event::Input(Input::PowerOff),
        _ => Event::Input(Input::Clock(Clock {
            time: number % (1 << 24),
            rate: number,
        })),
    }
}
