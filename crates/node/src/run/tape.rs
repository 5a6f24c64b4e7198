//! The file that a machine is recorded to.

use anyhow::Context;
use eventlog::record::RecordWriter;
use machine::Position;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is recorded is handed to the kernel when so much waits,
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// or when this has passed.
const BUFFER_AGE_MAX: Duration = Duration::from_secs(1);

pub(super) struct Tape {
    path: PathBuf,
    file: File,
    writer: RecordWriter,
    buffer: Vec<u8>,
    flushed: Instant,
}

impl Tape {
    /// Creates the file; an existing one is not overwritten.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path).with_context(|| {
            format!("cannot create the record {}: it must not exist yet, in a directory that can be written", path.display())
        })?;
        let mut buffer = Vec::new();
        let description = format!("Futago {}", env!("CARGO_PKG_VERSION"));
        let writer =
            RecordWriter::new(&description, &mut buffer).context("the record cannot begin")?;
        Ok(Self {
            path: path.to_owned(),
            file,
            writer,
            buffer,
            flushed: Instant::now(),
        })
    }

    pub(super) fn entries(&mut self, entries: &[Vec<u8>]) -> anyhow::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.writer
            .entries_batch(entries, &mut self.buffer)
            .context("the record cannot go on")?;
        if self.buffer.len() >= BUFFER_BYTES_MAX || self.flushed.elapsed() >= BUFFER_AGE_MAX {
            self.flush()
        } else {
            Ok(())
        }
    }

    pub(super) fn snapshot(&mut self, position: Position, state: &[u8]) -> anyhow::Result<()> {
        self.writer
            .snapshot(position, state, &mut self.buffer)
            .context("the record cannot go on")?;
        self.flush()
    }

    /// Closes the record durably.
    pub(super) fn end(mut self, position: Position, digest: &[u8]) -> anyhow::Result<()> {
        let Self { writer, buffer, .. } = &mut self;
        let writer = std::mem::replace(
            writer,
            RecordWriter::new("", &mut Vec::new()).context("the record cannot end")?,
        );
        writer
            .end(position, digest, buffer)
            .context("the record cannot end")?;
        self.flush()?;
        self.file
            .sync_all()
            .with_context(|| format!("cannot sync the record {}", self.path.display()))
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.file.write_all(&self.buffer).with_context(|| {
            format!("cannot write the record {}; free space on its disk. What was recorded before stays", self.path.display())
        })?;
        self.buffer.clear();
        self.flushed = Instant::now();
        Ok(())
    }
}
