//! In place of the translator, where there is none for the host.

use machine::{Board, Cpu, Engine, Position};

use crate::options::{Observer, Options, Unsupported};

/// There is none.
pub enum Translator {}

impl Translator {
    /// Fails.
    ///
    /// # Errors
    /// Always [`Unsupported::Host`].
    pub fn new(_: Options) -> Result<Translator, Unsupported> {
        Err(Unsupported::Host)
    }

    /// There is nothing to reserve.
    ///
    /// # Errors
    /// None.
    pub fn reserve(&mut self, _: u64) -> Result<(), Unsupported> {
        match *self {}
    }

    /// There is nothing to observe.
    pub fn observe_forgetting(&mut self, _: Observer) {
        match *self {}
    }
}

impl Engine for Translator {
    fn run(&mut self, _: &mut Cpu, _: &mut Board, _: Position) {
        match *self {}
    }
}
