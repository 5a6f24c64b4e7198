//! One node process of a simulated cluster: the protocol core, a hart, and the bridge between them that
//! `node` runs too. It has no notion of the others; the cluster carries what it says.

use crate::clock::Clock;
use crate::computer::Computer;
use crate::fingerprint::Fingerprint;
use crate::joiners::Unfit;
use bytes::Bytes;
use machine::{Input, Output};
use replica::{Bridge, HartCommand, HartReport};
use replication::{
    Action, Core, Epoch, HaltReason, Instant, Local, LogIndex, Message, NodeId, TransferId,
};
use std::collections::{BTreeMap, VecDeque};

/// A hart that is a thread of its own takes at most so long to restore a state, in microseconds.
const RESTORE_US_MAX: u64 = 400_000;

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs.
    Running,
    /// It is stopped (SIGSTOP) and knows nothing of the time that passes.
    Paused,
    /// It was killed.
    Crashed,
    /// It ended itself.
    Halted,
}

/// Something that reaches a process.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// A message from a peer.
    Message { from: NodeId, message: Message },
    /// Something on its own host.
    Local(Local),
    /// A frame for the machine.
    Frame(Vec<u8>),
    /// The bytes of a state transfer.
    State {
        transfer: TransferId,
        from: NodeId,
        state: Bytes,
    },
}

/// What the cluster must carry or show to the judge after a process acted.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The core asked for this.
    Action(Action),
    /// Outputs leave under the owner's epoch, each with the log index of its mark.
    Leaves {
        epoch: Epoch,
        outputs: Vec<(Option<LogIndex>, Output)>,
    },
    /// It tells the switch that it is the machine now.
    Announces { epoch: Epoch },
    /// Its machine agreed with a digest for the first time since it was restored.
    Verified,
    /// Its machine found that it differs from the owner's.
    Diverges,
    /// Its hart took a snapshot for this transfer.
    Snapshot { transfer: TransferId },
    /// Its host kills it.
    Dies,
    /// It goes live after having been a backup, its next entry being `next`.
    GoesLive {
        next: LogIndex,
        fingerprint: Fingerprint,
    },
    /// Its machine appended entries as the owner.
    Appended { fingerprint: Fingerprint },
    /// Its machine replayed entries as a backup.
    Replayed { fingerprint: Fingerprint },
    /// The bytes of a transfer are to be carried.
    State {
        to: NodeId,
        transfer: TransferId,
        state: Bytes,
    },
}

/// The process.
#[derive(Debug)]
pub(crate) struct Process {
    /// The host that it runs on.
    pub(crate) host: usize,
    /// Its name in the protocol, of this life only.
    pub(crate) node: NodeId,
    /// Its host's clock.
    pub(crate) clock: Clock,
    /// Whether it runs.
    pub(crate) life: Life,
    /// Why it ended itself.
    pub(crate) halted: Option<HaltReason>,
    /// What arrived while it was paused.
    pub(crate) inbox: VecDeque<Arrival>,
    /// The protocol.
    pub(crate) core: Core,
    /// The machine.
    pub(crate) computer: Computer,
    /// Its state was damaged on purpose.
    pub(crate) corrupted: bool,
    /// The guest has switched itself off.
    pub(crate) guest_is_off: bool,
    /// When its hart gets the next slice.
    pub(crate) hart_at: Option<u64>,
    bridge: Bridge,
    /// The hart's thread takes its commands only when its turn comes.
    lagging: bool,
    pub(crate) unfit: Option<Unfit>,
    snapshot_us_max: u64,
    commands: VecDeque<HartCommand>,
    /// Until when its thread is busy with the command that is first in line.
    busy_until: Option<u64>,
    /// Its host is about to kill it.
    dies: bool,
    /// What the hart reported, and the machine's state after that where nothing came in between.
    reports: VecDeque<(HartReport, Option<Fingerprint>)>,
    /// Outputs by mark as the hart reported them, less those that left or that the core had forgotten.
    produced: VecDeque<(LogIndex, Output)>,
    /// Index of the last entry that its hart appended or replayed.
    last: LogIndex,
    /// The transfer that it was told to receive.
    expected: Option<(NodeId, TransferId)>,
    /// States that came in before they were expected.
    early: BTreeMap<(NodeId, TransferId), Bytes>,
}

/// How a process is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// Bytes of outputs that its gate holds.
    pub(crate) gate_bytes_max: usize,
    /// Whether its hart is a thread of its own, which takes commands later.
    pub(crate) lagging: bool,
    /// Its host's clock.
    pub(crate) clock: Clock,
    /// In which way it cannot become a backup.
    pub(crate) unfit: Option<Unfit>,
    /// How long its guest stands still for a snapshot, at most.
    pub(crate) snapshot_us_max: u64,
}

