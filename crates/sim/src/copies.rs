//! Two copies of one store: somebody has restored a backup of it on another host, and each host reads its own. While its nodes
//! cannot hear each other, each copy has an owner, and nothing that is promised holds. Once they do, one of them goes.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::process::Life;
use replication::RoleStatus;
use std::collections::BTreeSet;

/// The hosts do not hear each other for so long, in microseconds.
const APART_FOR: u64 = 3_000_000;
/// So long after that nobody is the machine beside another: a peer's word is weighed for ten seconds, and each store asked.
const ONE_GOES_WITHIN: u64 = 30_000_000;

impl Cluster {
    /// In some simulations, at the end of all else, the hosts of a pair come to have a store each, and lose sight of each other.
    pub(crate) fn two_copies(&mut self) -> Result<(), Broken> {
        let record = self.arbiter.record();
        let backup = record.and_then(|record| record.backup());
        let (Some(record), Some(backup)) = (record, backup) else {
            return Ok(());
        };
        let members = [record.owner, backup].map(|node| self.process_called(node));
        let [Some(owner), Some(backup)] = members else {
            return Ok(());
        };
        let hosts = [owner, backup].map(|index| self.processes[index].host);
        let off = self.power_off_at.is_some() || self.arbiter.is_slow() || hosts[0] == hosts[1];
        if off || !self.is_protected() || !self.random.chance(80) {
            return Ok(());
        }
        let third = self.random.chance(500);
        let copied = |host: &usize| *host == hosts[1] || third && *host != hosts[0];
        let copied: BTreeSet<usize> = (0..crate::network::HOSTS).filter(copied).collect();
        self.note(|| format!("hosts {copied:?} have a copy of the store, at {record:?}"));
        self.counts.copies += 1;
        // Nor does anybody end the one that is left.
        self.gives_up = false;
        self.arbiter.copy_for(copied);
        self.network.cut(owner, backup);
        self.network.cut(backup, owner);
        self.run_until(self.now() + APART_FOR)?;
        self.note(|| "the hosts hear each other again".to_owned());
        self.network.heal_all();
        self.run_until(self.now() + ONE_GOES_WITHIN)?;
        let owns = |index: &usize| {
            let process = &self.processes[*index];
            let owns = process.replica.status().role == RoleStatus::Primary;
            process.life == Life::Running && owns
        };
        let owners: Vec<usize> = (0..self.processes.len()).filter(owns).collect();
        if owners.len() == 1 {
            return Ok(());
        }
        self.note_states();
        Err(Broken {
            invariant: "copies",
            what: format!("processes {owners:?} are the machine, by two copies of a store"),
        })
    }
}
