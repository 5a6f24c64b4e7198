//! The toy machine: a counter that clients increment, small enough for a thousand simulations a minute,
//! behind the same commands and reports as the real executor. Its entries are as opaque to the protocol as
//! the real ones.

use bytes::Bytes;
use eventlog::Divergence;
use machine::{Input, Output, Position, SnapshotError};
use replica::{Command, Report};
use replication::LogIndex;
use std::collections::VecDeque;

/// A request of a client: number `operation` of client `client`, encoded as a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Which client.
    pub(crate) client: u8,
    /// Its operations are numbered from 1; a repeated number is a retransmission.
    pub(crate) operation: u64,
}

/// A reply: the counter's value after that operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Which client.
    pub(crate) client: u8,
    /// The operation that it answers.
    pub(crate) operation: u64,
    /// The counter after it.
    pub(crate) value: u64,
}

/// The machine's address.
pub(crate) const MACHINE_ADDRESS: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// Ethernet header of a request: from the clients, to the machine, of a local experimental type.
const HEADER: [u8; 14] = [
    0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 0x88, 0xb5,
];

/// In the place of a client's number: whoever presses the power button.
const POWER_BUTTON: u8 = 0xff;

/// The frame by which the guest is told to switch itself off.
pub(crate) fn power_off_frame() -> Vec<u8> {
    let request = Request {
        client: POWER_BUTTON,
        operation: 0,
    };
    request.to_frame()
}

/// The `at`-th word after the header and the client's number.
fn word(frame: &[u8], at: usize) -> Option<u64> {
    let start = HEADER.len() + 1 + 8 * at;
    Some(u64::from_le_bytes(
        frame.get(start..start + 8)?.try_into().ok()?,
    ))
}

impl Request {
    /// As a frame.
    pub(crate) fn to_frame(self) -> Vec<u8> {
        let mut frame = HEADER.to_vec();
        frame.push(self.client);
        frame.extend(self.operation.to_le_bytes());
        frame
    }

    fn from_frame(frame: &[u8]) -> Option<Self> {
        Some(Self {
            client: *frame.get(HEADER.len())?,
            operation: word(frame, 0)?,
        })
    }
}

impl Reply {
    fn to_frame(self) -> Vec<u8> {
        let request = Request {
            client: self.client,
            operation: self.operation,
        };
        let mut frame = request.to_frame();
        frame[..12].rotate_left(6);
        frame.extend(self.value.to_le_bytes());
        frame
    }

    /// Reads a frame.
    pub(crate) fn from_frame(frame: &[u8]) -> Option<Self> {
        let request = Request::from_frame(frame)?;
        Some(Self {
            client: request.client,
            operation: request.operation,
            value: word(frame, 1)?,
        })
    }
}

/// The deterministic part: what a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    counter: u64,
    /// Hash of everything applied.
    history: u64,
    /// For each client: its last operation and the value it got.
    answered: Vec<(u64, u64)>,
}

/// Most frames that wait while it is throttled.
const INPUTS_MAX: usize = 16;
/// Most clients that the toy serves.
pub(crate) const CLIENTS_MAX: usize = 4;

impl State {
    fn new() -> Self {
        Self {
            counter: 0,
            history: 0,
            answered: vec![(0, 0); CLIENTS_MAX],
        }
    }

    fn apply(&mut self, frame: &[u8]) -> Option<Reply> {
        for &byte in frame {
            self.history = (self.history ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let request = Request::from_frame(frame)?;
        let slot = self.answered.get_mut(usize::from(request.client))?;
        if request.operation < slot.0 {
            return None;
        }
        if request.operation > slot.0 {
            self.counter += 1;
            *slot = (request.operation, self.counter);
        }
        Some(Reply {
            client: request.client,
            operation: request.operation,
            value: slot.1,
        })
    }

    fn digest(&self) -> u64 {
        let mut digest = self.history ^ self.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for &(operation, value) in &self.answered {
            digest = (digest ^ operation)
                .rotate_left(17)
                .wrapping_mul(0x0100_0000_01b3)
                ^ value;
        }
        digest
    }

    fn to_bytes(&self) -> Bytes {
        let answered = self
            .answered
            .iter()
            .flat_map(|&(operation, value)| [operation, value]);
        [self.counter, self.history]
            .into_iter()
            .chain(answered)
            .flat_map(u64::to_le_bytes)
            .collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("chunks of eight")))
            .collect();
        if words.len() != 2 + 2 * CLIENTS_MAX || bytes.len() != words.len() * 8 {
            return None;
        }
        let answered = words[2..]
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect();
        Some(Self {
            counter: words[0],
            history: words[1],
            answered,
        })
    }
}

