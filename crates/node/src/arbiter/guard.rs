//! A store beside what its node has seen of it: an answer that shows less is no answer.

use super::identity::StoreId;
use super::seen::{Seen, SeenFile, SeenRole, check_age};
use super::{ArbiterStore, SwapResult};
use replication::{Epoch, MachineId, NodeId, Record};
use std::path::{Path, PathBuf};
use tracing::warn;

/// A store that is held against the node's memory of it.
#[derive(Debug)]
pub struct GuardedStore<S> {
    store: S,
    root: PathBuf,
    node: NodeId,
    file: SeenFile,
    seen: Seen,
    /// What of it is in the file.
    kept: Option<Seen>,
    warned: bool,
}

impl<S: ArbiterStore> GuardedStore<S> {
    /// `store`, whose identity is `id` and which is called `root` in sentences, for the process `node`. Also gives what an
    /// earlier process has left in `file`.
    ///
    /// # Errors
    /// One sentence: it is not the store that the node has seen before, or the file cannot be read, or written.
    pub fn new(
        store: S,
        (root, id): (&Path, StoreId),
        (machine, node): (MachineId, NodeId),
        file: SeenFile,
    ) -> anyhow::Result<(Self, Option<Seen>)> {
        let earlier = file.load_of(machine, id, root)?;
        let seen = earlier.unwrap_or(Seen {
            machine,
            store: id,
            epoch: Epoch(0),
            role: SeenRole::None,
            node,
        });
        // From here on this node is bound to this store, even if there is no record in it yet.
        file.save(&seen)?;
        let guarded = Self {
            store,
            root: root.to_owned(),
            node,
            file,
            seen,
            kept: Some(seen),
            warned: false,
        };
        Ok((guarded, earlier))
    }

    /// Takes in what the store shows.
    fn see(&mut self, record: Option<Record>) -> anyhow::Result<()> {
        check_age(&self.root, record, self.seen.epoch)?;
        if let Some(record) = record {
            self.seen = self.seen.after(&record, self.node);
        }
        Ok(())
    }
}

impl<S: ArbiterStore> ArbiterStore for GuardedStore<S> {
    fn read(&mut self) -> anyhow::Result<Option<Record>> {
        let record = self.store.read()?;
        self.see(record)?;
        Ok(record)
    }

    fn swap(&mut self, expected: Option<Record>, new: Record) -> anyhow::Result<SwapResult> {
        let result = self.store.swap(expected, new)?;
        let record = match result {
            SwapResult::Done => Some(new),
            SwapResult::Refused(current) => current,
        };
        self.see(record)?;
        Ok(result)
    }

    fn prepare(&mut self, new: Record) -> anyhow::Result<()> {
        self.store.prepare(new)
    }

    fn look_whether_writable(&mut self) -> anyhow::Result<()> {
        self.store.look_whether_writable()
    }

    /// Keeps what was seen. This comes after the answer: the record is in force whether or not this node remembers it, and
    /// a takeover need not wait for the node's own disk.
    fn catch_up(&mut self) {
        if self.kept != Some(self.seen) {
            match self.file.save(&self.seen) {
                Ok(()) => {
                    self.kept = Some(self.seen);
                    self.warned = false;
                }
                Err(error) if !self.warned => {
                    self.warned = true;
                    warn!("{error:#}");
                }
                Err(_) => {}
            }
        }
        self.store.catch_up();
    }
}
