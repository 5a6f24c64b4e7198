//! `futago record`: a machine that runs as under `futago run`, while all that it takes to repeat it goes to a file.

use super::drive::{Keeper, close, drive};
use super::ending::Ending;
use super::host::Host;
use crate::open_files;
use crate::vm::VmOptions;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use eventlog::record::{Header, MACHINE_BYTES_MAX, RecordError, RecordReader, RecordWriter};
use eventlog::{RecorderConfig, digest_to_bytes};
use machine::{Digest, Input, Machine, Position};
use replica::{Executor, ExecutorConfig};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Entries reach the file after this time at the latest, so that a record of a killed process is not far behind.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
const BUFFER_BYTES: usize = 1 << 20;
/// More than the header of any record takes.
const READ_TO_TELL_BYTES: u64 = MACHINE_BYTES_MAX as u64 + 4096;

/// Options of `futago record`.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// The machine.
    pub vm: VmOptions,
    /// The file to write.
    pub file: PathBuf,
    /// Whether it may take the place of another record.
    pub force: bool,
    /// Time between two snapshots that replay can start from. None: only the one at the beginning.
    pub snapshot_every: Option<Duration>,
    /// Positions between two digests, at most, whatever they cost. None: as a protected machine does.
    pub digest_positions: Option<u64>,
}

/// What was recorded.
#[derive(Clone, Debug)]
pub struct RecordSummary {
    /// Why the machine ended.
    pub ending: Ending,
    /// The error that something of what the guest said was lost to, because standard output cannot be written.
    pub console_lost: Option<ErrorKind>,
    /// Its last position.
    pub position: Position,
    /// Log entries.
    pub entries: u64,
    /// Snapshots, with the one at the beginning.
    pub snapshots: u64,
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Hash of the final state, as a replay computes it.
    pub state: blake3::Hash,
}

/// Runs the machine until it ends, and records it.
///
/// # Errors
/// The machine cannot be started, or the file not be written; what was written until then stays readable.
pub fn record(options: &RecordOptions) -> anyhow::Result<RecordSummary> {
    open_files::ensure_room(open_files::MACHINE_FILES)?;
    let (mut machine, _) = options.vm.boot()?;
    options.vm.ensure_no_input(&options.file)?;
    let file = create(&options.file, options.force)?;
    // Before anything is written: where this fails, an empty file is in nobody's way, and an earlier record is as it was.
    let host = Host::new(&options.vm, &[])?;
    let mut file = RecordFile::new(
        &options.file,
        file,
        &options.vm.describe(),
        options.snapshot_every,
    )?;
    // Nothing has been executed: this only says that nothing is cached.
    machine
        .apply(Input::Synchronize)
        .context("the machine cannot be recorded")?;
    file.keep_snapshot(&machine.snapshot().to_bytes().into(), machine.position())?;
    let mut recorder = RecorderConfig::default();
    if let Some(positions) = options.digest_positions {
        recorder.digest_positions = positions;
        recorder.digest_page_ticks = 0;
    }
    let config = ExecutorConfig {
        recorder,
        ..ExecutorConfig::default()
    };
    let engines = options.vm.engine.source(options.vm.memory_bytes);
    let mut executor = Executor::new(Some(machine), engines, config);
    let ending = drive(&mut executor, &host, &mut file)?;
    // A machine that has stopped has said so in its last entry; any other says where it was left.
    if ending.is_from_outside() {
        close(&mut executor, &host, &mut file)?;
    }
    let machine = executor.into_machine().context("the machine is gone")?;
    file.end(machine, ending, host.finish_console())
}

/// Digest and hash of the state in which a record ends. The machine is of no use afterwards.
pub(super) fn final_state(mut machine: Machine) -> anyhow::Result<(Digest, blake3::Hash)> {
    let digest = machine.digest();
    machine
        .apply(Input::Synchronize)
        .context("the final state cannot be taken")?;
    Ok((digest, blake3::hash(&machine.snapshot().to_bytes())))
}

/// The record, as it goes to its file.
struct RecordFile {
    out: Out,
    writer: RecordWriter,
    snapshots: u64,
    /// How often one is taken, and when the next.
    snapshot_every: Option<Duration>,
    snapshot_at: Option<Instant>,
}

impl Keeper for RecordFile {
    fn keep(&mut self, entries: &[Bytes]) -> anyhow::Result<()> {
        Ok(self.writer.entries_batch(entries, &mut self.out.frames)?)
    }

    fn keep_snapshot(&mut self, state: &Bytes, position: Position) -> anyhow::Result<()> {
        self.writer
            .snapshot(position, state, &mut self.out.frames)?;
        self.out.flush()?;
        self.snapshots += 1;
        self.snapshot_at = self.snapshot_every.map(|every| Instant::now() + every);
        self.out.can_be_replayed = true;
        Ok(())
    }

    fn wants_snapshot(&mut self) -> anyhow::Result<bool> {
        self.out.put()?;
        Ok(self.snapshot_at.is_some_and(|at| Instant::now() >= at))
    }
}

