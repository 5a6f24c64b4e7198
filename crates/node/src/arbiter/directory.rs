//! An arbiter in a directory of a filesystem that the hosts share (or, in tests and the demo, of one host).
//!
//! ```text
//! ROOT/<machine>/epoch-00000000000000000007      the record of epoch 7: created once, never changed
//! ROOT/<machine>/tmp-00000000000000000008-<..>   an attempt at epoch 8 that has not been linked
//! ```
//!
//! The record in force is that of the highest epoch. A swap writes a temporary file, syncs it, gives it the name of
//! the next epoch by `link(2)`, which fails if the name exists, and syncs the directory: POSIX and NFS make exactly one
//! of several racing links succeed. A reply that gets lost proves nothing, so the name is always read back and the
//! nonce in it decides.
//!
//! Pruning makes names free again that a process paused for hours might still want to link. Therefore epochs
//! are removed in ascending order, and a swap counts only if, *after* its link, the record that it replaces is still
//! there: then the name that was linked cannot have been used and pruned before.

use super::record::{RECORD_BYTES_MAX, parse_record, render_record};
use super::{ArbiterStore, SwapResult};
use crate::names::{hex, random_u128};
use anyhow::{Context, bail, ensure};
use replication::{Epoch, MachineId, Record};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// So many of the newest epochs are kept when older ones are pruned; at least 2.
const EPOCHS_KEPT: u64 = 16;
const EPOCH_PREFIX: &str = "epoch-";
const TEMPORARY_PREFIX: &str = "tmp-";
/// What [`DirectoryArbiter::check`] writes and removes.
const PROBE_PREFIX: &str = "probe-";
/// A directory that changes under each look is looked at so often before giving up.
const LOOKS_MAX: u32 = 64;

/// The record of one machine in a shared directory.
#[derive(Debug)]
pub struct DirectoryArbiter {
    machine: MachineId,
    directory: PathBuf,
}

/// An attempt at an epoch that has not become its record (yet).
struct Temporary {
    epoch: u64,
    path: PathBuf,
}

impl DirectoryArbiter {
    /// The arbiter of `machine` under `root`. Nothing is touched before the first call.
    pub fn new(root: &Path, machine: MachineId) -> Self {
        Self {
            machine,
            directory: root.join(hex(machine.0)),
        }
    }

    /// Whether the store can be read and written just now: for a node that starts. Later on, an arbiter may go and
    /// come back.
    ///
    /// # Errors
    /// One sentence on what is wrong.
    pub fn check(&self) -> anyhow::Result<()> {
        self.highest()?;
        self.create_directory()?;
        let random = random_u128().context("the host gives no random numbers")?;
        let path = self
            .directory
            .join(format!("{PROBE_PREFIX}{}", hex(random)));
        let written = File::create_new(&path)
            .and_then(|mut file| file.write_all(b"probe").and_then(|()| file.sync_all()));
        let removed = fs::remove_file(&path);
        written.and(removed).with_context(|| {
            format!(
                "cannot write in the arbiter directory {}; check its permissions and space",
                self.directory.display()
            )
        })
    }

    fn epoch_path(&self, epoch: u64) -> PathBuf {
        self.directory.join(format!("{EPOCH_PREFIX}{epoch:020}"))
    }

    /// The record stored for one epoch; none if there is no such file.
    fn read_epoch(&self, epoch: u64) -> anyhow::Result<Option<Record>> {
        let path = self.epoch_path(epoch);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let mut text = String::new();
        file.take(RECORD_BYTES_MAX)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let record = parse_record(&text).with_context(|| {
            format!("{} is no arbiter record; restore it from a copy, or remove the machine's directory if it runs nowhere", path.display())
        })?;
        ensure!(
            record.epoch == Epoch(epoch) && record.machine == self.machine,
            "{} holds the record of another epoch or machine",
            path.display()
        );
        Ok(Some(record))
    }

