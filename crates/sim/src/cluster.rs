//! A whole cluster in virtual time, as data: processes, channels between them, the arbiter, the switch and the
//! clients; and what everybody asks of it. What happens in it is in the files that use this one.

use crate::arbiter::{Arbiter, OPERATOR};
use crate::channel::Channel;
use crate::checker::{Broken, Checker};
use crate::computer::Kind;
use crate::counts::Counts;
use crate::engines::Bugs;
use crate::faults::Faults;
use crate::flow::Flows;
use crate::happening::Happening;
use crate::joiners::Joiners;
use crate::link::Link;
use crate::network::{Network, ProcessIndex};
use crate::people::{Errand, People};
use crate::process::{Arrival, Life, Process};
use crate::queue::Queue;
use crate::random::Random;
use crate::switch::Switch;
use crate::toy;
use crate::world::Clients;
use replica::Event;
use replication::{ArbiterDesk, Config, Epoch, HaltReason, Mode, NodeId, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The largest entry of the real guest: a frame, and its framing.
const REAL_ENTRY_BYTES_MAX: u64 = 4_096;

/// The cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Virtual time and what will happen.
    pub(crate) queue: Queue<Happening>,
    pub(crate) random: Random,
    /// The newest request of the machine that a host was given.
    pub(crate) requested: machine::RequestId,
    /// Every process there has been.
    pub(crate) processes: Vec<Process>,
    /// The links.
    pub(crate) network: Network,
    /// The shared storage.
    pub(crate) arbiter: Arbiter,
    /// The switch before the machine.
    pub(crate) switch: Switch,
    /// Who is who.
    pub(crate) people: People,
    pub(crate) clients: Clients,
    pub(crate) checker: Checker,
    pub(crate) joiners: Joiners,
    pub(crate) faults: Faults,
    pub(crate) channels: BTreeMap<(ProcessIndex, ProcessIndex), Channel>,
    pub(crate) generations: u64,
    pub(crate) timers: BTreeMap<ProcessIndex, u64>,
    /// What waits before the arbiter, by process.
    pub(crate) desks: BTreeMap<ProcessIndex, ArbiterDesk>,
    /// The newest epoch that a person has ended, and when.
    pub(crate) given_up: Option<(Epoch, u64)>,
    /// Nodes whose part in the machine was taken back with the record that gave it.
    pub(crate) ended: BTreeSet<NodeId>,
    /// Nodes that start now have the initial state: somebody wants the machine to start again.
    pub(crate) cold_start: bool,
    /// It has been started again, and the clients have not heard of it yet.
    pub(crate) is_fresh: bool,
    /// Swaps whose effect may still come, by process.
    pub(crate) swaps_in_flight: BTreeMap<ProcessIndex, u32>,
    /// What has happened so far, in numbers.
    pub(crate) counts: Counts,
    pub(crate) config: Config,
    pub(crate) kind: Kind,
    /// Entries that the toy logs in each slice beside what it must.
    pub(crate) busy: usize,
    /// Of the engines of real machines.
    pub(crate) bugs: Bugs,
    /// The link between all processes, if nothing else goes wrong.
    pub(crate) link: Option<Link>,
    /// The log's flow, judged.
    pub(crate) flows: Flows,
    /// Whether an operator will give up an owner that is not protected.
    pub(crate) gives_up: bool,
    /// When somebody begins to press the power button.
    pub(crate) power_off_at: Option<u64>,
    pub(crate) transcript: Option<String>,
}

impl Cluster {
    /// What happened so far, a line each, if it is kept.
    pub(crate) fn transcript(&self) -> &str {
        self.transcript.as_deref().unwrap_or_default()
    }

    /// Virtual time, in microseconds.
    pub(crate) fn now(&self) -> u64 {
        self.queue.now()
    }

