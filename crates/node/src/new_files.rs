//! Files that appear whole or not at all: each is written, and on stable storage, under a name that nobody looks for, before it
//! gets its own. A full disk, or a process that is killed, leaves nothing that keeps the next attempt from working.

use crate::names::{hex, random_u128};
use anyhow::{Context, bail};
use rustix::fs::{Access, CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Whether this process may make a file of this name, as far as looking shows it.
pub(crate) fn can_be_made(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    is_writable(directory.unwrap_or(Path::new(".")))
}

/// Whether this process may make files in a directory, as far as looking shows it.
pub(crate) fn is_writable(directory: &Path) -> io::Result<()> {
    rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK)?;
    match directory.is_dir() {
        true => Ok(()),
        false => Err(ErrorKind::NotADirectory.into()),
    }
}

/// Files that appear together. Until [`Self::place`] has succeeded, dropping this removes all of them.
#[derive(Debug, Default)]
pub(crate) struct NewFiles {
    files: Vec<NewFile>,
}

#[derive(Debug)]
struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    has_name: bool,
}

impl NewFiles {
    /// Writes a file that only its owner may read, without its name.
    pub(crate) fn prepare(&mut self, path: &Path, text: &str) -> anyhow::Result<()> {
        let temporary = temporary_name(path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .with_context(|| unwritable(path))?;
        // From here on it is this value's to remove.
        self.files.push(NewFile {
            path: path.to_owned(),
            temporary,
            has_name: false,
        });
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| unwritable(path))
    }

    /// Gives all of them their names, none of which may exist.
    pub(crate) fn place(mut self) -> anyhow::Result<()> {
        for file in &mut self.files {
            match rename_to_new(&file.temporary, &file.path) {
                Ok(()) => file.has_name = true,
                Err(Errno::EXIST) => bail!(
                    "{} exists already; nothing was changed",
                    file.path.display()
                ),
                Err(error) => return Err(error).with_context(|| unwritable(&file.path)),
            }
        }
        self.sync()?;
        self.files.clear();
        Ok(())
    }

    /// Gives all of them their names, in place of what has them.
    fn replace(mut self) -> anyhow::Result<()> {
        for file in &self.files {
            fs::rename(&file.temporary, &file.path).with_context(|| unwritable(&file.path))?;
        }
        let synced = self.sync();
        self.files.clear();
        synced
    }

    fn sync(&self) -> anyhow::Result<()> {
        for file in &self.files {
            let directory = file
                .path
                .parent()
                .filter(|path| !path.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))
                .and_then(|directory| directory.sync_all())
                .with_context(|| unwritable(&file.path))?;
        }
        Ok(())
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        for file in &self.files {
            let made = if file.has_name {
                &file.path
            } else {
                &file.temporary
            };
            // Best effort: what stays has a name that nobody looks for, unless its directory has just become unwritable.
            let _ = fs::remove_file(made);
        }
    }
}

/// Replaces a file, all or nothing, by one that only its owner may read.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut files = NewFiles::default();
    files.prepare(path, text)?;
    files.replace()
}

/// A name beside `path` that no other process takes, and none of an earlier one has taken.
fn temporary_name(path: &Path) -> anyhow::Result<PathBuf> {
    let random = random_u128().context("the host gives no random numbers")?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}.new", hex(random))))
}

/// Renames, but never over what exists.
fn rename_to_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Filesystems that cannot do this have links.
        Err(Errno::INVAL | Errno::NOSYS) => {
            let links = |result: io::Result<()>| {
                result.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            };
            links(fs::hard_link(from, to))?;
            links(fs::remove_file(from))
        }
        result => result,
    }
}

fn unwritable(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_appear_or_none_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let prepared = |names: &[&str]| {
            let mut files = NewFiles::default();
            for name in names {
                files.prepare(&path(name), name).unwrap();
            }
            files
        };
        drop(prepared(&["a", "b"]));
        assert!(names(directory.path()).is_empty());
        prepared(&["a", "b"]).place().unwrap();
        assert_eq!(names(directory.path()), ["a", "b"]);
        let error = prepared(&["c", "b", "d"]).place().unwrap_err();
        assert!(error.to_string().contains("b exists already"), "{error}");
        assert_eq!(names(directory.path()), ["a", "b"]);
        replace(&path("a"), "new").unwrap();
        assert_eq!(fs::read_to_string(path("a")).unwrap(), "new");
        assert!(NewFiles::default().prepare(&path("none/a"), "").is_err());
        assert_eq!(names(directory.path()), ["a", "b"]);
    }
}
