//! A peer that says anything to the core of the protocol, whatever that is just then, while its own node is honest. Its lies may
//! cost the pair; they end no node, make none speak without right, hold much, or turn in circles.

use std::collections::VecDeque;

use bytes::Bytes;
use replication::{
    Action, ArbiterOperation, ArbiterReply, Config, Core, Duration, Epoch, HaltReason, HostId,
    Instant, LeaveReason, Local, LogIndex, MachineId, Message, Mode, NodeId, Nonce, Record,
    Refusal, RoleStatus, Room, TransferId,
};

use crate::{Memory, Stops};

const ME: NodeId = NodeId(1);
const PEERS: std::ops::Range<u128> = 2..4;
const MACHINE: MachineId = MachineId(7);
const DEEDS_MAX: usize = 400;
/// Actions and answers that follow from one deed, at most.
const ACTIONS_MAX: usize = 10_000;
/// Timeouts at one instant until nothing is due any more, at most.
const TIMEOUTS_MAX: usize = 16;
/// Longest entry.
const ENTRY_BYTES_MAX: usize = 1 << 10;

/// A node around the core, and the record that the arbiter holds.
struct Node {
    config: Config,
    core: Core,
    now: u64,
    record: Option<Record>,
    /// All that it ever held.
    records: Vec<Record>,
    arbiter_answers: bool,
    /// The last entry that its hart has written, or was given.
    last: u64,
    verified: bool,
    /// Its hart has no time to replay; the last entry that it was given meanwhile.
    stands: bool,
    waiting: Option<u64>,
    /// What it has told its peers, which they may say again.
    told: Told,
}

#[derive(Clone, Copy, Default)]
struct Told {
    transfer: u128,
    attempt: u64,
    stamp: u64,
}

/// The bytes that are left; zeros follow the last.
struct Spelled<'a>(&'a [u8]);

impl Spelled<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number that the node may know, one beside it, or any other.
    fn number(&mut self, node: &Node) -> u64 {
        let status = node.core.status();
        let kind = self.byte();
        let near = u64::from(kind >> 5);
        match kind % 16 {
            0 => near,
            1 => u64::MAX - near,
            2 => (1 << 63) - 4 + near,
            3 | 4 => node.last.wrapping_add(near),
            5 => node.last.wrapping_sub(near),
            6 => status.held.0.wrapping_add(near),
            7 => status.acknowledged.0.wrapping_add(near),
            8 | 9 => status.epoch.0.wrapping_add(near),
            10 => status.epoch.0.wrapping_sub(near),
            11 => node.told.stamp.wrapping_add(near),
            12 => node.now.wrapping_add(near),
            13 => node.told.attempt.wrapping_add(near),
            14 => u64::from(self.byte()) << (near * 8),
            _ => (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte())),
        }
    }

    fn index(&mut self, node: &Node) -> LogIndex {
        LogIndex(self.number(node))
    }

    /// Mostly the epoch that is.
    fn epoch(&mut self, node: &Node) -> Epoch {
        match self.byte() % 4 {
            0 => Epoch(self.number(node)),
            _ => node.core.status().epoch,
        }
    }

    /// Mostly the transfer that is.
    fn transfer(&mut self, node: &Node) -> TransferId {
        TransferId(match self.byte() % 8 {
            0 => u128::from(self.number(node)) << 64 | u128::from(self.byte()),
            1 => node.told.transfer.wrapping_add(1 << 64),
            _ => node.told.transfer,
        })
    }

    fn entries(&mut self) -> Vec<Bytes> {
        let count = match self.byte() % 16 {
            0 => 300,
            count => usize::from(count % 4),
        };
        let len = match self.byte() % 8 {
            0 => ENTRY_BYTES_MAX,
            len => usize::from(len),
        };
        vec![Bytes::from(vec![7; len]); count]
    }
}

impl Node {
    fn new(kind: u8) -> Self {
        let mut config = Config::new(MACHINE, ME, u64::from(kind));
        if kind & 2 == 0 {
            // Bounds that are met soon.
            let bounds = &mut config.bounds;
            bounds.window_entries_max = 50;
            bounds.window_bytes_max = 8_000;
            bounds.unreplayed_entries_max = 300;
            bounds.unreplayed_bytes_max = 8_000;
            bounds.held_marks_max = 4;
            bounds.candidates_max = 1;
        }
        let core = Core::new(config.clone(), Instant(0));
        Self {
            config,
            core,
            now: 0,
            record: None,
            records: Vec::new(),
            arbiter_answers: true,
            last: 0,
            verified: false,
            stands: false,
            waiting: None,
            told: Told::default(),
        }
    }

