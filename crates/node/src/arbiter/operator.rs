//! What only a person may decide: the record shown, and the machine given up.

use super::files::{Files, HostFiles};
use super::identity::{StoreId, read_identity};
use super::{ArbiterStore, DirectoryArbiter, SwapResult};
use crate::names::{hex, machine_id, parse_hex, random_u128, short};
use anyhow::{Context, bail, ensure};
use replication::{Epoch, MachineId, Mode, NodeId, Nonce, Record};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// A recovery goes at most so many epochs further, one by one.
pub const EPOCHS_SKIPPED_MAX: u64 = 10_000;

/// Mode of a record that cannot be made out.
const DAMAGED: &str = "damaged";

/// A record as operators see it. Identities are hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordView {
    /// Identity of the store.
    pub store: String,
    /// Name of the machine, as it was asked for.
    pub machine: String,
    /// Its identity.
    pub machine_id: String,
    /// Raised by one with each change; 0 if there is no record.
    pub epoch: u64,
    /// `none`, `solo`, `pair`, `down`, or `damaged` where the newest record cannot be made out.
    pub mode: &'static str,
    /// The node that is the machine, or was last.
    pub owner: Option<String>,
    /// The node that may take over.
    pub backup: Option<String>,
    /// Of the attempt that wrote the record.
    pub nonce: Option<String>,
}

impl RecordView {
    fn of(store: StoreId, machine: &str, record: Option<&Record>) -> Self {
        Self {
            store: hex(store.0),
            machine: machine.to_owned(),
            machine_id: hex(machine_id(machine).0),
            epoch: record.map_or(0, |record| record.epoch.0),
            mode: match record.map(|record| record.mode) {
                None => "none",
                Some(Mode::Solo) => "solo",
                Some(Mode::Pair { .. }) => "pair",
                Some(Mode::Down) => "down",
            },
            owner: record.map(|record| hex(record.owner.0)),
            backup: record.and_then(Record::backup).map(|backup| hex(backup.0)),
            nonce: record.map(|record| hex(record.nonce.0)),
        }
    }
}

impl RecordView {
    /// The record in a few words, for a list of machines.
    pub fn summary(&self) -> String {
        let meaning = match self.mode {
            "none" => "never started",
            "solo" => "one node, alone",
            "pair" => "a pair of nodes",
            DAMAGED => "its newest record cannot be made out",
            _ => "off",
        };
        format!("epoch {}, {meaning}", self.epoch)
    }
}

impl fmt::Display for RecordView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        let meaning = match self.mode {
            "none" => "there is no record: the machine was never started",
            "solo" => "the owner is the machine, alone",
            "pair" => "the owner is the machine, and the backup may take over",
            DAMAGED => "the newest record cannot be made out",
            _ => "the machine is off: any of its nodes may start it",
        };
        writeln!(f, "store       {}", self.store)?;
        writeln!(f, "machine     {} ({})", self.machine, self.machine_id)?;
        writeln!(f, "epoch       {}", self.epoch)?;
        writeln!(f, "mode        {}: {meaning}", self.mode)?;
        writeln!(f, "owner       {}", or_none(&self.owner))?;
        write!(f, "backup      {}", or_none(&self.backup))
    }
}

/// One machine of a store.
#[derive(Debug)]
pub struct Listed {
    /// Its name; its identity, where the store does not have the name.
    pub machine: String,
    /// Its record, or why that cannot be read.
    pub record: anyhow::Result<RecordView>,
}

/// The machines in the store at `root`, by name, and the store's identity.
///
/// # Errors
/// One sentence: there is no store, or it cannot be read.
pub fn list(root: &Path) -> anyhow::Result<(StoreId, Vec<Listed>)> {
    let unreadable = || format!("cannot read the arbiter directory {}", root.display());
    let files = &mut HostFiles;
    let directory = files.open_root(root).with_context(unreadable)?;
    let store = read_identity(files, &directory, root)?;
    let names = files.list(&directory).with_context(unreadable)?;
    let mut machines = Vec::new();
    for id in names.iter().filter_map(|name| parse_hex(name)) {
        let name = DirectoryArbiter::open(root, MachineId(id))?.name();
        let machine = name?.unwrap_or_else(|| hex(id));
        let record = show(root, &machine);
        machines.push(Listed { machine, record });
    }
    machines.sort_by(|one, other| one.machine.cmp(&other.machine));
    Ok((store, machines))
}

