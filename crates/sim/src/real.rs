//! The real machine with a bare-metal guest (`guest/counter.c`), run by the executor that `node` runs. Host time is virtual
//! time; it executes 20 positions a microsecond.

use crate::engines::Bugs;
use crate::fingerprint::Fingerprint;
use bytes::Bytes;
use eventlog::{Entry, Event, RecorderConfig};
use machine::{BoardConfig, Boot, Engine, GuestAddr, Input, Machine, NetConfig, TICKS_PER_SECOND};
use replica::{Advice, Command, Executor, ExecutorConfig, Report};
use replication::{Instant, LogIndex};
use std::fmt;

const TICKS_PER_US: u64 = TICKS_PER_SECOND / 1_000_000;
/// A slice of time, and what is executed in it.
const SLICE_US: u64 = 200;
const SLICE_POSITIONS: u64 = 4_000;
/// Where the guest lies, and all that it writes.
const GUEST: GuestAddr = GuestAddr(0x8020_0000);
const GUEST_BYTES: usize = 16 << 10;

/// An executor, and damage to come.
pub(crate) struct Real {
    executor: Executor,
    /// The next frame that it replays is damaged.
    corrupt: bool,
    commanded: bool,
    bugs: Bugs,
    /// Panics of its engines: those of the present machine, and all.
    panics: (u64, u64),
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "executor {:?}", self.executor.status())
    }
}

impl Real {
    /// An executor with the machine that boots `kernel`, or with none, whose engines have these bugs.
    pub(crate) fn new(kernel: Option<&[u8]>, bugs: Bugs) -> Self {
        let config = ExecutorConfig {
            recorder: RecorderConfig {
                digest_ticks: TICKS_PER_SECOND / 10,
                ..RecorderConfig::default()
            },
            ..ExecutorConfig::default()
        };
        let machine = kernel.map(|kernel| boot(kernel, bugs.engine()));
        Self {
            executor: Executor::new(machine, Box::new(move || bugs.engine()), config),
            corrupt: false,
            commanded: false,
            bugs,
            panics: (0, 0),
        }
    }

    pub(crate) fn command(&mut self, now: Instant, mut command: Command) {
        if let Command::Replay { entries, .. } = &mut command
            && self.corrupt
        {
            self.corrupt = !damage_a_frame(entries);
        }
        self.commanded = true;
        self.executor
            .handle(now.0 * TICKS_PER_US, command)
            .expect("the replica asks of its executor only what that can do");
    }

    pub(crate) fn step(&mut self, now: Instant) -> Option<u64> {
        self.commanded = false;
        let host = now.0 * TICKS_PER_US;
        let advice = self.executor.step(host, SLICE_POSITIONS);
        self.count_panics();
        match advice {
            Advice::Again => Some(now.0 + SLICE_US),
            Advice::Wait { until } => until.map(|until| until.div_ceil(TICKS_PER_US)),
        }
    }

    fn count_panics(&mut self) {
        let (before, all) = self.panics;
        let now = self.executor.status().engine_faults;
        let more = now.checked_sub(before).unwrap_or(now);
        assert!(
            more == 0 || !self.bugs.is_uncontained(),
            "a panic of an engine ends the process"
        );
        self.panics = (now, all + more);
    }

    /// Panics of its engines that were contained.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.1
    }

    pub(crate) fn wants_step(&self) -> bool {
        self.commanded
    }

    pub(crate) fn report(&mut self) -> Option<Report> {
        self.executor.poll_report()
    }

    pub(crate) fn fingerprint(&self, last: LogIndex) -> Fingerprint {
        let Some(machine) = self.executor.machine() else {
            return Fingerprint {
                last,
                position: u64::MAX,
                digest: 0,
            };
        };
        let mut memory = vec![0; GUEST_BYTES];
        machine
            .read_memory(GUEST, &mut memory)
            .expect("the guest's memory is memory");
        let words = memory.chunks_exact(8);
        let words = words.map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
        let digest = words
            .chain(machine.hart().registers())
            .chain([machine.time()])
            .fold(0, |hash: u64, word| {
                (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            });
        Fingerprint {
            last,
            position: machine.position().0,
            digest,
        }
    }

    pub(crate) fn corrupt(&mut self) {
        self.corrupt = true;
    }
}

fn boot(kernel: &[u8], engine: Box<dyn Engine>) -> Machine {
    let board = BoardConfig {
        memory_bytes: 16 << 20,
        net: vec![NetConfig {
            mac: [0x52, 0x54, 0, 0x12, 0x34, 0x56],
        }],
        entropy: false,
        console: false,
    };
    let boot = Boot {
        kernel: Some(kernel.to_vec()),
        ..Boot::default()
    };
    let mut machine =
        Machine::boot(&board, &boot, engine).expect("the guest is built for this board");
    machine.add_requester();
    machine
}

/// Flips a bit of the sender's address in the first frame, if there is one.
fn damage_a_frame(entries: &mut [Bytes]) -> bool {
    for bytes in entries {
        if let Ok(mut entry) = Entry::decode(bytes)
            && let Event::Input(Input::Frame { frame, .. }) = &mut entry.event
        {
            frame[11] ^= 1;
            *bytes = entry
                .encode()
                .expect("a frame stays as long as it was")
                .into();
            return true;
        }
    }
    false
}
