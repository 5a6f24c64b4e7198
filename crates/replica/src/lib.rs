//! Joins machine, log and replication protocol, still without I/O: what the hart thread of a node does.
#![forbid(unsafe_code)]

mod command;

pub use command::{HartCommand, HartReport};
