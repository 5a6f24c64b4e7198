//! A machine that replays what it is given, and goes live when told to and nothing is left.

use crate::config::ExecutorConfig;
use crate::recording::Recording;
use crate::report::Report;
use crate::status::{Advice, ExecutorStatus};
use bytes::Bytes;
use eventlog::{Divergence, ReplayState, Replayer};
use machine::{Machine, Output, Position, TICKS_PER_SECOND};
use replication::LogIndex;
use std::collections::VecDeque;

/// While it has more to replay, it says at most so often how far it is, in host ticks: each report wakes a thread
/// here, and more on the primary's host.
const REPORT_TICKS: u64 = TICKS_PER_SECOND / 50;

pub(crate) struct Replaying {
    replayer: Replayer,
    /// Index of the first entry that was to be applied.
    first: LogIndex,
    /// Index of the next entry to be given.
    next: LogIndex,
    /// The last entry that was applied, and outputs that it produced, since the last report.
    applied: Option<LogIndex>,
    outputs: Vec<(LogIndex, Vec<Output>)>,
    /// A digest has agreed.
    verified: bool,
    /// Host time of the last report.
    reported: u64,
    /// Told to go live.
    live: bool,
    diverged: Option<Divergence>,
    over: bool,
}

impl Replaying {
    pub(crate) fn new(machine: Machine, next: LogIndex) -> Self {
        Self {
            replayer: Replayer::new(machine),
            first: next,
            next,
            applied: None,
            outputs: Vec::new(),
            verified: false,
            reported: 0,
            live: false,
            diverged: None,
            over: false,
        }
    }

    pub(crate) fn machine(&self) -> &Machine {
        self.replayer.machine()
    }

    pub(crate) fn into_machine(self) -> Machine {
        self.replayer.into_machine()
    }

    /// Digests that have agreed.
    pub(crate) fn digests_compared(&self) -> u64 {
        self.replayer.digests()
    }

    /// The last position at which a digest agreed, or where it began.
    pub(crate) fn agreed(&self) -> Position {
        self.replayer.agreed()
    }

    /// Adds what only a replaying machine knows.
    pub(crate) fn add_to(&self, status: &mut ExecutorStatus) {
        status.horizon = self.replayer.horizon();
        status.agreed = self.agreed();
        status.digests_compared += self.digests_compared();
    }

    pub(crate) fn replay(&mut self, host: u64, first: LogIndex, entries: &[Bytes]) {
        if first != self.next {
            return self.refuse(format!(
                "entries from index {} were given, while {} is the next",
                first.0, self.next.0
            ));
        }
        for entry in entries {
            if let Err(error) = self.replayer.push(entry, host) {
                return self.refuse(format!("entry {}: {error}", self.next.0));
            }
            self.next = self.next.next();
        }
    }

    pub(crate) fn go_live(&mut self, next: LogIndex) {
        if next != self.next {
            return self.refuse(format!(
                "told to go live at index {}, while {} is the next",
                next.0, self.next.0
            ));
        }
        self.live = true;
    }

    /// Told to go live, and everything given has been applied.
    pub(crate) fn wants_to_go_live(&self) -> bool {
        let sound = !self.over && self.diverged.is_none();
        self.live && sound && self.replayer.queued() == 0
    }

    /// It can replay no further, and its last report is given.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Goes live, or gives back the machine of one that cannot.
    pub(crate) fn into_recording(self, config: &ExecutorConfig) -> Result<Recording, Box<Machine>> {
        if self.over {
            return Err(Box::new(self.into_machine()));
        }
        match self.replayer.into_recorder(config.recorder) {
            Ok(recorder) => Ok(Recording::going_on(recorder, self.next, config)),
            Err(replayer) => Err(Box::new(replayer.into_machine())),
        }
    }

    pub(crate) fn step(
        &mut self,
        host: u64,
        budget: u64,
        reports: &mut VecDeque<Report>,
    ) -> Advice {
        let first = self.first.plus(self.replayer.applied());
        // What it requests is left undone: the log says how it ended, and whoever goes live is asked again.
        let step = self.replayer.step(budget);
        if step.applied > 0 {
            self.applied = Some(LogIndex(first.0 + step.applied - 1));
            let outputs = step.outputs.into_iter();
            (self.outputs)
                .extend(outputs.map(|(number, outputs)| (self.first.plus(number), outputs)));
        }
        let is_due = host.saturating_sub(self.reported) >= REPORT_TICKS;
        if is_due || step.state != ReplayState::Running {
            self.report(host, reports);
        }
        if !self.verified && self.replayer.digests() > 0 {
            self.verified = true;
            self.report(host, reports);
            reports.push_back(Report::Verified);
        }
        let stopped = match step.state {
            ReplayState::Running => return Advice::Again,
            ReplayState::NeedsLog => None,
            ReplayState::PoweredOff => Some(Report::PoweredOff),
            ReplayState::Reset => Some(Report::ResetAsked),
            ReplayState::Diverged(divergence) => {
                self.diverged.get_or_insert(divergence);
                None
            }
        };
        let last = match self.diverged.take() {
            Some(divergence) => Some(Report::Diverged(divergence)),
            None => stopped,
        };
        if let Some(report) = last {
            self.over = true;
            reports.push_back(report);
        }
        Advice::Wait { until: None }
    }

    fn report(&mut self, host: u64, reports: &mut VecDeque<Report>) {
        if let Some(index) = self.applied.take() {
            self.reported = host;
            let outputs = std::mem::take(&mut self.outputs);
            reports.push_back(Report::Replayed { index, outputs });
        }
    }

    /// What it was given has a hole or cannot be read.
    fn refuse(&mut self, what: String) {
        self.diverged.get_or_insert(Divergence {
            after: self.replayer.agreed(),
            at: self.replayer.horizon(),
            what: vec![what],
        });
    }
}
