//! The backup's side of the log: runs a machine exactly as far as the log allows, does there what the log
//! says, and checks that the machine agrees with what the primary saw.

use crate::divergence::Divergence;
use crate::entry::{Entry, EntryError, Event};
use crate::mark::{OutputMark, join_console};
use crate::recorder::{Recorder, RecorderConfig};
use machine::{Input, Machine, Output, Position, RUN_COST_MAX, Request, Stop};
use std::collections::VecDeque;

/// Ticks by which the known lead of guest time shrinks with each clock entry, so that hosts may drift.
const LEAD_FADES: i64 = 100;

/// How the replay stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayState {
    /// Every entry was applied.
    NeedsLog,
    /// There is more to execute before the next entry.
    Running,
    /// The machine is off, as the log says.
    PoweredOff,
    /// The machine asked for a reset, as the log says; not supported yet.
    Reset,
    /// The machine does not do what the log says. It must not be used.
    Diverged(Divergence),
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayStep {
    /// Number of entries applied.
    pub applied: u64,
    /// For each output mark passed: the number of its entry since the replayer began (from 0), and the outputs.
    pub outputs: Vec<(u64, Vec<Output>)>,
    /// What the machine asks its host to do: for a replica that keeps copies of its own. How it ends is in the log.
    pub requests: Vec<Request>,
    /// How it stands now.
    pub state: ReplayState,
}

/// Owns a machine and follows a log.
pub struct Replayer {
    machine: Machine,
    queue: VecDeque<Entry>,
    /// Entries applied since the beginning.
    applied: u64,
    /// Outputs since the last mark.
    said: Vec<Output>,
    /// Requests of the present step.
    asked: Vec<Request>,
    /// The last position at which a digest agreed, or where the replay began.
    agreed: Position,
    /// Digests that agreed.
    digests: u64,
    /// Guest time less host time, as clock entries showed when they came in.
    lead: Option<i64>,
    /// Set once nothing more can be replayed.
    ended: Option<ReplayState>,
}