impl RecordFile {
    fn new(
        path: &Path,
        file: File,
        machine: &str,
        snapshot_every: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let mut frames = Vec::new();
        let header = Header {
            semantics: machine::SEMANTICS,
            machine: machine.to_owned(),
        };
        let writer = RecordWriter::new(&header, &mut frames)?;
        if file.metadata().is_ok_and(|file| file.is_file()) {
            file.set_len(0)
                .with_context(|| format!("cannot empty the record {}", path.display()))?;
        }
        let out = Out {
            path: path.to_owned(),
            file,
            frames,
            bytes: 0,
            flushed: Instant::now(),
            can_be_replayed: false,
        };
        Ok(Self {
            out,
            writer,
            snapshots: 0,
            snapshot_every,
            snapshot_at: None,
        })
    }

    /// Closes the record with what the final state is.
    fn end(
        mut self,
        machine: Machine,
        ending: Ending,
        console_lost: Option<ErrorKind>,
    ) -> anyhow::Result<RecordSummary> {
        let position = machine.position();
        let (digest, state) = final_state(machine)?;
        let entries = self.writer.entries();
        let mut closing = state.as_bytes().to_vec();
        closing.extend_from_slice(&digest_to_bytes(&digest));
        self.writer.end(position, &closing, &mut self.out.frames)?;
        self.out.flush()?;
        self.out.sync()?;
        Ok(RecordSummary {
            ending,
            console_lost,
            position,
            entries,
            snapshots: self.snapshots,
            bytes: self.out.bytes,
            state,
        })
    }
}

/// The file, and what waits to be written to it.
struct Out {
    path: PathBuf,
    file: File,
    frames: Vec<u8>,
    /// Written.
    bytes: u64,
    flushed: Instant,
    /// Whether a whole snapshot is in the file, from which it can be replayed.
    can_be_replayed: bool,
}

impl Out {
    /// Writes what waits, if it is much, or has waited for long.
    fn put(&mut self) -> anyhow::Result<()> {
        if self.frames.len() >= BUFFER_BYTES || self.flushed.elapsed() >= FLUSH_EVERY {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let written = self.file.write_all(&self.frames);
        written.map_err(|error| self.lost(error))?;
        self.bytes += self.frames.len() as u64;
        self.frames.clear();
        self.flushed = Instant::now();
        Ok(())
    }

    fn sync(&self) -> anyhow::Result<()> {
        let synced = match self.file.metadata() {
            // A pipe or a device has nothing to be synchronized.
            Ok(metadata) if !metadata.is_file() => Ok(()),
            _ => self.file.sync_all(),
        };
        synced.map_err(|error| self.lost(error))
    }

    /// What it means that the file cannot be written any more. What is in it and of no use does not stay.
    fn lost(&self, error: io::Error) -> anyhow::Error {
        let is_emptied = !self.can_be_replayed && self.file.set_len(0).is_ok();
        let left = match (self.can_be_replayed, is_emptied) {
            (true, _) => "it can be replayed as far as it was written",
            (false, true) => "not even its first snapshot is whole, so that it was emptied",
            (false, false) => "not even its first snapshot is whole: it cannot be replayed",
        };
        anyhow::Error::new(error).context(format!(
            "the machine is ended, for its record {} cannot be written ({left})",
            self.path.display()
        ))
    }
}

/// Makes the file, or opens it where it is empty, a pipe or a device. A record may be all that is left of a machine, and gives way
/// to another only if that is asked for; anything else never does. No two processes write one record.
fn create(path: &Path, force: bool) -> anyhow::Result<File> {
    let context = || format!("cannot create the record {}", path.display());
    let file = match File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // A pipe cannot be opened for both.
            let is_file = fs::metadata(path).is_ok_and(|file| file.is_file());
            OpenOptions::new().read(is_file).write(true).open(path)
        }
        made => made,
    };
    let mut file = file.with_context(context)?;
    let metadata = file.metadata().with_context(context)?;
    if !metadata.is_file() {
        return Ok(file);
    }
    // Some filesystems have no locks.
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        bail!(
            "another process records to {}: name another file for the record",
            path.display()
        );
    }
    if metadata.len() == 0 {
        return Ok(file);
    }
    ensure!(
        begins_a_record(&mut file).with_context(context)?,
        "{} exists already, and is no record: remove it, or name another file for the record",
        path.display()
    );
    ensure!(
        force,
        "the record {} exists already: name another file, or add `--force` to write over it",
        path.display()
    );
    Ok(file)
}

/// Whether a file begins as a record does; the next byte to be written is its first.
fn begins_a_record(file: &mut File) -> io::Result<bool> {
    let mut begin = Vec::new();
    (&*file).take(READ_TO_TELL_BYTES).read_to_end(&mut begin)?;
    file.rewind()?;
    let mut reader = RecordReader::new();
    reader.feed(&begin);
    // A header that is whole, of whatever version.
    Ok(match reader.next_frame() {
        Ok(frame) => frame.is_some(),
        Err(error) => matches!(error, RecordError::Version(_)),
    })
}
