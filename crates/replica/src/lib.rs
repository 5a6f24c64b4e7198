//! Joins machine, log and replication protocol, still without I/O: what the hart thread of a node does
//! ([`Hart`]), and what stands between it and the replication core ([`Bridge`]).
#![forbid(unsafe_code)]

mod backup;
mod bridge;
mod command;
mod gate;
mod hart;
mod primary;

pub use bridge::{Bridge, Effect};
pub use command::{HartCommand, HartReport};
pub use gate::OutputGate;
pub use hart::{Advice, EngineSource, Hart, HartConfig, HartError, HartStatus};
