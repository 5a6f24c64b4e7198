//! The filesystem calls of a store, each by itself, relative to a directory that stays open: what is found there belongs
//! to one filesystem, even if another is mounted meanwhile. Tests let any of them fail, or hang.

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// A directory of a store holds no more files; more are no store of ours.
pub const DIRECTORY_FILES_MAX: usize = 4096;

/// What a store asks of the filesystem. Names are those of one directory's own files.
pub trait Files: fmt::Debug + Send {
    /// Opens the store's directory.
    ///
    /// # Errors
    /// As the system call; so are those of all others.
    fn open_root(&mut self, path: &Path) -> io::Result<OwnedFd>;
    /// Opens a directory in another.
    ///
    /// # Errors
    /// As above.
    fn open_directory(&mut self, at: &OwnedFd, name: &str) -> io::Result<OwnedFd>;
    /// The first `bytes_max` bytes of a file.
    ///
    /// # Errors
    /// As above.
    fn read(&mut self, at: &OwnedFd, name: &str, bytes_max: u64) -> io::Result<Vec<u8>>;
    /// The names in a directory, in any order; those that are no UTF-8 are left out.
    ///
    /// # Errors
    /// As above, and if there are more than [`DIRECTORY_FILES_MAX`].
    fn list(&mut self, at: &OwnedFd) -> io::Result<Vec<String>>;
    /// Creates a file with this content, which is on stable storage when this returns; the name need not be.
    ///
    /// # Errors
    /// As above, and if the name exists.
    fn create(&mut self, at: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file a second name, if that does not exist.
    ///
    /// # Errors
    /// As above, and if the name exists.
    fn link(&mut self, at: &OwnedFd, from: &str, to: &str) -> io::Result<()>;
    /// Removes a name.
    ///
    /// # Errors
    /// As above.
    fn remove(&mut self, at: &OwnedFd, name: &str) -> io::Result<()>;
    /// Makes a directory.
    ///
    /// # Errors
    /// As above, and if the name exists.
    fn make_directory(&mut self, at: &OwnedFd, name: &str) -> io::Result<()>;
    /// Puts a directory's names on stable storage.
    ///
    /// # Errors
    /// As above.
    fn sync(&mut self, at: &OwnedFd) -> io::Result<()>;
}

/// The host's own filesystem.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostFiles;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// A name that is no plain file, a pipe above all, must not keep us waiting.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);
const CREATE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::CLOEXEC);

impl Files for HostFiles {
    fn open_root(&mut self, path: &Path) -> io::Result<OwnedFd> {
        Ok(rustix::fs::open(path, DIRECTORY, Mode::empty())?)
    }

    fn open_directory(&mut self, at: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(at, name, DIRECTORY, Mode::empty())?)
    }

    fn read(&mut self, at: &OwnedFd, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let file = rustix::fs::openat(at, name, READ, Mode::empty())?;
        let mut bytes = Vec::new();
        File::from(file).take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&mut self, at: &OwnedFd) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(at)? {
            if names.len() >= DIRECTORY_FILES_MAX {
                return Err(io::Error::other("there are too many files"));
            }
            names.extend(entry?.file_name().to_str().map(str::to_owned));
        }
        Ok(names)
    }

    fn create(&mut self, at: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mode = Mode::from_raw_mode(0o644);
        let mut file = File::from(rustix::fs::openat(at, name, CREATE, mode)?);
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn link(&mut self, at: &OwnedFd, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(at, from, at, to, AtFlags::empty())?)
    }

    fn remove(&mut self, at: &OwnedFd, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(at, name, AtFlags::empty())?)
    }

    fn make_directory(&mut self, at: &OwnedFd, name: &str) -> io::Result<()> {
        let mode = Mode::from_raw_mode(0o755);
        Ok(rustix::fs::mkdirat(at, name, mode)?)
    }

    fn sync(&mut self, at: &OwnedFd) -> io::Result<()> {
        Ok(rustix::fs::fsync(at)?)
    }
}
