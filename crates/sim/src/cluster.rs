//! A whole cluster in virtual time: processes, channels between them, the arbiter, the switch and the
//! clients. Faults come first (`faults`), then everything heals and must converge.

use crate::arbiter::Arbiter;
use crate::checker::{Broken, Checker};
use crate::engines::Bugs;
use crate::faults::Faults;
use crate::flow::{self, Flows};
use crate::intruders::Lie;
use crate::joiners::Joiners;
use crate::links::Channel;
use crate::network::{Network, ProcessIndex};
use crate::people::{Errand, People};
use crate::process::{Arrival, Effect, Life, Process};
use crate::queue::Queue;
use crate::random::Random;
use crate::switch::Switch;
use crate::toy::{self, Reply, Request};
use crate::world::Clients;
use crate::{Counts, Kind, Link, Options};
use machine::Output;
use replication::{
    Action, ArbiterDesk, ArbiterOperation, Config, Epoch, Instant, Local, NodeId, RequestId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Hosts of a cluster: the pair and one standby.
pub(crate) const HOSTS: usize = 3;
const CLIENTS: u8 = 2;
/// The largest entry of the real guest: a frame, and its framing.
const REAL_ENTRY_BYTES_MAX: u64 = 4_096;
pub(crate) const CHANNEL_TICK: u64 = 10_000;

/// What is scheduled to happen.
#[derive(Debug)]
pub(crate) enum Happening {
    Arrives {
        to: ProcessIndex,
        channel: Option<u64>,
        from: ProcessIndex,
        arrival: Arrival,
    },
    Timer {
        process: ProcessIndex,
        due: u64,
    },
    Hart {
        process: ProcessIndex,
        due: u64,
    },
    Channels,
    Clients,
    Faults,
    RequestReaches {
        request: Request,
        to: ProcessIndex,
    },
    ReplyReachesSwitch {
        from: ProcessIndex,
        epoch: Epoch,
        frame: Vec<u8>,
    },
    ReplyReachesClient {
        reply: Reply,
    },
    Announcement {
        from: ProcessIndex,
        epoch: Epoch,
    },
    ArbiterHears {
        from: ProcessIndex,
        request: RequestId,
        operation: ArbiterOperation,
    },
    LateEffect {
        from: ProcessIndex,
        operation: ArbiterOperation,
    },
    Restart {
        host: usize,
    },
    PortCloses {
        process: ProcessIndex,
    },
    Neighbours,
    Errand(Errand),
    Intrudes(usize),
    Lie(Lie),
}

/// The cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Virtual time and what will happen.
    pub(crate) queue: Queue<Happening>,
    pub(crate) random: Random,
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
    transcript: Option<String>,
}

