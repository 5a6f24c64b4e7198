//! The end of everything, and the operator after it: both hosts lose their power, or the last state is lost, and only a
//! person can say that the machine may be started anew; or it was switched off, and is started again.

use crate::arbiter::OPERATOR;
use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::process::Life;
use replication::{Epoch, Mode, NodeId, Record, RoleStatus};

/// Hosts are left alone for so long after a disaster, in microseconds.
const OPERATOR_COMES_AFTER: u64 = 600_000;
/// Within this time whatever still lives has read the record, in microseconds, however slow the store.
const HEEDED_WITHIN: u64 = 20_000_000;

#[derive(Clone, Copy, Debug)]
enum Disaster {
    /// Every process dies.
    Blackout,
    /// Whoever has the state dies; joiners stay.
    LastCopy,
    /// The owner hangs, the others die, and the operator thinks that all are gone.
    Mistake,
}

impl Cluster {
    /// Lets the worst happen in some simulations, and an operator come.
    pub(crate) fn disaster(&mut self) -> Result<(), Broken> {
        let chance = self.random.chance(100);
        let Some(record) = self.arbiter.record().filter(|_| chance && !self.is_off()) else {
            return Ok(());
        };
        let disasters = [Disaster::Blackout, Disaster::LastCopy, Disaster::Mistake];
        let disaster = *self.random.choose(&disasters);
        self.note(|| format!("disaster: {disaster:?}"));
        self.counts.disasters += 1;
        for index in 0..self.processes.len() {
            let owns = self.processes[index].node == record.owner;
            let dies = match disaster {
                Disaster::Blackout => true,
                Disaster::LastCopy => self.is_member(index, record),
                Disaster::Mistake => !owns,
            };
            if !self.processes[index].is_alive() {
            } else if dies {
                self.crash(index);
            } else if owns {
                self.pause(index);
            }
        }
        self.run_until(self.now() + OPERATOR_COMES_AFTER)?;
        self.recover()
    }

    /// `futago arbiter recover`, and the nodes are started again.
    pub(crate) fn recover(&mut self) -> Result<(), Broken> {
        let before = self.arbiter.record();
        let Some(new) = self.arbiter.recover() else {
            return Ok(());
        };
        self.note(|| format!("an operator recovers the machine: {new:?}"));
        self.counts.recoveries += 1;
        self.checker.record_changed(before, new)?;
        let owner = before.map(|before| before.owner);
        self.start_anew(new.epoch, owner);
        Ok(())
    }

    /// The nodes are started again after the machine was switched off in `epoch`, in force or by a person: what ran before
    /// is given up. An owner that hangs is nobody's to end.
    pub(crate) fn start_anew(&mut self, epoch: Epoch, owner: Option<NodeId>) {
        self.give_up(epoch);
        self.cold_start = true;
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            let hangs = process.life == Life::Paused && Some(process.node) == owner;
            if process.is_alive() && !hangs {
                self.crash(index);
            }
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

    /// Whoever was given up has ended by now, or does so within the time that it takes to read the record.
    pub(crate) fn check_given_up(&mut self) -> Result<(), Broken> {
        let Some((epoch, at)) = self.given_up else {
            return Ok(());
        };
        let runs_on = |cluster: &Self, index: usize| {
            let process = &cluster.processes[index];
            let status = process.core.status();
            let owns = matches!(status.role, RoleStatus::Primary | RoleStatus::TakingOver);
            process.is_alive() && owns && status.epoch < epoch
        };
        let any = |cluster: &Self| (0..cluster.processes.len()).find(|&i| runs_on(cluster, i));
        if any(self).is_some() {
            self.run_until(self.now().max(at + HEEDED_WITHIN))?;
        }
        match any(self) {
            None => Ok(()),
            Some(index) => Err(Broken {
                invariant: "I9",
                what: format!(
                    "process {index} runs on {} s after epoch {} ended it",
                    (self.now() - at) / 1_000_000,
                    epoch.0
                ),
            }),
        }
    }
}