    fn local(&mut self, local: Local) {
        self.core.handle_local(Instant(self.now), local);
    }

    fn connect(&mut self, peer: NodeId) {
        let host = HostId(peer.0);
        self.local(Local::Connected { peer, host });
    }

    fn set_record(&mut self, record: Record) {
        self.record = Some(record);
        self.records.push(record);
    }

    /// Does what the core asks for, until it asks no more.
    fn answer(&mut self, intact: bool) {
        let mut locals = VecDeque::new();
        for _ in 0..ACTIONS_MAX {
            if let Some(action) = self.core.poll_action() {
                locals.extend(self.perform(action, intact));
            } else if let Some(local) = locals.pop_front() {
                let local = match local {
                    // The hart takes it where it is by then.
                    Local::SnapshotTaken { transfer, .. } => Local::SnapshotTaken {
                        transfer,
                        from: LogIndex(self.last + 1),
                    },
                    local => local,
                };
                self.local(local);
            } else {
                return;
            }
        }
        panic!("it asks for more and more");
    }

    fn perform(&mut self, action: Action, intact: bool) -> Vec<Local> {
        match action {
            Action::Send { message, .. } => self.note(&message),
            Action::Arbiter { request, operation } => {
                let reply = self.ask(operation);
                return reply
                    .map(|reply| Local::Arbiter { request, reply })
                    .into_iter()
                    .collect();
            }
            Action::TakeSnapshot { transfer } => {
                let from = LogIndex(self.last + 1);
                return vec![Local::SnapshotTaken { transfer, from }];
            }
            Action::SendState { transfer, .. } => {
                self.told.transfer = transfer.0;
                return vec![Local::TransferProgress {
                    transfer,
                    bytes: 1,
                    total: 4,
                }];
            }
            Action::ReceiveState { transfer, next, .. } => {
                self.last = next.0.checked_sub(1).expect("the first entry has index 1");
                (self.verified, self.waiting) = (false, None);
                return vec![Local::StateRestored { transfer, intact }];
            }
            Action::Replay { first, entries } => {
                assert_eq!(first.0, self.last + 1, "the log has a hole");
                self.last += entries.len() as u64;
                self.waiting = Some(self.last);
                return self.replay();
            }
            Action::Run { epoch }
            | Action::GoLive { epoch, .. }
            | Action::Release { epoch, .. } => {
                let mine = |record: &Record| record.epoch == epoch && record.owner == ME;
                assert!(
                    self.records.iter().any(mine),
                    "it acts without right in {epoch:?}"
                );
            }
            Action::Halt { reason } => self.judge_halt(&reason),
            _ => {}
        }
        Vec::new()
    }

    /// Says how far its hart has replayed, if it has.
    fn replay(&mut self) -> Vec<Local> {
        let mut locals = Vec::new();
        if !self.stands
            && let Some(last) = self.waiting.take()
        {
            let index = LogIndex(last);
            locals.push(Local::Replayed { index });
            if !std::mem::replace(&mut self.verified, true) {
                locals.push(Local::Verified);
            }
        }
        locals
    }

    /// It ends because of what is so, not of what somebody says.
    fn judge_halt(&self, reason: &HaltReason) {
        match reason {
            HaltReason::Lost { record } => {
                assert!(
                    self.records.contains(record),
                    "nobody ever wrote {record:?}"
                );
                assert_ne!(record.owner, ME);
            }
            // Of a backup, or of who asked to be one: its primary says so, and nothing is lost.
            HaltReason::PoweredOff | HaltReason::Dismissed | HaltReason::OtherMachine => {
                let owns = self.record.is_some_and(|record| record.owner == ME);
                assert!(!owns, "the machine itself ends: {reason:?}");
            }
            HaltReason::OtherStore { claimed, .. } => {
                assert!(!self.records.contains(claimed), "it is this store's");
                if let Some(record) = self.record.filter(|record| record.owner == ME) {
                    assert_eq!(record.mode, Mode::Solo, "a protected owner ends");
                    assert!(PEERS.contains(&claimed.owner.0), "not an owner's own word");
                }
            }
            // It was told to, and another has the state.
            HaltReason::Left => {
                let alone = |record: Record| record.owner == ME && record.backup().is_none();
                assert!(!self.record.is_some_and(alone), "the only state ends");
            }
            HaltReason::Diverged => panic!("nothing differs"),
        }
    }

