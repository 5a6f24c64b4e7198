//! `futago record`: a machine that runs as under `futago run`, while all that it takes to repeat it goes to a file.

use super::drive::{Ending, Host, drive};
use crate::open_files;
use crate::vm::VmOptions;
use anyhow::{Context, ensure};
use eventlog::record::{Header, RecordWriter};
use eventlog::{Recorder, RecorderConfig, Step, digest_to_bytes};
use machine::{Digest, Input, Machine, Position, Snapshot};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Entries reach the file after this time at the latest, so that a record of a killed process is not far behind.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
const BUFFER_BYTES: usize = 1 << 20;

/// Options of `futago record`.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// The machine.
    pub vm: VmOptions,
    /// The file to write.
    pub file: PathBuf,
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
    /// Whether something that the guest said was lost because standard output cannot be written.
    pub console_lost: bool,
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
    let file = create(&options.file)?;
    // Before anything is written: where this fails, the empty file is in nobody's way.
    let host = Host::new(&options.vm, &[])?;
    let mut file = RecordFile::new(&options.file, file, &options.vm.describe())?;
    // Nothing has been executed: this only says that nothing is cached.
    machine
        .apply(Input::Synchronize)
        .context("the machine cannot be recorded")?;
    file.snapshot(&machine.snapshot(), machine.position())?;
    let mut config = RecorderConfig::default();
    if let Some(positions) = options.digest_positions {
        config.digest_positions = positions;
        config.digest_page_ticks = 0;
    }
    let mut recorder = Recorder::new(machine, config);
    let mut snapshot_at = options.snapshot_every.map(|every| Instant::now() + every);
    let sink = |recorder: &mut Recorder, step: &mut Step| {
        file.entries(step)?;
        if let (Some(at), Some(every)) = (snapshot_at, options.snapshot_every)
            && Instant::now() >= at
        {
            let (mut more, snapshot) = recorder.snapshot(host.ticks());
            file.entries(&more)?;
            step.outputs.append(&mut more.outputs);
            if let Some(snapshot) = snapshot {
                file.snapshot(&snapshot, recorder.machine().position())?;
            }
            snapshot_at = Some(Instant::now() + every);
        }
        Ok(())
    };
    let ending = drive(&mut recorder, &host, sink)?;
    // A machine that has stopped has said so in its last entry; any other says where it was left.
    if ending == Ending::Quit {
        file.entries(&recorder.digest_now(host.ticks()))?;
    }
    file.end(recorder.into_machine(), ending, host.finish_console())
}

/// Digest and hash of the state in which a record ends. The machine is of no use afterwards.
pub(super) fn final_state(mut machine: Machine) -> anyhow::Result<(Digest, blake3::Hash)> {
    let digest = machine.digest();
    machine
        .apply(Input::Synchronize)
        .context("the final state cannot be taken")?;
    Ok((digest, blake3::hash(&machine.snapshot().to_bytes())))
}

/// The file, and what was written to it.
struct RecordFile {
    path: PathBuf,
    out: BufWriter<File>,
    writer: RecordWriter,
    frames: Vec<u8>,
    bytes: u64,
    snapshots: u64,
    flushed: Instant,
}

impl RecordFile {
    fn new(path: &Path, file: File, machine: &str) -> anyhow::Result<Self> {
        let mut frames = Vec::new();
        let header = Header {
            semantics: machine::SEMANTICS,
            machine: machine.to_owned(),
        };
        let writer = RecordWriter::new(&header, &mut frames)?;
        let mut file = Self {
            path: path.to_owned(),
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            writer,
            frames,
            bytes: 0,
            snapshots: 0,
            flushed: Instant::now(),
        };
        file.put()?;
        Ok(file)
    }

    fn entries(&mut self, step: &Step) -> anyhow::Result<()> {
        if !step.entries.is_empty() {
            self.writer.entries_batch(&step.entries, &mut self.frames)?;
        }
        self.put()
    }

    fn snapshot(&mut self, snapshot: &Snapshot, position: Position) -> anyhow::Result<()> {
        self.writer
            .snapshot(position, &snapshot.to_bytes(), &mut self.frames)?;
        self.snapshots += 1;
        self.put()
    }

    /// Closes the record with what the final state is.
    fn end(
        mut self,
        machine: Machine,
        ending: Ending,
        console_lost: bool,
    ) -> anyhow::Result<RecordSummary> {
        let position = machine.position();
        let (digest, state) = final_state(machine)?;
        let entries = self.writer.entries();
        let mut closing = state.as_bytes().to_vec();
        closing.extend_from_slice(&digest_to_bytes(&digest));
        let writer = self.writer;
        writer.end(position, &closing, &mut self.frames)?;
        let lost = || lost(&self.path);
        self.out.write_all(&self.frames).with_context(lost)?;
        self.out.flush().with_context(lost)?;
        let file = self.out.get_ref();
        // A pipe or a device has nothing to be synchronized.
        if file.metadata().with_context(lost)?.is_file() {
            file.sync_all().with_context(lost)?;
        }
        let bytes = self.bytes + self.frames.len() as u64;
        Ok(RecordSummary {
            ending,
            console_lost,
            position,
            entries,
            snapshots: self.snapshots,
            bytes,
            state,
        })
    }

    fn put(&mut self) -> anyhow::Result<()> {
        let lost = || lost(&self.path);
        self.out.write_all(&self.frames).with_context(lost)?;
        self.bytes += self.frames.len() as u64;
        self.frames.clear();
        if self.flushed.elapsed() >= FLUSH_EVERY {
            self.out.flush().with_context(lost)?;
            self.flushed = Instant::now();
        }
        Ok(())
    }
}

/// Makes the file, but does not take the place of another: a record may be all that is left of a machine. Empty files, pipes and
/// devices are written to.
fn create(path: &Path) -> anyhow::Result<File> {
    let made = match File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            ensure!(
                !fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0),
                "{} exists already, and is not overwritten: remove it, or name another file for the record",
                path.display()
            );
            OpenOptions::new().write(true).open(path)
        }
        made => made,
    };
    made.with_context(|| format!("cannot create the record {}", path.display()))
}

fn lost(path: &Path) -> String {
    format!(
        "cannot write the record {}, which can be replayed as far as it was written",
        path.display()
    )
}
