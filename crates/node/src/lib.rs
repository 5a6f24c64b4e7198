//! The outside world of one host: sockets, files, clocks, threads, the arbiter's store, the switch and the
//! API. Everything that can fail because a host fails is here, and nothing that the guest can see.
#![forbid(unsafe_code)]

pub mod arbiter;
pub mod config;
pub mod keys;
pub mod names;
pub mod switch;
pub mod tls;
pub mod transport;
