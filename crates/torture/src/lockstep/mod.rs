//! Several ways to execute one guest, compared as they go: registers often, everything now and then. Where they
//! differ, the first instruction after which they do is found by executing again.

mod difference;
mod divergence;
mod side;

pub use divergence::Divergence;

use machine::{
    BoardConfig, Boot, Engine, Input, Interpreter, InterpreterOptions, Machine, Output, Position,
    Snapshot,
};
use side::Side;

/// Makes an engine: a new one for each machine.
pub type Maker<'a> = &'a dyn Fn() -> Box<dyn Engine>;

/// Makes the engine that the others are compared with: it decodes each instruction anew.
pub fn reference() -> Box<dyn Engine> {
    Box::new(Interpreter::new(InterpreterOptions { block_cache: false }))
}

/// Makes the interpreter as it is used.
pub fn interpreter() -> Box<dyn Engine> {
    Box::new(Interpreter::new(InterpreterOptions { block_cache: true }))
}

/// What is executed: the same in every way.
#[derive(Clone)]
pub struct Guest {
    /// How it starts.
    pub origin: Origin,
    /// What comes in from outside, by position. While the guest waits with no timer set, the next comes early.
    pub inputs: Vec<(Position, Input)>,
}

/// How a guest starts.
#[derive(Clone)]
pub enum Origin {
    /// From reset.
    Boot(Box<BoardConfig>, Box<Boot>),
    /// From where a snapshot was taken.
    Snapshot(Box<Snapshot>),
}

impl Origin {
    /// The guest's machine, executed by `engine`.
    ///
    /// # Panics
    /// If it is impossible: guests come from this program.
    pub fn machine(&self, engine: Box<dyn Engine>) -> Machine {
        match self {
            Origin::Boot(board, boot) => {
                Machine::boot(board, boot, engine).expect("the guest fits its board")
            }
            Origin::Snapshot(snapshot) => {
                Machine::restore(snapshot, engine).expect("our own snapshot")
            }
        }
    }
}

/// How far an engine is asked to run at once. Where runs end depends on the position only, so that a run can be
/// repeated from anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stride {
    /// As far as the comparison lets it.
    Whole,
    /// So many positions.
    Fixed(u64),
    /// From one to `max` positions, drawn from a seed.
    Random {
        /// Of the draw.
        seed: u64,
        /// The most.
        max: u64,
    },
}

impl Stride {
    fn at(self, position: u64) -> u64 {
        match self {
            Stride::Whole => u64::MAX,
            Stride::Fixed(stride) => stride,
            Stride::Random { seed, max } => {
                1 + crate::generate::Random::new(seed ^ position.rotate_left(32)).bits() % max
            }
        }
    }
}

/// One way to execute; the results are the same in all.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// For messages.
    pub name: &'a str,
    /// What executes.
    pub engine: Maker<'a>,
    /// How far at once.
    pub stride: Stride,
    /// Go on as the snapshot of the machine after each `Synchronize`.
    pub restore: bool,
}

impl<'a> Way<'a> {
    /// Without restoring.
    pub fn new(name: &'a str, engine: Maker<'a>, stride: Stride) -> Way<'a> {
        Way {
            name,
            engine,
            stride,
            restore: false,
        }
    }
}

/// How often to compare, in positions. A digest takes the fast view of stores away, so it should not come too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Registers and outputs.
    pub registers: u64,
    /// Everything, by digest.
    pub digests: u64,
}

impl Pace {
    /// Where the next comparison is.
    fn after(self, position: u64) -> u64 {
        let next = |every: u64| (position / every).saturating_add(1).saturating_mul(every);
        next(self.registers).min(next(self.digests))
    }
}

/// How far a guest came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Where it is now.
    pub position: u64,
    /// Whether it said something.
    pub spoke: bool,
    /// How often it was found in another mode than at the comparison before.
    pub modes: usize,
}

/// One guest, executed in several ways.
pub struct Lockstep<'a> {
    guest: &'a Guest,
    pace: Pace,
    /// The first is what the others are compared with.
    sides: Vec<Side<'a>>,
    /// Where all were last seen to be equal.
    agreed: u64,
    reached: Reached,
    console: Vec<u8>,
    /// The guest from a later position on: a nearer place to search from.
    stage: Option<Guest>,
}

impl<'a> Lockstep<'a> {
    /// At the start of a guest.
    ///
    /// # Panics
    /// If the guest cannot be started, or nothing is to be compared.
    pub fn new(guest: &'a Guest, ways: &[Way<'a>], pace: Pace) -> Lockstep<'a> {
        assert!(
            ways.len() > 1 && pace.registers > 0 && pace.digests > 0,
            "nothing to compare"
        );
        let sides: Vec<_> = (ways.iter()).map(|way| Side::new(guest, *way)).collect();
        Lockstep {
            guest,
            pace,
            agreed: sides[0].position(),
            sides,
            reached: Reached::default(),
            console: Vec::new(),
            stage: None,
        }
    }

    /// Executes to a position, or to the end of the guest if it comes before. Inputs at that position have come in.
    pub fn run(&mut self, until: u64) -> Result<Reached, Box<Divergence>> {
        while self.agreed < until && !self.is_over() {
            let next = self.pace.after(self.agreed).min(until);
            let mode = self.reference().hart().mode;
            for side in &mut self.sides {
                side.keep_pace(self.pace, next);
            }
            self.compare(next)?;
            let said = (self.sides.iter_mut()).fold(Vec::new(), |_, side| side.forget());
            for (_, output) in said {
                self.reached.spoke = true;
                if let Output::Console(bytes) = output {
                    self.console.extend_from_slice(&bytes);
                }
            }
            self.reached.modes += usize::from(self.reference().hart().mode != mode);
            self.agreed = next;
        }
        self.reached.position = self.reference().position().0;
        Ok(self.reached)
    }

    fn compare(&mut self, here: u64) -> Result<(), Box<Divergence>> {
        let (first, others) = self.sides.split_at_mut(1);
        let first = &mut first[0];
        match others.iter_mut().find(|other| !first.agrees(other)) {
            None => Ok(()),
            Some(other) => Err(Box::new(Divergence::find(
                self.stage.iter().chain([self.guest]),
                self.pace,
                (self.agreed, here),
                [first, other],
            ))),
        }
    }

    /// Whether the guest does nothing any more.
    pub fn is_over(&self) -> bool {
        self.sides[0].is_over()
    }

    /// The machine that the others are compared with.
    pub fn reference(&self) -> &Machine {
        self.sides[0].machine()
    }

    /// What the guest has said on its console since the last call.
    pub fn take_console(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.console)
    }

    /// Lets a later search for a divergence begin here, not at the start. It has no effect but where
    /// [`Input::Synchronize`] came in at this very position.
    pub fn begin_stage(&mut self) {
        let first = &mut self.sides[0];
        if let Some(snapshot) = first.snapshot() {
            self.stage = Some(Guest {
                origin: Origin::Snapshot(Box::new(snapshot)),
                inputs: first.inputs_left(),
            });
        }
    }
}
