//! What to simulate.

use crate::arbiter::StoreMutation;
use crate::computer::Kind;
use crate::engines::EngineMutation;
use replication::{Config, MachineId, NodeId};

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Options {
    /// The protocol's configuration; each process gets its own name and seed.
    pub config: Config,
    /// Which machine is replicated.
    pub machine: Kind,
    /// Keep a transcript.
    pub transcript: bool,
    /// Simulate a week, in steps, instead of seconds.
    pub week: bool,
    /// Break what surrounds the arbiter's store.
    pub store: StoreMutation,
    /// Break what happens when an engine of a real machine panics.
    pub engine: EngineMutation,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Config::new(MachineId(1), NodeId(0), 0),
            machine: Kind::default(),
            transcript: false,
            week: false,
            store: StoreMutation::default(),
            engine: EngineMutation::default(),
        }
    }
}
