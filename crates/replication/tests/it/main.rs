//! The protocol seen from outside: a small cluster in virtual time, told as stories, and tormented at random.
#![allow(clippy::unwrap_used)] // Tests, helpers included.

mod chaos;
mod copies;
mod hostile;
#[cfg(feature = "mutations")]
mod mutations;
mod observer;
mod random;
mod scenario;
mod words;
mod world;
