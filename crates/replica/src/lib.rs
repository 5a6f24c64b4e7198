//! Drives one replica of a machine, without I/O. It has two halves, which may run on two threads and meet by values only:
//!
//! ```text
//!             messages, the arbiter's answers, states, time             host time, budget
//!                        │                                                    │
//!                        ▼            Command ──────────────────▶             ▼
//!                    [Replica]                                          [Executor]
//!                        │            ◀────────────────── Report              │
//!                        ▼                                                    ▼
//!                     [Effect]                                     the machine, which runs
//! ```
//!
//! The [`Replica`] is the half that decides: the replication protocol, the outputs that wait, and a state on its way.
//! The [`Executor`] is the half that runs the guest, and records or replays. A node and a simulation drive both; a machine
//! without a peer is an executor alone.
#![forbid(unsafe_code)]

mod command;
mod config;
mod effect;
mod event;
mod executor;
mod gate;
mod inputs;
mod recording;
mod replaying;
mod replica;
mod report;
mod status;
mod throttle;
mod transit;

pub use command::Command;
pub use config::{ExecutorConfig, ReplicationMode};
pub use effect::{Effect, Notice};
pub use event::Event;
pub use executor::{CommandError, EngineSource, Executor};
pub use replica::Replica;
pub use report::Report;
pub use status::{Advice, ExecutorStatus};
