//! Tests of the node's edges against real files, sockets and processes.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod arbiter;
mod guest_station;
mod switch;
mod transport;