const ENTRY_INPUT: u8 = 0;
const ENTRY_MARK: u8 = 1;
const ENTRY_DIGEST: u8 = 2;
const ENTRY_PROGRESS: u8 = 3;
const ENTRY_OFF: u8 = 4;
/// What the entries of a busy toy carry.
const BUSY_PAYLOAD: [u8; 32] = [0; 32];
/// The largest entry that a toy logs, in bytes, with room to spare.
pub(crate) const ENTRY_BYTES_MAX: u64 = 64;

fn entry(kind: u8, payload: &[u8]) -> Bytes {
    std::iter::once(kind)
        .chain(payload.iter().copied())
        .collect()
}

#[derive(Debug)]
enum Role {
    Waiting,
    Recording,
    Replaying {
        next: LogIndex,
        pending: VecDeque<Bytes>,
        live: Option<LogIndex>,
    },
    Stopped,
}

/// How fast a toy replays; it records at about one entry a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    Full,
    /// So slowly that its owner must slow down.
    Slow,
    /// So slowly that slowing down does not help for long.
    Crawling,
}

/// The toy behind an executor's interface.
#[derive(Debug)]
pub(crate) struct Toy {
    state: State,
    role: Role,
    /// Index of the next entry that it appends.
    next: LogIndex,
    reports: VecDeque<Report>,
    /// What waits while it is throttled.
    inputs: VecDeque<Vec<u8>>,
    /// A digest has agreed since it was restored.
    verified: bool,
    /// How fast it replays.
    speed: Speed,
    /// Entries that it logs in each slice, beside the one that there always is.
    busy: usize,
    /// In thousandths.
    throttle: u16,
}

impl Toy {
    /// How often it steps.
    pub(crate) const SLICE_US: u64 = 4_000;

    /// A machine in its initial state that waits to be run or restored.
    pub(crate) fn new(speed: Speed, busy: usize) -> Self {
        Self {
            verified: false,
            speed,
            busy,
            throttle: 0,
            inputs: VecDeque::new(),
            state: State::new(),
            role: Role::Waiting,
            next: LogIndex(1),
            reports: VecDeque::new(),
        }
    }

    /// Flips a bit of its state: what a hardware fault would do.
    pub(crate) fn corrupt(&mut self) {
        self.state.history ^= 1;
    }

    /// Hash of its state.
    pub(crate) fn digest(&self) -> u64 {
        self.state.digest()
    }

    /// Whether it records.
    fn is_recording(&self) -> bool {
        matches!(self.role, Role::Recording)
    }

