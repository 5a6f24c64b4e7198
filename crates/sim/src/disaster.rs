//! The end of everything: both hosts lose their power, or the last state is lost, and only a person can say that the machine may
//! be started anew.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::process::{Life, Process};
use replication::{Epoch, Record, RoleStatus};

/// Within this time whatever still lives has read the record, in microseconds, however slow the store.
const HEEDED_WITHIN: u64 = 20_000_000;

/// Hosts are left alone for so long after a disaster, in microseconds.
const OPERATOR_COMES_AFTER: u64 = 600_000;

#[derive(Clone, Copy, Debug)]
enum Disaster {
    /// Every process dies.
    Blackout,
    /// Whoever has the state dies; joiners stay.
    LastCopy,
    /// The owner hangs, the others die, and the operator thinks that all are gone.
    Mistake,
    /// An older copy of the store is put in its place, and recovered from there, while the machine runs.
    SetBack,
}

impl Cluster {
    /// Lets the worst happen in some simulations, and an operator come.
    pub(crate) fn disaster(&mut self) -> Result<(), Broken> {
        let chance = self.random.chance(100);
        let Some(record) = self.arbiter.record().filter(|_| chance && !self.is_off()) else {
            return Ok(());
        };
        let disasters = [
            Disaster::Blackout,
            Disaster::LastCopy,
            Disaster::Mistake,
            Disaster::SetBack,
        ];
        let disaster = *self.random.choose(&disasters);
        self.note(|| format!("disaster: {disaster:?}"));
        self.counts.disasters += 1;
        for index in 0..self.processes.len() {
            let owns = self.processes[index].node == record.owner;
            let dies = match disaster {
                Disaster::Blackout => true,
                Disaster::LastCopy => self.is_member(index, record),
                Disaster::Mistake => !owns,
                Disaster::SetBack => false,
            };
            if !self.processes[index].is_alive() {
            } else if dies {
                self.crash(index);
            } else if owns && matches!(disaster, Disaster::Mistake) {
                self.pause(index);
            }
        }
        self.run_until(self.now() + OPERATOR_COMES_AFTER)?;
        match disaster {
            Disaster::SetBack => self.set_back(),
            _ => self.recover(),
        }
    }

    /// The store is set back, and recovered up to the epoch that is in force, or beyond it (`futago arbiter recover --beyond`).
    pub(crate) fn set_back(&mut self) -> Result<(), Broken> {
        let Some(before) = self.arbiter.record() else {
            return Ok(());
        };
        if self.is_off() || !self.arbiter.set_back() {
            return Ok(());
        }
        let shown = self.arbiter.record();
        self.note(|| format!("an operator sets the store back to {shown:?}"));
        let members = [Some(before.owner), before.backup()];
        self.ended.extend(members.into_iter().flatten());
        self.checker.ended(&self.ended);
        let last = Epoch(before.epoch.0 + self.random.between(0, 2));
        while self.arbiter.record().is_some_and(|now| now.epoch < last) {
            self.end_record()?;
        }
        let epoch = self.arbiter.record().map_or(last, |record| record.epoch);
        self.counts.recoveries += 1;
        self.start_anew(epoch, Some(before.owner));
        Ok(())
    }

    /// `futago arbiter recover`, and the nodes are started again.
    pub(crate) fn recover(&mut self) -> Result<(), Broken> {
        let owner = self.arbiter.record().map(|before| before.owner);
        let hangs = |process: &Process| process.life == Life::Paused && Some(process.node) == owner;
        let spared = self.processes.iter().find(|process| hangs(process));
        let spared = spared.map(|process| process.node);
        if let Some(new) = self.end_record()? {
            self.counts.recoveries += 1;
            self.start_anew(new.epoch, spared);
        }
        Ok(())
    }

    pub(crate) fn end_record(&mut self) -> Result<Option<Record>, Broken> {
        let before = self.arbiter.record();
        let new = self.arbiter.recover();
        if let Some(new) = new {
            self.note(|| format!("an operator recovers the machine: {new:?}"));
            self.checker.record_changed(before, new)?;
        }
        Ok(new)
    }

    /// Whoever was given up has ended by now, or does so within the time that it takes to read the record.
    pub(crate) fn check_given_up(&mut self) -> Result<(), Broken> {
        let Some((epoch, at)) = self.given_up else {
            return Ok(());
        };
        let runs_on = |cluster: &Self, index: usize| {
            let process = &cluster.processes[index];
            let status = process.replica.status();
            let owns = matches!(status.role, RoleStatus::Primary | RoleStatus::TakingOver);
            let ended = status.epoch < epoch || cluster.ended.contains(&process.node);
            process.is_alive() && owns && ended
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
