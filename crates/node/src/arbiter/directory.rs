//! An arbiter in a directory of a filesystem that the hosts share (or, in tests and the demo, of one host).
//!
//! ```text
//! ROOT/store                                     the identity (`identity`)
//! ROOT/<machine>/name                            the machine's name, for people (`naming`)
//! ROOT/<machine>/epoch-00000000000000000007      the record of epoch 7: created once, never changed
//! ROOT/<machine>/tmp-00000000000000000008-<..>   an attempt at epoch 8 that has not been linked, by its nonce
//! ```
//!
//! The record in force is that of the highest epoch. A swap gives a file that holds the new record, durably, the name of
//! the next epoch by `link(2)`, which fails if the name exists, and syncs the directory: POSIX and NFS make exactly one
//! of several racing links succeed. A reply that gets lost proves nothing, so the name is always read back and the
//! nonce in it decides. Every call opens the directory anew and looks at the identity first: a store that is not mounted,
//! or another, says nothing about the record.
//!
//! *Syncs, and a loss of power at any instant.* Content must be durable before its name can be: else the name could
//! survive with nothing behind it, and the machine would have no record that anyone can read. Name must be durable before
//! the swap is answered: else the record could fall back to the epoch before, which somebody else may win again (I1). POSIX
//! promises both only by a sync each. But the first need not wait for the swap: what a node of a pair would write is known
//! as soon as the pair is formed, and is written then (`prepare`). A takeover is therefore one link and one sync, and needs no room on a
//! store that has filled up meanwhile. A record that was found durable once is not synced again when it is read.
//!
//! Pruning makes names free again that a process paused for hours might still want to link. Therefore epochs
//! are removed in ascending order, and a swap counts only if, *after* its link, the record that it replaces is still
//! there: then the name that was linked cannot have been used and pruned before.

use super::files::{Files, HostFiles};
use super::identity::{StoreId, read_identity};
use super::lines::TEXT_BYTES_MAX;
use super::record::{parse_record, render_record};
use super::{ArbiterStore, SwapResult, naming};
use crate::names::{hex, random_u128};
use crate::new_files;
use anyhow::{Context, bail, ensure};
use replication::{Epoch, MachineId, Record};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use thiserror::Error;

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
    root: PathBuf,
    id: StoreId,
    files: Box<dyn Files>,
    /// The last record that was found, or made, durable.
    durable: Option<Record>,
    prepared: Option<Record>,
    /// Older epochs than this one's may be pruned, when nobody waits.
    pruned_below: Option<u64>,
}

/// The directories, as they were when a call began.
struct Opened {
    root: OwnedFd,
    /// The machine's; none if it has no record yet.
    machine: Option<OwnedFd>,
}

/// What a machine's directory holds.
struct Listing {
    /// Every epoch that has a file, in ascending order.
    epochs: Vec<u64>,
    /// Every temporary file, with the epoch that it was meant for.
    temporaries: Vec<(u64, String)>,
}

fn epoch_name(epoch: u64) -> String {
    format!("{EPOCH_PREFIX}{epoch:020}")
}

fn temporary_name(record: &Record) -> String {
    format!(
        "{TEMPORARY_PREFIX}{:020}-{}",
        record.epoch.0,
        hex(record.nonce.0)
    )
}

fn unwritable(root: &Path) -> String {
    format!(
        "cannot write in the arbiter directory {}; check its permissions and space",
        root.display()
    )
}

impl DirectoryArbiter {
    /// The arbiter of `machine` in the store at `root`.
    ///
    /// # Errors
    /// One sentence: there is no store, or it cannot be reached.
    pub fn open(root: &Path, machine: MachineId) -> anyhow::Result<Self> {
        Self::open_by(Box::new(HostFiles), root, machine)
    }

    /// As [`Self::open`], by way of `files`.
    ///
    /// # Errors
    /// As there.
    pub fn open_by(
        mut files: Box<dyn Files>,
        root: &Path,
        machine: MachineId,
    ) -> anyhow::Result<Self> {
        let directory = files.open_root(root).with_context(|| unreachable(root))?;
        let id = read_identity(files.as_mut(), &directory, root)?;
        Ok(Self {
            machine,
            root: root.to_owned(),
            id,
            files,
            durable: None,
            prepared: None,
            pruned_below: None,
        })
    }

    /// The store's identity.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// Where the store is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The newest record of the machine, as far as looking shows it: unlike [`ArbiterStore::read`], this makes sure of nothing.
    ///
    /// # Errors
    /// One sentence: the store cannot be reached or read.
    pub fn look(&mut self) -> anyhow::Result<Option<Record>> {
        let opened = self.opened()?;
        self.highest(&opened)
    }

