//! The guest's console: what it last said is remembered, appended to a file where asked for, and sent to whoever is
//! attached.

mod file;

use crate::outlet::{Gap, Outlet, WAITING_BYTES_MAX};
use anyhow::Context;
use bytes::Bytes;
use file::ConsoleFile;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::broadcast;
use tracing::warn;

/// So much of what the guest last said is remembered, in bytes.
pub const CONSOLE_BYTES_KEPT: usize = 64 << 10;
/// Pieces of output that may wait for an attached client; a slower one misses some.
const PIECES_WAITING_MAX: usize = 1024;

/// Where the guest's console output goes. None of it makes the guest, or its node, wait.
#[derive(Debug)]
pub struct Console {
    kept: VecDeque<u8>,
    file: Option<Outlet>,
    /// Bytes of the file that gave way to newer ones.
    rotated_away: Arc<AtomicU64>,
    attached: broadcast::Sender<Bytes>,
}

impl Console {
    /// A console that also appends to `file`, if given, of which `file_bytes_max` are kept at most, half of them in an older
    /// file beside it. To be called before this process is confined: the file's thread opens it anew.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(file: Option<&Path>, file_bytes_max: u64) -> anyhow::Result<Self> {
        let rotated_away = Arc::<AtomicU64>::default();
        let file = file
            .map(|path| {
                let outlet = ConsoleFile::open(path, file_bytes_max, Arc::clone(&rotated_away))
                    .and_then(|file| Outlet::new(&path.display().to_string(), file, tell));
                outlet.with_context(|| cannot_append(path))
            })
            .transpose()?;
        Ok(Self {
            kept: VecDeque::new(),
            file,
            rotated_away,
            attached: broadcast::channel(PIECES_WAITING_MAX).0,
        })
    }

    /// The guest said this.
    pub fn write(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let excess = self.kept.len().saturating_sub(CONSOLE_BYTES_KEPT);
        self.kept.drain(..excess);
        if let Some(file) = &self.file {
            file.write(bytes);
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

    /// Bytes that the console file was too slow for, or had no room for.
    pub fn bytes_dropped(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.dropped().bytes)
    }

    /// Bytes that were in the console file, and gave way to newer ones.
    pub fn bytes_rotated_away(&self) -> u64 {
        self.rotated_away.load(Ordering::Relaxed)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            file.finish();
        }
    }
}

/// What is said of a console file that could be opened. Nothing is made.
///
/// # Errors
/// One sentence on why it cannot be opened.
pub(crate) fn look_at_file(path: &Path) -> anyhow::Result<String> {
    let found = file::look(path).with_context(|| cannot_append(path))?;
    Ok(format!("{} {found}", path.display()))
}

fn cannot_append(path: &Path) -> String {
    format!("cannot append to the console file {}", path.display())
}

fn tell(path: &str, gap: Gap) -> Option<String> {
    match gap {
        Gap::Begins => warn!(
            "the console file {path} is too slow, or cannot be written: what the guest says is left out of it from here on"
        ),
        Gap::Ends { bytes, why, .. } => {
            let why = why.map_or("it was too slow".to_owned(), |why| why.to_string());
            warn!("{bytes} bytes are missing in the console file {path}: {why}");
        }
        // The guest goes on; a full disk must not stop it.
        Gap::Fails(error) => warn!(
            "the console file {path} cannot be written: {error}; make room, and it goes on by itself. Until then what the guest says waits, up to {WAITING_BYTES_MAX} bytes"
        ),
        Gap::Broken(error) => {
            warn!("the console file {path} cannot be written any more: {error}");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_pipe_that_nobody_reads_stops_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("console");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let mut console = Console::open(Some(&path), 1 << 20).unwrap();
        for _ in 0..256 {
            console.write(&[b'x'; 1 << 16]);
        }
        assert!(console.bytes_dropped() > 0);
    }
}
