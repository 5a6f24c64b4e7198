//! Tests of the program `futago` from outside.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod boots;
mod check;
mod console;
mod demo;
mod determinism;
mod half_made;
mod names;
mod no_files;
mod process;
mod readme;
mod scarce;
mod seen;
mod suite;
mod typed;
mod unheard;
mod words;