    /// Whether the store can be read and written just now: for a node that starts. Later on, an arbiter may go and
    /// come back.
    ///
    /// # Errors
    /// One sentence on what is wrong.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let mut opened = self.opened()?;
        self.highest(&opened)?;
        self.make_directory(&mut opened)?;
        let random = random_u128().context("the host gives no random numbers")?;
        let name = format!("{PROBE_PREFIX}{}", hex(random));
        let at = machine_directory(&opened)?;
        let written = self.files.create(at, &name, b"probe");
        let removed = self.files.remove(at, &name);
        written.and(removed).with_context(|| unwritable(&self.root))
    }

    /// Has the machine's name in the store, for whoever looks at it. Nothing else depends on that.
    pub fn keep_name(&mut self, name: &str) {
        let kept = self.opened().and_then(|opened| {
            let at = machine_directory(&opened)?;
            Ok(naming::write(self.files.as_mut(), at, name)?)
        });
        if let Err(error) = kept {
            tracing::debug!("the machine's name is not in the arbiter's store: {error:#}");
        }
    }

    /// The machine's name, if it is in the store.
    pub(super) fn name(&mut self) -> anyhow::Result<Option<String>> {
        let opened = self.opened()?;
        let at = opened.machine.as_ref();
        Ok(at.and_then(|at| naming::read(self.files.as_mut(), at, self.machine)))
    }

    /// Opens the directories of the store, which must still be the one that it was.
    fn opened(&mut self) -> anyhow::Result<Opened> {
        let root = self
            .files
            .open_root(&self.root)
            .with_context(|| unreachable(&self.root))?;
        let id = read_identity(self.files.as_mut(), &root, &self.root)?;
        ensure!(
            id == self.id,
            "the arbiter directory {} is store {id} now, and was store {} before: mount that one again",
            self.root.display(),
            self.id
        );
        let machine = match self.files.open_directory(&root, &hex(self.machine.0)) {
            Ok(directory) => Some(directory),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| unreachable(&self.root)),
        };
        Ok(Opened { root, machine })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(hex(self.machine.0)).join(name)
    }

    /// The record stored for one epoch; none if there is no such file.
    fn read_epoch(&mut self, at: &OwnedFd, epoch: u64) -> anyhow::Result<Option<Record>> {
        let name = epoch_name(epoch);
        let bytes = match self.files.read(at, &name, TEXT_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read {}", self.path(&name).display()));
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let record = parse_record(&text).map_err(|why| DamagedRecord {
            path: self.path(&name),
            why: format!("{why:#}"),
        })?;
        ensure!(
            record.epoch == Epoch(epoch) && record.machine == self.machine,
            "{} holds the record of another epoch or machine",
            self.path(&name).display()
        );
        Ok(Some(record))
    }

    /// Whether something stands under the name of an epoch, legible or not.
    fn stands(&mut self, at: &OwnedFd, epoch: u64) -> anyhow::Result<bool> {
        match self.read_epoch(at, epoch) {
            Err(error) if error.is::<DamagedRecord>() => Ok(true),
            read => Ok(read?.is_some()),
        }
    }

    /// The newest epoch, if its record cannot be made out.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub fn damaged(&mut self) -> anyhow::Result<Option<Epoch>> {
        let opened = self.opened()?;
        let Some(at) = &opened.machine else {
            return Ok(None);
        };
        let Some(&(mut newest)) = self.list(at)?.epochs.last() else {
            return Ok(None);
        };
        while let Some(next) = newest.checked_add(1)
            && self.stands(at, next)?
        {
            newest = next;
        }
        match self.read_epoch(at, newest) {
            Err(error) if error.is::<DamagedRecord>() => Ok(Some(Epoch(newest))),
            read => read.map(|_| None),
        }
    }

    /// Writes `new` after a record that is damaged: whoever it named, nobody can prove it, and a swap from it to any other
    /// record of this epoch fails from now on.
    ///
    /// # Errors
    /// The store cannot be written, or something has come after the damaged record.
    pub fn succeed_damaged(&mut self, new: Record) -> anyhow::Result<()> {
        let opened = self.opened()?;
        let at = machine_directory(&opened)?;
        let (temporary, name) = (temporary_name(&new), epoch_name(new.epoch.0));
        self.write_temporary(at, &new)?;
        let linked = self.files.link(at, &temporary, &name);
        let _ = self.files.remove(at, &temporary);
        linked.with_context(|| format!("cannot create {}", self.path(&name).display()))?;
        self.make_durable(&opened, new)
    }

    fn list(&mut self, at: &OwnedFd) -> anyhow::Result<Listing> {
        let mut epochs = Vec::new();
        let mut temporaries = Vec::new();
        let names = self.files.list(at);
        for name in names.with_context(|| unreachable(&self.root))? {
            if let Some(epoch) = name.strip_prefix(EPOCH_PREFIX) {
                epochs.extend(epoch.parse::<u64>());
            } else if let Some(rest) = name.strip_prefix(TEMPORARY_PREFIX)
                && let Some(Ok(epoch)) = rest.split('-').next().map(str::parse)
            {
                temporaries.push((epoch, name));
            }
        }
        epochs.sort_unstable();
        Ok(Listing {
            epochs,
            temporaries,
        })
    }

    /// The record of the highest epoch.
    fn highest(&mut self, opened: &Opened) -> anyhow::Result<Option<Record>> {
        let Some(at) = &opened.machine else {
            return Ok(None);
        };
        for _ in 0..LOOKS_MAX {
            let epochs = self.list(at)?.epochs;
            // A listing may miss what was created while it ran; names asked for one by one are exact.
            let mut newest = match epochs.last() {
                None => match self.read_epoch(at, 1)? {
                    None => return Ok(None),
                    Some(first) => first,
                },
                // Pruned between the listing and now: look again.
                Some(&epoch) => match self.read_epoch(at, epoch)? {
                    None => continue,
                    Some(record) => record,
                },
            };
            while let Some(epoch) = newest.epoch.0.checked_add(1)
                && let Some(next) = self.read_epoch(at, epoch)?
            {
                newest = next;
            }
            if newest.epoch.0 > 1 && !self.stands(at, newest.epoch.0 - 1)? {
                // Either pruned under our eyes, which the next look shows, or somebody removed files.
                let epochs = self.list(at)?.epochs;
                ensure!(
                    epochs.last() > Some(&newest.epoch.0),
                    "{} has epoch {} but not the one before: files were removed by hand",
                    self.path("").display(),
                    newest.epoch.0
                );
                continue;
            }
            return Ok(Some(newest));
        }
        bail!(
            "the arbiter directory {} changes too fast to be read",
            self.root.display()
        )
    }

    /// Makes sure that `record`, which was found in the directory, survives a loss of power.
    fn make_durable(&mut self, opened: &Opened, record: Record) -> anyhow::Result<()> {
        if self.durable == Some(record) {
            return Ok(());
        }
        let at = machine_directory(opened)?;
        let mut synced = self.files.sync(at);
        if self.durable.is_none() {
            // Whoever made the machine's directory may not have come to this.
            synced = synced.and_then(|()| self.files.sync(&opened.root));
        }
        synced.with_context(|| {
            format!("cannot sync the arbiter directory {}", self.root.display())
        })?;
        self.durable = Some(record);
        Ok(())
    }

    /// What a swap is refused with is acted on, too, and must not vanish.
    fn refuse(&mut self, opened: &Opened, current: Option<Record>) -> anyhow::Result<SwapResult> {
        if let Some(record) = current {
            self.make_durable(opened, record)?;
        }
        Ok(SwapResult::Refused(current))
    }

    fn make_directory(&mut self, opened: &mut Opened) -> anyhow::Result<()> {
        if opened.machine.is_some() {
            return Ok(());
        }
        let name = hex(self.machine.0);
        let made = match self.files.make_directory(&opened.root, &name) {
            Ok(()) => self.files.sync(&opened.root),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        };
        let directory = made.and_then(|()| self.files.open_directory(&opened.root, &name));
        opened.machine =
            Some(directory.with_context(|| {
                format!("cannot create the directory {}", self.path("").display())
            })?);
        Ok(())
    }

    /// Writes `new` durably under a name of its own.
    fn write_temporary(&mut self, at: &OwnedFd, new: &Record) -> anyhow::Result<()> {
        let name = temporary_name(new);
        let bytes = render_record(new);
        let mut written = self.files.create(at, &name, bytes.as_bytes());
        if matches!(&written, Err(error) if error.kind() == ErrorKind::AlreadyExists) {
            // Of an earlier attempt, and perhaps half a file. Where it cannot be removed, that says what is wrong: a
            // filesystem that has become read-only answers a file's creation by the file that is there.
            written = self
                .files
                .remove(at, &name)
                .and_then(|()| self.files.create(at, &name, bytes.as_bytes()));
        }
        written.map_err(|error| {
            // Best effort: what stays is in nobody's way but its own next attempt's, and pruned later.
            let _ = self.files.remove(at, &name);
            anyhow::Error::new(error).context(format!(
                "cannot write to the arbiter directory {}",
                self.root.display()
            ))
        })
    }

    /// Removes what is far behind `epoch`, lowest first. Errors do no harm: the next swap tries again.
    fn prune(&mut self, epoch: u64) -> anyhow::Result<()> {
        let opened = self.opened()?;
        let at = machine_directory(&opened)?;
        let Listing {
            epochs,
            temporaries,
        } = self.list(at)?;
        let is_old = |candidate: u64| candidate.saturating_add(EPOCHS_KEPT) <= epoch;
        for old in epochs.into_iter().filter(|&candidate| is_old(candidate)) {
            if let Err(error) = self.files.remove(at, &epoch_name(old))
                && error.kind() != ErrorKind::NotFound
            {
                return Err(error.into());
            }
        }
        for (_, name) in temporaries.iter().filter(|(epoch, _)| is_old(*epoch)) {
            let _ = self.files.remove(at, name);
        }
        Ok(())
    }
}