    fn note(&mut self, message: &Message) {
        match message {
            Message::Join { attempt, .. } => self.told.attempt = *attempt,
            Message::TransferStart { transfer, .. } => self.told.transfer = transfer.0,
            Message::Append { stamp, .. } | Message::Heartbeat { stamp, .. } => {
                self.told.stamp = *stamp;
            }
            _ => {}
        }
    }

    fn ask(&mut self, operation: ArbiterOperation) -> Option<ArbiterReply> {
        let reply = match operation {
            ArbiterOperation::Prepare { .. } => return None,
            _ if !self.arbiter_answers => ArbiterReply::Unavailable,
            ArbiterOperation::Read => ArbiterReply::Current(self.record),
            ArbiterOperation::Swap { expected, new } if expected == self.record => {
                assert!(
                    new.epoch > self.record.map_or(Epoch(0), |record| record.epoch),
                    "I1"
                );
                self.set_record(new);
                ArbiterReply::Current(self.record)
            }
            ArbiterOperation::Swap { .. } => ArbiterReply::Refused(self.record),
        };
        Some(reply)
    }

    fn timeout(&mut self, intact: bool) {
        for _ in 0..TIMEOUTS_MAX {
            self.core.handle_timeout(Instant(self.now));
            self.answer(intact);
            if (self.core.poll_timeout()).is_none_or(|due| due.0 > self.now) {
                return;
            }
        }
        panic!("it turns in circles: {:?}", self.core.status());
    }

    fn is_primary(&self) -> bool {
        self.core.status().role == RoleStatus::Primary
    }

    fn judge_memory(&self) {
        let (status, footprint) = (self.core.status(), self.core.footprint());
        let bounds = &self.config.bounds;
        let entry = ENTRY_BYTES_MAX as u64 * 300;
        assert!(
            status.flow.buffered_bytes <= bounds.unreplayed_bytes_max + entry,
            "{status:?}"
        );
        assert!(
            status.flow.waiting_bytes <= 2 * bounds.window_bytes_max + entry,
            "{status:?}"
        );
        assert!(
            footprint.candidates <= bounds.candidates_max.max(1),
            "{footprint:?}"
        );
        assert!(footprint.unreplayed_entries as u64 <= bounds.unreplayed_entries_max + 300);
        assert!(
            footprint.connected <= 2 && footprint.pacing <= 64,
            "{footprint:?}"
        );
    }
}

/// Runs the deeds that `bytes` spell.
pub(crate) fn protocol(bytes: &[u8], stops: &mut Stops) {
    let memory = Memory::begin();
    deeds(bytes, stops);
    stops.memory_bytes = Some(memory.peak_bytes());
}

fn deeds(bytes: &[u8], stops: &mut Stops) {
    let mut spelled = Spelled(bytes);
    let kind = spelled.byte();
    let mut node = Node::new(kind);
    for peer in PEERS {
        node.connect(NodeId(peer));
    }
    if kind & 1 == 0 {
        node.local(Local::Start);
    } else {
        node.set_record(Record {
            machine: MACHINE,
            epoch: Epoch(1),
            mode: Mode::Solo,
            owner: NodeId(PEERS.start),
            nonce: Nonce(1),
        });
        node.local(Local::Join);
    }
    node.answer(true);
    for _ in 0..DEEDS_MAX {
        if spelled.0.is_empty() {
            return;
        }
        stops.begin();
        act(&mut node, &mut spelled);
        stops.lap(true);
        node.judge_memory();
    }
}

