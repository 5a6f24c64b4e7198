//! Tests of the node's edges against real files, sockets and processes.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod agreement;
mod arbiter;
mod arbiter_faults;
mod arbiter_identity;
mod cases;
mod console;
mod flood;
mod guest_station;
mod identity;
mod joiner;
mod leaving;
mod pair;
mod recovery;
mod sandbox;
mod switch;
mod transport;
mod unprotected;
