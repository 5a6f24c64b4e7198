//! Small guests (`tests/guest/`), and a virtual host that records them.

use eventlog::{Entry, Event, Recorder, RecorderConfig, RecorderState, RecorderStep};
use machine::{
    BoardConfig, Boot, Engine, Firmware, Input, Interpreter, InterpreterOptions, Machine, Output,
    TICKS_PER_SECOND,
};
use std::collections::VecDeque;
use std::process::Command;
use std::sync::OnceLock;

/// One millisecond in ticks.
pub(crate) const MS: u64 = TICKS_PER_SECOND / 1_000;

/// The bytes of `echo.S`.
fn image() -> Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| assemble("echo")).clone()
}

/// A guest's bytes, assembled by the cross compiler.
#[expect(
    clippy::disallowed_methods,
    reason = "the guest's bytes come from a file, before any machine exists"
)]
pub(crate) fn assemble(guest: &str) -> Vec<u8> {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../eventlog/tests/guest");
    let source = &format!("{sources}/{guest}.S");
    let made = concat!(env!("CARGO_TARGET_TMPDIR"), "/", env!("CARGO_PKG_NAME"));
    let elf = &format!("{made}-{guest}.elf");
    let raw = &elf.replace(".elf", ".bin");
    let flags = "-march=rv64imac_zicsr -mabi=lp64 -mcmodel=medany -nostdlib -static \
                 -Wl,-Ttext=0x80000000 -Wl,--no-relax -Wl,--build-id=none";
    let run = |tool: &str, arguments: &[&str]| {
        let status = Command::new(tool).args(arguments).status();
        let status =
            status.unwrap_or_else(|_| panic!("{tool} (Debian package gcc-riscv64-linux-gnu)"));
        assert!(status.success(), "{tool} failed on {source}");
    };
    let flags: Vec<_> = flags.split_whitespace().collect();
    run(
        "riscv64-linux-gnu-gcc",
        &[&flags[..], &["-o", elf, source]].concat(),
    );
    run("riscv64-linux-gnu-objcopy", &["-O", "binary", elf, raw]);
    std::fs::read(raw).unwrap()
}

/// The engine that the tests use unless they say otherwise.
pub(crate) fn engine() -> Box<dyn Engine> {
    Box::new(Interpreter::new(InterpreterOptions::default()))
}

/// The guest, about to execute its first instruction.
pub(crate) fn boot() -> Machine {
    boot_with(engine())
}

/// The same, executed by this engine.
pub(crate) fn boot_with(engine: Box<dyn Engine>) -> Machine {
    let board = BoardConfig {
        memory_bytes: 16 << 20,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(image()),
        ..Boot::default()
    };
    Machine::boot(&board, &boot, engine).unwrap()
}

/// All of a machine's state, for comparison.
pub(crate) fn state(mut machine: Machine) -> Vec<u8> {
    machine.apply(Input::Synchronize).unwrap();
    machine.snapshot().to_bytes()
}

/// Digests often, so that short runs have many.
pub(crate) fn config() -> RecorderConfig {
    RecorderConfig {
        digest_positions: 1_000_000,
        ..RecorderConfig::default()
    }
}

/// What was recorded.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Vec<u8>>,
    /// Each output mark's entry number, and what was said.
    pub(crate) outputs: Vec<(u64, Vec<Output>)>,
    pub(crate) refused: u32,
}

impl Log {
    pub(crate) fn take(&mut self, step: RecorderStep) {
        let first = self.entries.len() as u64;
        let outputs = step.outputs.into_iter();
        self.outputs
            .extend(outputs.map(|(number, outputs)| (first + u64::from(number), outputs)));
        self.entries.extend(step.entries);
        self.refused += step.refused;
    }

    /// All that was said at the console.
    pub(crate) fn console(&self) -> String {
        console(self.outputs.iter().flat_map(|(_, outputs)| outputs))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.entries.iter().map(Vec::len).sum()
    }

    pub(crate) fn decoded(&self) -> Vec<Entry> {
        let entries = self.entries.iter();
        entries.map(|entry| Entry::decode(entry).unwrap()).collect()
    }

    pub(crate) fn count(&self, like: fn(&Event) -> bool) -> usize {
        let entries = self.decoded();
        entries.iter().filter(|entry| like(&entry.event)).count()
    }
}

pub(crate) fn console<'a>(outputs: impl Iterator<Item = &'a Output>) -> String {
    let mut said = Vec::new();
    for output in outputs {
        if let Output::Console(bytes) = output {
            said.extend_from_slice(bytes);
        }
    }
    String::from_utf8(said).unwrap()
}

/// A host on which time is counted, not measured.
pub(crate) struct Host {
    /// Host time in ticks.
    pub(crate) now: u64,
    /// Positions that it executes per millisecond.
    pub(crate) speed: u64,
    pub(crate) recorder: Recorder,
    pub(crate) log: Log,
    pub(crate) state: RecorderState,
}

impl Host {
    pub(crate) fn new(machine: Machine) -> Self {
        Self::with(Recorder::new(machine, config()), 0)
    }

    pub(crate) fn with(recorder: Recorder, now: u64) -> Self {
        Self {
            now,
            speed: 50_000,
            recorder,
            log: Log::default(),
            state: RecorderState::Running,
        }
    }

    /// Types each line at its time in milliseconds from now, and runs for `milliseconds`.
    pub(crate) fn run(&mut self, milliseconds: u64, script: &[(u64, &str)]) {
        let start = self.now;
        let end = start + milliseconds * MS;
        let mut script: VecDeque<_> = script
            .iter()
            .filter(|(_, typed)| !typed.is_empty())
            .map(|(at, typed)| (start + at * MS, Input::Console(typed.as_bytes().to_vec())))
            .collect();
        let mut inputs = VecDeque::new();
        while self.now < end && !self.is_over() {
            while script.front().is_some_and(|(at, _)| *at <= self.now) {
                inputs.extend(script.pop_front().map(|(_, input)| input));
            }
            let before = self.recorder.machine().position().0;
            let step = self.recorder.step(self.now, &mut inputs, self.speed / 2);
            let ran = self.recorder.machine().position().0 - before;
            self.state = step.state;
            self.log.take(step);
            // What the host does beside costs two microseconds a step.
            self.now += ran * MS / self.speed + 20;
            if let RecorderState::Idle { wake_at } = self.state {
                let next = script.front().map_or(end, |(at, _)| *at);
                let wake = wake_at.unwrap_or(end).min(next).min(end);
                self.now = self.now.max(wake);
            }
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, RecorderState::PoweredOff | RecorderState::Reset)
    }
}
