//! The site under siege, and what is watched there all the time.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::client::Client;
use crate::bench::site::Site;

/// The pair, and a node that wants to join and cannot.
pub(super) const NODES: &[&str] = &["a", "b", "c"];
pub(super) const PRIMARY: usize = 0;
pub(super) const BACKUP: usize = 1;
pub(super) const JOINER: usize = 2;

/// Between two looks at processes.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The site under siege, and what is watched.
pub(super) struct Siege {
    pub(super) site: Site,
    pub(super) client: Client,
    pub(super) memory_mib_max: f64,
    pub(super) pauses_ms: f64,
}

impl Siege {
    pub(super) fn lay(site: Site, client: Client) -> Self {
        Self {
            site,
            client,
            memory_mib_max: 0.0,
            pauses_ms: 0.0,
        }
    }

    /// Looks at the processes for a while.
    pub(super) fn watch(&mut self, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            sleep(LOOK_EVERY);
            self.look()?;
        }
        Ok(())
    }

    /// One look.
    pub(super) fn look(&mut self) -> Result<()> {
        for process in self.site.processes() {
            self.memory_mib_max = self.memory_mib_max.max(resident_mib(process));
        }
        if let Some(error) = self.client.seen().error {
            anyhow::bail!("the connection broke: {error}");
        }
        Ok(())
    }
}

/// What a process holds in memory, in MiB; 0 where it is gone.
fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
