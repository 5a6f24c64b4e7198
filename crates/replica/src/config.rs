//! What an executor is told once.

use eventlog::RecorderConfig;

/// How a replica follows the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplicationMode {
    /// The machine records what it cannot repeat by itself, and its replica executes the same.
    #[default]
    Replay,
}

/// What an executor is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutorConfig {
    /// How it follows, or is followed.
    pub mode: ReplicationMode,
    /// How often a recording machine writes entries of its own accord.
    pub recorder: RecorderConfig,
    /// Most frames that wait for a recording machine, and most other inputs; what comes beyond is dropped, as by a
    /// device without room.
    pub inputs_max: usize,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self {
            mode: ReplicationMode::default(),
            recorder: RecorderConfig::default(),
            inputs_max: 1_024,
        }
    }
}
