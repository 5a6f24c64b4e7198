//! The primary's side of the log: runs a machine, feeds it inputs, steers its clock, and writes down all
//! that a replayer needs to do the same.

use crate::entry::{Entry, Event};
use crate::mark::{OutputMark, join_console};
use crate::steering::Steering;
use machine::{
    Input, Machine, Output, Position, RUN_COST_MAX, Request, Snapshot, Stop, TICKS_PER_SECOND,
};
use std::collections::VecDeque;

/// Most inputs that one step applies.
const INPUTS_PER_STEP: usize = 64;

/// How often the recorder writes what is not asked for by anything outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecorderConfig {
    /// Positions between two digests, at most.
    pub digest_positions: u64,
    /// A guest that runs or wakes writes a digest when the last one is this old, in host ticks.
    pub digest_ticks: u64,
    /// However due a digest is, it is put off until so many host ticks have passed for each page that the one before
    /// had to hash.
    pub digest_page_ticks: u64,
    /// A running guest writes an entry at least this often, in host ticks.
    pub progress_ticks: u64,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self {
            digest_positions: 1_000_000_000,
            digest_ticks: 2 * TICKS_PER_SECOND,
            // To hash a page, and to find it written anew, takes a microsecond or two: this keeps it to 2 %.
            digest_page_ticks: TICKS_PER_SECOND / 10_000,
            // What a CPU-bound guest costs the log is these packets and their acknowledgements.
            progress_ticks: TICKS_PER_SECOND / 40,
        }
    }
}

/// What the machine does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecorderState {
    /// It has more to execute.
    Running,
    /// It waits for an input, or until host time `wake_at` where that is given.
    Idle {
        /// In host ticks.
        wake_at: Option<u64>,
    },
    /// It is off; the entry that says so is written.
    PoweredOff,
    /// It asked for a reset, which is not supported yet; the entry that says so is written, and it stays
    /// where it is.
    Reset,
}

/// What one step wrote and said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderStep {
    /// New log entries, encoded, in order.
    pub entries: Vec<Vec<u8>>,
    /// For each output mark: its number among `entries` (from 0), and the outputs that it covers.
    pub outputs: Vec<(u32, Vec<Output>)>,
    /// What the machine asks its host to do. It is held back by nobody, and how it ends is an input
    /// ([`Input::Completion`]).
    pub requests: Vec<Request>,
    /// Inputs that the machine could not take; they are lost, as on a device without room.
    pub refused: u32,
    /// What comes next.
    pub state: RecorderState,
}

/// Owns a machine and writes its log.
pub struct Recorder {
    machine: Machine,
    config: RecorderConfig,
    steering: Steering,
    /// Host time of the newest entry.
    written: u64,
    /// Host time of the newest digest; where the next is due, and the host time before which it is not.
    digested: Option<u64>,
    digest_at: u64,
    digest_from: u64,
    /// The newest digest left written pages for the next.
    partial: bool,
    /// Set once the machine has stopped for good.
    stopped: Option<RecorderState>,
}

impl Recorder {
    /// Records a machine from where it is. Guest time goes on from what it is, and follows host time from the
    /// first step on. What the machine has requested and not seen completed is requested once more by that step: nobody knows
    /// how far whoever ran the machine before has come with it.
    pub fn new(machine: Machine, config: RecorderConfig) -> Self {
        Self::with_lead(machine, config, None)
    }

    /// As [`Recorder::new`], but guest time is steered to host time plus `lead`, where that is known; it never
    /// goes back.
    pub(crate) fn with_lead(
        mut machine: Machine,
        config: RecorderConfig,
        lead: Option<i64>,
    ) -> Self {
        machine.repeat_requests();
        let steering = Steering::new(machine.clock().rate, lead);
        let digest_at = next_digest(machine.position(), &config);
        Self {
            machine,
            config,
            steering,
            written: 0,
            digested: None,
            digest_at,
            digest_from: 0,
            partial: false,
            stopped: None,
        }
    }

    /// The machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Gives the machine back.
    pub fn into_machine(self) -> Machine {
        self.machine
    }