/// A record that is there and cannot be made out.
#[derive(Debug, Error)]
#[error(
    "{} is no arbiter record ({why}); restore it from a copy, or, once no node of the machine runs any more, give its state up by `futago arbiter recover`",
    path.display()
)]
struct DamagedRecord {
    path: PathBuf,
    why: String,
}

fn machine_directory(opened: &Opened) -> anyhow::Result<&OwnedFd> {
    opened
        .machine
        .as_ref()
        .context("the machine's directory is gone from the arbiter's")
}

fn unreachable(root: &Path) -> String {
    format!(
        "cannot read the arbiter directory {}; check that it is mounted and accessible",
        root.display()
    )
}

impl ArbiterStore for DirectoryArbiter {
    fn read(&mut self) -> anyhow::Result<Option<Record>> {
        let opened = self.opened()?;
        let record = self.highest(&opened)?;
        if let Some(record) = record {
            // Its writer may not have come to this yet, and what is acted on must not vanish.
            self.make_durable(&opened, record)?;
        }
        Ok(record)
    }

    fn swap(&mut self, expected: Option<Record>, new: Record) -> anyhow::Result<SwapResult> {
        let before = expected.map_or(0, |record| record.epoch.0);
        let next = before
            .checked_add(1)
            .context("the last epoch that there is has come")?;
        ensure!(
            new.epoch.0 == next && new.machine == self.machine,
            "a swap must raise the epoch by one and keep the machine"
        );
        let mut opened = self.opened()?;
        let current = self.highest(&opened)?;
        if current == Some(new) {
            self.make_durable(&opened, new)?;
            return Ok(SwapResult::Done);
        }
        if current != expected {
            return self.refuse(&opened, current);
        }
        self.make_directory(&mut opened)?;
        let at = machine_directory(&opened)?;
        let (temporary, name) = (temporary_name(&new), epoch_name(next));
        let prepared = self.prepared.take_if(|prepared| *prepared == new).is_some();
        let mut linked = match prepared {
            true => self.files.link(at, &temporary, &name),
            false => Err(ErrorKind::NotFound.into()),
        };
        if matches!(&linked, Err(error) if error.kind() == ErrorKind::NotFound) {
            // Not prepared, or somebody cleared it away.
            self.write_temporary(at, &new)?;
            linked = self.files.link(at, &temporary, &name);
        }
        let _ = self.files.remove(at, &temporary);
        // Whatever `link` said, what stands under the name decides.
        let ours = self.read_epoch(at, next)? == Some(new);
        if let Err(error) = linked
            && error.kind() != ErrorKind::AlreadyExists
            && !ours
        {
            // Others may have gone so far meanwhile that they cleared it away as old.
            let current = self.highest(&opened)?;
            if error.kind() == ErrorKind::NotFound && current != expected {
                return self.refuse(&opened, current);
            }
            return Err(error)
                .with_context(|| format!("cannot create {}", self.path(&name).display()));
        }
        if let Some(standing) = self.read_epoch(at, next)? {
            self.make_durable(&opened, standing)?;
        }
        let current = self.highest(&opened)?;
        // Epoch 1 is pruned when epoch 1 + EPOCHS_KEPT is made; any other only after the one that it replaced.
        let name_was_never_used = match expected {
            Some(record) => self.read_epoch(at, record.epoch.0)? == Some(record),
            None => current.is_some_and(|record| record.epoch.0 <= EPOCHS_KEPT),
        };
        if !ours || !name_was_never_used {
            return self.refuse(&opened, current);
        }
        self.pruned_below = Some(next);
        Ok(SwapResult::Done)
    }

    fn prepare(&mut self, new: Record) -> anyhow::Result<()> {
        let opened = self.opened()?;
        let at = machine_directory(&opened)?;
        self.write_temporary(at, &new)?;
        self.prepared = Some(new);
        Ok(())
    }

    fn look_whether_writable(&mut self) -> anyhow::Result<()> {
        let opened = self.opened()?;
        let machine = opened.machine.is_some().then(|| self.path(""));
        for directory in [Some(self.root.clone()), machine].into_iter().flatten() {
            new_files::is_writable(&directory).with_context(|| unwritable(&self.root))?;
        }
        Ok(())
    }

    fn catch_up(&mut self) {
        if let Some(epoch) = self.pruned_below.take()
            && let Err(error) = self.prune(epoch)
        {
            tracing::debug!("old epochs stay in the arbiter's store for now: {error:#}");
        }
    }
}