fn act(node: &mut Node, spelled: &mut Spelled<'_>) {
    let what = spelled.byte();
    let peer = NodeId(PEERS.start + u128::from(what >> 7));
    let intact = what & 0x60 != 0x60;
    match what % 16 {
        0 | 1 => {
            let step = u64::from(spelled.byte()) * 2_000;
            node.now += step;
            node.timeout(intact);
        }
        // At once when something is due.
        2 => {
            let due = node.core.poll_timeout().map_or(node.now, |due| due.0);
            // Nobody waits for centuries.
            node.now = node.now.max(due.min(node.now + 100_000_000));
            node.timeout(intact);
        }
        3 | 4 if node.is_primary() => {
            let entries = spelled.entries();
            node.last += entries.len() as u64;
            let marks = (0..entries.len() as u32).step_by(3).collect();
            node.local(Local::Appended { entries, marks });
        }
        5 => {
            node.local(Local::Disconnected { peer });
            node.answer(intact);
            node.connect(peer);
        }
        6 => node.arbiter_answers = !spelled.byte().is_multiple_of(4),
        8 => {
            node.stands ^= true;
            for local in node.replay() {
                node.local(local);
            }
        }
        9 if spelled.0.first().is_some_and(|byte| byte % 8 == 7) => node.local(Local::Leave),
        // The peer is the machine, and does with the record what it may.
        7 => {
            if let Some(record) = node.record
                && PEERS.contains(&record.owner.0)
            {
                let mode = match spelled.byte() % 3 {
                    0 => Mode::Solo,
                    _ => Mode::Pair { backup: ME },
                };
                node.set_record(Record {
                    epoch: Epoch(record.epoch.0 + 1),
                    mode,
                    nonce: Nonce(record.nonce.0 + 1),
                    ..record
                });
            }
        }
        _ => {
            let message = message(node, spelled);
            if let Message::TransferStart { transfer, .. } = &message {
                node.told.transfer = transfer.0;
            }
            let now = Instant(node.now);
            node.core.handle_message(now, peer, message);
        }
    }
    node.answer(intact);
}

fn message(node: &Node, spelled: &mut Spelled<'_>) -> Message {
    match spelled.byte() % 16 {
        1 => Message::Known {
            record: spelled.flag().then(|| Record {
                machine: MachineId(if spelled.byte() == 0 { 8 } else { MACHINE.0 }),
                epoch: spelled.epoch(node),
                mode: match spelled.byte() % 3 {
                    0 => Mode::Solo,
                    1 => Mode::Down,
                    _ => Mode::Pair { backup: ME },
                },
                owner: NodeId(u128::from(spelled.byte() % 5)),
                nonce: Nonce(u128::from(spelled.byte())),
            }),
        },
        0 => Message::Join {
            machine: MachineId(if spelled.byte() == 0 { 8 } else { MACHINE.0 }),
            attempt: spelled.number(node),
            room_bytes: u64::MAX - u64::from(spelled.byte()),
        },
        2 => Message::Later {
            attempt: spelled.number(node),
            why: Refusal::PausesSpent,
            wait: Duration::from_us(spelled.number(node)),
        },
        3 => Message::TransferStart {
            epoch: spelled.epoch(node),
            transfer: spelled.transfer(node),
            attempt: match spelled.flag() {
                true => node.told.attempt,
                false => spelled.number(node),
            },
            from: spelled.index(node),
        },
        4..=7 => Message::Append {
            epoch: spelled.epoch(node),
            transfer: spelled.transfer(node),
            first: spelled.index(node),
            entries: spelled.entries(),
            released: spelled.index(node),
            urgent: spelled.flag(),
            stamp: spelled.number(node),
        },
        8..=11 => Message::Acknowledge {
            epoch: spelled.epoch(node),
            transfer: spelled.transfer(node),
            held: spelled.index(node),
            replayed: spelled.index(node),
            ready: spelled.flag(),
            room: Room {
                bytes: spelled.number(node),
                entries: spelled.number(node),
            },
            beyond: (0..spelled.byte() % 4)
                .map(|_| (spelled.index(node), spelled.index(node)))
                .collect(),
            echo: spelled.number(node),
            echo_age: Duration::from_us(spelled.number(node)),
        },
        12 | 13 => Message::Heartbeat {
            epoch: spelled.epoch(node),
            transfer: spelled.transfer(node),
            last: spelled.index(node),
            released: spelled.index(node),
            paired: spelled.flag(),
            urgent: spelled.flag(),
            stamp: spelled.number(node),
        },
        14 if spelled.byte().is_multiple_of(4) => Message::Diverged {
            transfer: spelled.transfer(node),
        },
        _ => Message::Leave {
            transfer: spelled.flag().then(|| spelled.transfer(node)),
            reason: match spelled.byte() % 32 {
                0 => LeaveReason::OtherMachine,
                1 => LeaveReason::Dismissed,
                2 => LeaveReason::PoweredOff,
                3..=16 => LeaveReason::Superseded {
                    epoch: Epoch(spelled.number(node)),
                },
                17..=24 => LeaveReason::StateDamaged,
                _ => LeaveReason::Stopping,
            },
        },
    }
}
