//! The hart of the node that is the machine: records, and brakes when told to.

use crate::command::HartReport;
use crate::hart::{Advice, HartConfig, HartStatus};
use bytes::Bytes;
use eventlog::{Recorder, RecorderState, Step};
use machine::{Input, Machine, Output, TICKS_PER_SECOND};
use replication::{LogIndex, TransferId};
use std::collections::VecDeque;

/// The brake rests at least this long at a time, in ticks: shorter sleeps cost more than they slow down.
const REST_MIN: u64 = TICKS_PER_SECOND / 1_000;
/// The longest that one step is taken to have run, in ticks: beyond, the process was stopped.
const RAN_MAX: u64 = TICKS_PER_SECOND / 50;
/// Entries that are not reported at once, at most: inputs that nobody answers can be many.
const HELD_MAX: usize = 64;
/// A brake at or above this stands still.
const BRAKE_FULL: u16 = 1_000;

pub(crate) struct Primary {
    recorder: Recorder,
    /// Index of the next entry.
    next: LogIndex,
    inputs: VecDeque<Input>,
    inputs_max: usize,
    inputs_dropped: u64,
    brake: Brake,
    held: Held,
    over: bool,
}

/// Entries that are not reported yet: nobody waits for them, and each report wakes a thread here, and more on the
/// backup's host.
#[derive(Debug, Default)]
struct Held {
    entries: Vec<Bytes>,
    outputs: Vec<(u32, Vec<Output>)>,
    /// Host time of the last report.
    reported: u64,
    /// Host ticks after which all are reported.
    ticks_max: u64,
}

impl Held {
    fn new(config: &HartConfig) -> Self {
        Self {
            ticks_max: config.recorder.progress_ticks,
            ..Self::default()
        }
    }

    fn add(&mut self, step: Step) {
        let before = self.entries.len() as u32;
        self.entries
            .extend(step.entries.into_iter().map(Bytes::from));
        let outputs = step.outputs.into_iter();
        self.outputs
            .extend(outputs.map(|(number, outputs)| (before + number, outputs)));
    }

    fn is_due(&self, host: u64) -> bool {
        let is_late = host.saturating_sub(self.reported) >= self.ticks_max;
        is_late || !self.outputs.is_empty() || self.entries.len() >= HELD_MAX
    }

    fn report(&mut self, host: u64, reports: &mut VecDeque<HartReport>) {
        if self.entries.is_empty() {
            return;
        }
        self.reported = host;
        reports.push_back(HartReport::Appended {
            entries: std::mem::take(&mut self.entries),
            outputs: std::mem::take(&mut self.outputs),
        });
    }
}

impl Primary {
    pub(crate) fn new(machine: Machine, next: LogIndex, config: &HartConfig) -> Self {
        Self::recording(Recorder::new(machine, config.recorder), next, config)
    }

    /// Goes on with a recorder.
    pub(crate) fn recording(recorder: Recorder, next: LogIndex, config: &HartConfig) -> Self {
        Self {
            recorder,
            next,
            inputs: VecDeque::new(),
            inputs_max: config.inputs_max,
            inputs_dropped: 0,
            brake: Brake::default(),
            held: Held::new(config),
            over: false,
        }
    }

    pub(crate) fn machine(&self) -> &Machine {
        self.recorder.machine()
    }

    /// The guest has stopped for good.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn status(&self) -> HartStatus {
        let position = self.machine().position();
        HartStatus {
            position,
            horizon: position,
            touched_bytes: self.machine().touched_bytes(),
            typed_waiting: self.machine().console_waiting() as u64
                + self.inputs.iter().map(Input::typed_bytes).sum::<u64>(),
            inputs_waiting: self.inputs.len(),
            inputs_dropped: self.inputs_dropped,
            engine_faults: self.machine().faults().count(),
            ..HartStatus::default()
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        if self.inputs.len() < self.inputs_max {
            self.inputs.push_back(input);
        } else {
            self.inputs_dropped += 1;
        }
    }

    pub(crate) fn throttle(&mut self, brake: u16) {
        self.brake.force = brake.min(BRAKE_FULL);
    }

