//! Float instructions in the translator and in the interpreter: each on special operands in every rounding mode,
//! and random sequences of them.

mod chains;
mod operands;
mod program;
mod single_operations;
