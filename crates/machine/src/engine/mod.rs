//! How instructions get executed. Every engine gives the same results, to the instruction.

mod blocks;
mod interpreter;
mod operations;

pub use interpreter::{Interpreter, InterpreterOptions, execute_one, look_up, step};

use crate::Position;
use crate::core::Core;

/// Executes instructions on a [`Core`].
pub trait Engine: Send {
    /// Executes instructions until the hart's position is `limit` or [`Core::attention`] is set; at least one
    /// instruction attempt if neither is so at the start. The engine takes exceptions itself
    /// ([`Core::take_exception`]); interrupts are its caller's. Decoded code that the memory reports as
    /// overwritten ([`crate::Ram::take_stale`]) must not be executed.
    fn run(&mut self, core: &mut Core, limit: Position);

    /// The same, but it may also stop a little before `limit`, behind at least one instruction, where that is easier.
    fn run_about(&mut self, core: &mut Core, limit: Position) {
        self.run(core, limit);
    }
}
