//! Lets processes act, and carries what they say.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::flow;
use crate::happening::Happening;
use crate::network::ProcessIndex;
use crate::process::{Arrival, Effect, Life, Process};
use machine::Output;
use replication::{Action, Instant, Local};

impl Cluster {
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
    pub(crate) fn drive(
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

    pub(crate) fn hart_slice(&mut self, index: ProcessIndex) -> Result<(), Broken> {
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

    pub(crate) fn carry(&mut self, from: ProcessIndex, effect: Effect) -> Result<(), Broken> {
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

    pub(crate) fn judge_action(
        &mut self,
        from: ProcessIndex,
        action: &Action,
    ) -> Result<(), Broken> {
        self.checker.acts(from, action, &self.arbiter)?;
        self.judge_stop(from, action)?;
        self.flows.acts(self.queue.now(), action)
    }

    pub(crate) fn carry_action(&mut self, from: ProcessIndex, action: Action) {
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
}
