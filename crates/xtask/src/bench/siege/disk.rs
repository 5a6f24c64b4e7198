//! A small filesystem in memory, for the site's files: it can be filled without harm to anybody else.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;

const SIZE: &str = "size=64m";
/// What fills it.
const FILLER: &str = "filler";

/// Stays mounted, with its logs, unless it is unmounted.
pub(super) struct Disk {
    directory: PathBuf,
}

impl Disk {
    pub(super) fn mount(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let path = directory.display().to_string();
        process::output("mount", &["-t", "tmpfs", "-o", SIZE, "futago-siege", &path])
            .context("the siege fills a disk, and needs root to mount a small one for that")?;
        Ok(Self { directory })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes until nothing more fits.
    pub(super) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.directory.join(FILLER)).context("cannot fill the disk")?;
        let mut piece = vec![0x5a; 1 << 20];
        while !piece.is_empty() {
            if file.write_all(&piece).is_err() {
                // Ever smaller pieces, so that no byte is left.
                piece.truncate(piece.len() / 2);
            }
        }
        Ok(())
    }

    /// Makes room again.
    pub(super) fn free(&self) -> Result<()> {
        fs::remove_file(self.directory.join(FILLER)).context("cannot remove what fills the disk")
    }

    /// Gives it back to the system.
    pub(super) fn unmount(self) -> Result<()> {
        process::output("umount", &[&self.directory.display().to_string()])?;
        fs::remove_dir(&self.directory).context("cannot remove the mount point")
    }
}
