//! States on their way to joiners, and the judge of what these cost the guest.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::deed::Deed;
use crate::happening::Happening;
use crate::joiners::Unfit;
use crate::network::ProcessIndex;
use crate::process::{Arrival, Life, Process};
use bytes::Bytes;
use replica::Event;
use replication::{
    BRAKED_IN_VAIN_MAX, Flag, Message, NodeId, Refusal, RoleStatus, SlowBackup, TransferId,
    TransferStatus,
};

/// How much longer than it should a pair may stay as it is, in microseconds: the record must be read and changed.
const DISARMS_WITHIN: u64 = 2_000_000;

/// A state that stalls does so after so many reports.
const STALLS_AFTER: u64 = 4;

/// How much of a state is sent in that time, when it takes long, in bytes.
const PROGRESS_BYTES: u64 = 1 << 20;

/// How often a node tells its core how far a transfer is, in microseconds.
const PROGRESS_EVERY: u64 = 250_000;

impl Cluster {
    /// Carries the state of a transfer, whole, damaged, slowly or not at all.
    pub(crate) fn carry_state(
        &mut self,
        from: ProcessIndex,
        to: NodeId,
        transfer: TransferId,
        mut state: Bytes,
    ) {
        if self.network.damages_state() {
            self.note(|| format!("the state that process {from} sends arrives damaged"));
            self.counts.states_damaged += 1;
            state.truncate(state.len() - 1);
        }
        let sender = self.processes[from].node;
        let to = self.process_called(to);
        let Some(to) = to else {
            return;
        };
        if self.processes[to].unfit == Some(Unfit::Stalls) {
            let reports = self.config.times.transfer_stall.us() / PROGRESS_EVERY + 2 * STALLS_AFTER;
            self.report_progress(from, transfer, reports, STALLS_AFTER);
            return;
        }
        let generation = self.channel(from, to).generation;
        let mut delay = self.random.between(5_000, 200_000);
        if self.joiners.slow_states {
            delay = self.random.between(1_500_000, 3_000_000);
            let parts = delay / PROGRESS_EVERY;
            self.report_progress(from, transfer, parts, parts);
        }
        if let Some(link) = self.link {
            delay += link.state_us();
        }
        let arrival = Arrival::Event(Event::StateArrived {
            from: sender,
            transfer,
            state,
        });
        let channel = Some(generation);
        self.queue.after(
            delay,
            Happening::Arrives {
                to,
                channel,
                from,
                arrival,
            },
        );
    }

    /// A node reports how far a transfer is: of `parts` in all, no more than `sent_max` are ever sent.
    pub(crate) fn report_progress(
        &mut self,
        from: ProcessIndex,
        transfer: TransferId,
        parts: u64,
        sent_max: u64,
    ) {
        for part in 1..parts {
            let event = Event::StateProgress {
                transfer,
                bytes: part.min(sent_max) * PROGRESS_BYTES,
                total: parts * PROGRESS_BYTES,
            };
            self.schedule_event(from, self.now() + part * PROGRESS_EVERY, event);
        }
    }

    /// Judges owners that are alone and slow their guest for a state that stalls: not for longer than is promised.
    pub(crate) fn watch_braked(&mut self) -> Result<(), Broken> {
        let bounds = &self.config.bounds;
        if bounds.unreplayed_entries_max < 10_000 || bounds.unreplayed_bytes_max < 100_000 {
            // The log that waits for the state may fill its room, and slows the guest for as long as the state is waited for.
            return Ok(());
        }
        let now = self.queue.now();
        for (index, process) in self.processes.iter().enumerate() {
            if !process.is_alive() {
                continue;
            }
            let status = process.replica.status();
            let stalls = |peer: NodeId| {
                let mut all = self.processes.iter();
                all.any(|one| one.node == peer && one.unfit == Some(Unfit::Stalls))
            };
            let braked = process.life == Life::Running
                && status.brake > 0
                && matches!(status.transfer, TransferStatus::Copying(_))
                && status.peer.is_some_and(stalls);
            if !braked {
                self.joiners.braked.remove(&index);
                continue;
            }
            let since = *self.joiners.braked.entry(index).or_insert(now);
            if now - since > BRAKED_IN_VAIN_MAX.us() {
                return Err(Broken {
                    invariant: "pauses",
                    what: format!(
                        "process {index} brakes for a state that stalls since {since} us"
                    ),
                });
            }
        }
        Ok(())
    }

