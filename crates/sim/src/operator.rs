//! The operator: gives up an owner that is not protected, and starts the machine again once it is over.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::process::Life;
use replica::Event;
use replication::{Epoch, Flag, Mode, NodeId, Record, RoleStatus, TransferStatus};

impl Cluster {
    /// In some simulations, an operator gives up an owner that is not protected (`futago stop --give-up`): mostly one that is just
    /// about to be.
    pub(crate) fn tick_operator(&mut self) {
        if !self.gives_up || self.power_off_at.is_some() {
            return;
        }
        let running = |index: &usize| self.processes[*index].life == Life::Running;
        for index in (0..self.processes.len()).filter(running) {
            let status = self.processes[index].replica.status();
            if status.role != RoleStatus::Primary || status.flag == Flag::Pair {
                continue;
            }
            let arms = matches!(status.transfer, TransferStatus::Arming(_));
            if self.random.chance(if arms { 200 } else { 1 }) {
                self.note(|| format!("an operator gives process {index} up"));
                self.gives_up = false;
                self.schedule_event(index, self.now(), Event::GiveUp);
                return;
            }
        }
    }

    /// The nodes are started again after the machine was switched off in `epoch`, in force or by a person: what ran before
    /// is given up. One process may go on until it hears of that: nobody knows that it lives.
    pub(crate) fn start_anew(&mut self, epoch: Epoch, spared: Option<NodeId>) {
        self.give_up(epoch);
        self.cold_start = true;
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            if process.is_alive() && Some(process.node) != spared {
                self.crash(index);
            }
        }
    }

    /// A protected owner switches the machine off only where its guest did so itself.
    pub(crate) fn judge_end(&self, before: Option<Record>, new: Record) -> Result<(), Broken> {
        let protected = before.is_some_and(|before| before.backup().is_some());
        let by = self.process_called(new.owner).filter(|_| protected);
        match by {
            Some(by) if new.mode == Mode::Down && !self.processes[by].guest_is_off => Err(Broken {
                invariant: "ends",
                what: format!("process {by} ends a pair, whose guest goes on"),
            }),
            _ => Ok(()),
        }
    }

    /// Whether somebody starts the machine, which has switched itself off, again.
    pub(crate) fn is_started_again(&mut self) -> bool {
        let record = self.arbiter.record();
        let Some(record) = record.filter(|_| self.random.chance(400)) else {
            return false;
        };
        self.note(|| "the machine is started again".to_owned());
        self.counts.cold_starts += 1;
        self.power_off_at = None;
        self.start_anew(record.epoch, None);
        true
    }

    fn give_up(&mut self, epoch: Epoch) {
        self.given_up = Some((epoch, self.now()));
        self.checker.given_up(epoch);
    }

    /// The record changed: a machine that was off starts anew.
    pub(crate) fn starts_again(&mut self, before: Option<Record>, new: Record) {
        if let Some(before) = before.filter(|before| before.mode == Mode::Down)
            && new.mode == Mode::Solo
        {
            self.give_up(before.epoch);
            self.cold_start = false;
            self.is_fresh = true;
        }
    }

    /// A newer owner than the one that was given up speaks for the first time: clients begin anew.
    pub(crate) fn hears_newer(&mut self, epoch: Epoch) {
        if self.is_fresh && self.given_up.is_some_and(|(given_up, _)| epoch > given_up) {
            self.is_fresh = false;
            self.clients.begin_anew();
        }
    }
}