    /// What has happened so far, in numbers.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            operations: self.clients.completed(),
            pairings: self.checker.pairings(),
            takeovers: self.checker.takeovers(),
            divergences: self.checker.divergences(),
            states_compared: self.checker.states_compared(),
            snapshots: self.joiners.pauses.count(),
            power_offs: u64::from(self.is_off()),
            engine_panics: (self.processes.iter())
                .map(|process| process.computer.panics())
                .sum(),
            machines_lost: u64::from(
                // Of two copies, one names somebody who has gone.
                !self.is_off() && !self.has_survivor() && !self.arbiter.is_copied(),
            ),
            ..self.counts
        }
    }

    /// Adds a line to the transcript.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            let now = self.queue.now();
            writeln!(
                transcript,
                "{:>6}.{:03} ms  {}",
                now / 1000,
                now % 1000,
                line()
            )
            .expect("a string takes all");
        }
    }

    /// Adds how every living process sees itself.
    pub(crate) fn note_states(&mut self) {
        for index in 0..self.processes.len() {
            if self.processes[index].is_alive() {
                let status = self.processes[index].replica.status();
                self.note(|| format!("process {index}: {status:?}"));
            }
        }
    }

    /// Lets something happen on a process's own host.
    pub(crate) fn schedule_event(&mut self, to: ProcessIndex, at: u64, event: Event) {
        let arrival = Arrival::Event(event);
        self.queue.at(
            at,
            Happening::Arrives {
                to,
                channel: None,
                from: to,
                arrival,
            },
        );
    }

    pub(crate) fn entry_bytes_max(&self) -> u64 {
        match self.kind {
            Kind::Toy => toy::ENTRY_BYTES_MAX,
            Kind::Real(_) => REAL_ENTRY_BYTES_MAX,
        }
    }

    /// Lets the timer of a process run out at `due`, and not when it was due before.
    pub(crate) fn set_timer(&mut self, process: ProcessIndex, due: u64) {
        self.timers.insert(process, due);
        self.queue.at(due, Happening::Timer { process, due });
    }

    /// Index of the process called `node`.
    pub(crate) fn process_called(&self, node: NodeId) -> Option<ProcessIndex> {
        self.processes
            .iter()
            .position(|process| process.node == node)
    }

    /// Lets the executor of a process have its turn at `at`, or before.
    pub(crate) fn wake_executor(&mut self, process: ProcessIndex, at: u64) {
        let slice_at = &mut self.processes[process].slice_at;
        if slice_at.is_none_or(|due| at < due) {
            *slice_at = Some(at);
            self.queue.at(at, Happening::Slice { process, due: at });
        }
    }

    pub(crate) fn channel(&mut self, one: ProcessIndex, other: ProcessIndex) -> &mut Channel {
        self.channels
            .entry((one.min(other), one.max(other)))
            .or_default()
    }

    /// Whether a process can be spoken to.
    pub(crate) fn listens(&self, index: ProcessIndex) -> bool {
        self.processes[index].life == Life::Running
    }

    pub(crate) fn errand(&mut self, after: u64, errand: Errand) {
        self.queue.after(after, Happening::Errand(errand));
    }

    /// Whoever has two stores is promised nothing but that it does not stay so.
    pub(crate) fn excuse(&self, judged: Result<(), Broken>) -> Result<(), Broken> {
        match judged {
            Err(_) if self.arbiter.is_copied() => Ok(()),
            judged => judged,
        }
    }

    /// Whether the record says that somebody is to start the machine.
    pub(crate) fn awaits_start(&self) -> bool {
        let record = self.arbiter.record();
        self.cold_start && record.is_none_or(|record| record.mode == Mode::Down)
    }

    /// Whether the machine was switched off, by itself.
    pub(crate) fn is_off(&self) -> bool {
        let record = self.arbiter.record();
        !self.cold_start
            && record.is_some_and(|record| record.mode == Mode::Down && record.owner != OPERATOR)
    }

    /// Whether the process is the owner or the backup that the record names.
    pub(crate) fn is_member(&self, index: ProcessIndex, record: Record) -> bool {
        let node = self.processes[index].node;
        record.owner == node || matches!(record.mode, Mode::Pair { backup } if backup == node)
    }

    /// Whether the machine is protected and serves, with both its nodes alive.
    pub(crate) fn is_protected(&self) -> bool {
        let Some(record) = self.arbiter.record() else {
            return false;
        };
        let Mode::Pair { backup } = record.mode else {
            return false;
        };
        [record.owner, backup].iter().all(|&node| {
            self.process_called(node)
                .is_some_and(|index| self.processes[index].life == Life::Running)
        })
    }

    /// Whether this process, which the record names, could carry the machine on: it was not killed, has not left, and its
    /// state was not damaged. One that ended itself otherwise counts: it had no reason to.
    pub(crate) fn could_go_on(&self, index: ProcessIndex, record: Record) -> bool {
        let process = &self.processes[index];
        let owns = record.owner == process.node;
        let sound = !process.corrupted || owns && process.is_alive();
        let gone = process.life == Life::Crashed || process.halted == Some(HaltReason::Left);
        self.is_member(index, record) && !gone && sound
    }

    /// Whether the record names some process that could carry the machine on. When none is left (a second fault came
    /// before the machine was protected again), nobody can be asked to converge.
    pub(crate) fn has_survivor(&self) -> bool {
        let Some(record) = self.arbiter.record() else {
            return true;
        };
        if self.awaits_start() {
            return true;
        }
        (0..self.processes.len()).any(|index| self.could_go_on(index, record))
    }
}
