//! How many files this process may have open, asked before it begins anything: the runtime ends a process that cannot have
//! its first few, and one that gets no further than half would be a node that cannot reach its arbiter.

use anyhow::bail;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// What `futago run`, `record` and `replay` open, and some to spare.
pub(crate) const MACHINE_FILES: usize = 24;
/// What a node opens for itself, its arbiter, its network and its console, and some to spare; without peers and clients.
pub(crate) const NODE_FILES: usize = 40;
/// What a switch opens for itself, or the keeper of its uplink. Ports for which there are no more wait.
pub(crate) const SWITCH_FILES: usize = 16;

/// Makes sure that this process can open so many more files at once.
///
/// # Errors
/// One sentence that says whose limit is too low, and how to raise it.
pub(crate) fn ensure_room(files: usize) -> anyhow::Result<()> {
    let mut opened = Vec::new();
    while opened.len() < files {
        match eventfd(0, EventfdFlags::CLOEXEC) {
            Ok(file) => opened.push(file),
            Err(Errno::MFILE) => {
                let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
                bail!(
                    "this process may have {limit} files open, and needs {} more than that allows: raise the limit (`ulimit -n`, or `LimitNOFILE=` of its service)",
                    files - opened.len()
                );
            }
            Err(Errno::NFILE) => bail!(
                "this host has too many files open, by all of its programs: raise `fs.file-max`, or end some of them"
            ),
            Err(error) => bail!("this process cannot open what it needs to start: {error}"),
        }
    }
    Ok(())
}
