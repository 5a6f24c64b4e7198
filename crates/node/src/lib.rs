//! The outside world of one host: sockets, files, clocks, threads, the arbiter's store, the switch and the
//! API. Everything that can fail because a host fails is here, and nothing that the guest can see.
//!
//! Entry points: [`run_node`] for one host's side of a protected machine, [`unprotected`] for machines on one
//! host alone, [`switch::run_switch`], [`keys::create_keys`], and [`control`] to ask and steer a running node.
#![forbid(unsafe_code)]

mod agreement;
pub mod arbiter;
mod bios;
mod bucket;
pub mod certificate;
pub mod check;
mod clock;
pub mod config;
pub mod console;
pub mod control;
mod controller;
pub mod engine;
mod executor_thread;
mod first_words;
mod given_file;
pub mod keyboard;
pub mod keys;
mod listener;
pub mod log;
mod lookup;
pub mod names;
mod new_files;
mod node;
mod open_files;
pub mod outlet;
mod panics;
mod requests;
mod room;
pub mod sandbox;
pub mod signals;
pub mod status;
pub mod switch;
pub mod tls;
pub mod transport;
pub mod unprotected;
pub mod vm;

pub use config::Config;
pub use lookup::answer_lookups;
pub use node::{ExitReason, run_node};
