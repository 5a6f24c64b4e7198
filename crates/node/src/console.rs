//! The guest's console: what it last said is remembered, appended to a file where asked for, and sent to whoever is
//! attached.

use anyhow::Context;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use tokio::sync::broadcast;
use tracing::warn;

/// So much of what the guest last said is remembered, in bytes.
pub const CONSOLE_BYTES_KEPT: usize = 64 << 10;
/// Pieces of output that may wait for an attached client; a slower one misses some.
const PIECES_WAITING_MAX: usize = 1024;

/// Where the guest's console output goes.
#[derive(Debug)]
pub struct Console {
    kept: VecDeque<u8>,
    file: Option<File>,
    attached: broadcast::Sender<Bytes>,
}

impl Console {
    /// A console that also appends to `file`, if given.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let file = file
            .map(|path| {
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .with_context(|| {
                        format!("cannot append to the console file {}", path.display())
                    })
            })
            .transpose()?;
        Ok(Self {
            kept: VecDeque::new(),
            file,
            attached: broadcast::channel(PIECES_WAITING_MAX).0,
        })
    }

    /// The guest said this.
    pub fn write(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let excess = self.kept.len().saturating_sub(CONSOLE_BYTES_KEPT);
        self.kept.drain(..excess);
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(bytes)
        {
            // The guest goes on; a full disk must not stop it.
            warn!("the console file cannot be written any more: {error}");
            self.file = None;
        }
        // Nobody may be attached.
        let _ = self.attached.send(Bytes::copy_from_slice(bytes));
    }

    /// What the guest last said, and what it will say.
    pub fn attach(&self) -> (Vec<u8>, broadcast::Receiver<Bytes>) {
        (
            self.kept.iter().copied().collect(),
            self.attached.subscribe(),
        )
    }
}
