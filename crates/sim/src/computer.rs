//! The machine of a simulated process: the toy, or the real one behind the executor that `node` runs.

use crate::engines::Bugs;
use crate::fingerprint::Fingerprint;
use crate::real::Real;
use crate::toy::{Speed, Toy};
use replica::{Command, Report};
use replication::{Instant, LogIndex};
use std::rc::Rc;

/// What a simulation runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A counter that is no computer, for speed.
    #[default]
    Toy,
    /// A RISC-V machine that boots this kernel: `guest/counter.c`.
    Real(Rc<[u8]>),
}

/// Either machine, behind the commands and reports of an executor.
#[derive(Debug)]
pub(crate) enum Computer {
    Toy(Toy),
    Real(Box<Real>),
}

impl Computer {
    /// A machine of this kind; `initial` says whether it has the initial state, or waits for another's. Speed is a toy's;
    /// a busy one logs so many entries more. Bugs are a real one's.
    pub(crate) fn new(kind: &Kind, initial: bool, speed: Speed, busy: usize, bugs: Bugs) -> Self {
        match kind {
            Kind::Toy => Self::Toy(Toy::new(speed, busy)),
            Kind::Real(kernel) => {
                let kernel = initial.then_some(&kernel[..]);
                Self::Real(Box::new(Real::new(kernel, bugs)))
            }
        }
    }

    /// Obeys a command.
    pub(crate) fn command(&mut self, now: Instant, command: Command) {
        match self {
            Self::Toy(toy) => toy.command(command),
            Self::Real(real) => real.command(now, command),
        }
    }

    /// Executes for a slice of time, and says when it wants the next, in microseconds. `chance` is for the toy.
    pub(crate) fn step(&mut self, now: Instant, chance: u64) -> Option<u64> {
        match self {
            Self::Toy(toy) => {
                toy.step(chance);
                Some(now.0 + Toy::SLICE_US)
            }
            Self::Real(real) => real.step(now),
        }
    }

    /// Whether it wants a slice at once, whatever it said before.
    pub(crate) fn wants_step(&self) -> bool {
        match self {
            Self::Toy(_) => false,
            Self::Real(real) => real.wants_step(),
        }
    }

    /// The next report.
    pub(crate) fn report(&mut self) -> Option<Report> {
        match self {
            Self::Toy(toy) => toy.report(),
            Self::Real(real) => real.report(),
        }
    }

    /// Panics of its engines that were contained.
    pub(crate) fn panics(&self) -> u64 {
        match self {
            Self::Toy(_) => 0,
            Self::Real(real) => real.panics(),
        }
    }

    /// Its state after entry `last`, which it has applied or written.
    pub(crate) fn fingerprint(&self, last: LogIndex) -> Fingerprint {
        match self {
            Self::Toy(toy) => Fingerprint {
                last,
                position: 0,
                digest: toy.digest(),
            },
            Self::Real(real) => real.fingerprint(last),
        }
    }

    /// Flips a bit of its state: what failing hardware would do.
    pub(crate) fn corrupt(&mut self) {
        match self {
            Self::Toy(toy) => toy.corrupt(),
            Self::Real(real) => real.corrupt(),
        }
    }
}
