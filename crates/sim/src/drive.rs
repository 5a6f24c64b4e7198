//! Lets processes act, and carries what they say.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::deed::Deed;
use crate::flow;
use crate::happening::Happening;
use crate::network::ProcessIndex;
use crate::process::{Arrival, Life, Process};
use machine::{Completion, Output, RequestId};
use replica::Event;
use replication::Instant;

impl Cluster {
    pub(crate) fn arrive(&mut self, to: ProcessIndex, arrival: Arrival) -> Result<(), Broken> {
        match self.processes[to].life {
            Life::Running => {
                match &arrival {
                    Arrival::Event(Event::Arbiter { reply, .. }) => {
                        self.checker.answered(to, reply);
                    }
                    Arrival::Event(Event::Message { from, message }) => {
                        self.checker.hears(to, *from, message);
                    }
                    _ => {}
                }
                let answered = matches!(arrival, Arrival::Event(Event::Arbiter { .. }));
                self.drive(to, |process, now, deeds| {
                    process.arrive(now, arrival, deeds);
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
    pub(crate) fn drive(
        &mut self,
        index: ProcessIndex,
        act: impl FnOnce(&mut Process, Instant, &mut Vec<Deed>),
    ) -> Result<(), Broken> {
        let mut deeds = Vec::new();
        let now = Instant(self.processes[index].clock.at(self.queue.now()));
        act(&mut self.processes[index], now, &mut deeds);
        for deed in deeds {
            let carried = self.carry(index, deed);
            self.excuse(carried)?;
        }
        if let Some(due) = self.processes[index].replica.poll_timeout() {
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
        let status = self.processes[index].replica.status();
        flow::judge_memory(&status, &self.config.bounds, self.entry_bytes_max())?;
        if self.processes[index].life == Life::Halted {
            self.bury(index);
        } else if self.processes[index].wants_slice() {
            let delay = self.random.between(5, 150);
            self.wake_executor(index, self.queue.now() + delay);
        }
        Ok(())
    }

    pub(crate) fn executor_slice(&mut self, index: ProcessIndex) -> Result<(), Broken> {
        self.processes[index].slice_at = None;
        if self.processes[index].life != Life::Running {
            return Ok(());
        }
        let chance = self.random.bits();
        let mut again = None;
        self.drive(index, |process, now, deeds| {
            again = process.step(now, chance, deeds);
        })?;
        if let Some(again) = again.filter(|_| self.processes[index].is_alive()) {
            // Not at this very instant: time must pass.
            let again = self.processes[index].clock.when(again);
            self.wake_executor(index, again.max(self.queue.now() + 1));
        }
        Ok(())
    }

    pub(crate) fn carry(&mut self, from: ProcessIndex, deed: Deed) -> Result<(), Broken> {
        let judged = self.judge(from, &deed);
        self.excuse(judged)?;
        match deed {
            Deed::Sends { to, message } => {
                if let Some(to) = self.process_called(to) {
                    self.send(from, to, message);
                }
            }
            Deed::Asks { request, operation } => {
                let desk = self.desks.entry(from).or_default();
                if let Some((request, operation)) = desk.ask(request, operation) {
                    self.ask_arbiter(from, request, operation);
                }
            }
            Deed::Runs { epoch } => {
                self.requested = RequestId(0);
                self.note(|| format!("process {from} runs as the machine in epoch {}", epoch.0));
            }
            Deed::GoesLive {
                next, fingerprint, ..
            } => {
                self.note(|| format!("process {from} goes live at log index {}", next.0));
                let corrupted = self.processes[from].corrupted;
                self.checker.goes_live(from, next, fingerprint, corrupted)?;
            }
            Deed::Announces { epoch } => {
                let delay = self.random.between(20, 200);
                self.queue
                    .after(delay, Happening::Announcement { from, epoch });
            }
            Deed::Leaves { epoch, outputs } => {
                for (mark, output) in outputs {
                    self.checker.released(from, mark, epoch, &self.arbiter)?;
                    if let Output::Frame { frame, .. } = output {
                        let delay = self.random.between(20, 200);
                        self.queue
                            .after(delay, Happening::ReplyReachesSwitch { from, epoch, frame });
                    }
                }
            }
            Deed::CarriesOut { request } => self.carry_out(from, request.id),
            Deed::StandsAside => self.schedule_event(from, self.queue.now(), Event::Join),
            Deed::AsksSnapshot { transfer } => {
                let now = self.processes[from].clock.at(self.queue.now());
                self.joiners.pauses.begin(now, from, transfer);
            }
            Deed::TookSnapshot { transfer } => {
                let now = self.processes[from].clock.at(self.queue.now());
                let times = &self.config.times;
                self.joiners.pauses.end(now, from, transfer, times)?;
            }
            Deed::SendsState {
                to,
                transfer,
                state,
            } => self.carry_state(from, to, transfer, state),
            Deed::AwaitsState { .. } => {}
            Deed::Throttles { per_mille } => {
                self.note(|| format!("process {from} slows its guest by {per_mille}"));
            }
            Deed::Refuses { peer, why } => {
                self.counts.refusals += 1;
                self.note(|| format!("process {from} refuses {peer:?}: {why}"));
            }
            Deed::Appended { fingerprint } => self.checker.appended(from, fingerprint),
            Deed::Replayed { fingerprint } => {
                let corrupted = self.processes[from].corrupted;
                self.checker.replayed(from, fingerprint, corrupted)?;
            }
            Deed::Verified => self.checker.verified(from),
            Deed::Diverges => {
                let corrupted = self.processes[from].corrupted;
                self.note(|| format!("process {from} diverges"));
                self.checker.diverges(from, corrupted)?;
            }
            Deed::Dies => self.crash(from),
            Deed::Halts { reason } => self.note(|| format!("process {from} halts: {reason:?}")),
        }
        Ok(())
    }

    /// A host takes its time, and answers as no other would.
    fn carry_out(&mut self, by: ProcessIndex, id: RequestId) {
        let delay = self.random.between(20, 20_000);
        self.counts.requests += 1;
        // The machine numbers them: those from a number that was given before are asked again.
        self.counts.requests_repeated += u64::from(id <= self.requested);
        self.requested = self.requested.max(id);
        let completion = Completion {
            id,
            result: self.random.bits().to_le_bytes().to_vec(),
        };
        self.queue
            .after(delay, Happening::CarriedOut { by, completion });
    }

    fn judge(&mut self, from: ProcessIndex, deed: &Deed) -> Result<(), Broken> {
        self.checker.acts(from, deed, &self.arbiter)?;
        self.judge_stop(from, deed)?;
        self.flows.acts(self.queue.now(), deed)
    }
}
