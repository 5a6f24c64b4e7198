//! Tests of the executor from outside the crate.
#![allow(clippy::unwrap_used)] // also in helpers, which clippy does not take for tests

mod faults;
#[path = "../../../eventlog/tests/it/guest.rs"]
#[allow(dead_code)]
mod guest;
mod pair;
mod requests;
