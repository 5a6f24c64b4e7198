//! Panics in the middle of things: the machine goes on, and is the same under every engine.

use isa::Op;
use machine::board::MEMORY_BYTES_MIN;
use machine::hostile::lockstep::{interpreter, reference};
use machine::{Board, Boot, Core, Digest, Engine, Firmware, Machine, Position, Rig};

use crate::engines::{bounded, small, usual};
use crate::image::{Image, address};

/// A CSR that does not exist, and an address where nothing is.
const ABSENT: u16 = 0x5a8;
const NOWHERE: u64 = 0x4000_0000;
const HANDLER: i32 = 0x400;
const POSITIONS: u64 = 20_000;

/// Traps in each way that the rig knows, computes with floats between, and adds up what the traps said.
fn image() -> Vec<u8> {
    let mut image = Image(vec![0; 0x2000]);
    let mut at = image.code(0, &address(5, 0));
    at = image.code(
        at,
        &[
            (Op::Addi, 6, 5, 0, HANDLER),
            (Op::Csrrw, 0, 6, 0, 0x305),
            (Op::Lui, 28, 0, 0, 0x6000),
            (Op::Csrrs, 0, 28, 0, 0x300),
            (Op::Lui, 9, 0, 0, NOWHERE as i32),
        ],
    );
    let start = at;
    at = image.code(
        at,
        &[
            (Op::Addi, 13, 13, 0, 1),
            (Op::FcvtDL, 1, 13, 0, 0),
            (Op::Csrrs, 11, 0, 0, ABSENT.into()),
            (Op::FdivD, 2, 1, 2, 0),
            (Op::Ld, 11, 9, 0, 0),
            (Op::Sd, 0, 9, 11, 0),
            (Op::Flw, 3, 9, 0, 0),
            (Op::Csrrs, 14, 0, 0, 1),
            (Op::Add, 12, 12, 14, 0),
            (Op::Sd, 0, 5, 12, 0x700),
        ],
    );
    image.code(at, &[(Op::Jal, 0, 0, 0, start as i32 - at as i32)]);
    image.code(
        HANDLER as usize,
        &[
            (Op::Csrrs, 7, 0, 0, 0x342),
            (Op::Slli, 15, 12, 0, 5),
            (Op::Add, 12, 12, 15, 0),
            (Op::Add, 12, 12, 7, 0),
            (Op::Csrrs, 7, 0, 0, 0x341),
            (Op::Addi, 7, 7, 0, 4),
            (Op::Csrrw, 0, 7, 0, 0x341),
            (Op::Mret, 0, 0, 0, 0),
        ],
    );
    image.0
}

/// An engine that sets the rig, and panics itself at the run with a number.
struct Faulty {
    inner: Box<dyn Engine>,
    rig: Option<Rig>,
    runs: u32,
    fails_at: u32,
}

impl Engine for Faulty {
    fn run(&mut self, core: &mut Core, limit: Position) {
        if let Some(rig) = self.rig.take() {
            core.rig = rig;
        }
        self.runs += 1;
        if self.runs == self.fails_at {
            let half = Position(core.hart.position.0.midpoint(limit.0));
            self.inner.run(core, half);
            panic!("an engine of a test");
        }
        self.inner.run(core, limit);
    }
}

/// Digests on the way, and how many panics there were.
fn run(engine: Box<dyn Engine>, rig: Rig, fails_at: u32) -> (Vec<Digest>, u64) {
    let board = Board {
        memory_bytes: MEMORY_BYTES_MIN,
        ..Board::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(image()),
        ..Boot::default()
    };
    let engine = Box::new(Faulty {
        inner: engine,
        rig: Some(rig),
        runs: 0,
        fails_at,
    });
    let mut machine = Machine::boot(&board, &boot, engine).expect("the guest fits its board");
    let mut digests = Vec::new();
    for position in (0..POSITIONS).step_by(997) {
        machine.run(Position(position));
        digests.push(machine.digest());
    }
    assert_eq!(
        machine.faults().first().is_some(),
        machine.faults().count() > 0
    );
    (digests, machine.faults().count())
}

const RIGS: [Rig; 2] = [
    Rig {
        csr: Some(ABSENT),
        address: None,
        times: u32::MAX,
    },
    Rig {
        csr: None,
        address: Some(NOWHERE),
        times: u32::MAX,
    },
];

#[test]
fn what_panics_everywhere_is_an_illegal_instruction_everywhere() {
    let (plain, none) = run(reference(), Rig::default(), 0);
    assert_eq!(none, 0);
    for rig in RIGS {
        let (expected, count) = run(reference(), rig, 0);
        assert!(count > 100, "each is tried twice");
        assert_ne!(plain, expected);
        for engine in [interpreter(), usual(), small(), bounded()] {
            assert_eq!(run(engine, rig, 0), (expected.clone(), count));
        }
    }
}

#[test]
fn what_panics_on_one_side_only_changes_nothing() {
    let (expected, _) = run(reference(), Rig::default(), 0);
    for rig in RIGS {
        // Each odd time, and not when it is tried again.
        for engine in [interpreter(), usual(), small(), bounded()] {
            assert_eq!(
                run(engine, Rig { times: 1, ..rig }, 0),
                (expected.clone(), 1)
            );
        }
    }
}

#[test]
fn an_engine_that_panics_is_replaced() {
    let (expected, _) = run(reference(), Rig::default(), 0);
    for engine in [interpreter(), usual(), small(), bounded()] {
        assert_eq!(run(engine, Rig::default(), 7), (expected.clone(), 1));
    }
}
