//! Panics in the middle of things: the machine goes on, and is the same under every engine.

use isa::Op;
use isa::csr;
use machine::config::MEMORY_BYTES_MIN;
use machine::{
    Board, BoardConfig, Boot, Cpu, Digest, Engine, Firmware, Input, Machine, Position, Rig,
};
use torture::lockstep::{interpreter, reference};

use crate::engines::{bounded, small, usual};
use crate::image::{Image, START, address};

/// A CSR that does not exist, and an address where nothing is.
const ABSENT: u16 = 0x5a8;
const NOWHERE: u64 = 0x4000_0000;
const HANDLER: i32 = 0x400;
const POSITIONS: u64 = 20_000;

/// Where [`image`] loads from [`NOWHERE`].
const LOAD: u64 = START + 0x20 + 16;

/// Traps in each way that the rig knows, computes with floats between, and adds up what the traps said.
fn image() -> Vec<u8> {
    let mut image = Image(vec![0; 0x2000]);
    let mut at = image.code(0, &address(5, 0));
    at = image.code(
        at,
        &[
            (Op::Addi, 6, 5, 0, HANDLER),
            (Op::Csrrw, 0, 6, 0, csr::MTVEC.into()),
            (Op::Lui, 28, 0, 0, 0x6000),
            (Op::Csrrs, 0, 28, 0, csr::MSTATUS.into()),
            (Op::Lui, 9, 0, 0, NOWHERE as i32),
        ],
    );
    let start = at;
    assert_eq!(START + start as u64 + 16, LOAD);
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
            (Op::Csrrs, 14, 0, 0, csr::FFLAGS.into()),
            (Op::Add, 12, 12, 14, 0),
            (Op::Sd, 0, 5, 12, 0x700),
        ],
    );
    image.repeat(at, start);
    image.code(
        HANDLER as usize,
        &[
            (Op::Csrrs, 7, 0, 0, csr::MCAUSE.into()),
            (Op::Slli, 15, 12, 0, 5),
            (Op::Add, 12, 12, 15, 0),
            (Op::Add, 12, 12, 7, 0),
            (Op::Csrrs, 7, 0, 0, csr::MEPC.into()),
            (Op::Addi, 7, 7, 0, 4),
            (Op::Csrrw, 0, 7, 0, csr::MEPC.into()),
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
    fn run(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position) {
        if let Some(rig) = self.rig.take() {
            cpu.rig = rig;
        }
        self.runs += 1;
        if self.runs == self.fails_at {
            let half = Position(cpu.hart.position.0.midpoint(limit.0));
            self.inner.run(cpu, board, half);
            panic!("an engine of a test");
        }
        self.inner.run(cpu, board, limit);
    }
}

/// Digests on the way, and how many panics there were.
fn run(engine: Box<dyn Engine>, rig: Rig, fails_at: u32) -> (Vec<Digest>, u64) {
    let engine = Box::new(Faulty {
        inner: engine,
        rig: Some(rig),
        runs: 0,
        fails_at,
    });
    run_image(image(), engine, (POSITIONS, 997))
}

/// The same, of any image and engine: with the guest's digests each 997 positions, in runs of `stride`.
fn run_image(
    image: Vec<u8>,
    engine: Box<dyn Engine>,
    (positions, stride): (u64, usize),
) -> (Vec<Digest>, u64) {
    let board = BoardConfig {
        memory_bytes: MEMORY_BYTES_MIN,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(image),
        ..Boot::default()
    };
    let mut machine = Machine::boot(&board, &boot, engine).expect("the guest fits its board");
    let mut digests = Vec::new();
    for position in (0..positions).step_by(997) {
        for until in (machine.position().0..position).step_by(stride).skip(1) {
            machine.run(Position(until));
            // As a recorder does where it looks at the machine.
            machine.timer_deadline();
        }
        machine.run(Position(position));
        digests.push(machine.digest());
    }
    assert_eq!(
        machine.faults().first().is_some(),
        machine.faults().count() > 0
    );
    (digests, machine.faults().count())
}

const NONE: Rig = Rig {
    csr: None,
    address: None,
    looks: false,
    interrupts: false,
    times: 0,
};

const RIGS: [Rig; 2] = [
    Rig {
        csr: Some(ABSENT),
        times: u32::MAX,
        ..NONE
    },
    Rig {
        address: Some(NOWHERE),
        times: u32::MAX,
        ..NONE
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

/// An engine that panics itself before an instruction, once.
struct Early {
    inner: Box<dyn Engine>,
    rig: Option<Rig>,
    pc: Option<u64>,
}

impl Engine for Early {
    fn run(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position) {
        cpu.rig = self.rig.take().unwrap_or(cpu.rig);
        while !cpu.attention && cpu.hart.position < limit {
            if self.pc == Some(cpu.hart.pc) {
                self.pc = None;
                panic!("an engine of a test");
            }
            let next = Position(cpu.hart.position.0 + 1);
            self.inner.run(cpu, board, next);
        }
    }
}

/// What happens at an attempt may change what happens at the next. Each replica tries twice, whatever its engine does.
#[test]
fn an_instruction_is_tried_twice_also_where_the_engine_panics_before_it() {
    for times in [1, 2] {
        let rig = Rig { times, ..RIGS[1] };
        let (expected, count) = run(reference(), rig, 0);
        assert_eq!(count, u64::from(times));
        for engine in [interpreter(), usual(), small(), bounded()] {
            let early = Box::new(Early {
                inner: engine,
                rig: Some(rig),
                pc: Some(LOAD),
            });
            assert_eq!(
                run_image(image(), early, (POSITIONS, 997)),
                (expected.clone(), count + 1)
            );
        }
    }
}

/// Counts, with the mark that the rig asks for in x31 for some hundred positions at a time, while a timer interrupts, if it may.
fn image_of_timers(interrupts: bool) -> Vec<u8> {
    let mut image = Image(vec![0; 0x2000]);
    let mut at = image.code(0, &address(5, 0));
    at = image.code(
        at,
        &[
            (Op::Addi, 6, 5, 0, HANDLER),
            (Op::Csrrw, 0, 6, 0, csr::MTVEC.into()),
            (Op::Lui, 9, 0, 0, 0x200_0000),
            (Op::Lui, 28, 0, 0, 0xc000),
            (Op::Add, 28, 28, 9, 0),
            (Op::Lui, 29, 0, 0, 0x4000),
            (Op::Add, 29, 29, 9, 0),
            (Op::Addi, 30, 0, 0, Rig::MARK as i32),
            // The first is due.
            (Op::Sd, 0, 29, 0, 0),
            (Op::Addi, 6, 0, 0, 0x80),
            (Op::Csrrs, 0, 6, 0, csr::MIE.into()),
            (
                Op::Csrrsi,
                0,
                if interrupts { 8 } else { 0 },
                0,
                csr::MSTATUS.into(),
            ),
        ],
    );
    let start = at;
    at = image.code(
        at,
        &[
            (Op::Addi, 13, 13, 0, 1),
            (Op::Srli, 14, 13, 0, 5),
            (Op::Andi, 14, 14, 0, 3),
            (Op::Sltiu, 14, 14, 0, 1),
            (Op::Sub, 14, 0, 14, 0),
            (Op::And, 31, 14, 30, 0),
            (Op::Csrrs, 7, 0, 0, csr::MIP.into()),
            (Op::Add, 12, 12, 7, 0),
            (Op::Sd, 0, 5, 12, 0x700),
        ],
    );
    image.repeat(at, start);
    image.code(
        HANDLER as usize,
        &[
            (Op::Csrrs, 7, 0, 0, csr::MCAUSE.into()),
            (Op::Add, 12, 12, 7, 0),
            (Op::Add, 12, 12, 13, 0),
            (Op::Addi, 15, 15, 0, 1),
            // mtime: the next interrupt is 13 ticks from now, or 130 positions.
            (Op::Ld, 7, 28, 0, -8),
            (Op::Addi, 7, 7, 0, 13),
            (Op::Sd, 0, 29, 7, 0),
            (Op::Mret, 0, 0, 0, 0),
        ],
    );
    image.0
}

#[test]
fn a_panic_on_the_way_to_an_interrupt_is_the_same_everywhere() {
    let run = |engine, rig: Rig, stride| {
        let engine = Box::new(Early {
            inner: engine,
            rig: Some(rig),
            pc: None,
        });
        run_image(image_of_timers(true), engine, (POSITIONS / 3, stride))
    };
    let (plain, none) = run(reference(), NONE, 997);
    assert_eq!(none, 0);
    let looks = Rig {
        looks: true,
        ..NONE
    };
    let interrupts = Rig {
        interrupts: true,
        ..NONE
    };
    for rig in [looks, interrupts] {
        // What is so on one side only changes nothing.
        let once = Rig { times: 1, ..rig };
        for engine in [interpreter(), usual(), small(), bounded()] {
            assert_eq!(run(engine, once, 997), (plain.clone(), 1));
        }
        // What is so everywhere is the same everywhere, wherever runs end.
        let always = Rig {
            times: u32::MAX,
            ..rig
        };
        let (expected, count) = run(reference(), always, 997);
        assert!(count > 200, "{count}");
        assert_ne!(plain, expected);
        for make in [reference, interpreter, usual, small, bounded] {
            for stride in [3, 997] {
                let (found, count) = run(make(), always, stride);
                assert_eq!(found, expected, "in runs of {stride}");
                assert!(count > 200, "{count}");
            }
        }
    }
}

/// Whoever goes on from a state has not seen what was seen before it: what a look that panics leaves must follow from the state.
#[test]
fn a_state_that_is_taken_where_looks_panic_goes_on_alike_elsewhere() {
    let board = BoardConfig {
        memory_bytes: MEMORY_BYTES_MIN,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(image_of_timers(false)),
        ..Boot::default()
    };
    let looks = Rig {
        looks: true,
        times: u32::MAX,
        ..NONE
    };
    for make in [reference, interpreter, usual] {
        let mut machine = Machine::boot(&board, &boot, make()).expect("the guest fits its board");
        machine.rig(looks);
        let mut taken_in_vain = 0;
        for position in (100..POSITIONS / 10).step_by(97) {
            machine.run(Position(position));
            machine.apply(Input::Synchronize).expect("always possible");
            taken_in_vain += u32::from(machine.hart().x[31] == Rig::MARK);
            let state = machine.snapshot();
            let mut other = Machine::restore(&state, make()).expect("it was just taken");
            other.rig(looks);
            machine.run(Position(position + 50));
            other.run(Position(position + 50));
            assert_eq!(machine.digest(), other.digest(), "from {position}");
        }
        assert!(taken_in_vain > 2, "{taken_in_vain}");
    }
}