    /// Obeys a command.
    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Run => {
                self.next = LogIndex(1);
                self.role = Role::Recording;
            }
            Command::Follow { next } => self.follow(next),
            Command::Digest => self.append_digest(),
            Command::Input(Input::Frame { frame, .. }) => {
                if self.is_recording() && self.throttle == 0 {
                    self.record(&frame);
                } else if self.is_recording() && self.inputs.len() < INPUTS_MAX {
                    self.inputs.push_back(frame);
                }
            }
            Command::Input(_) => {}
            Command::Throttle { per_mille } => self.throttle = per_mille,
            Command::TakeSnapshot { transfer } => {
                let report = Report::SnapshotTaken {
                    transfer,
                    from: self.next,
                    state: self.state.to_bytes(),
                };
                self.reports.push_back(report);
                self.append_digest();
            }
            Command::Restore {
                transfer,
                next,
                state,
            } => {
                let restored = State::from_bytes(&state);
                let result = restored
                    .is_some()
                    .then_some(())
                    .ok_or(SnapshotError::Length);
                if let Some(restored) = restored {
                    self.state = restored;
                    self.follow(next);
                }
                self.reports
                    .push_back(Report::Restored { transfer, result });
            }
            Command::Replay { first, entries } => {
                if let Role::Replaying { next, pending, .. } = &mut self.role {
                    assert_eq!(
                        first.0,
                        next.0 + pending.len() as u64,
                        "entries reach the toy in order, without gaps"
                    );
                    pending.extend(entries);
                }
            }
            Command::GoLive { next } => {
                if let Role::Replaying { live, .. } = &mut self.role {
                    *live = Some(next);
                    self.go_live_when_drained();
                }
            }
            Command::Halt => self.role = Role::Stopped,
        }
    }

    fn follow(&mut self, next: LogIndex) {
        self.verified = false;
        self.role = Role::Replaying {
            next,
            pending: VecDeque::new(),
            live: None,
        };
    }

    fn append_digest(&mut self) {
        if self.is_recording() {
            let digest = entry(ENTRY_DIGEST, &self.state.digest().to_le_bytes());
            self.append(vec![digest], Vec::new());
        }
    }

    fn record(&mut self, frame: &[u8]) {
        let mut entries = vec![entry(ENTRY_INPUT, frame)];
        let mut outputs = Vec::new();
        if let Some(reply) = self.state.apply(frame) {
            entries.push(entry(ENTRY_MARK, &[]));
            outputs.push((
                self.next.next(),
                vec![Output::Frame {
                    device: 0,
                    frame: reply.to_frame(),
                }],
            ));
        }
        let off = frame.get(HEADER.len()) == Some(&POWER_BUTTON);
        if off {
            entries.push(entry(ENTRY_OFF, &[]));
        }
        self.append(entries, outputs);
        if off {
            self.role = Role::Stopped;
            self.reports.push_back(Report::PoweredOff);
        }
    }

    fn append(&mut self, entries: Vec<Bytes>, outputs: Vec<(LogIndex, Vec<Output>)>) {
        let first = self.next;
        self.next = first.plus(entries.len() as u64);
        self.reports.push_back(Report::Appended {
            first,
            entries,
            outputs,
        });
    }

    /// A slice of time, in which `chance` decides what happens: the primary logs its progress, or its digest; the
    /// backup replays some entries.
    pub(crate) fn step(&mut self, chance: u64) {
        let (digest, chance) = (chance.is_multiple_of(20), chance / 20);
        match &mut self.role {
            Role::Recording if chance % 1_000 < u64::from(self.throttle) => {}
            Role::Recording => {
                let entry = if digest {
                    entry(ENTRY_DIGEST, &self.state.digest().to_le_bytes())
                } else {
                    entry(ENTRY_PROGRESS, &[])
                };
                let mut entries = vec![entry];
                entries.extend((0..self.busy).map(|_| self::entry(ENTRY_PROGRESS, &BUSY_PAYLOAD)));
                self.append(entries, Vec::new());
                if let Some(frame) = self.inputs.pop_front() {
                    self.record(&frame);
                }
            }
            Role::Replaying { .. } => {
                let budget = match self.speed {
                    Speed::Full => 1 + chance % 40,
                    Speed::Slow => 1 + chance % 3,
                    Speed::Crawling => u64::from(chance.is_multiple_of(5)),
                };
                self.replay(usize::try_from(budget).expect("small"));
            }
            Role::Waiting | Role::Stopped => {}
        }
    }

    fn replay(&mut self, budget: usize) {
        let Role::Replaying { next, pending, .. } = &mut self.role else {
            return;
        };
        let mut outputs = Vec::new();
        let mut produced = Vec::new();
        let mut diverged = false;
        let mut off = false;
        let mut agreed = false;
        let before = *next;
        for entry in pending.drain(..budget.min(pending.len())) {
            match entry.split_first() {
                Some((&ENTRY_INPUT, frame)) => {
                    let reply = self.state.apply(frame);
                    produced.extend(reply.map(|reply| Output::Frame {
                        device: 0,
                        frame: reply.to_frame(),
                    }));
                }
                Some((&ENTRY_MARK, _)) => outputs.push((*next, std::mem::take(&mut produced))),
                Some((&ENTRY_DIGEST, digest)) => {
                    diverged |= digest != self.state.digest().to_le_bytes();
                    agreed |= !diverged;
                }
                Some((&ENTRY_PROGRESS, _)) => {}
                Some((&ENTRY_OFF, _)) => off = true,
                _ => diverged = true,
            }
            if diverged {
                break;
            }
            next.0 += 1;
        }
        let applied = LogIndex(next.0 - 1);
        if diverged {
            self.role = Role::Stopped;
            self.reports.push_back(Report::Diverged(Divergence {
                after: Position(before.0),
                at: Position(applied.0 + 1),
                what: vec!["the toy's state".to_owned()],
            }));
            return;
        }
        if applied.0 + 1 > before.0 {
            self.reports.push_back(Report::Replayed {
                index: applied,
                outputs,
            });
        }
        if agreed && !std::mem::replace(&mut self.verified, true) {
            self.reports.push_back(Report::Verified);
        }
        if off {
            self.role = Role::Stopped;
            self.reports.push_back(Report::PoweredOff);
        }
        self.go_live_when_drained();
    }

    fn go_live_when_drained(&mut self) {
        if let Role::Replaying {
            next,
            pending,
            live: Some(live),
        } = &self.role
            && pending.is_empty()
        {
            assert_eq!(next, live, "a replica goes live exactly where its log ends");
            self.next = *live;
            self.role = Role::Recording;
        }
    }

    /// The next report.
    pub(crate) fn report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }
}
