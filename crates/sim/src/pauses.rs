//! The judge of the guest's pauses: however often joiners fail, the snapshots taken for them stop the guest only so long.

use crate::checker::Broken;
use crate::network::ProcessIndex;
use replication::{Times, TransferId};
use std::collections::{BTreeMap, VecDeque};

/// When snapshots were asked for and taken.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    asked: BTreeMap<(ProcessIndex, TransferId), u64>,
    /// When each ended, and how long it was.
    taken: BTreeMap<ProcessIndex, VecDeque<(u64, u64)>>,
    /// All that there were.
    count: u64,
}

impl Pauses {
    /// How many snapshots were taken.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// A core asks for a snapshot.
    pub(crate) fn begin(&mut self, now: u64, process: ProcessIndex, transfer: TransferId) {
        self.asked.insert((process, transfer), now);
    }

    /// The hart has taken it.
    pub(crate) fn end(
        &mut self,
        now: u64,
        process: ProcessIndex,
        transfer: TransferId,
        times: &Times,
    ) -> Result<(), Broken> {
        let Some(asked) = self.asked.remove(&(process, transfer)) else {
            return Ok(());
        };
        self.count += 1;
        let taken = self.taken.entry(process).or_default();
        taken.push_back((now, now - asked));
        while taken
            .front()
            .is_some_and(|(at, _)| now - at >= times.pauses_window.us())
        {
            taken.pop_front();
        }
        let longest = taken.iter().map(|(_, us)| *us).max().unwrap_or_default();
        let sum: u64 = taken.iter().map(|(_, us)| *us).sum();
        if sum <= times.pauses_max.us() + longest {
            return Ok(());
        }
        Err(Broken {
            invariant: "pauses",
            what: format!(
                "the guest of process {process} stood still for {sum} us in {} snapshots within {}",
                taken.len(),
                times.pauses_window
            ),
        })
    }
}