    /// Applies inputs and executes up to `budget` positions, less when the guest waits, says something, or costs the host much.
    /// `host` is host time now, in guest clock ticks since an origin that stays the same. Inputs are taken from
    /// `inputs` in order. Of those left there, frames may wait until the guest has taken others ([`Recorder::takes_any`]); the
    /// rest wants another step.
    pub fn step(&mut self, host: u64, inputs: &mut VecDeque<Input>, budget: u64) -> RecorderStep {
        let mut step = self.begin();
        if self.stopped.is_none() {
            self.go_on(host, inputs, budget, &mut step);
            step.requests = self.machine.take_requests();
        }
        step
    }

    fn go_on(
        &mut self,
        host: u64,
        inputs: &mut VecDeque<Input>,
        budget: u64,
        step: &mut RecorderStep,
    ) {
        let spent = self.machine.cost();
        self.digested.get_or_insert(host);
        self.mark_outputs(host, step);
        let awake = !self.machine.is_idle();
        self.digest_if_due(host, awake, step);
        if !self.steer(host, self.takes_any(inputs), step) {
            step.state = self.idle();
            return;
        }
        // Inputs cost the host something, too: what is left of a step's time is for the guest.
        for _ in 0..INPUTS_PER_STEP {
            if self.machine.cost() - spent >= RUN_COST_MAX {
                break;
            }
            let Some(input) = self.next_of(inputs).and_then(|at| inputs.remove(at)) else {
                break;
            };
            if !self.apply(host, input, step) {
                step.refused += 1;
            }
        }
        self.run(host, budget, step);
    }

    /// Whether one of `inputs` could be applied now.
    pub fn takes_any(&self, inputs: &VecDeque<Input>) -> bool {
        self.next_of(inputs).is_some()
    }

    /// The first input that need not wait. A frame does not overtake another one, and all else overtakes frames.
    fn next_of(&self, inputs: &VecDeque<Input>) -> Option<usize> {
        let mut frames_wait = false;
        inputs.iter().position(|input| {
            let is_frame = matches!(input, Input::Frame { .. });
            let waits = is_frame && (frames_wait || self.machine.must_wait(input));
            frames_wait |= waits;
            !waits
        })
    }

    /// Empties the translation caches at a logged position and takes a snapshot there: a replayer that restores
    /// it goes on with the entry that follows those of the step, which is a digest of this very state. There is
    /// no snapshot of a machine that has stopped.
    pub fn snapshot(&mut self, host: u64) -> (RecorderStep, Option<Snapshot>) {
        let mut step = self.begin();
        if self.stopped.is_some() {
            return (step, None);
        }
        self.mark_outputs(host, &mut step);
        self.apply(host, Input::Synchronize, &mut step);
        (self.digest_at, self.digest_from) = (self.machine.position().0, 0);
        (step, Some(self.machine.snapshot()))
    }

    /// Writes a digest of the state as it is: behind a snapshot, and at the end of a record.
    pub fn digest_now(&mut self, host: u64) -> RecorderStep {
        let mut step = self.begin();
        self.mark_outputs(host, &mut step);
        self.digest(host, &mut step);
        step
    }

    fn begin(&self) -> RecorderStep {
        RecorderStep {
            entries: Vec::new(),
            outputs: Vec::new(),
            requests: Vec::new(),
            refused: 0,
            state: self.stopped.unwrap_or(RecorderState::Running),
        }
    }

    /// Keeps the guest clock on time. Says whether there is anything to execute.
    fn steer(&mut self, host: u64, input: bool, step: &mut RecorderStep) -> bool {
        let guest = self.machine.time();
        if !self.machine.is_idle() {
            let at = self.machine.position();
            if let Some(clock) = self.steering.running(host, at, guest) {
                self.apply(host, Input::Clock(clock), step);
            }
            return true;
        }
        self.steering.waiting(host, guest);
        let due = self.wake_at().is_some_and(|wake_at| wake_at <= host);
        if !due && !input {
            return false;
        }
        self.digest_if_due(host, true, step);
        let clock = self.steering.waking(host, guest);
        self.apply(host, Input::Clock(clock), step);
        true
    }

