//! The file that a guest's console is appended to. A file has a bound: once half of it is reached, FILE becomes FILE.1, in the
//! place of what was there, and a new FILE is begun. Pipes and devices have none.

use crate::new_files;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The console file. It is written, and opened anew, by the thread of its outlet.
#[derive(Debug)]
pub(super) struct ConsoleFile {
    file: File,
    path: PathBuf,
    /// What FILE becomes; none for what is no file, and does not grow.
    old: Option<PathBuf>,
    /// Bytes in `file`.
    length: u64,
    /// At most so many in each of the two files.
    length_max: u64,
    /// Bytes that gave way to newer ones.
    rotated_away: Arc<AtomicU64>,
}

impl ConsoleFile {
    /// Opens or makes the file, which takes `bytes_max` together with its older part. `rotated_away` counts what gives way.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(
        path: &Path,
        bytes_max: u64,
        rotated_away: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let file = append_to(path)?;
        let found = file.metadata()?;
        // Of a link, what it leads to is moved; what has no name that can be resolved is no file of a directory.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let old = found.is_file().then(|| {
            let mut name = path.clone().into_os_string();
            name.push(".1");
            PathBuf::from(name)
        });
        Ok(Self {
            length: found.len(),
            file,
            path,
            old,
            length_max: bytes_max / 2,
            rotated_away,
        })
    }

    /// Makes room in FILE by moving it away.
    fn rotate(&mut self, old: &Path) -> io::Result<()> {
        let own = self.file.metadata()?;
        // Unless somebody else has moved or removed it.
        if (self.path.symlink_metadata()).is_ok_and(|there| is_same(&own, &there)) {
            let replaced = old.symlink_metadata().map_or(0, |there| there.len());
            if std::fs::rename(&self.path, old).is_err() {
                // A directory that takes no other file: the bound holds all the same.
                self.file.set_len(0)?;
                self.rotated_away.fetch_add(own.len(), Ordering::Relaxed);
                self.length = 0;
                return Ok(());
            }
            self.rotated_away.fetch_add(replaced, Ordering::Relaxed);
        }
        self.file = append_to(&self.path)?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }
}

impl Write for ConsoleFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length > 0
            && self.length + bytes.len() as u64 > self.length_max
            && let Some(old) = self.old.clone()
        {
            self.rotate(&old)?;
        }
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl AsFd for ConsoleFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Whether a console file could be opened, and what may be said of it. Nothing is made.
///
/// # Errors
/// It could not.
pub(super) fn look(path: &Path) -> io::Result<&'static str> {
    match path.metadata() {
        Ok(_) => append_to(path).map(|_| "is there, and is appended to"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            new_files::can_be_made(path).map(|()| "will be made")
        }
        Err(error) => Err(error),
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    if std::fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo()) {
        // Opened for reading, too, a pipe does not wait for its reader.
        options.read(true);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn open(path: &Path) -> (ConsoleFile, Arc<AtomicU64>) {
        let away = Arc::<AtomicU64>::default();
        let file = ConsoleFile::open(path, 20, Arc::clone(&away)).unwrap();
        (file, away)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn two_files_keep_what_was_said_last() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (
            directory.path().join("console"),
            directory.path().join("console.1"),
        );
        let (mut file, away) = open(&path);
        for word in ["abcdef", "ghij", "kl"] {
            file.write_all(word.as_bytes()).unwrap();
        }
        assert_eq!(
            (text(&old), text(&path)),
            ("abcdefghij".into(), "kl".into())
        );
        assert_eq!(away.load(Ordering::Relaxed), 0);
        // Another process goes on where this one was.
        let (mut file, away) = open(&path);
        for word in ["mnopqrst", "uvwxyz"] {
            file.write_all(word.as_bytes()).unwrap();
        }
        assert_eq!(
            (text(&old), text(&path)),
            ("klmnopqrst".into(), "uvwxyz".into())
        );
        assert_eq!(away.load(Ordering::Relaxed), 10);
        // What others did with the file is theirs.
        fs::rename(&path, directory.path().join("mine")).unwrap();
        file.write_all(b"12345678").unwrap();
        assert_eq!(
            (text(&old), text(&path)),
            ("klmnopqrst".into(), "12345678".into())
        );
        fs::remove_file(&path).unwrap();
        file.write_all(b"90123").unwrap();
        assert_eq!(text(&path), "90123");
        assert_eq!(away.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn where_no_file_can_be_moved_the_bound_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("console");
        fs::create_dir(directory.path().join("console.1")).unwrap();
        let (mut file, away) = open(&path);
        for word in ["abcdef", "ghijkl"] {
            file.write_all(word.as_bytes()).unwrap();
        }
        assert_eq!(text(&path), "ghijkl");
        assert_eq!(away.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn a_link_leads_to_what_is_rotated_and_a_device_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (link, path) = (
            directory.path().join("link"),
            directory.path().join("console"),
        );
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let (mut file, _) = open(&link);
        for word in ["abcdef", "ghijkl"] {
            file.write_all(word.as_bytes()).unwrap();
        }
        assert_eq!(text(&link), "ghijkl");
        assert_eq!(text(&directory.path().join("console.1")), "abcdef");
        let (mut device, away) = open(Path::new("/dev/null"));
        device.write_all(&[0; 100]).unwrap();
        assert!(!Path::new("/dev/null.1").exists());
        assert_eq!(away.load(Ordering::Relaxed), 0);
    }
}
