//! How faults strike a cluster.

use crate::cluster::Cluster;
use crate::faults::{Fault, Faults, Relief};
use crate::network::{ProcessIndex, Weather};
use crate::process::Life;
use crate::store;
use replication::Mode;

/// Those who are told to leave at the same time hear it within so many microseconds: before the next fault.
const TOLD_WITHIN: u64 = 4_000;

impl Faults {
    /// Lets reliefs that are due happen, perhaps strikes, and says after how many microseconds to come again.
    pub(crate) fn strike(&mut self, cluster: &mut Cluster) -> Option<u64> {
        let random = self.random.as_mut()?;
        let now = cluster.now();
        let mut later = Vec::new();
        for (due, relief) in self.reliefs.drain(..) {
            if due > now {
                later.push((due, relief));
                continue;
            }
            match relief {
                Relief::Resume(index) => cluster.resume(index),
                Relief::Heal(from, to) => cluster.network.heal(from, to),
                Relief::Arbiter => cluster.arbiter.mend(),
                Relief::Calm => cluster.network.weather = Weather::fair(),
            }
        }
        self.reliefs = later;
        if random.chance(250) {
            let fault = *random.choose(&self.kinds);
            let lasts = random.between(5_000, 2_500_000);
            self.inflict(fault, now + lasts, cluster);
        }
        Some(self.random.as_mut()?.between(5_000, 120_000))
    }

    pub(crate) fn inflict(&mut self, fault: Fault, until: u64, cluster: &mut Cluster) {
        let Some(random) = self.random.as_mut() else {
            return;
        };
        let Some(record) = cluster.arbiter.record() else {
            return;
        };
        let alive: Vec<ProcessIndex> = (0..cluster.processes.len())
            .filter(|&index| cluster.processes[index].is_alive())
            .collect();
        if alive.len() < 2 {
            return;
        }
        let one = *random.choose(&alive);
        let other = *random.choose(&alive);
        match fault {
            Fault::Kill => {
                if may_kill(cluster, one) {
                    cluster.crash(one);
                }
            }
            Fault::Pause => {
                if cluster.processes[one].life == Life::Running {
                    cluster.pause(one);
                    self.reliefs.push((until, Relief::Resume(one)));
                }
            }
            Fault::Suspend => {
                if cluster.processes[one].life == Life::Running {
                    cluster.suspend(one);
                    self.reliefs.push((until, Relief::Resume(one)));
                }
            }
            Fault::SuspendAll => {
                for index in alive {
                    if cluster.processes[index].life == Life::Running {
                        cluster.suspend(index);
                        let late = random.between(0, 400_000);
                        self.reliefs.push((until + late, Relief::Resume(index)));
                    }
                }
            }
            Fault::CutOneWay | Fault::CutBothWays => {
                if one == other {
                    return;
                }
                let both = matches!(fault, Fault::CutBothWays);
                cluster.note(|| {
                    format!(
                        "the link {one} {} {other} is cut",
                        if both { "<->" } else { "->" }
                    )
                });
                cluster.counts.cuts += 1;
                cluster.network.cut(one, other);
                self.reliefs.push((until, Relief::Heal(one, other)));
                if both {
                    cluster.network.cut(other, one);
                    self.reliefs.push((until, Relief::Heal(other, one)));
                }
            }
            Fault::Weather => {
                cluster.network.weather = Weather::storm(random);
                self.reliefs.push((until, Relief::Calm));
            }
            Fault::ArbiterGone => {
                cluster.note(|| "the arbiter is unreachable".to_owned());
                cluster.arbiter.reachable = false;
                self.reliefs.push((until, Relief::Arbiter));
            }
            Fault::ArbiterTrouble => {
                cluster.arbiter.trouble = random.between(50, 700);
                self.reliefs.push((until, Relief::Arbiter));
            }
            Fault::Store => {
                let what = store::strike(random, cluster);
                cluster.note(|| format!("the store: {what}"));
                self.reliefs.push((until, Relief::Arbiter));
            }
            Fault::CorruptBackup => {
                if let Mode::Pair { backup } = record.mode
                    && let Some(index) = cluster.process_called(backup)
                    && may_lose(cluster, index)
                {
                    cluster.corrupt(index);
                }
            }
            // No owner is told while its backup is dead or damaged and it does not know: the protocol cannot help then.
            Fault::Dismiss | Fault::Shutdown => {
                let goes_on = |index: &&ProcessIndex| cluster.could_go_on(**index, record);
                let backed = record.backup().is_none() || alive.iter().filter(goes_on).count() > 1;
                let told = match fault {
                    Fault::Shutdown => alive,
                    _ => vec![one],
                };
                for index in told {
                    let process = &cluster.processes[index];
                    if process.life == Life::Running && (backed || process.node != record.owner) {
                        cluster.dismiss(index, random.between(0, TOLD_WITHIN));
                    }
                }
            }
            Fault::TearChannel => {
                if one != other {
                    cluster.disconnect(one, other);
                }
            }
        }
    }
}

/// Whether a process may be killed: the machine goes on without it.
fn may_kill(cluster: &Cluster, victim: ProcessIndex) -> bool {
    let Some(record) = cluster.arbiter.record() else {
        return false;
    };
    if cluster.is_member(victim, record) {
        return may_lose(cluster, victim);
    }
    let in_flight = cluster.swaps_in_flight.get(&victim);
    in_flight.is_none_or(|&count| count == 0)
}

/// Whether the machine goes on without this process's state: no swap may still take effect, and the record names
/// another process that is alive and whose state is sound.
fn may_lose(cluster: &Cluster, victim: ProcessIndex) -> bool {
    let Some(record) = cluster.arbiter.record() else {
        return false;
    };
    if cluster.swaps_in_flight.values().any(|&count| count > 0) || cluster.arbiter.is_in_doubt() {
        return false;
    }
    matches!(record.mode, Mode::Pair { .. })
        && (0..cluster.processes.len()).any(|index| {
            index != victim
                && cluster.could_go_on(index, record)
                && cluster.processes[index].is_alive()
        })
}
