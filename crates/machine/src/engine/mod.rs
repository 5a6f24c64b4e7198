//! How instructions get executed. Every engine gives the same results, to the instruction.

mod blocks;
mod interpreter;
mod operations;

pub use interpreter::{Interpreter, InterpreterOptions, execute_one, look_up, step};

use crate::Position;
use crate::board::Board;
use crate::cpu::Cpu;

/// Executes the instructions of one hart. It is made for one [`Cpu`], and borrows the board while it runs.
pub trait Engine: Send {
    /// Executes instructions until the hart's position is `limit` or [`Cpu::attention`] is set; at least one
    /// instruction attempt if neither is so at the start. The engine takes exceptions itself
    /// ([`Cpu::take_exception`]); interrupts are its caller's. Decoded code that the memory reports as
    /// overwritten ([`crate::Ram::take_stale`]) must not be executed.
    fn run(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position);

    /// The same, but it may also stop a little before `limit`, behind at least one instruction, where that is easier.
    fn run_about(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position) {
        self.run(cpu, board, limit);
    }
}
