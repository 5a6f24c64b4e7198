//! A snapshot whose memory is taken while the machine goes on is that of a machine that stood still.

use isa::Op;
use machine::config::MEMORY_BYTES_MIN;
use machine::{
    BoardConfig, Boot, Clock, Engine, Firmware, Input, Machine, Position, Snapshot, Stop,
};
use torture::lockstep::interpreter;

use crate::engines::{small, usual};
use crate::image::{Image, address};

/// Where the program stores, over and over, a double word in each of so many pages.
const TARGET: u64 = 0x40_0000;
const PAGES: i32 = 300;
/// Where the snapshot is: in the midst of a pass.
const AT: Position = Position(2_500);
/// How far the machine goes on between two chunks: it comes to all pages, and over chunks that were and were not taken.
const STRIDE: u64 = 97;

/// Counts in `x5`, and stores that in one page after the other.
fn program() -> Vec<u8> {
    let mut image = Image(vec![0; 0x100]);
    let outer = image.code(0, &address(6, TARGET));
    let mut inner = image.code(
        outer,
        &[
            (Op::Addi, 7, 6, 0, 0),
            (Op::Addi, 8, 0, 0, PAGES),
            (Op::Lui, 9, 0, 0, 0x1000),
        ],
    );
    let start = inner;
    inner = image.code(
        inner,
        &[
            (Op::Addi, 5, 5, 0, 1),
            (Op::Sd, 0, 7, 5, 0),
            (Op::Add, 7, 7, 9, 0),
            (Op::Addi, 8, 8, 0, -1),
        ],
    );
    inner = image.code(inner, &[(Op::Bne, 0, 8, 0, start as i32 - inner as i32)]);
    image.repeat(inner, outer);
    image.0
}

fn machine(engine: Box<dyn Engine>) -> Machine {
    let config = BoardConfig {
        memory_bytes: MEMORY_BYTES_MIN,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(program()),
        ..Boot::default()
    };
    let mut machine = Machine::boot(&config, &boot, engine).expect("it fits");
    let clock = Clock {
        time: 0,
        rate: 1 << 32,
    };
    machine.apply(Input::Clock(clock)).expect("always possible");
    assert_eq!(machine.run(AT), Stop::Reached);
    machine.apply(Input::Synchronize).expect("always possible");
    machine
}

#[test]
fn memory_is_taken_while_the_machine_goes_on() {
    let expected = machine(interpreter()).snapshot().to_bytes();
    for (name, make) in [
        ("interpreter", &interpreter as &dyn Fn() -> Box<dyn Engine>),
        ("translator", &usual),
        ("translator that looks often", &small),
    ] {
        let mut machine = machine(make());
        let mut twin = Machine::restore(&machine.snapshot(), make()).expect("our own snapshot");
        let mut capture = machine.capture();
        let mut chunks = Vec::new();
        // First far enough that code is hot and stores are fast, and all pages are overwritten.
        let mut until = Position(AT.0 + 4 * 5 * PAGES as u64);
        loop {
            machine.run(until);
            let Some(chunk) = machine.take_chunk(&mut capture) else {
                break;
            };
            chunks.push(chunk);
            until.0 += STRIDE;
        }
        let state = machine.end_capture(capture);
        assert!(chunks.len() > 3, "{name}");
        let snapshot = Snapshot::new(state, chunks);
        assert!(snapshot.to_bytes() == expected, "{name}");
        // Nobody can see that it was taken.
        twin.run(machine.position());
        assert_eq!(machine.digest().compare(&twin.digest()), [""; 0], "{name}");
    }
}
