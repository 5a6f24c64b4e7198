//! Runs small M-mode programs (`tests/guest/*.S`) in several ways that must agree: with and without
//! decoded blocks, in steps of any length, and through a snapshot.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use machine::boot::elf::Elf;
use machine::{
    BoardConfig, Boot, Clock, Digest, Firmware, Input, Interpreter, InterpreterOptions, Machine,
    Position, Snapshot, Stop, StopRequest,
};

/// Positions between digests: no multiple of a stride that the tests use.
const DIGEST_EVERY: u64 = 509;
/// Beyond this a program is taken to hang.
pub(crate) const POSITIONS_MAX: u64 = 300_000;

/// How to execute a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) block_cache: bool,
    /// Positions to run at once.
    pub(crate) stride: u64,
    /// Go on as the snapshot of the machine after each `Synchronize`.
    pub(crate) restore: bool,
}

pub(crate) const WAYS: [Way; 4] = [
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
        restore: false,
    },
    Way {
        block_cache: true,
        stride: 1000,
        restore: true,
    },
];

/// What can be compared between two ways.
#[derive(Debug, PartialEq)]
pub(crate) struct Course {
    /// `None` if it came to `until`, or waits for ever.
    pub(crate) end: Option<StopRequest>,
    pub(crate) position: Position,
    pub(crate) digests: Vec<Digest>,
}

/// Assembles `tests/guest/NAME.S` into the bytes for the start of memory.
pub(crate) fn assemble_flat(name: &str) -> Vec<u8> {
    let elf = assemble(name);
    let elf = Elf::parse(&elf).expect("the assembler writes ELF files");
    elf.segments[0].data.to_vec()
}

/// Assembles `tests/guest/NAME.S` into an ELF file for the start of memory.
#[expect(
    clippy::disallowed_methods,
    reason = "tests read what the assembler wrote"
)]
pub(crate) fn assemble(name: &str) -> Vec<u8> {
    let guest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guest");
    // Tests run at the same time, also in several processes.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let unique = format!(
        "{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{unique}.elf"));
    let run = Command::new("riscv64-linux-gnu-gcc")
        .args([
            "-nostdlib",
            "-fno-pic",
            "-Wl,-N",
            "-static",
            "-march=rv64gc",
            "-mabi=lp64d",
            "-Wl,-Ttext=0x80000000",
        ])
        .args(["-Wl,--build-id=none", "-Wl,-z,norelro"])
        .arg("-I")
        .arg(&guest)
        .arg("-o")
        .arg(&out)
        .arg(guest.join(format!("{name}.S")))
        .output()
        .expect("riscv64-linux-gnu-gcc must be installed: Debian package gcc-riscv64-linux-gnu");
    assert!(
        run.status.success(),
        "{name}.S: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    let elf = std::fs::read(&out).expect("the assembler has just written this file");
    std::fs::remove_file(&out).expect("the file is ours");
    elf
}

pub(crate) fn engine(block_cache: bool) -> Box<Interpreter> {
    Box::new(Interpreter::new(InterpreterOptions { block_cache }))
}

pub(crate) fn boot(elf: &[u8], block_cache: bool) -> Machine {
    let board = BoardConfig {
        memory_bytes: 16 << 20,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(elf.to_vec()),
        ..Boot::default()
    };
    Machine::boot(&board, &boot, engine(block_cache)).expect("a bare-metal program boots")
}

/// Executes a program to its end or to `until`, giving it `inputs` at their positions, and the clock a push whenever it
/// waits.
pub(crate) fn play(elf: &[u8], inputs: &[(u64, Input)], until: u64, way: Way) -> Course {
    let mut machine = boot(elf, way.block_cache);
    let mut digests = Vec::new();
    let mut inputs = inputs.iter().peekable();
    let mut idle = (0, 0);
    loop {
        let here = machine.position().0;
        while let Some((_, input)) = inputs.next_if(|(position, _)| *position == here) {
            machine
                .apply(input.clone())
                .expect("the machine takes this input");
            if way.restore && *input == Input::Synchronize {
                let bytes = machine.snapshot().to_bytes();
                let snapshot = Snapshot::from_bytes(&bytes).expect("our own snapshot");
                let digest = machine.digest();
                machine =
                    Machine::restore(&snapshot, engine(way.block_cache)).expect("our own snapshot");
                assert_eq!(machine.digest().compare(&digest), [""; 0]);
            } else if *input == Input::Synchronize {
                machine.digest();
            }
        }
        let next_input = inputs.peek().map_or(u64::MAX, |(position, _)| *position);
        let next_digest = (here / DIGEST_EVERY + 1) * DIGEST_EVERY;
        let next = here
            .saturating_add(way.stride)
            .min(next_digest)
            .min(next_input)
            .min(until);
        let stop = machine.run(Position(next));
        let here = machine.position().0;
        let mut over = here >= until;
        match stop {
            Stop::Reached => {
                if here == next_digest {
                    digests.push(machine.digest());
                }
            }
            Stop::Idle => {
                idle = if idle.0 == here {
                    (here, idle.1 + 1)
                } else {
                    (here, 0)
                };
                let rate = machine.clock().rate;
                match machine.timer_deadline() {
                    Some(time) if idle.1 < 4 => machine
                        .apply(Input::Clock(Clock { time, rate }))
                        .expect("a clock"),
                    _ => over = true,
                }
            }
            Stop::Output => {
                machine.take_outputs();
            }
            Stop::PowerOff | Stop::Reset => over = true,
        }
        if over {
            digests.push(machine.digest());
            return Course {
                end: machine.stop_request(),
                position: machine.position(),
                digests,
            };
        }
    }
}

/// Executes a program in every way: each must pass its own checks, and all must agree.
pub(crate) fn check(name: &str) {
    let elf = assemble(name);
    // Once without, once with a synchronisation in the middle.
    let alone = play(&elf, &[], POSITIONS_MAX, WAYS[0]);
    assert_eq!(
        alone.end,
        Some(StopRequest::PowerOff),
        "{name}: the check with that number failed"
    );
    for inputs in [vec![], vec![(alone.position.0 / 2, Input::Synchronize)]] {
        agree(name, &elf, &inputs, POSITIONS_MAX);
    }
}

/// Executes a program in every way and compares.
pub(crate) fn agree(name: &str, elf: &[u8], inputs: &[(u64, Input)], until: u64) -> Course {
    let first = play(elf, inputs, until, WAYS[0]);
    for way in &WAYS[1..] {
        let other = play(elf, inputs, until, *way);
        for (a, b) in first.digests.iter().zip(&other.digests) {
            assert_eq!(
                a.compare(b),
                [""; 0],
                "{name}, {way:?}, {inputs:?}, at {:?}",
                a.position
            );
        }
        assert_eq!(first, other, "{name}, {way:?}, {inputs:?}");
    }
    first
}
