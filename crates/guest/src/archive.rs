//! What goes into an archive in the `newc` format of cpio, which the kernel unpacks as its initramfs
//! (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's sources).
//!
//! The bytes depend on the contents alone: entries are sorted by name, numbered in that order, owned
//! by root, and without time.

use std::collections::BTreeMap;
use std::io::{self, Write};

use cpio::newc::Builder;

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// The archive ends in a multiple of this many bytes, as tools expect.
const BLOCK_BYTES: usize = 512;

/// Files to be archived, by path without a leading slash.
#[derive(Default)]
pub(crate) struct Archive {
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    mode: u32,
    device: (u32, u32),
    data: Vec<u8>,
}

impl Archive {
    /// Adds a directory, with those above it.
    pub(crate) fn directory(&mut self, path: &str) {
        if !self.entries.contains_key(path) {
            self.insert(path, DIRECTORY | 0o755, (0, 0), Vec::new());
        }
    }

    /// Adds a file that everybody may read, and run if it is `executable`.
    pub(crate) fn file(&mut self, path: &str, executable: bool, data: Vec<u8>) {
        let permissions = if executable { 0o755 } else { 0o644 };
        self.insert(path, FILE | permissions, (0, 0), data);
    }

    /// Adds a symbolic link to `target`.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.insert(path, LINK | 0o777, (0, 0), target.as_bytes().to_vec());
    }

    /// Adds a character device that root alone may use.
    pub(crate) fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.insert(path, CHARACTER_DEVICE | 0o600, (major, minor), Vec::new());
    }

    fn insert(&mut self, path: &str, mode: u32, device: (u32, u32), data: Vec<u8>) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        self.entries
            .insert(path.to_owned(), Entry { mode, device, data });
    }

    /// The archive's bytes.
    pub(crate) fn finish(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        // A directory's name is a prefix of the names in it, so sorting puts it before them.
        for (inode, (path, entry)) in (1..).zip(&self.entries) {
            let links = if entry.mode & DIRECTORY != 0 { 2 } else { 1 };
            let bytes = u32::try_from(entry.data.len()).map_err(io::Error::other)?;
            let mut writer = Builder::new(path)
                .ino(inode)
                .mode(entry.mode)
                .nlink(links)
                .rdev_major(entry.device.0)
                .rdev_minor(entry.device.1)
                .write(&mut out, bytes);
            writer.write_all(&entry.data)?;
            writer.finish()?;
        }
        cpio::newc::trailer(&mut out)?;
        out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_laid_out_as_the_format_says() {
        let mut archive = Archive::default();
        archive.file("a/b", true, b"hello".to_vec());
        let bytes = archive.finish().unwrap();
        let expected = concat!(
            "070701",
            "00000001",
            "000041ed",
            "00000000",
            "00000000",
            "00000002",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000002",
            "00000000",
            "a\0",
            "070701",
            "00000002",
            "000081ed",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000005",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000004",
            "00000000",
            "a/b\0\0\0",
            "hello\0\0\0",
            "070701",
        );
        let start = String::from_utf8(bytes[..expected.len()].to_vec()).unwrap();
        assert_eq!(start, expected);
        assert_eq!(bytes.len() % BLOCK_BYTES, 0);
    }

    #[test]
    fn the_order_of_insertion_does_not_matter() {
        let mut one = Archive::default();
        one.link("bin", "usr/bin");
        one.character_device("dev/console", 5, 1);
        let mut other = Archive::default();
        other.character_device("dev/console", 5, 1);
        other.link("bin", "usr/bin");
        assert_eq!(one.finish().unwrap(), other.finish().unwrap());
    }
}