    /// Every epoch that has a file, and every temporary file with the epoch that it was meant for.
    fn list(&self) -> anyhow::Result<(Vec<u64>, Vec<Temporary>)> {
        let mut epochs = Vec::new();
        let mut temporaries = Vec::new();
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // "No record yet" is a statement about the store, so the store itself must be there.
                let root = self.directory.parent().unwrap_or(Path::new("/"));
                fs::read_dir(root).with_context(|| self.unreachable())?;
                return Ok((epochs, temporaries));
            }
            Err(error) => return Err(error).with_context(|| self.unreachable()),
        };
        for entry in entries {
            let entry = entry.with_context(|| self.unreachable())?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(epoch) = name.strip_prefix(EPOCH_PREFIX) {
                epochs.extend(epoch.parse::<u64>());
            } else if let Some(rest) = name.strip_prefix(TEMPORARY_PREFIX)
                && let Some(Ok(epoch)) = rest.split('-').next().map(str::parse)
            {
                temporaries.push(Temporary {
                    epoch,
                    path: entry.path(),
                });
            }
        }
        epochs.sort_unstable();
        Ok((epochs, temporaries))
    }

    fn unreachable(&self) -> String {
        format!(
            "cannot read the arbiter directory {}; check that it is mounted and accessible",
            self.directory.display()
        )
    }

    /// The record of the highest epoch.
    fn highest(&self) -> anyhow::Result<Option<Record>> {
        for _ in 0..LOOKS_MAX {
            let (epochs, _) = self.list()?;
            // A listing may miss what was created while it ran; names asked for one by one are exact.
            let mut newest = match epochs.last() {
                None => match self.read_epoch(1)? {
                    None => return Ok(None),
                    Some(first) => first,
                },
                // Pruned between the listing and now: look again.
                Some(&epoch) => match self.read_epoch(epoch)? {
                    None => continue,
                    Some(record) => record,
                },
            };
            while let Some(next) = self.read_epoch(newest.epoch.0 + 1)? {
                newest = next;
            }
            if newest.epoch.0 > 1 && self.read_epoch(newest.epoch.0 - 1)?.is_none() {
                // Either pruned under our eyes, which the next look shows, or somebody removed files.
                let (epochs, _) = self.list()?;
                ensure!(
                    epochs.last() > Some(&newest.epoch.0),
                    "{} has epoch {} but not the one before: files were removed by hand",
                    self.directory.display(),
                    newest.epoch.0
                );
                continue;
            }
            return Ok(Some(newest));
        }
        bail!(
            "the arbiter directory {} changes too fast to be read",
            self.directory.display()
        )
    }

    fn sync_directory(&self) -> anyhow::Result<()> {
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .with_context(|| {
                format!(
                    "cannot sync the arbiter directory {}",
                    self.directory.display()
                )
            })
    }

    fn create_directory(&self) -> anyhow::Result<()> {
        match fs::create_dir(&self.directory) {
            Ok(()) => {
                let root = self.directory.parent().unwrap_or(Path::new("/"));
                File::open(root)
                    .and_then(|root| root.sync_all())
                    .with_context(|| format!("cannot sync {}", root.display()))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "cannot create the arbiter directory {}",
                    self.directory.display()
                )
            }),
        }
    }

    /// Writes `new` durably under a name of its own and returns that name.
    fn write_temporary(&self, new: &Record) -> anyhow::Result<PathBuf> {
        let unique = random_u128().context("no random numbers")?;
        let name = format!("{TEMPORARY_PREFIX}{:020}-{}", new.epoch.0, hex(unique));
        let path = self.directory.join(name);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(&path)?;
            file.write_all(render_record(new).as_bytes())?;
            file.sync_all()
        };
        if let Err(error) = write() {
            // Best effort: what stays is ignored by everyone and pruned later.
            let _ = fs::remove_file(&path);
            return Err(error).with_context(|| {
                format!(
                    "cannot write to the arbiter directory {}",
                    self.directory.display()
                )
            });
        }
        Ok(path)
    }

    /// Removes what is far behind `epoch`, lowest first. Errors do no harm: the next swap tries again.
    fn prune(&self, epoch: u64) {
        let Ok((epochs, temporaries)) = self.list() else {
            return;
        };
        let is_old = |candidate: u64| candidate.saturating_add(EPOCHS_KEPT) <= epoch;
        for old in epochs.into_iter().filter(|&candidate| is_old(candidate)) {
            if let Err(error) = fs::remove_file(self.epoch_path(old))
                && error.kind() != ErrorKind::NotFound
            {
                return;
            }
        }
        for temporary in temporaries {
            if is_old(temporary.epoch) {
                let _ = fs::remove_file(temporary.path);
            }
        }
    }
}

impl ArbiterStore for DirectoryArbiter {
    fn read(&mut self) -> anyhow::Result<Option<Record>> {
        let record = self.highest()?;
        if record.is_some() {
            // Its writer may not have come to this yet, and what is acted on must not vanish.
            self.sync_directory()?;
        }
        Ok(record)
    }

    fn swap(&mut self, expected: Option<Record>, new: Record) -> anyhow::Result<SwapResult> {
        let next = expected.map_or(1, |record| record.epoch.0 + 1);
        ensure!(
            new.epoch.0 == next && new.machine == self.machine,
            "a swap must raise the epoch by one and keep the machine"
        );
        let current = self.highest()?;
        if current == Some(new) {
            self.sync_directory()?;
            return Ok(SwapResult::Done);
        }
        if current != expected {
            return Ok(SwapResult::Refused(current));
        }
        self.create_directory()?;
        let temporary = self.write_temporary(&new)?;
        let linked = fs::hard_link(&temporary, self.epoch_path(next));
        let _ = fs::remove_file(&temporary);
        // Whatever `link` said, what stands under the name decides.
        let ours = self.read_epoch(next)? == Some(new);
        if let Err(error) = linked
            && error.kind() != ErrorKind::AlreadyExists
            && !ours
        {
            return Err(error)
                .with_context(|| format!("cannot create {}", self.epoch_path(next).display()));
        }
        self.sync_directory()?;
        let current = self.highest()?;
        // Epoch 1 is pruned when epoch 1 + EPOCHS_KEPT is made; any other only after the one that it replaced.
        let name_was_never_used = match expected {
            Some(record) => self.read_epoch(record.epoch.0)? == Some(record),
            None => current.is_some_and(|record| record.epoch.0 <= EPOCHS_KEPT),
        };
        if !ours || !name_was_never_used {
            return Ok(SwapResult::Refused(current));
        }
        self.prune(next);
        Ok(SwapResult::Done)
    }
}