impl Cluster {
    /// A cluster of machines of this kind that `seed` determines. With `config` the protocol can be told to break a
    /// rule.
    pub(crate) fn new(seed: u64, options: &Options, link: Option<Link>) -> Self {
        let config = options.config.clone();
        let mut random = Random::new(seed);
        let network = Network::new(random.fork());
        let arbiter = Arbiter::new(random.fork());
        let faults = Faults::new(random.fork());
        let bugs = match options.machine {
            Kind::Toy => Bugs::default(),
            Kind::Real(_) => Bugs::draw(random.fork(), options.engine),
        };
        let switch = Switch::new(random.fork(), &config);
        let people = People::new(random.fork(), &config);
        let mut cluster = Self {
            queue: Queue::new(),
            random,
            processes: Vec::new(),
            network,
            arbiter,
            switch,
            people,
            clients: Clients::new(CLIENTS),
            checker: Checker::default(),
            joiners: Joiners::default(),
            faults,
            channels: BTreeMap::new(),
            generations: 0,
            timers: BTreeMap::new(),
            desks: BTreeMap::new(),
            given_up: None,
            ended: BTreeSet::new(),
            cold_start: false,
            is_fresh: false,
            swaps_in_flight: BTreeMap::new(),
            counts: Counts::default(),
            config,
            kind: options.machine.clone(),
            busy: 0,
            bugs,
            link,
            flows: Flows::default(),
            gives_up: false,
            power_off_at: None,
            transcript: options.transcript.then(String::new),
        };
        match link {
            None => {
                cluster.vary();
                cluster.vary_people();
                // Who is silent for long may lose its address, and weeks are long.
                if !options.week {
                    cluster.vary_neighbours();
                }
            }
            Some(link) => cluster.only(link),
        }
        let (times, bounds) = (&cluster.config.times, &cluster.config.bounds);
        let chosen = format!("{times:?}, {bounds:?}, {:?}", cluster.network);
        cluster.note(|| chosen);
        let many_start = link.is_none() && cluster.random.chance(300);
        for host in 0..HOSTS {
            cluster.start_process(host, host == 0 || many_start);
        }
        cluster.queue.after(CHANNEL_TICK, Happening::Channels);
        cluster.queue.after(1_000, Happening::Clients);
        if link.is_none() {
            cluster.queue.after(400_000, Happening::Faults);
        }
        cluster
    }

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
                let status = self.processes[index].core.status();
                self.note(|| format!("process {index}: {status:?}"));
            }
        }
    }

    pub(crate) fn schedule_local(&mut self, to: ProcessIndex, at: u64, local: Local) {
        let arrival = Arrival::Local(local);
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

    /// Runs until virtual time `until` (microseconds) or the first broken invariant.
    pub(crate) fn run_until(&mut self, until: u64) -> Result<(), Broken> {
        while self.queue.now() < until {
            let happening = self
                .queue
                .next()
                .expect("the channels' tick always comes again");
            let happened = self.happen(happening);
            self.excuse(happened)?;
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Arrives {
                to,
                channel,
                from,
                arrival,
            } => {
                if self.is_carried(from, to, channel) {
                    if from != to && self.listens(to) {
                        self.judge_speaker(from, to)?;
                    }
                    return self.arrive(to, arrival);
                }
            }
            Happening::Timer { process, due } => {
                if self.timers.get(&process) == Some(&due) {
                    self.timers.remove(&process);
                    if self.processes[process].life == Life::Running {
                        return self.drive(process, |process, now, effects| {
                            process.timeout(now, effects);
                        });
                    }
                }
            }
            Happening::Hart { process, due } => {
                if self.processes[process].hart_at == Some(due) {
                    return self.hart_slice(process);
                }
            }
            Happening::Channels => {
                self.tick_channels();
                self.tick_operator();
                self.watch_braked()?;
                return self.watch_laggards();
            }
            Happening::Clients => return self.tick_clients(),
            Happening::Faults => self.tick_faults(),
            Happening::RequestReaches { request, to } => {
                return self.arrive(to, Arrival::Frame(request.to_frame()));
            }
            Happening::Announcement { from, epoch } => {
                if self.switch.announce(self.queue.now(), from, epoch) {
                    self.hears_newer(epoch);
                }
            }
            Happening::ReplyReachesSwitch { from, epoch, frame } => {
                return self.switch_hears(from, epoch, &frame);
            }
            Happening::ReplyReachesClient { reply } => {
                self.note(|| {
                    format!(
                        "client {} is told {} for operation {}",
                        reply.client, reply.value, reply.operation
                    )
                });
                return self.clients.hear(reply).map_err(|what| Broken {
                    invariant: "outside",
                    what,
                });
            }
            Happening::ArbiterHears {
                from,
                request,
                operation,
            } => return self.arbiter_hears(from, request, operation),
            Happening::LateEffect { from, operation } => {
                *self.swaps_in_flight.entry(from).or_default() -= u32::from(is_swap(&operation));
                self.perform_at_arbiter(from, operation)?;
            }
            Happening::Restart { host } => {
                let initial = self.cold_start;
                self.start_process(host, initial);
            }
            Happening::PortCloses { process } => self.switch.close(self.queue.now(), process),
            Happening::Neighbours => return self.tick_neighbours(),
            Happening::Errand(errand) => self.run_errand(errand),
            Happening::Intrudes(number) => self.intrude(number),
            Happening::Lie(lie) => return self.hear_lie(lie),
        }
        Ok(())
    }

    pub(crate) fn arrive(&mut self, to: ProcessIndex, arrival: Arrival) -> Result<(), Broken> {
        match self.processes[to].life {
            Life::Running => {
                match &arrival {
                    Arrival::Local(Local::Arbiter { reply, .. }) => {
                        self.checker.answered(to, reply);
                    }
                    Arrival::Message { from, message } => self.checker.hears(to, *from, message),
                    _ => {}
                }
                let answered = matches!(arrival, Arrival::Local(Local::Arbiter { .. }));
                self.drive(to, |process, now, effects| {
                    process.arrive(now, arrival, effects);
                })?;
                if answered && self.processes[to].life == Life::Running {
                    self.arbiter_served(to);
                }
                Ok(())
            }
            Life::Paused => {
                self.processes[to].inbox.push_back(arrival);
                Ok(())
            }
            Life::Crashed | Life::Halted => Ok(()),
        }
    }

    /// Lets a process act, carries what it says and sets its timer.
    fn drive(
        &mut self,
        index: ProcessIndex,
        act: impl FnOnce(&mut Process, Instant, &mut Vec<Effect>),
    ) -> Result<(), Broken> {
        let mut effects = Vec::new();
        let now = Instant(self.processes[index].clock.at(self.queue.now()));
        act(&mut self.processes[index], now, &mut effects);
        for effect in effects {
            let carried = self.carry(index, effect);
            self.excuse(carried)?;
        }
        if let Some(due) = self.processes[index].core.poll_timeout() {
            let due = self.processes[index]
                .clock
                .when(due.0)
                .max(self.queue.now());
            if self.timers.get(&index) != Some(&due) {
                self.set_timer(index, due);
            }
        } else {
            self.timers.remove(&index);
        }
        let status = self.processes[index].core.status();
        flow::judge_memory(&status, &self.config.bounds, self.entry_bytes_max())?;
        if self.processes[index].life == Life::Halted {
            self.bury(index);
        } else if self.processes[index].wants_hart() {
            let delay = self.random.between(5, 150);
            self.wake_hart(index, self.queue.now() + delay);
        }
        Ok(())
    }

    fn entry_bytes_max(&self) -> u64 {
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

    fn carry(&mut self, from: ProcessIndex, effect: Effect) -> Result<(), Broken> {
        match effect {
            Effect::Action(action) => {
                let judged = self.judge_action(from, &action);
                self.excuse(judged)?;
                self.carry_action(from, action);
            }
            Effect::Appended { fingerprint } => self.checker.appended(from, fingerprint),
            Effect::Replayed { fingerprint } => {
                let corrupted = self.processes[from].corrupted;
                self.checker.replayed(from, fingerprint, corrupted)?;
            }
            Effect::Diverges => {
                let corrupted = self.processes[from].corrupted;
                self.note(|| format!("process {from} diverges"));
                self.checker.diverges(from, corrupted)?;
            }
            Effect::Verified => self.checker.verified(from),
            Effect::Snapshot { transfer } => {
                let now = self.processes[from].clock.at(self.queue.now());
                let times = &self.config.times;
                self.joiners.pauses.end(now, from, transfer, times)?;
            }
            Effect::Dies => self.crash(from),
            Effect::GoesLive { next, fingerprint } => {
                self.note(|| format!("process {from} goes live at log index {}", next.0));
                let corrupted = self.processes[from].corrupted;
                self.checker.goes_live(from, next, fingerprint, corrupted)?;
            }
            Effect::Announces { epoch } => {
                let delay = self.random.between(20, 200);
                self.queue
                    .after(delay, Happening::Announcement { from, epoch });
            }
            Effect::Leaves { epoch, outputs } => {
                for (mark, output) in outputs {
                    self.checker.released(from, mark, epoch, &self.arbiter)?;
                    if let Output::Frame { frame, .. } = output {
                        let delay = self.random.between(20, 200);
                        self.queue
                            .after(delay, Happening::ReplyReachesSwitch { from, epoch, frame });
                    }
                }
            }
            Effect::State {
                to,
                transfer,
                state,
            } => self.carry_state(from, to, transfer, state),
        }
        Ok(())
    }

    fn judge_action(&mut self, from: ProcessIndex, action: &Action) -> Result<(), Broken> {
        self.checker.acts(from, action, &self.arbiter)?;
        self.judge_stop(from, action)?;
        self.flows.acts(self.queue.now(), action)
    }

    fn carry_action(&mut self, from: ProcessIndex, action: Action) {
        match action {
            Action::Send { to, message } => {
                if let Some(to) = self.process_called(to) {
                    self.send(from, to, message);
                }
            }
            Action::Arbiter { request, operation } => {
                let desk = self.desks.entry(from).or_default();
                if let Some((request, operation)) = desk.ask(request, operation) {
                    self.ask_arbiter(from, request, operation);
                }
            }
            Action::TakeSnapshot { transfer } => {
                let now = self.processes[from].clock.at(self.queue.now());
                self.joiners.pauses.begin(now, from, transfer);
            }
            Action::Refuse { peer, why } => {
                self.counts.refusals += 1;
                self.note(|| format!("process {from} refuses {peer:?}: {why}"));
            }
            Action::Halt { reason } => self.note(|| format!("process {from} halts: {reason:?}")),
            Action::Throttle { brake } => self.note(|| format!("process {from} brakes by {brake}")),
            Action::StandAside { .. } => {
                self.schedule_local(from, self.queue.now(), Local::Join);
            }
            Action::Run { epoch } => {
                self.note(|| format!("process {from} runs as the machine in epoch {}", epoch.0));
            }
            _ => {}
        }
    }

    /// Index of the process called `node`.
    pub(crate) fn process_called(&self, node: NodeId) -> Option<ProcessIndex> {
        self.processes
            .iter()
            .position(|process| process.node == node)
    }

    /// Lets the hart of a process have its turn at `at`, or before.
    pub(crate) fn wake_hart(&mut self, process: ProcessIndex, at: u64) {
        let hart_at = &mut self.processes[process].hart_at;
        if hart_at.is_none_or(|due| at < due) {
            *hart_at = Some(at);
            self.queue.at(at, Happening::Hart { process, due: at });
        }
    }

    fn hart_slice(&mut self, index: ProcessIndex) -> Result<(), Broken> {
        self.processes[index].hart_at = None;
        if self.processes[index].life != Life::Running {
            return Ok(());
        }
        let chance = self.random.bits();
        let mut again = None;
        self.drive(index, |process, now, effects| {
            again = process.step(now, chance, effects);
        })?;
        if let Some(again) = again.filter(|_| self.processes[index].is_alive()) {
            // Not at this very instant: time must pass.
            let again = self.processes[index].clock.when(again);
            self.wake_hart(index, again.max(self.queue.now() + 1));
        }
        Ok(())
    }

    fn tick_faults(&mut self) {
        let mut faults = std::mem::take(&mut self.faults);
        let pause = faults.strike(self);
        self.faults = faults;
        if let Some(pause) = pause {
            self.queue.after(pause, Happening::Faults);
        }
    }
}

pub(crate) fn is_swap(operation: &ArbiterOperation) -> bool {
    matches!(operation, ArbiterOperation::Swap { .. })
}