    /// A guest is stopped, or was: not for a joiner that said that it has no room, and not until a joiner keeps up.
    pub(crate) fn judge_stop(&self, from: ProcessIndex, deed: &Deed) -> Result<(), Broken> {
        let what = match deed {
            Deed::Sends {
                to,
                message: Message::TransferStart { .. },
            } => {
                let to = self.process_called(*to);
                to.filter(|to| self.processes[*to].unfit == Some(Unfit::NoRoom))
                    .map(|to| format!("process {to} has no room for the state, and is sent it"))
            }
            Deed::Throttles { per_mille: 1_000 } => {
                let status = self.processes[from].replica.status();
                let joined = matches!(
                    status.transfer,
                    TransferStatus::Copying(_) | TransferStatus::Closing(_)
                );
                (joined && status.flag == Flag::Solo && status.brake >= 1_000)
                    .then(|| format!("process {from}, alone, stops its guest for a joiner"))
            }
            _ => None,
        };
        what.map_or(Ok(()), |what| {
            Err(Broken {
                invariant: "pauses",
                what,
            })
        })
    }

    /// Time jumps for all: what lagged before it is looked at anew.
    pub(crate) fn forget_laggards(&mut self) {
        self.joiners.laggards.clear();
        self.joiners.braked.clear();
    }

    /// Whether the machine is not protected yet because a state is on its long way, or the guest has paused often
    /// enough for joiners, or the backup that is to take over still replays, slowly.
    pub(crate) fn awaits_backup(&self) -> bool {
        let drains = |process: &Process| {
            let status = process.replica.status();
            process.life == Life::Running
                && (status.role, status.flag) == (RoleStatus::Backup, Flag::Pair)
                && status.suspects
                && status.replayed < status.held
        };
        if self.processes.iter().any(drains) {
            return true;
        }
        let owner = self.arbiter.record().map(|record| record.owner);
        let index = owner.and_then(|node| self.process_called(node));
        index.is_some_and(|index| {
            let status = self.processes[index].replica.status();
            let spared = (status.join_refused).is_some_and(|one| one.why == Refusal::PausesSpent);
            let copies = matches!(status.transfer, TransferStatus::Copying(_));
            status.flag == Flag::Solo && (spared || copies)
        })
    }

    /// Judges pairs whose backup does not keep up: by the policy it is dropped in time, if the arbiter can be asked.
    pub(crate) fn watch_laggards(&mut self) -> Result<(), Broken> {
        let times = &self.config.times;
        if !self.arbiter.is_well() || self.config.slow_backup != SlowBackup::Drop {
            self.joiners.laggards.clear();
            return Ok(());
        }
        let now = self.queue.now();
        for (index, process) in self.processes.iter().enumerate() {
            if process.life == Life::Crashed || process.life == Life::Halted {
                continue;
            }
            let status = process.replica.status();
            let lags = process.life == Life::Running
                && status.flag == Flag::Pair
                && status.lag >= times.slow_lag
                && status.brake >= times.slow_brake;
            if !lags {
                self.joiners.laggards.remove(&index);
                continue;
            }
            let since = *self.joiners.laggards.entry(index).or_insert(now);
            if now - since > times.slow.us() + DISARMS_WITHIN {
                return Err(Broken {
                    invariant: "slow",
                    what: format!("process {index} has waited for its backup since {since} us"),
                });
            }
        }
        Ok(())
    }
}
