//! Lives and deaths of a cluster's processes.

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::computer::Computer;
use crate::happening::Happening;
use crate::joiners::Unfit;
use crate::network::ProcessIndex;
use crate::process::{Build, Life, Process};
use crate::toy::Speed;
use replica::{Event, Replica};
use replication::Instant;

/// How long a host takes to notice that its process is gone and to start another, in microseconds.
const RESTART_AFTER: u64 = 150_000;
/// What a process has said to the switch is read before its port is closed, in microseconds.
const PORT_CLOSES_AFTER: u64 = 300;
/// The host that cannot hold a backup, in some simulations.
const UNFIT_HOST: usize = 2;

impl Cluster {
    /// Starts a process. One with the machine's initial state tries to start it, others ask to join.
    pub(crate) fn start_process(&mut self, host: usize, initial: bool) {
        let index = self.processes.len();
        let node = self.people.born(index, host);
        // A node that is configured otherwise is no use for starting the machine.
        let initial = initial && !self.people.is_misconfigured(host);
        let mut config = self.config.clone();
        config.node = node;
        config.seed = self.random.bits();
        let clock = Clock::new(&mut self.random, self.queue.now());
        let outputs_bytes_max = *self.random.choose(&[1_000, 1 << 20]);
        let now = Instant(clock.at(self.queue.now()));
        let replica = Replica::new(config, outputs_bytes_max, now);
        let build = Build {
            clock,
            lagging: self.random.chance(500),
            unfit: self.joiners.unfit.filter(|_| host == UNFIT_HOST),
            snapshot_us_max: self.joiners.snapshot_us_max,
        };
        let speed = match self.link.is_none() && self.random.chance(150) {
            _ if build.unfit == Some(Unfit::Crawls) => Speed::Crawling,
            true => Speed::Slow,
            false => Speed::Full,
        };
        let computer = Computer::new(&self.kind, initial, speed, self.busy, self.bugs.on(host));
        self.processes
            .push(Process::new(host, node, replica, computer, build));
        self.checker.born(index, node);
        self.switch.connect(index);
        self.note(|| format!("process {index} starts on host {host}"));
        let room = match build.unfit {
            Some(Unfit::NoRoom) => 0,
            _ => 1,
        };
        for event in [Event::Room { bytes: room }, Event::Needs { bytes: 1 }] {
            self.schedule_event(index, self.queue.now() + 5, event);
        }
        let event = if initial { Event::Start } else { Event::Join };
        self.schedule_event(index, self.queue.now() + 10, event);
        self.wake_executor(index, self.queue.now() + 20);
    }

    pub(crate) fn bury(&mut self, index: ProcessIndex) {
        self.timers.remove(&index);
        for other in 0..self.processes.len() {
            if other != index && self.channel(index, other).up {
                // A process that ends itself closes its channels; a killed one is only missed.
                self.disconnect(index, other);
            }
        }
        self.end(index);
    }

    /// The host of a process notices that it is gone.
    fn end(&mut self, process: ProcessIndex) {
        let host = self.processes[process].host;
        self.queue
            .after(PORT_CLOSES_AFTER, Happening::PortCloses { process });
        self.queue.after(RESTART_AFTER, Happening::Restart { host });
    }

    /// Kills a process.
    pub(crate) fn crash(&mut self, index: ProcessIndex) {
        self.note(|| format!("process {index} is killed"));
        self.counts.kills += 1;
        self.processes[index].life = Life::Crashed;
        self.timers.remove(&index);
        self.end(index);
    }

    /// Tells a process to leave, after so many microseconds.
    pub(crate) fn dismiss(&mut self, index: ProcessIndex, after: u64) {
        self.note(|| format!("process {index} is told to leave, in {after} us"));
        self.counts.dismissals += 1;
        self.schedule_event(index, self.queue.now() + after, Event::Leave);
    }

    /// Flips a bit in a backup's machine: what failing hardware would do.
    pub(crate) fn corrupt(&mut self, index: ProcessIndex) {
        self.note(|| format!("the state of process {index} is corrupted"));
        self.counts.corruptions += 1;
        self.processes[index].corrupted = true;
        self.processes[index].computer.corrupt();
    }

    /// Stops a process as SIGSTOP does.
    pub(crate) fn pause(&mut self, index: ProcessIndex) {
        self.note(|| format!("process {index} is paused"));
        self.counts.pauses += 1;
        self.processes[index].life = Life::Paused;
    }

    /// Stops a process as the suspension of its host does: its clock stands still, too.
    pub(crate) fn suspend(&mut self, index: ProcessIndex) {
        self.note(|| format!("the host of process {index} is suspended"));
        self.counts.suspends += 1;
        self.processes[index].life = Life::Paused;
        let now = self.queue.now();
        self.processes[index].clock.stop(now);
    }

    /// Lets a paused process go on: its timers and what arrived meanwhile come in any order.
    pub(crate) fn resume(&mut self, index: ProcessIndex) {
        if self.processes[index].life != Life::Paused {
            return;
        }
        self.note(|| format!("process {index} goes on"));
        self.processes[index].life = Life::Running;
        let now = self.queue.now();
        self.processes[index].clock.go(now);
        self.wake_executor(index, now);
        let timer_first = self.random.chance(500);
        if timer_first {
            self.set_timer(index, now);
        }
        for arrival in std::mem::take(&mut self.processes[index].inbox) {
            self.queue.at(
                now,
                Happening::Arrives {
                    to: index,
                    channel: None,
                    from: index,
                    arrival,
                },
            );
        }
        if !timer_first {
            self.set_timer(index, now);
        }
    }
}