    fn run(&mut self, host: u64, budget: u64, step: &mut RecorderStep) {
        let from = self.machine.position();
        let mut until = from.0.saturating_add(budget);
        if host >= self.digest_from {
            until = until.min(self.digest_at);
        }
        let stop = self.machine.run_about(Position(until));
        self.mark_outputs(host, step);
        step.state = match stop {
            Stop::Reached | Stop::Output => RecorderState::Running,
            Stop::Idle => {
                self.steering.waiting(host, self.machine.time());
                self.idle()
            }
            Stop::PowerOff => self.stop(host, false, step),
            Stop::Reset => self.stop(host, true, step),
        };
        if self.stopped.is_none() {
            self.digest_if_due(host, false, step);
        }
        let silent = host.saturating_sub(self.written) >= self.config.progress_ticks;
        if silent && self.stopped.is_none() && self.machine.position() > from {
            self.write(host, Event::Progress, step);
        }
    }

    fn idle(&mut self) -> RecorderState {
        let wake_at = self.wake_at();
        RecorderState::Idle { wake_at }
    }

    /// Host time at which the clock wakes the guest.
    fn wake_at(&mut self) -> Option<u64> {
        let now = self.machine.time();
        let deadline = self.machine.timer_deadline()?;
        // A deadline that has passed and woke nobody (its interrupt is masked) will not do so later.
        (deadline > now).then(|| self.steering.host_time(deadline))?
    }

    fn stop(&mut self, host: u64, reset: bool, step: &mut RecorderStep) -> RecorderState {
        self.write(host, Event::Stopped { reset }, step);
        let state = if reset {
            RecorderState::Reset
        } else {
            RecorderState::PoweredOff
        };
        self.stopped = Some(state);
        state
    }

    /// Applies an input and writes it down; false if the machine, or the log, cannot take it.
    fn apply(&mut self, host: u64, input: Input, step: &mut RecorderStep) -> bool {
        let entry = Entry {
            position: self.machine.position(),
            event: Event::Input(input.clone()),
        };
        let Ok(bytes) = entry.encode() else {
            return false;
        };
        if self.machine.apply(input).is_err() {
            return false;
        }
        step.entries.push(bytes);
        self.written = host;
        self.mark_outputs(host, step);
        true
    }

    fn mark_outputs(&mut self, host: u64, step: &mut RecorderStep) {
        let mut outputs = Vec::new();
        join_console(&mut outputs, self.machine.take_outputs());
        if outputs.is_empty() {
            return;
        }
        let number = u32::try_from(step.entries.len()).expect("a step writes few entries");
        self.write(host, Event::Output(OutputMark::of(&outputs)), step);
        step.outputs.push((number, outputs));
    }

    /// The age of the last digest counts for a guest that is awake.
    fn digest_if_due(&mut self, host: u64, awake: bool, step: &mut RecorderStep) {
        let age = host.saturating_sub(self.digested.unwrap_or(host));
        let is_old = awake && (self.partial || age >= self.config.digest_ticks);
        if (is_old || self.machine.position().0 >= self.digest_at) && host >= self.digest_from {
            self.digest(host, step);
        }
    }

    fn digest(&mut self, host: u64, step: &mut RecorderStep) {
        let digest = Box::new(self.machine.digest());
        let pause = digest.pages_hashed() * self.config.digest_page_ticks;
        self.partial = digest.is_partial();
        self.digest_from = host.saturating_add(pause);
        self.write(host, Event::Digest(digest), step);
        self.digested = Some(host);
        self.digest_at = next_digest(self.machine.position(), &self.config);
    }

    fn write(&mut self, host: u64, event: Event, step: &mut RecorderStep) {
        let entry = Entry {
            position: self.machine.position(),
            event,
        };
        let bytes = entry
            .encode()
            .expect("only inputs can be too long, and those are checked by `apply`");
        step.entries.push(bytes);
        self.written = host;
    }
}

fn next_digest(at: Position, config: &RecorderConfig) -> u64 {
    at.0.saturating_add(config.digest_positions.max(1))
}
