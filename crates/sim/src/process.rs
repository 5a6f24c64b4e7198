//! One node process of a simulated cluster: a replica and its executor, as `node` has them. It has no notion of the
//! others; the cluster carries what it says.

use crate::clock::Clock;
use crate::computer::Computer;
use crate::deed::Deed;
use crate::fingerprint::Fingerprint;
use crate::joiners::Unfit;
use machine::{Completion, Input, Output};
use replica::{Command, Effect, Event, Notice, Replica, Report};
use replication::{HaltReason, Instant, LogIndex, NodeId};
use std::collections::VecDeque;

/// An executor that is a thread of its own takes at most so long to restore a state, in microseconds.
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
    /// For its replica.
    Event(Event),
    /// A frame for the machine.
    Frame(Vec<u8>),
    /// How something ended that the machine asked for.
    Completion(Completion),
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
    /// The half of it that decides.
    pub(crate) replica: Replica,
    /// The half of it that executes.
    pub(crate) computer: Computer,
    /// Its state was damaged on purpose.
    pub(crate) corrupted: bool,
    /// The guest has switched itself off.
    pub(crate) guest_is_off: bool,
    /// When its executor gets the next slice.
    pub(crate) slice_at: Option<u64>,
    /// The executor's thread takes its commands only when its turn comes.
    lagging: bool,
    pub(crate) unfit: Option<Unfit>,
    snapshot_us_max: u64,
    commands: VecDeque<Command>,
    /// Until when its thread is busy with the command that is first in line.
    busy_until: Option<u64>,
    /// Its host is about to kill it.
    dies: bool,
    /// What the executor reported, and the machine's state after that where nothing came in between.
    reports: VecDeque<(Report, Option<Fingerprint>)>,
    /// Outputs by mark as the executor reported them, less those that left or that the replica had forgotten.
    produced: VecDeque<(LogIndex, Output)>,
    /// Index of the last entry that its executor appended or replayed.
    last: LogIndex,
}

