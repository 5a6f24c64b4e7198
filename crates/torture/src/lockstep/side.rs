//! One machine among those compared, with what it said since the last comparison.

use super::{Guest, Pace, Way};
use crate::DEVICES_BYTES_MAX;
use machine::hart::Hart;
use machine::{Clock, Digest, Input, Machine, Output, Position, Snapshot, Stop};

/// Later than any timer that matters.
const NEVER: u64 = u64::MAX / 2;

pub(super) struct Side<'a> {
    guest: &'a Guest,
    way: Way<'a>,
    machine: Machine,
    /// Inputs that have come in.
    taken: usize,
    /// Where [`Input::Synchronize`] came in last.
    synchronized: Option<u64>,
    end: Option<Stop>,
    /// Frames with their positions, console bytes in one piece, since the last comparison.
    said: Vec<(Position, Output)>,
    refused: Vec<bool>,
    digests: Vec<Digest>,
}

impl<'a> Side<'a> {
    pub(super) fn new(guest: &'a Guest, way: Way<'a>) -> Side<'a> {
        Side {
            guest,
            way,
            machine: guest.origin.machine((way.engine)()),
            taken: 0,
            synchronized: None,
            end: None,
            said: Vec::new(),
            refused: Vec::new(),
            digests: Vec::new(),
        }
    }

    pub(super) fn way(&self) -> Way<'a> {
        self.way
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    pub(super) fn position(&self) -> u64 {
        self.machine.position().0
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn inputs_left(&self) -> Vec<(Position, Input)> {
        self.guest.inputs[self.taken..].to_vec()
    }

    pub(super) fn snapshot(&mut self) -> Option<Snapshot> {
        if self.synchronized != Some(self.position()) {
            return None;
        }
        self.listen();
        Some(self.machine.snapshot())
    }

    /// Runs to a position, or to the end.
    pub(super) fn run(&mut self, until: u64) {
        while self.end.is_none() {
            while self.next_input().is_some_and(|at| at <= self.position()) {
                self.take_input();
            }
            let here = self.position();
            if here >= until {
                return;
            }
            let stop = self.machine.run(Position(
                (here.saturating_add(self.way.stride.at(here)))
                    .min(self.next_input().unwrap_or(u64::MAX))
                    .min(until),
            ));
            self.listen();
            match stop {
                Stop::Reached | Stop::Output => {}
                Stop::Idle => self.wake(),
                Stop::PowerOff | Stop::Reset => self.end = Some(stop),
            }
        }
    }

    /// Runs to a position with the stops and digests of a comparison.
    pub(super) fn keep_pace(&mut self, pace: Pace, until: u64) {
        while self.position() < until && !self.is_over() {
            let next = pace.after(self.position()).min(until);
            self.run(next);
            if next.is_multiple_of(pace.digests) && self.position() == next {
                self.digest();
            }
        }
    }

    /// The timer that the guest waits for is due; else what would have come later comes now, or nothing ever.
    fn wake(&mut self) {
        match self.machine.timer_deadline() {
            Some(time) if time < NEVER => {
                let rate = self.machine.clock().rate;
                let clock = Input::Clock(Clock { time, rate });
                self.machine
                    .apply(clock)
                    .expect("a clock is always possible");
            }
            _ if self.next_input().is_some() => self.take_input(),
            _ => self.end = Some(Stop::Idle),
        }
    }

    fn next_input(&self) -> Option<u64> {
        let (position, _) = self.guest.inputs.get(self.taken)?;
        Some(position.0)
    }

    fn take_input(&mut self) {
        let (_, input) = &self.guest.inputs[self.taken];
        self.taken += 1;
        self.refused
            .push(self.machine.apply(input.clone()).is_err());
        if *input == Input::Synchronize {
            self.synchronized = Some(self.position());
            self.listen();
            self.digest();
            if self.way.restore {
                self.restore();
            }
        }
    }

    fn restore(&mut self) {
        let snapshot = self.machine.snapshot();
        assert!(
            snapshot.state_bytes() <= DEVICES_BYTES_MAX,
            "a machine keeps {} bytes beside memory",
            snapshot.state_bytes()
        );
        let snapshot = Snapshot::from_bytes(&snapshot.to_bytes()).expect("our own snapshot");
        let mut restored =
            Machine::restore(&snapshot, (self.way.engine)()).expect("our own snapshot");
        let differences = restored.digest().compare(&self.machine.digest());
        assert!(differences.is_empty(), "restored: {differences:?}");
        self.machine = restored;
    }

    pub(super) fn digest(&mut self) {
        self.digests.push(self.machine.digest());
    }

    /// Takes outputs, so that they do not depend on where runs ended: console bytes come in pieces of any length.
    fn listen(&mut self) {
        let position = self.machine.position();
        for output in self.machine.take_outputs() {
            match (&output, self.said.last_mut()) {
                (Output::Console(bytes), Some((_, Output::Console(said)))) => {
                    said.extend_from_slice(bytes);
                }
                (Output::Console(_), _) => self.said.push((Position(0), output)),
                (Output::Frame { .. }, _) => self.said.push((position, output)),
            }
        }
    }

    /// Whether all that was looked at is equal.
    pub(super) fn agrees(&self, other: &Side<'_>) -> bool {
        same_registers(self.machine.hart(), other.machine.hart())
            && self.end == other.end
            && self.said == other.said
            && self.refused == other.refused
            && self.digests == other.digests
    }

    /// What differs of that which is not in the machine itself.
    pub(super) fn compare(&self, other: &Side<'_>) -> Vec<String> {
        let mut phrases = Vec::new();
        if self.end != other.end {
            phrases.push(format!("the end: {:?} and {:?}", self.end, other.end));
        }
        if self.said != other.said {
            phrases.push(format!("outputs: {:?} and {:?}", self.said, other.said));
        }
        if self.refused != other.refused {
            phrases.push("which inputs were refused".to_owned());
        }
        for (one, two) in self.digests.iter().zip(&other.digests) {
            for phrase in one.compare(two) {
                phrases.push(format!("in the digest at {}: {phrase}", one.position.0));
            }
        }
        phrases
    }

    /// Forgets what was compared. What was said.
    pub(super) fn forget(&mut self) -> Vec<(Position, Output)> {
        self.refused.clear();
        self.digests.clear();
        std::mem::take(&mut self.said)
    }
}

/// Everything that a program can see of the hart, and where it is.
fn same_registers(one: &Hart, two: &Hart) -> bool {
    one.position == two.position
        && one.pc == two.pc
        && one.x[1..32] == two.x[1..32]
        && one.f == two.f
        && one.mode == two.mode
        && one.csr == two.csr
        && one.reservation == two.reservation
        && one.waiting == two.waiting
}