impl Process {
    /// A process on `host`, called `node`.
    pub(crate) fn new(
        host: usize,
        node: NodeId,
        core: Core,
        computer: Computer,
        build: Build,
    ) -> Self {
        Self {
            host,
            node,
            clock: build.clock,
            life: Life::Running,
            halted: None,
            inbox: VecDeque::new(),
            core,
            computer,
            corrupted: false,
            guest_is_off: false,
            hart_at: None,
            bridge: Bridge::new(build.gate_bytes_max),
            lagging: build.lagging,
            unfit: build.unfit,
            snapshot_us_max: build.snapshot_us_max,
            commands: VecDeque::new(),
            busy_until: None,
            dies: false,
            reports: VecDeque::new(),
            produced: VecDeque::new(),
            last: LogIndex(0),
            expected: None,
            early: BTreeMap::new(),
        }
    }

    /// Something reaches it while it runs.
    pub(crate) fn arrive(&mut self, now: Instant, arrival: Arrival, effects: &mut Vec<Effect>) {
        match arrival {
            Arrival::Message { from, message } => self.core.handle_message(now, from, message),
            Arrival::Local(local) => self.core.handle_local(now, local),
            Arrival::Frame(frame) => {
                self.command(now, HartCommand::Input(Input::Frame { device: 0, frame }));
            }
            Arrival::State {
                transfer,
                from,
                state,
            } => {
                self.early.insert((from, transfer), state);
                self.restore_when_ready(now);
            }
        }
        self.settle(now, effects);
    }

    /// The protocol's timer is due.
    pub(crate) fn timeout(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.core.handle_timeout(now);
        self.settle(now, effects);
    }

