//! A machine that records: takes inputs, appends to the log, and rests when told to.

use crate::config::ExecutorConfig;
use crate::inputs::Inputs;
use crate::report::Report;
use crate::status::{Advice, ExecutorStatus};
use crate::throttle::Throttle;
use bytes::Bytes;
use eventlog::{Recorder, RecorderState, RecorderStep};
use machine::{Input, Machine, Output, Request};
use replication::{LogIndex, TransferId};
use std::collections::VecDeque;

/// Entries that are not reported at once, at most: inputs that nobody answers can be many.
const UNREPORTED_MAX: usize = 64;

pub(crate) struct Recording {
    recorder: Recorder,
    inputs: Inputs,
    throttle: Throttle,
    unreported: Unreported,
    over: bool,
}

/// Entries that are not reported yet: nobody waits for them, and each report wakes a thread here, and more on the
/// backup's host.
#[derive(Debug)]
struct Unreported {
    /// Index of the next entry to be appended.
    next: LogIndex,
    entries: Vec<Bytes>,
    outputs: Vec<(LogIndex, Vec<Output>)>,
    /// Host time of the last report.
    reported: u64,
    /// Host ticks after which all are reported.
    ticks_max: u64,
}

impl Unreported {
    /// Adds what a step wrote and said. What it asks for is given back: that does not wait.
    fn add(&mut self, step: RecorderStep) -> Vec<Request> {
        let first = self.next;
        self.next = first.plus(step.entries.len() as u64);
        self.entries
            .extend(step.entries.into_iter().map(Bytes::from));
        let outputs = step.outputs.into_iter();
        self.outputs
            .extend(outputs.map(|(number, outputs)| (first.plus(number.into()), outputs)));
        step.requests
    }

    fn is_due(&self, host: u64) -> bool {
        let is_late = host.saturating_sub(self.reported) >= self.ticks_max;
        is_late || !self.outputs.is_empty() || self.entries.len() >= UNREPORTED_MAX
    }

    fn report(&mut self, host: u64, reports: &mut VecDeque<Report>) {
        if self.entries.is_empty() {
            return;
        }
        self.reported = host;
        reports.push_back(Report::Appended {
            first: LogIndex(self.next.0 - self.entries.len() as u64),
            entries: std::mem::take(&mut self.entries),
            outputs: std::mem::take(&mut self.outputs),
        });
    }
}

impl Recording {
    /// Records a machine from where it is; its next entry has index `next`.
    pub(crate) fn new(machine: Machine, next: LogIndex, config: &ExecutorConfig) -> Self {
        Self::going_on(Recorder::new(machine, config.recorder), next, config)
    }

    /// Goes on with a recorder.
    pub(crate) fn going_on(recorder: Recorder, next: LogIndex, config: &ExecutorConfig) -> Self {
        Self {
            recorder,
            inputs: Inputs::new(config.inputs_max),
            throttle: Throttle::default(),
            unreported: Unreported {
                next,
                entries: Vec::new(),
                outputs: Vec::new(),
                reported: 0,
                ticks_max: config.recorder.progress_ticks,
            },
            over: false,
        }
    }

    pub(crate) fn machine(&self) -> &Machine {
        self.recorder.machine()
    }

    pub(crate) fn into_machine(self) -> Machine {
        self.recorder.into_machine()
    }

    /// The guest has stopped for good.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Adds what only a recording machine knows.
    pub(crate) fn add_to(&self, status: &mut ExecutorStatus) {
        status.typed_waiting += self.inputs.typed_bytes();
        status.inputs_waiting = self.inputs.waiting.len();
        status.inputs_dropped = self.inputs.dropped;
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.inputs.push(input);
    }

    pub(crate) fn throttle(&mut self, per_mille: u16) {
        self.throttle.set(per_mille);
    }

    pub(crate) fn snapshot(
        &mut self,
        host: u64,
        transfer: TransferId,
        reports: &mut VecDeque<Report>,
    ) {
        let (step, snapshot) = self.recorder.snapshot(host);
        self.unreported.add(step);
        self.unreported.report(host, reports);
        let Some(snapshot) = snapshot else {
            return;
        };
        reports.push_back(Report::SnapshotTaken {
            transfer,
            from: self.unreported.next,
            state: Bytes::from(snapshot.to_bytes()),
        });
        // What the new backup checks first, whether or not the guest may go on now.
        self.digest(host, reports);
    }

    /// Writes a digest of the state as it is, and reports all.
    pub(crate) fn digest(&mut self, host: u64, reports: &mut VecDeque<Report>) {
        let step = self.recorder.digest_now(host);
        self.unreported.add(step);
        self.unreported.report(host, reports);
    }

    pub(crate) fn step(
        &mut self,
        host: u64,
        budget: u64,
        reports: &mut VecDeque<Report>,
    ) -> Advice {
        if let Some(until) = self.throttle.rest(host) {
            self.unreported.report(host, reports);
            return Advice::Wait { until };
        }
        let step = self.recorder.step(host, &mut self.inputs.waiting, budget);
        self.inputs.dropped += u64::from(step.refused);
        let state = step.state;
        let requests = self.unreported.add(step);
        if !requests.is_empty() {
            reports.push_back(Report::Requested { requests });
        }
        if state != RecorderState::Running || self.unreported.is_due(host) {
            self.unreported.report(host, reports);
        }
        let stopped = match state {
            RecorderState::Running => {
                self.throttle.ran_from(host);
                return Advice::Again;
            }
            RecorderState::Idle { .. } if self.recorder.takes_any(&self.inputs.waiting) => {
                return Advice::Again;
            }
            RecorderState::Idle { wake_at } => return Advice::Wait { until: wake_at },
            RecorderState::PoweredOff => Report::PoweredOff,
            RecorderState::Reset => Report::ResetAsked,
        };
        self.over = true;
        reports.push_back(stopped);
        Advice::Wait { until: None }
    }
}
