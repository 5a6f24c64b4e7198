//! Engines with a bug: they panic at some instructions, on one side of a pair or on all. The machine contains it, and goes
//! on as if nothing had been.

use crate::random::Random;
use machine::{Board, Cpu, Engine, Interpreter, InterpreterOptions, Position};
use std::panic::resume_unwind;

/// What a panic says.
const WORDS: &str = "a bug of a simulation";

/// A way to deal with panics that is wrong, for the test that proves that the judge sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineMutation {
    /// What an instruction did until it panicked stays done, and it is executed once more.
    pub half_done: bool,
    /// Nobody catches it.
    pub uncontained: bool,
}

/// Which engines panic, and where.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bugs {
    /// At each multiple of so many positions; 0: nowhere.
    every: u64,
    /// On these hosts, a bit each.
    hosts: u64,
    /// The engine itself panics, and is replaced by a sound one; else an instruction does that it executes.
    of_engine: bool,
    mutation: EngineMutation,
}

impl Bugs {
    /// Those of a simulation: none in some.
    pub(crate) fn draw(mut random: Random, mutation: EngineMutation) -> Self {
        Self {
            every: random.between(300, 20_000),
            hosts: random.bits() & 7,
            of_engine: random.chance(300),
            mutation,
        }
    }

    /// Those on a host.
    pub(crate) fn on(self, host: usize) -> Self {
        let every = match self.hosts >> host & 1 {
            0 => 0,
            _ => self.every,
        };
        Self { every, ..self }
    }

    /// Whether a panic ends more than it should.
    pub(crate) fn is_uncontained(self) -> bool {
        self.mutation.uncontained
    }

    /// An engine that has them.
    pub(crate) fn engine(self) -> Box<dyn Engine> {
        let sound = Box::new(Interpreter::new(InterpreterOptions::default()));
        match self.every {
            0 => sound,
            _ => Box::new(Buggy {
                inner: sound,
                bugs: self,
            }),
        }
    }
}

struct Buggy {
    inner: Box<dyn Engine>,
    bugs: Bugs,
}

impl Engine for Buggy {
    fn run(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position) {
        let at = Position(cpu.hart.position.0.next_multiple_of(self.bugs.every));
        if at >= limit {
            return self.inner.run(cpu, board, limit);
        }
        self.inner.run(cpu, board, at);
        if cpu.attention || cpu.hart.position != at {
            return;
        }
        if self.bugs.of_engine {
            resume_unwind(Box::new(WORDS));
        }
        if self.bugs.mutation.half_done {
            let pc = cpu.hart.pc;
            self.inner.run(cpu, board, Position(at.0 + 1));
            (cpu.hart.pc, cpu.hart.position) = (pc, at);
        }
        cpu.interrupted(&WORDS);
    }
}
