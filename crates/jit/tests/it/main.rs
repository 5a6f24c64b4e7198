//! The translator beside the interpreter.

mod engines;
mod generated;
