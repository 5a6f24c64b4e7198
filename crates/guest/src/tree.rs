//! A directory of unpacked packages, read as if it were the root: no symbolic link in it leads out.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

/// As many symbolic links as the kernel follows in one path.
const LINKS_MAX: usize = 40;

/// Unpacked packages.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(crate) fn new(root: PathBuf) -> Tree {
        Tree { root }
    }

    /// The contents of the file at `path`, a path from the root.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.resolve(path)?;
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Whether there is something at `path`.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.resolve(path).is_ok_and(|file| file.exists())
    }

    /// Paths from the root of all files below `path`, sorted. Links are listed, not followed.
    pub(crate) fn files_below(&self, path: &str) -> Result<Vec<String>> {
        let mut files = Vec::new();
        let mut directories = vec![path.to_owned()];
        while let Some(directory) = directories.pop() {
            let host = self.resolve(&directory)?;
            let entries =
                fs::read_dir(&host).with_context(|| format!("cannot list {}", host.display()))?;
            for entry in entries {
                let entry = entry.with_context(|| format!("cannot list {}", host.display()))?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let child = format!("{directory}/{name}");
                if entry.file_type()?.is_dir() {
                    directories.push(child);
                } else {
                    files.push(child);
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// The host's path of what `path` means inside the tree.
    fn resolve(&self, path: &str) -> Result<PathBuf> {
        let mut pending: VecDeque<OsString> = parts(Path::new(path));
        let mut resolved = PathBuf::new();
        let mut links = 0;
        while let Some(part) = pending.pop_front() {
            if part == ".." {
                resolved.pop();
                continue;
            }
            let next = resolved.join(&part);
            let Ok(target) = fs::read_link(self.root.join(&next)) else {
                resolved = next;
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                bail!("too many symbolic links in {path}");
            }
            if target.is_absolute() {
                resolved = PathBuf::new();
            }
            let mut parts = parts(&target);
            parts.append(&mut pending);
            pending = parts;
        }
        Ok(self.root.join(resolved))
    }
}

/// The names in a path, `..` included.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_inside() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        fs::write(root.join("usr/lib/file"), b"inside").unwrap();
        symlink("/usr/lib", root.join("absolute")).unwrap();
        symlink("../../../../../usr/lib/file", root.join("usr/climber")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let tree = Tree::new(root.to_owned());
        assert_eq!(tree.read("absolute/file").unwrap(), b"inside");
        assert_eq!(tree.read("usr/climber").unwrap(), b"inside");
        assert_eq!(tree.read("/usr/lib/../lib/file").unwrap(), b"inside");
        assert!(tree.read("loop").is_err());
        assert!(!tree.contains("missing"));
        assert_eq!(
            tree.files_below("usr").unwrap(),
            ["usr/climber", "usr/lib/file"]
        );
    }
}