    /// The hart gets a slice of time: `chance` decides what the toy does with it. Says when it wants the next one, in
    /// microseconds.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        chance: u64,
        effects: &mut Vec<Effect>,
    ) -> Option<u64> {
        while let Some(command) = self.commands.pop_front() {
            let busy_us_max = match command {
                HartCommand::Restore { .. } if self.lagging => RESTORE_US_MAX,
                HartCommand::TakeSnapshot { .. } => self.snapshot_us_max,
                _ => 0,
            };
            if busy_us_max > 0 && self.busy_until.is_none() {
                self.busy_until = Some(now.0 + chance % busy_us_max);
            }
            if let Some(until) = self.busy_until.filter(|until| *until > now.0) {
                self.commands.push_front(command);
                self.settle(now, effects);
                return Some(until);
            }
            self.busy_until = None;
            self.command_now(now, command);
        }
        let again = self.computer.step(now, chance);
        self.collect_reports();
        self.settle(now, effects);
        again
    }

    /// Whether commands wait for the hart.
    pub(crate) fn wants_hart(&self) -> bool {
        let idle = self.busy_until.is_none();
        idle && (!self.commands.is_empty() || self.computer.wants_step())
    }

    fn command(&mut self, now: Instant, command: HartCommand) {
        let waits = matches!(command, HartCommand::TakeSnapshot { .. }) && self.snapshot_us_max > 0;
        if self.lagging || waits {
            self.commands.push_back(command);
        } else {
            self.command_now(now, command);
        }
    }

    fn command_now(&mut self, now: Instant, mut command: HartCommand) {
        if let HartCommand::Restore { state, .. } = &mut command {
            self.dies |= self.unfit == Some(Unfit::Dies);
            if matches!(self.unfit, Some(Unfit::Damages | Unfit::Dies)) {
                state.truncate(state.len().saturating_sub(1));
            }
        }
        self.computer.command(now, command);
        self.collect_reports();
    }

    fn collect_reports(&mut self) {
        let mut report = self.computer.report();
        while let Some(this) = report {
            report = self.computer.report();
            let fingerprint = report
                .is_none()
                .then(|| self.computer.fingerprint(self.last));
            self.reports.push_back((this, fingerprint));
        }
    }

    fn restore_when_ready(&mut self, now: Instant) {
        if let Some((from, transfer)) = self.expected
            && let Some(state) = self.early.remove(&(from, transfer))
        {
            self.expected = None;
            if let Some(command) = self.bridge.state_received(transfer, state) {
                self.command(now, command);
            }
        }
    }

    /// Passes reports to the core and performs its actions until both are silent.
    fn settle(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        loop {
            // What the core has decided by then is no answer to a divergence, and the judge hears of it first.
            let diverges = matches!(self.reports.front(), Some((HartReport::Diverged(_), _)));
            let decided = diverges.then(|| self.core.poll_action()).flatten();
            if let Some(action) = decided {
                self.perform(now, action, effects);
            } else if let Some((report, fingerprint)) = self.reports.pop_front() {
                self.witness(&report, fingerprint, effects);
                if let Some(local) = self.bridge.report(report) {
                    self.core.handle_local(now, local);
                }
            } else if let Some(action) = self.core.poll_action() {
                self.perform(now, action, effects);
            } else {
                return;
            }
            if let Some(command) = self.bridge.back_pressure() {
                self.command(now, command);
            }
        }
    }

    /// Shows the judge what the hart reports, before bridge and core make of it what they will.
    fn witness(
        &mut self,
        report: &HartReport,
        fingerprint: Option<Fingerprint>,
        effects: &mut Vec<Effect>,
    ) {
        match report {
            HartReport::Appended { entries, outputs } => {
                let first = self.last.0 + 1;
                self.last.0 += entries.len() as u64;
                for (number, outputs) in outputs {
                    self.produce(LogIndex(first + u64::from(*number)), outputs);
                }
                let last = self.last;
                let fingerprint = fingerprint.map(|state| Fingerprint { last, ..state });
                effects.extend(fingerprint.map(|fingerprint| Effect::Appended { fingerprint }));
            }
            HartReport::Replayed { index, outputs } => {
                self.last = *index;
                for (mark, outputs) in outputs {
                    self.produce(*mark, outputs);
                }
                let last = self.last;
                let fingerprint = fingerprint.map(|state| Fingerprint { last, ..state });
                effects.extend(fingerprint.map(|fingerprint| Effect::Replayed { fingerprint }));
            }
            HartReport::PoweredOff | HartReport::ResetAsked => self.guest_is_off = true,
            HartReport::Verified => effects.push(Effect::Verified),
            HartReport::Diverged(_) => effects.push(Effect::Diverges),
            HartReport::SnapshotTaken { transfer, .. } => {
                let transfer = *transfer;
                effects.push(Effect::Snapshot { transfer });
            }
            HartReport::Restored { .. } if self.dies => effects.push(Effect::Dies),
            _ => {}
        }
    }

    fn produce(&mut self, mark: LogIndex, outputs: &[Output]) {
        self.produced
            .extend(outputs.iter().map(|output| (mark, output.clone())));
    }

    /// Which marks these outputs had when the hart produced them. What was produced before and is passed over was
    /// forgotten.
    fn trace(&mut self, outputs: Vec<Output>) -> Vec<(Option<LogIndex>, Output)> {
        let trace = |output| {
            while let Some((mark, produced)) = self.produced.pop_front() {
                if produced == output {
                    return (Some(mark), output);
                }
            }
            (None, output)
        };
        outputs.into_iter().map(trace).collect()
    }

    fn perform(&mut self, now: Instant, action: Action, effects: &mut Vec<Effect>) {
        // The judge hears of an action before its consequences.
        effects.push(Effect::Action(action.clone()));
        match action {
            Action::Run { epoch } => effects.push(Effect::Announces { epoch }),
            Action::GoLive { epoch, next } => {
                let fingerprint = self.computer.fingerprint(self.last);
                effects.push(Effect::GoesLive { next, fingerprint });
                effects.push(Effect::Announces { epoch });
                self.last = LogIndex(next.0 - 1);
            }
            Action::ReceiveState { next, .. } => {
                self.produced.clear();
                self.guest_is_off = false;
                self.last = LogIndex(next.0 - 1);
            }
            _ => {}
        }
        for effect in self.bridge.action(action) {
            match effect {
                replica::Effect::Hart(command) => self.command(now, command),
                replica::Effect::Speak { epoch, outputs } => {
                    let outputs = self.trace(outputs);
                    effects.push(Effect::Leaves { epoch, outputs });
                }
                replica::Effect::SendState {
                    to,
                    transfer,
                    state,
                } => effects.push(Effect::State {
                    to,
                    transfer,
                    state,
                }),
                replica::Effect::ReceiveState { from, transfer } => {
                    self.expected = Some((from, transfer));
                    self.restore_when_ready(now);
                }
                replica::Effect::AbandonTransfer { transfer } => {
                    self.expected.take_if(|(_, expected)| *expected == transfer);
                }
                replica::Effect::Halt { reason } => {
                    self.life = Life::Halted;
                    self.halted = Some(reason);
                }
                replica::Effect::Node(_) => {}
            }
        }
    }

    /// Whether it runs or is only paused.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.life, Life::Running | Life::Paused)
    }
}
