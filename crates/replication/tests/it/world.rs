//! A cluster of cores in virtual time: network, arbiter, harts and state transfers, each of which can be made to
//! misbehave. Every event that a reader would miss is written into a transcript, and an observer outside judges
//! what the world gets to see.

use crate::observer::Observer;
use crate::random::Random;
use crate::words;
use bytes::Bytes;
use replication::{
    Action, ArbiterOperation, ArbiterReply, Config, Core, Duration, HostId, Instant, Local,
    LogIndex, MachineId, Message, Mode, NodeId, Nonce, Record, RequestId, TransferId,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const MESSAGE: u64 = 100;
const ARBITER: u64 = 1_000;
const SNAPSHOT: u64 = 2_000;
const STATE: u64 = 5_000;
const REPLAY: u64 = 50;
const VERIFY: u64 = 150;

/// What is on its way to a node.
#[derive(Clone, Debug)]
enum Event {
    Message(NodeId, Message),
    Local(Local),
    /// The bulk of a state transfer.
    State(NodeId, TransferId),
    /// The hart stands still for a snapshot.
    Snapshot(TransferId),
}

struct Node {
    core: Core,
    paused: bool,
    dead: bool,
    /// What came in while it was paused, in order.
    inbox: VecDeque<Event>,
    /// Transfers that it is ready to receive, and whether it has.
    receiving: Option<(NodeId, TransferId)>,
    arrived: BTreeSet<(NodeId, TransferId)>,
    /// Every entry that its hart has applied or appended, by its identity.
    history: Vec<u64>,
    /// Entries that its hart was given to replay.
    given: VecDeque<u64>,
    /// What it acknowledged last, so that the transcript leaves out what says nothing new.
    acknowledged: Option<(LogIndex, LogIndex, bool)>,
    last_timeout: Option<Instant>,
}

/// How the arbiter treats the next swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It takes effect, but the answer is lost.
    LostReply,
    /// It takes effect when `late_effect` says so; the answer is lost.
    Late,
}

pub(crate) struct World {
    pub(crate) now: u64,
    nodes: BTreeMap<NodeId, Node>,
    events: BTreeMap<(u64, u64), (NodeId, Event)>,
    sequence: u64,
    /// Directions in which messages are lost.
    cuts: BTreeSet<(NodeId, NodeId)>,
    /// Directions in which only small messages pass.
    pub(crate) narrow: BTreeSet<(NodeId, NodeId)>,
    record: Option<Record>,
    arbiter_down: bool,
    /// How long the arbiter takes for each answer.
    pub(crate) arbiter: u64,
    /// How often nodes look at the record; so seldom in most stories that none is told of it.
    pub(crate) look: u64,
    fault: Fault,
    late: Vec<(Option<Record>, Record)>,
    /// Nodes whose hart stands still, and what it would have said.
    pub(crate) stuck: BTreeSet<NodeId>,
    pub(crate) damage_state: bool,
    pub(crate) hold_state: bool,
    transcript: String,
    /// Delays, loses and repeats messages, if it is there.
    pub(crate) chaos: Option<Random>,
    pub(crate) observer: Observer,
    /// Whether the observer judges: not when nodes are lied to.
    pub(crate) judged: bool,
    snapshots: BTreeMap<(NodeId, TransferId), Vec<u64>>,
    appended: u64,
    /// Backups in whose present state a digest agreed.
    verified: BTreeSet<NodeId>,
    /// The entry with which the guest switched itself off.
    powered_off: Option<u64>,
}

