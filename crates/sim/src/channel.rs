//! A channel between two processes.

use crate::people::Introduction;
use crate::process::Arrival;
use std::collections::VecDeque;

/// One channel between two processes.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    pub(crate) generation: u64,
    pub(crate) up: bool,
    pub(crate) cut_since: Option<u64>,
    /// By what the two know each other, since they were first connected; none when one has sent the other away.
    pub(crate) introduction: Option<Introduction>,
    /// They did not want each other, and try again then.
    pub(crate) again_at: u64,
    /// Messages that wait for the cut to heal, by direction (true: from the lower index to the higher).
    pub(crate) backlog: [VecDeque<Arrival>; 2],
}