impl Replayer {
    /// Follows a log from this machine's state on.
    pub fn new(machine: Machine) -> Self {
        let agreed = machine.position();
        Self {
            machine,
            queue: VecDeque::new(),
            applied: 0,
            said: Vec::new(),
            asked: Vec::new(),
            agreed,
            digests: 0,
            lead: None,
            ended: None,
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

    /// Entries given and not yet applied.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Entries applied since the replayer began.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The last position at which a digest agreed, or where the replay began.
    pub fn agreed(&self) -> Position {
        self.agreed
    }

    /// Digests that agreed since the replayer began.
    pub fn digests(&self) -> u64 {
        self.digests
    }

    /// Position of the newest entry given: as far as the log allows to run.
    pub fn horizon(&self) -> Position {
        let last = self.queue.back().map(|entry| entry.position);
        last.unwrap_or(self.machine.position())
    }

    /// Gives the next entry, which came in at host time `host` (in guest clock ticks; only used to keep guest
    /// time on time after going live).
    ///
    /// # Errors
    /// These bytes are no entry: the log has a hole, and the replayer has diverged.
    pub fn push(&mut self, bytes: &[u8], host: u64) -> Result<(), EntryError> {
        match Entry::decode(bytes) {
            Ok(entry) => {
                if let Event::Input(Input::Clock(clock)) = &entry.event {
                    self.note_lead((clock.time as i64).wrapping_sub(host as i64));
                }
                self.queue.push_back(entry);
                Ok(())
            }
            Err(error) => {
                if self.ended.is_none() {
                    let at = self.horizon();
                    self.queue.clear();
                    self.end_diverged(at, vec![error.to_string()]);
                }
                Err(error)
            }
        }
    }

    /// Executes up to `budget` positions, less where it costs the host much, and applies the entries that are met.
    pub fn step(&mut self, budget: u64) -> ReplayStep {
        let end = self.machine.position().0.saturating_add(budget);
        let before = self.applied;
        let mut outputs = Vec::new();
        let state = self.advance(Position(end), &mut outputs);
        ReplayStep {
            applied: self.applied - before,
            outputs,
            requests: std::mem::take(&mut self.asked),
            state,
        }
    }

    /// Goes live: all of the log was applied, and what follows is recorded. What is requested and not completed is requested
    /// once more by the first step of the recorder.
    ///
    /// # Errors
    /// Gives back the replayer when entries are left, or the machine has stopped or diverged.
    pub fn into_recorder(self, config: RecorderConfig) -> Result<Recorder, Box<Self>> {
        if !self.queue.is_empty() || self.ended.is_some() {
            return Err(Box::new(self));
        }
        Ok(Recorder::with_lead(self.machine, config, self.lead))
    }

    /// Entries that were delayed show a lead that is too small: the largest counts, but it fades.
    fn note_lead(&mut self, lead: i64) {
        let faded = self.lead.map(|old| old.saturating_sub(LEAD_FADES));
        self.lead = Some(faded.map_or(lead, |faded| faded.max(lead)));
    }

    fn advance(&mut self, end: Position, outputs: &mut Vec<(u64, Vec<Output>)>) -> ReplayState {
        let spent = self.machine.cost();
        loop {
            if let Some(ended) = &self.ended {
                return ended.clone();
            }
            let Some(entry) = self.queue.front() else {
                return ReplayState::NeedsLog;
            };
            if self.machine.cost() - spent >= RUN_COST_MAX {
                return ReplayState::Running;
            }
            let (target, here) = (entry.position, self.machine.position());
            if target > here {
                if here >= end {
                    return ReplayState::Running;
                }
                if target <= end {
                    let stop = self.machine.run_towards(target);
                    self.ran(stop, target);
                    continue;
                }
                // Where a step ends between entries is its own choice.
                let stop = self.machine.run_about(end);
                self.ran(stop, target);
                return self.ended.clone().unwrap_or(ReplayState::Running);
            }
            if target < here {
                let what = format!(
                    "the log goes back to position {}, while the machine is at {}",
                    target.0, here.0
                );
                return self.diverge(vec![what]);
            }
            let Some(entry) = self.queue.pop_front() else {
                continue;
            };
            match self.meet(entry.event, outputs) {
                Ok(()) => self.applied += 1,
                Err(what) => return self.diverge(what),
            }
        }
    }

    /// Takes in what the machine said and did on its way to an entry at `target`.
    fn ran(&mut self, stop: Stop, target: Position) {
        join_console(&mut self.said, self.machine.take_outputs());
        self.asked.extend(self.machine.take_requests());
        let here = self.machine.position();
        let doing = match stop {
            Stop::Reached | Stop::Output => return,
            Stop::Idle | Stop::PowerOff | Stop::Reset if here >= target => return,
            Stop::Idle => "waits for an interrupt",
            Stop::PowerOff => "is off",
            Stop::Reset => "asked for a reset",
        };
        self.diverge(vec![format!(
            "the machine {doing} at position {}, while the log goes on at {}",
            here.0, target.0
        )]);
    }

    /// Does or checks what an entry says, at its position.
    fn meet(
        &mut self,
        event: Event,
        outputs: &mut Vec<(u64, Vec<Output>)>,
    ) -> Result<(), Vec<String>> {
        let marked = matches!(event, Event::Output(_));
        if !marked && !self.said.is_empty() {
            return Err(vec![format!(
                "the machine said {}, of which the log knows nothing",
                describe(&self.said)
            )]);
        }
        match event {
            Event::Progress => {}
            Event::Input(input) => {
                let applied = self.machine.apply(input);
                applied.map_err(|error| vec![format!("an input cannot be applied: {error}")])?;
                join_console(&mut self.said, self.machine.take_outputs());
            }
            Event::Output(mark) => {
                let said = std::mem::take(&mut self.said);
                let mine = OutputMark::of(&said);
                if mine != mark {
                    return Err(vec![format!(
                        "the machine said {}, while the log knows of {} outputs, or of others",
                        describe(&said),
                        mark.count
                    )]);
                }
                outputs.push((self.applied, said));
            }
            Event::Digest(theirs) => {
                let differences = self.machine.digest().compare(&theirs);
                if !differences.is_empty() {
                    return Err(differences);
                }
                self.agreed = self.machine.position();
                self.digests += 1;
            }
            Event::Stopped { reset } => return self.meet_stop(reset),
        }
        Ok(())
    }

    fn meet_stop(&mut self, reset: bool) -> Result<(), Vec<String>> {
        let (wanted, state, doing) = if reset {
            (Stop::Reset, ReplayState::Reset, "asked for a reset")
        } else {
            (Stop::PowerOff, ReplayState::PoweredOff, "is off")
        };
        // A machine that has stopped stays where it is, and says again why.
        let stop = self.machine.run(self.machine.position());
        if stop != wanted {
            return Err(vec![format!(
                "the log says that the machine {doing}, but it is not so"
            )]);
        }
        self.ended = Some(state);
        Ok(())
    }

    fn diverge(&mut self, what: Vec<String>) -> ReplayState {
        self.end_diverged(self.machine.position(), what)
    }

    fn end_diverged(&mut self, at: Position, what: Vec<String>) -> ReplayState {
        let state = ReplayState::Diverged(Divergence {
            after: self.agreed,
            at,
            what,
        });
        self.ended = Some(state.clone());
        state
    }
}

/// Outputs in a few words.
fn describe(outputs: &[Output]) -> String {
    let console: usize = outputs
        .iter()
        .map(|output| match output {
            Output::Console(bytes) => bytes.len(),
            Output::Frame { .. } => 0,
        })
        .sum();
    let frames = outputs
        .iter()
        .filter(|output| matches!(output, Output::Frame { .. }))
        .count();
    format!("{console} console bytes and {frames} frames")
}