/// How a process is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// Whether its executor is a thread of its own, which takes commands later.
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
        replica: Replica,
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
            replica,
            computer,
            corrupted: false,
            guest_is_off: false,
            slice_at: None,
            lagging: build.lagging,
            unfit: build.unfit,
            snapshot_us_max: build.snapshot_us_max,
            commands: VecDeque::new(),
            busy_until: None,
            dies: false,
            reports: VecDeque::new(),
            produced: VecDeque::new(),
            last: LogIndex(0),
        }
    }

    /// Something reaches it while it runs.
    pub(crate) fn arrive(&mut self, now: Instant, arrival: Arrival, deeds: &mut Vec<Deed>) {
        match arrival {
            Arrival::Event(event) => self.replica.handle(now, event),
            Arrival::Frame(frame) => {
                self.command(now, Command::Input(Input::Frame { device: 0, frame }));
            }
            Arrival::Completion(completion) => {
                self.command(now, Command::Input(Input::Completion(completion)));
            }
        }
        self.settle(now, deeds);
    }

    /// The executor gets a slice of time: `chance` decides what the toy does with it. Says when it wants the next one, in
    /// microseconds.
    pub(crate) fn step(&mut self, now: Instant, chance: u64, deeds: &mut Vec<Deed>) -> Option<u64> {
        while let Some(command) = self.commands.pop_front() {
            let busy_us_max = match command {
                Command::Restore { .. } if self.lagging => RESTORE_US_MAX,
                Command::TakeSnapshot { .. } => self.snapshot_us_max,
                _ => 0,
            };
            if busy_us_max > 0 && self.busy_until.is_none() {
                self.busy_until = Some(now.0 + chance % busy_us_max);
            }
            if let Some(until) = self.busy_until.filter(|until| *until > now.0) {
                self.commands.push_front(command);
                self.settle(now, deeds);
                return Some(until);
            }
            self.busy_until = None;
            self.command_now(now, command);
        }
        let again = self.computer.step(now, chance);
        self.collect_reports();
        self.settle(now, deeds);
        again
    }

    /// Whether commands wait for the executor.
    pub(crate) fn wants_slice(&self) -> bool {
        let idle = self.busy_until.is_none();
        idle && (!self.commands.is_empty() || self.computer.wants_step())
    }

    fn command(&mut self, now: Instant, command: Command) {
        let waits = matches!(command, Command::TakeSnapshot { .. }) && self.snapshot_us_max > 0;
        if self.lagging || waits {
            self.commands.push_back(command);
        } else {
            self.command_now(now, command);
        }
    }

    fn command_now(&mut self, now: Instant, mut command: Command) {
        if let Command::Restore { state, .. } = &mut command {
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

    /// Lets the replica do what it wants, and hear what comes of it, until both are silent.
    fn settle(&mut self, now: Instant, deeds: &mut Vec<Deed>) {
        loop {
            while let Some(effect) = self.replica.poll_effect() {
                self.perform(now, effect, deeds);
            }
            let Some((report, fingerprint)) = self.reports.pop_front() else {
                return;
            };
            self.witness(&report, fingerprint, deeds);
            self.replica.handle(now, Event::Report(report));
        }
    }

    /// Shows the judge what the executor reports, before the replica makes of it what it will.
    fn witness(
        &mut self,
        report: &Report,
        fingerprint: Option<Fingerprint>,
        deeds: &mut Vec<Deed>,
    ) {
        match report {
            Report::Appended {
                first,
                entries,
                outputs,
            } => {
                self.last = first.plus(entries.len() as u64).previous();
                self.produce(outputs);
                let fingerprint = self.after_last(fingerprint);
                deeds.extend(fingerprint.map(|fingerprint| Deed::Appended { fingerprint }));
            }
            Report::Replayed { index, outputs } => {
                self.last = *index;
                self.produce(outputs);
                let fingerprint = self.after_last(fingerprint);
                deeds.extend(fingerprint.map(|fingerprint| Deed::Replayed { fingerprint }));
            }
            Report::PoweredOff | Report::ResetAsked => self.guest_is_off = true,
            Report::Verified => deeds.push(Deed::Verified),
            Report::Diverged(_) => deeds.push(Deed::Diverges),
            Report::SnapshotTaken { transfer, .. } => {
                let transfer = *transfer;
                deeds.push(Deed::TookSnapshot { transfer });
            }
            Report::Restored { .. } if self.dies => deeds.push(Deed::Dies),
            Report::Restored { .. } | Report::Requested { .. } => {}
        }
    }

    fn after_last(&self, fingerprint: Option<Fingerprint>) -> Option<Fingerprint> {
        let last = self.last;
        fingerprint.map(|state| Fingerprint { last, ..state })
    }

    fn produce(&mut self, outputs: &[(LogIndex, Vec<Output>)]) {
        for (mark, outputs) in outputs {
            let marked = outputs.iter().map(|output| (*mark, output.clone()));
            self.produced.extend(marked);
        }
    }

    /// Which marks these outputs had when the executor produced them. What was produced before and is passed over was
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

    /// Does what the replica wants, or hands it to the cluster. The judge hears of it before its consequences.
    fn perform(&mut self, now: Instant, effect: Effect, deeds: &mut Vec<Deed>) {
        match effect {
            Effect::Command(command) => {
                match command {
                    Command::TakeSnapshot { transfer } => {
                        deeds.push(Deed::AsksSnapshot { transfer });
                    }
                    Command::Throttle { per_mille } => deeds.push(Deed::Throttles { per_mille }),
                    _ => {}
                }
                self.command(now, command);
            }
            Effect::Send { to, message } => deeds.push(Deed::Sends { to, message }),
            Effect::AskArbiter { request, operation } => {
                deeds.push(Deed::Asks { request, operation });
            }
            Effect::Announce { epoch, live_from } => {
                deeds.push(match live_from {
                    None => Deed::Runs { epoch },
                    Some(next) => {
                        let fingerprint = self.computer.fingerprint(self.last);
                        self.last = next.previous();
                        Deed::GoesLive {
                            epoch,
                            next,
                            fingerprint,
                        }
                    }
                });
                deeds.push(Deed::Announces { epoch });
            }
            Effect::Speak { epoch, outputs } => {
                let outputs = self.trace(outputs);
                deeds.push(Deed::Leaves { epoch, outputs });
            }
            Effect::CarryOut(request) => deeds.push(Deed::CarriesOut { request }),
            Effect::StandAside { .. } => deeds.push(Deed::StandsAside),
            Effect::SendState {
                to,
                transfer,
                state,
            } => deeds.push(Deed::SendsState {
                to,
                transfer,
                state,
            }),
            Effect::ReceiveState {
                from,
                transfer,
                next,
            } => {
                deeds.push(Deed::AwaitsState {
                    from,
                    transfer,
                    next,
                });
                self.produced.clear();
                self.guest_is_off = false;
                self.last = next.previous();
            }
            // What is on its way comes in all the same, and must do no harm.
            Effect::AbandonState { .. } => {}
            Effect::Tell(Notice::Refuses { peer, why }) => deeds.push(Deed::Refuses { peer, why }),
            Effect::Tell(_) => {}
            Effect::Halt { reason } => {
                self.life = Life::Halted;
                self.halted = Some(reason.clone());
                deeds.push(Deed::Halts { reason });
            }
        }
    }

    /// Whether it runs or is only paused.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.life, Life::Running | Life::Paused)
    }
}