/// A channel to `peer` is open, whose host is called as it is.
pub(crate) fn connected(peer: NodeId) -> Local {
    let host = HostId(peer.0);
    Local::Connected { peer, host }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            nodes: BTreeMap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            cuts: BTreeSet::new(),
            narrow: BTreeSet::new(),
            record: None,
            arbiter_down: false,
            arbiter: ARBITER,
            look: 1 << 40,
            fault: Fault::None,
            late: Vec::new(),
            stuck: BTreeSet::new(),
            damage_state: false,
            hold_state: false,
            transcript: String::new(),
            chaos: None,
            observer: Observer::default(),
            judged: true,
            snapshots: BTreeMap::new(),
            appended: 0,
            verified: BTreeSet::new(),
            powered_off: None,
        }
    }

    pub(crate) fn take_transcript(&mut self) -> String {
        std::mem::take(&mut self.transcript)
    }

    pub(crate) fn say(&mut self, line: &str) {
        let (ms, us) = (self.now / 1_000, self.now % 1_000);
        self.transcript
            .push_str(&format!("{ms:>6}.{us:03} {line}\n"));
    }

    pub(crate) fn add(&mut self, id: NodeId) {
        let mut config = Config::new(MachineId(1), id, id.0 as u64);
        config.bounds.window_entries_max = 64;
        config.times.look = Duration::from_us(self.look);
        self.add_configured(config);
    }

    pub(crate) fn add_configured(&mut self, config: Config) {
        let id = config.node;
        let node = Node {
            core: Core::new(config, Instant(self.now)),
            paused: false,
            dead: false,
            inbox: VecDeque::new(),
            receiving: None,
            arrived: BTreeSet::new(),
            history: Vec::new(),
            given: VecDeque::new(),
            acknowledged: None,
            last_timeout: None,
        };
        self.nodes.insert(id, node);
    }

    pub(crate) fn core(&self, id: NodeId) -> &Core {
        &self.nodes[&id].core
    }

    /// Nodes that neither died nor halted.
    pub(crate) fn living(&self) -> Vec<NodeId> {
        let living = self.nodes.iter().filter(|(_, node)| !node.dead);
        living.map(|(id, _)| *id).collect()
    }

    pub(crate) fn is_paused(&self, id: NodeId) -> bool {
        self.nodes[&id].paused
    }

    /// A node hears something, whoever said it.
    pub(crate) fn hear(&mut self, id: NodeId, from: NodeId, message: Message) {
        self.deliver(id, Event::Message(from, message));
    }

    /// Something happens on a node, at once.
    pub(crate) fn local(&mut self, id: NodeId, local: Local) {
        self.deliver(id, Event::Local(local));
    }

    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn heal(&mut self, from: NodeId, to: NodeId) {
        self.cuts.remove(&(from, to));
    }

    pub(crate) fn kill(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.dead = true;
        }
    }

    pub(crate) fn pause(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.paused = true;
        }
    }

    /// The paused process goes on: its timer fires before it reads what came in meanwhile.
    pub(crate) fn resume(&mut self, id: NodeId) {
        let now = Instant(self.now);
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.paused = false;
        let inbox = std::mem::take(&mut node.inbox);
        node.core.handle_timeout(now);
        self.drain(id);
        for event in inbox {
            self.deliver(id, event);
        }
    }

    /// As [`World::resume`], but it reads what came in before it looks at its timer.
    pub(crate) fn resume_late(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.paused = false;
        for event in std::mem::take(&mut node.inbox) {
            self.deliver(id, event);
        }
    }

    pub(crate) fn arbiter(&mut self, down: bool) {
        self.arbiter_down = down;
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.fault = fault;
    }

    /// A swap that was answered by nothing takes effect now.
    pub(crate) fn late_effect(&mut self) {
        for (expected, new) in std::mem::take(&mut self.late) {
            let took = self.record == expected;
            if took {
                self.record = Some(new);
                self.observer.record(new);
            }
            let effect = if took {
                "takes effect"
            } else {
                "has no effect"
            };
            self.say(&format!(
                "the arbiter: the late swap to {} {effect}",
                words::record(Some(new))
            ));
        }
    }

    /// An operator ends what the record says (`futago arbiter recover`).
    pub(crate) fn recover(&mut self) {
        let before = self.record.expect("there is a record to recover from");
        let new = Record {
            epoch: before.epoch.next(),
            mode: Mode::Down,
            owner: NodeId(u128::MAX),
            nonce: Nonce(u128::from(before.epoch.0)),
            ..before
        };
        self.record = Some(new);
        self.observer.record(new);
    }

    pub(crate) fn record(&self) -> Option<Record> {
        self.record
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, us: u64) {
        let end = self.now + us;
        loop {
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let timeout = self
                .nodes
                .iter()
                .filter(|(_, node)| !node.dead && !node.paused)
                .filter_map(|(id, node)| Some((node.core.poll_timeout()?.0.max(self.now), *id)))
                .min();
            let next = event.into_iter().chain(timeout.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = next;
            if event == Some(next) {
                if let Some((_, (to, event))) = self.events.pop_first() {
                    self.deliver(to, event);
                }
            } else if let Some((_, id)) = timeout {
                let now = Instant(self.now);
                let node = self.nodes.get_mut(&id).expect("taken from the map above");
                assert_ne!(
                    node.last_timeout
                        .replace(now)
                        .filter(|_| node.core.poll_timeout().is_some_and(|due| due.0 == 0)),
                    Some(now),
                    "a timeout that is due must not stay due"
                );
                node.core.handle_timeout(now);
                let due = node.core.poll_timeout();
                assert!(
                    due.is_none_or(|due| due > now),
                    "{id:?}: still due at {now:?}"
                );
                self.drain(id);
            }
        }
    }

    fn post(&mut self, after: u64, to: NodeId, event: Event) {
        self.sequence += 1;
        self.events
            .insert((self.now + after, self.sequence), (to, event));
    }

    fn deliver(&mut self, to: NodeId, event: Event) {
        let now = Instant(self.now);
        // The bulk is on a reliable channel: a cut delays it.
        let hold_state = |from| self.hold_state || self.cuts.contains(&(from, to));
        let Some(node) = self.nodes.get_mut(&to).filter(|node| !node.dead) else {
            return;
        };
        if node.paused {
            node.inbox.push_back(event);
            return;
        }
        match event {
            Event::Message(from, message) => node.core.handle_message(now, from, message),
            Event::Local(local) => {
                if let Local::Replayed { index } = local {
                    while (node.history.len() as u64) < index.0
                        && let Some(entry) = node.given.pop_front()
                    {
                        node.history.push(entry);
                    }
                }
                if let Local::Verified = local {
                    self.verified.insert(to);
                }
                let restored = matches!(local, Local::StateRestored { intact: true, .. });
                let replayed = matches!(local, Local::Replayed { .. });
                node.core.handle_local(now, local);
                if restored && !self.stuck.contains(&to) {
                    self.post(VERIFY, to, Event::Local(Local::Verified));
                }
                let node = self.nodes.get_mut(&to).expect("it was found above");
                if replayed
                    && self
                        .powered_off
                        .is_some_and(|off| node.history.contains(&off))
                {
                    node.core.handle_local(now, Local::PoweredOff);
                }
            }
            Event::Snapshot(transfer) => {
                let history = node.history.clone();
                let from = LogIndex(history.len() as u64).next();
                let local = Local::SnapshotTaken { transfer, from };
                self.snapshots.insert((to, transfer), history);
                node.core.handle_local(now, local);
            }
            Event::State(from, transfer) => {
                if hold_state(from) {
                    self.post(ARBITER, to, Event::State(from, transfer));
                    return;
                }
                node.arrived.insert((from, transfer));
                self.restore(to);
            }
        }
        self.drain(to);
    }

    fn restore(&mut self, id: NodeId) {
        let intact = !self.damage_state;
        let node = self.nodes.get_mut(&id).expect("only known nodes receive");
        let Some((from, transfer)) = node.receiving.filter(|t| node.arrived.contains(t)) else {
            return;
        };
        node.receiving = None;
        node.given.clear();
        node.history = self.snapshots[&(from, transfer)].clone();
        let damaged = if intact { "" } else { ", damaged" };
        self.say(&format!("{}: state restored{damaged}", words::node(id)));
        self.post(
            0,
            id,
            Event::Local(Local::StateRestored { transfer, intact }),
        );
    }

    fn drain(&mut self, id: NodeId) {
        while let Some(action) = self.nodes.get_mut(&id).and_then(|n| n.core.poll_action()) {
            self.narrate(id, &action);
            self.observe(id, &action);
            self.perform(id, action);
        }
    }

    fn narrate(&mut self, id: NodeId, action: &Action) {
        if let Action::Send {
            message:
                Message::Acknowledge {
                    held,
                    replayed,
                    ready,
                    beyond,
                    ..
                },
            ..
        } = action
            && beyond.is_empty()
        {
            let said = Some((*held, *replayed, *ready));
            let node = self.nodes.get_mut(&id).expect("it acts");
            if std::mem::replace(&mut node.acknowledged, said) == said {
                return;
            }
        }
        if let Some(line) = words::action(id, action) {
            self.say(&line);
        }
    }

    fn observe(&mut self, id: NodeId, action: &Action) {
        let node = &self.nodes[&id];
        assert!(!node.dead, "I9: {id:?} acts after its halt: {action:?}");
        let backup = self.record.filter(|record| record.owner == id);
        let backup = backup.and_then(|record| record.backup());
        let held = backup.map(|backup| {
            let node = &self.nodes[&backup];
            LogIndex((node.history.len() + node.given.len()) as u64)
        });
        if self.judged {
            self.observer.action(id, action, &node.history, held);
        }
    }

    fn perform(&mut self, id: NodeId, action: Action) {
        match action {
            Action::Send { to, .. } if self.cuts.contains(&(id, to)) => {}
            Action::Send { to, message }
                if message.entry_bytes() > 0 && self.narrow.contains(&(id, to)) => {}
            Action::Send { to, message } => {
                let mut copies = vec![MESSAGE];
                if let Some(random) = &mut self.chaos {
                    copies = match random.below(100) {
                        0 => vec![],
                        1 => vec![random.below(2_000), random.below(20_000)],
                        2..5 => vec![random.below(20_000)],
                        _ => vec![random.below(200)],
                    };
                }
                for after in copies {
                    self.post(after, to, Event::Message(id, message.clone()));
                }
            }
            Action::Arbiter { request, operation } => self.arbitrate(id, request, operation),
            Action::TakeSnapshot { transfer } => {
                if self.chaos.is_some() && self.judged {
                    self.observer.pause(id, self.now, SNAPSHOT);
                }
                self.post(SNAPSHOT, id, Event::Snapshot(transfer));
            }
            Action::SendState { to, transfer } => {
                self.post(STATE, to, Event::State(id, transfer));
            }
            Action::ReceiveState { from, transfer, .. } => {
                self.verified.remove(&id);
                self.nodes.get_mut(&id).expect("it acts").receiving = Some((from, transfer));
                self.restore(id);
            }
            Action::AbandonTransfer { transfer } => {
                let node = self.nodes.get_mut(&id).expect("it acts");
                node.receiving = node.receiving.filter(|(_, t)| *t != transfer);
            }
            Action::Replay { first, entries } => {
                let node = self.nodes.get_mut(&id).expect("it acts");
                let index = first.plus(entries.len() as u64).previous();
                node.given.extend(entries.iter().map(identity));
                if !self.stuck.contains(&id) {
                    let local = Local::Replayed { index };
                    self.post(REPLAY, id, Event::Local(local));
                }
            }
            Action::Halt { .. } => self.kill(id),
            _ => {}
        }
    }

    /// The stuck hart goes on.
    pub(crate) fn unstick(&mut self, id: NodeId) {
        self.stuck.remove(&id);
        let node = &self.nodes[&id];
        let index = LogIndex((node.history.len() + node.given.len()) as u64);
        self.local(id, Local::Replayed { index });
        self.local(id, Local::Verified);
    }

    pub(crate) fn append(&mut self, id: NodeId, count: usize, marks: Vec<u32>) {
        let mut entries = Vec::new();
        let node = self.nodes.get_mut(&id).expect("only known nodes append");
        for _ in 0..count {
            self.appended += 1;
            node.history.push(self.appended);
            entries.push(Bytes::copy_from_slice(&self.appended.to_be_bytes()));
        }
        self.local(id, Local::Appended { entries, marks });
    }

    /// The guest on a node switches itself off.
    pub(crate) fn power_off(&mut self, id: NodeId) {
        self.append(id, 1, vec![0]);
        self.powered_off = Some(self.appended);
        self.local(id, Local::PoweredOff);
    }

    /// Whether the guest on this node has switched itself off.
    pub(crate) fn is_off(&self, id: NodeId) -> bool {
        let history = &self.nodes[&id].history;
        self.powered_off.is_some_and(|off| history.contains(&off))
    }

    fn arbitrate(&mut self, id: NodeId, request: RequestId, operation: ArbiterOperation) {
        let reply = if self.arbiter_down {
            ArbiterReply::Unavailable
        } else {
            match operation {
                ArbiterOperation::Read => ArbiterReply::Current(self.record),
                ArbiterOperation::Swap { expected, new } => self.swap(expected, new),
                ArbiterOperation::Prepare { .. } => return,
            }
        };
        self.say(&format!("the arbiter: {}", words::reply(&reply)));
        let local = Local::Arbiter { request, reply };
        self.post(self.arbiter, id, Event::Local(local));
    }

    fn swap(&mut self, expected: Option<Record>, new: Record) -> ArbiterReply {
        match std::mem::replace(&mut self.fault, Fault::None) {
            Fault::Late => {
                self.late.push((expected, new));
                ArbiterReply::Unavailable
            }
            fault => {
                if self.record != expected {
                    return ArbiterReply::Refused(self.record);
                }
                let verified = |backup| self.verified.contains(&backup) || !self.judged;
                assert!(
                    new.backup().is_none_or(verified),
                    "I7: no digest of the backup's state was compared: {new:?}"
                );
                self.record = Some(new);
                self.observer.record(new);
                match fault {
                    Fault::LostReply => ArbiterReply::Unavailable,
                    _ => ArbiterReply::Current(self.record),
                }
            }
        }
    }
}

fn identity(entry: &Bytes) -> u64 {
    entry
        .iter()
        .fold(0, |identity, byte| (identity << 8) | u64::from(*byte))
}
