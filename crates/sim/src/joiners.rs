//! Joiners and backups that are no good: what is wrong with them.

use crate::network::ProcessIndex;
use crate::pauses::Pauses;
use crate::random::Random;
use replication::{Duration, Times};
use std::collections::BTreeMap;

/// In which way a host cannot hold a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It says so when it asks.
    NoRoom,
    /// Each state that it restores turns out damaged.
    Damages,
    /// Its process is killed when it restores a state, as for want of memory.
    Dies,
    /// States that are sent to it never come in whole.
    Stalls,
    /// It replays far more slowly than its primary records.
    Crawls,
}

/// What is wrong with joiners in a simulation, and what they cost.
#[derive(Debug, Default)]
pub(crate) struct Joiners {
    /// In which way one host cannot hold a backup.
    pub(crate) unfit: Option<Unfit>,
    /// How long a guest stands still for a snapshot, at most.
    pub(crate) snapshot_us_max: u64,
    /// Whether every state takes longer than a transfer may stand still.
    pub(crate) slow_states: bool,
    pub(crate) pauses: Pauses,
    /// Since when an owner that is alone brakes its guest for a state that stalls.
    pub(crate) braked: BTreeMap<ProcessIndex, u64>,
    /// Since when an owner's backup has been too slow, and nothing kept it from saying so.
    pub(crate) laggards: BTreeMap<ProcessIndex, u64>,
}

impl Joiners {
    /// Whether every joiner that comes to hold the state can keep up with a busy machine.
    pub(crate) fn keep_up(&self) -> bool {
        self.unfit != Some(Unfit::Crawls) && !self.slow_states
    }

    /// Chooses what is wrong: not a long transfer where bounds are tight.
    pub(crate) fn vary(&mut self, random: &mut Random, times: &mut Times, tight: bool) {
        // A wait that outlasted the simulation would only show that nothing happened.
        times.rejoin_min = us(random, &[20_000, 200_000]);
        times.rejoin_max = us(random, &[200_000, 2_000_000]);
        if random.chance(250) {
            self.unfit = Some(*random.choose(&[
                Unfit::NoRoom,
                Unfit::Damages,
                Unfit::Dies,
                Unfit::Stalls,
                Unfit::Crawls,
                Unfit::Crawls,
            ]));
            self.snapshot_us_max = *random.choose(&[1_000, 30_000]);
            times.pauses_window = us(random, &[1_000_000, 5_000_000]);
            times.pauses_max = times.pauses_window / 20;
            times.slow = us(random, &[300_000, 1_000_000]);
            times.lag_stop = Duration::from_s(1);
        }
        // What is logged meanwhile must fit into the window.
        self.slow_states = !tight && random.chance(40);
        if self.slow_states || self.unfit.is_some() {
            times.transfer_stall = Duration::from_s(1);
        }
        if !tight && self.unfit == Some(Unfit::Stalls) && random.chance(700) {
            // So patient that the guest would suffer, if it were slowed for all that time.
            times.transfer_stall = Duration::from_s(20);
        }
    }
}

/// One of these times, in microseconds.
fn us(random: &mut Random, some: &[u64]) -> Duration {
    Duration::from_us(*random.choose(some))
}
