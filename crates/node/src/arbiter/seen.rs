//! What a node has seen of the arbiter: the store, and the newest epoch in it, kept in a file beside the node's
//! configuration. A store that is another, or shows less than what was seen, is an error, and never a first start.

use super::identity::StoreId;
use super::lines::{self, LinesError, TEXT_BYTES_MAX};
use crate::given_file;
use crate::names::{hex, parse_hex};
use anyhow::{Context, bail, ensure};
use replication::{Epoch, MachineId, Mode, NodeId, Record};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const HEADER: &str = "futago-seen 1";

/// What the newest record seen says about the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenRole {
    /// It is the machine, alone.
    Alone,
    /// It is the machine, protected.
    Primary,
    /// It protects the machine.
    Backup,
    /// It is not named, or there is no record.
    None,
}

impl SeenRole {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Alone, "alone"),
        (Self::Primary, "primary"),
        (Self::Backup, "backup"),
        (Self::None, "none"),
    ];

    fn of(record: &Record, node: NodeId) -> Self {
        match record.mode {
            Mode::Solo if record.owner == node => Self::Alone,
            Mode::Pair { .. } if record.owner == node => Self::Primary,
            Mode::Pair { backup } if backup == node => Self::Backup,
            Mode::Solo | Mode::Pair { .. } | Mode::Down => Self::None,
        }
    }
}

/// The newest that a node has seen of the arbiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The machine.
    pub machine: MachineId,
    /// The store.
    pub store: StoreId,
    /// Epoch of the newest record; 0 if there was none.
    pub epoch: Epoch,
    /// What that record says about the node.
    pub role: SeenRole,
    /// The process that saw it.
    pub node: NodeId,
}

impl Seen {
    /// With what `record` says to the process `node`.
    pub fn after(self, record: &Record, node: NodeId) -> Self {
        Self {
            epoch: record.epoch,
            role: SeenRole::of(record, node),
            node,
            ..self
        }
    }
}

/// Fails if the store at `root` shows less than was seen in it before.
///
/// # Errors
/// One sentence that says what to do.
pub fn check_age(root: &Path, shown: Option<Record>, seen: Epoch) -> anyhow::Result<()> {
    let shown = shown.map_or(Epoch(0), |record| record.epoch);
    ensure!(
        shown >= seen,
        "the arbiter directory {0} shows epoch {1} of the machine, but this node has seen epoch {2}: it is an older copy; restore the right one, or, once no node of the machine runs any more, `futago arbiter recover --beyond {2}`",
        root.display(),
        shown.0,
        seen.0
    );
    Ok(())
}

/// The file.
#[derive(Clone, Debug)]
pub struct SeenFile {
    path: PathBuf,
}

impl SeenFile {
    /// At `path`. Nothing is touched before the first call.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was kept; none if nothing was.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn load(&self) -> anyhow::Result<Option<Seen>> {
        let context = || {
            format!(
                "cannot tell from {} what this node has seen of the arbiter; restore it, or remove it if the arbiter's store is certainly the right one and no older copy",
                self.path.display()
            )
        };
        let text = match given_file::read_text(&self.path, TEXT_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(context),
        };
        parse(&text).with_context(context).map(Some)
    }

    /// Keeps `seen`, durably: after a crash, either it or what was kept before is there.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn save(&self, seen: &Seen) -> anyhow::Result<()> {
        let write = || -> io::Result<()> {
            let temporary = self.path.with_extension("seen-new");
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(render(seen).as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            let directory = self.path.parent().filter(|d| !d.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().with_context(|| {
            format!(
                "cannot keep in {} what this node has seen of the arbiter",
                self.path.display()
            )
        })
    }

    /// What was kept, which must be about this machine and this store.
    ///
    /// # Errors
    /// As [`Self::load`], or one sentence that says what to do.
    pub fn load_of(
        &self,
        machine: MachineId,
        store: StoreId,
        root: &Path,
    ) -> anyhow::Result<Option<Seen>> {
        let seen = self.load()?;
        self.check(seen.as_ref(), machine, store, root)?;
        Ok(seen)
    }

    /// Fails unless `store` is the one that was seen before.
    fn check(
        &self,
        seen: Option<&Seen>,
        machine: MachineId,
        store: StoreId,
        root: &Path,
    ) -> anyhow::Result<()> {
        match seen {
            Some(seen) if seen.machine != machine => bail!(
                "{} is about another machine: `machine.name` was changed, or `node.seen` names another node's file",
                self.path.display()
            ),
            Some(seen) if seen.store != store => bail!(
                "the arbiter directory {} is store {store}, but this node has seen its machine's record in store {}; mount that one, or, if the change is meant, end every node of the machine and remove {} on each host",
                root.display(),
                seen.store,
                self.path.display()
            ),
            _ => Ok(()),
        }
    }
}

fn render(seen: &Seen) -> String {
    let role = SeenRole::ALL.iter().find(|(role, _)| *role == seen.role);
    let role = role.map_or("none", |(_, name)| *name);
    lines::render(
        HEADER,
        &[
            ("machine", hex(seen.machine.0)),
            ("store", hex(seen.store.0)),
            ("epoch", seen.epoch.0.to_string()),
            ("role", role.to_owned()),
            ("node", hex(seen.node.0)),
        ],
    )
}

fn parse(text: &str) -> Result<Seen, LinesError> {
    let names = ["machine", "store", "epoch", "role", "node"];
    let [machine, store, epoch, role, node] = lines::parse(text, HEADER, names)?;
    let id = |text, name| parse_hex(text).ok_or(LinesError::Line(name));
    let role = SeenRole::ALL.iter().find(|(_, name)| *name == role);
    Ok(Seen {
        machine: MachineId(id(machine, "machine")?),
        store: StoreId(id(store, "store")?),
        epoch: Epoch(epoch.parse().map_err(|_| LinesError::Line("epoch"))?),
        role: role.ok_or(LinesError::Line("role"))?.0,
        node: NodeId(id(node, "node")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_kept_whole_or_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = SeenFile::new(&directory.path().join("a.seen"));
        assert_eq!(file.load().unwrap(), None);
        for (number, (role, _)) in (1u64..).zip(SeenRole::ALL) {
            let seen = Seen {
                machine: MachineId(1),
                store: StoreId(2),
                epoch: Epoch(number),
                role,
                node: NodeId(3),
            };
            file.save(&seen).unwrap();
            assert_eq!(file.load().unwrap(), Some(seen));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let text = fs::read_to_string(file.path()).unwrap();
        fs::write(file.path(), text.replace("epoch 4", "epoch 3")).unwrap();
        let error = format!("{:#}", file.load().unwrap_err());
        assert!(error.contains("checksum"), "{error}");
    }
}