/// The record of `machine` in the store at `root`.
///
/// # Errors
/// One sentence: there is no store, or it cannot be read.
pub fn show(root: &Path, machine: &str) -> anyhow::Result<RecordView> {
    let mut store = DirectoryArbiter::open(root, machine_id(machine))?;
    if let Some(epoch) = store.damaged()? {
        return Ok(RecordView {
            epoch: epoch.0,
            mode: DAMAGED,
            ..RecordView::of(store.id(), machine, None)
        });
    }
    let record = store.read()?;
    Ok(RecordView::of(store.id(), machine, record.as_ref()))
}

/// What a recovery of the machine that is as in `view` gives up, as sentences.
pub fn what_is_given_up(view: &RecordView) -> String {
    let node = |id: &Option<String>| id.as_deref().map_or("none", |id| &id[..8]).to_owned();
    let owner = node(&view.owner);
    let state = match view.mode {
        "solo" => format!(
            "Since epoch {} node {owner} is the machine, alone. If its process still lives, it holds the only state, and is to be left alone: start other nodes, and they join it",
            view.epoch
        ),
        "pair" => format!(
            "Since epoch {} node {owner} is the machine, and node {} its backup. If either process still lives, it goes on by itself, and is to be left alone",
            view.epoch,
            node(&view.backup)
        ),
        DAMAGED => format!(
            "The record of epoch {} cannot be made out. If a process that it names still lives, it goes on by itself until it must change the record, and is to be left alone",
            view.epoch
        ),
        "down" => format!(
            "The machine is off since epoch {}: its nodes may start it as it is",
            view.epoch
        ),
        _ => "There is no record of this machine: its nodes may start it as it is".to_owned(),
    };
    format!(
        "{state}. A recovery gives up everything that the guest has held in memory since it was started, whether or not clients were told of it: the machine is off in the next epoch, what still lives ends when it reads the record, and the next node that starts boots the guest anew."
    )
}

/// Ends what the record says, whoever it names: the machine is off, in the next epoch or, where a store has lost epochs, in
/// the first that is higher than `beyond`. Each is a swap like any other, so that whatever may still live loses.
///
/// # Errors
/// One sentence: the store cannot be reached, somebody changed the record meanwhile, or nothing is there to be recovered.
pub fn recover(root: &Path, machine: &str, beyond: u64) -> anyhow::Result<RecordView> {
    let mut store = DirectoryArbiter::open(root, machine_id(machine))?;
    let damaged = store.damaged()?;
    let before = match damaged {
        Some(_) => None,
        None => store.read()?,
    };
    let from = damaged.or(before.map(|record| record.epoch));
    let from = from.unwrap_or_default();
    ensure!(
        from > Epoch(0) || beyond > 0,
        "{} holds no record of machine `{machine}`: there is nothing to recover, its nodes may start it",
        root.display()
    );
    ensure!(
        beyond.saturating_sub(from.0) <= EPOCHS_SKIPPED_MAX,
        "epoch {} is more than {EPOCHS_SKIPPED_MAX} beyond epoch {}, which the store holds: is it the right store?",
        beyond,
        from.0
    );
    let operator = NodeId(random_u128().context("the host gives no random numbers")?);
    let down_in = |epoch: Epoch| -> anyhow::Result<Record> {
        Ok(Record {
            machine: machine_id(machine),
            epoch,
            mode: Mode::Down,
            owner: operator,
            nonce: Nonce(random_u128().context("the host gives no random numbers")?),
        })
    };
    let mut down = None;
    if let Some(epoch) = damaged {
        let new = down_in(epoch.next())?;
        store.succeed_damaged(new)?;
        down = Some(new);
    }
    loop {
        if let Some(new) = down.filter(|new| new.epoch.0 > beyond) {
            store.keep_name(machine);
            return Ok(RecordView::of(store.id(), machine, Some(&new)));
        }
        let current = down.or(before);
        let new = down_in(current.map_or(Epoch(1), |record| record.epoch.next()))?;
        match store.swap(current, new)? {
            SwapResult::Done => down = Some(new),
            SwapResult::Refused(Some(record)) => bail!(
                "node {} changed the record to epoch {} meanwhile: something still lives; look again",
                short(record.owner.0),
                record.epoch.0
            ),
            SwapResult::Refused(None) => bail!("the record vanished meanwhile; look again"),
        }
        store.catch_up();
    }
}