    pub(crate) fn snapshot(
        &mut self,
        host: u64,
        transfer: TransferId,
        reports: &mut VecDeque<HartReport>,
    ) {
        let (step, snapshot) = self.recorder.snapshot(host);
        self.append(step);
        self.held.report(host, reports);
        let Some(snapshot) = snapshot else {
            return;
        };
        reports.push_back(HartReport::SnapshotTaken {
            transfer,
            from: self.next,
            state: Bytes::from(snapshot.to_bytes()),
        });
        // What the new backup checks first, whether or not the guest may go on now.
        let step = self.recorder.digest_now(host);
        self.append(step);
        self.held.report(host, reports);
    }

    pub(crate) fn step(
        &mut self,
        host: u64,
        budget: u64,
        reports: &mut VecDeque<HartReport>,
    ) -> Advice {
        if let Some(until) = self.brake.rest(host) {
            self.held.report(host, reports);
            return Advice::Wait { until };
        }
        let step = self.recorder.step(host, &mut self.inputs, budget);
        self.inputs_dropped += u64::from(step.refused);
        let state = step.state;
        self.append(step);
        if state != RecorderState::Running || self.held.is_due(host) {
            self.held.report(host, reports);
        }
        let wait_until = match state {
            RecorderState::Running => {
                self.brake.ran_from(host);
                return Advice::Again;
            }
            RecorderState::Idle { .. } if self.recorder.takes_any(&self.inputs) => {
                return Advice::Again;
            }
            RecorderState::Idle { wake_at } => wake_at,
            RecorderState::PoweredOff => {
                self.over = true;
                reports.push_back(HartReport::PoweredOff);
                None
            }
            RecorderState::Reset => {
                self.over = true;
                reports.push_back(HartReport::ResetAsked);
                None
            }
        };
        Advice::Wait { until: wait_until }
    }

    fn append(&mut self, step: Step) {
        self.next.0 += step.entries.len() as u64;
        self.held.add(step);
    }
}

/// Lets the guest run for a part of the time only.
#[derive(Debug, Default)]
struct Brake {
    /// In thousandths of the time.
    force: u16,
    /// Host time at which the last step began to execute.
    ran_from: Option<u64>,
    /// Ticks that it owes to rest.
    debt: u64,
    /// Host time until which it rests.
    until: u64,
}

impl Brake {
    fn ran_from(&mut self, host: u64) {
        self.ran_from = Some(host);
    }

    /// Whether to rest now: until when, or until told otherwise.
    fn rest(&mut self, host: u64) -> Option<Option<u64>> {
        let ran = self.ran_from.take();
        if self.force == 0 {
            (self.debt, self.until) = (0, 0);
            return None;
        }
        if self.force >= BRAKE_FULL {
            return Some(None);
        }
        if let Some(from) = ran {
            let ran = host.saturating_sub(from).min(RAN_MAX);
            let force = u64::from(self.force);
            self.debt += ran * force / (u64::from(BRAKE_FULL) - force);
        }
        if self.debt >= REST_MIN {
            // No rest so long that easing the brake would not be felt.
            self.until = host + self.debt.min(RAN_MAX);
            self.debt = self.debt.saturating_sub(RAN_MAX).min(RAN_MAX);
        }
        (self.until > host).then_some(Some(self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks that a guest may run in ten seconds, when each step takes 0.7 ms.
    fn ran(force: u16) -> u64 {
        let mut brake = Brake {
            force,
            ..Brake::default()
        };
        let (mut host, mut ran) = (0, 0);
        while host < 10 * TICKS_PER_SECOND {
            match brake.rest(host) {
                Some(until) => host = until.unwrap_or(u64::MAX),
                None => {
                    brake.ran_from(host);
                    host += 7_000;
                    ran += 7_000;
                }
            }
        }
        ran
    }

    #[test]
    fn the_brake_leaves_its_share_of_the_time() {
        assert_eq!(ran(1_000), 0);
        assert!(ran(0) >= 10 * TICKS_PER_SECOND);
        for force in [100, 500, 900] {
            let wanted = TICKS_PER_SECOND / 100 * (1_000 - u64::from(force));
            let off = ran(force).abs_diff(wanted);
            assert!(off < wanted / 10, "brake {force}: {off} off {wanted}");
        }
    }
}
