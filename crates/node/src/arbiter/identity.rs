//! The identity of a store: a file beside the machines' directories, written once, on purpose. A directory that is not
//! mounted looks like an empty store; without this, an empty store would mean "first start".

use super::files::{Files, HostFiles};
use super::lines::{self, LinesError, TEXT_BYTES_MAX};
use crate::names::{hex, parse_hex, random_u128, short};
use anyhow::{Context, bail};
use std::fmt;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;

const HEADER: &str = "futago-store 1";
/// File of the identity in a store's directory.
const STORE_FILE: &str = "store";

/// Names one store, for as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreId(pub u128);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&short(self.0))
    }
}

/// Makes `root` a store: creates the directory where it is missing, and gives it an identity. Records that are there
/// already stay.
///
/// # Errors
/// It is a store already, or cannot be written.
pub fn init_store(root: &Path) -> anyhow::Result<StoreId> {
    let context = || format!("cannot make {} an arbiter's store", root.display());
    if let Err(error) = std::fs::create_dir(root)
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(error).with_context(context);
    }
    let id = random_u128().context("the host gives no random numbers")?;
    let files = &mut HostFiles;
    let directory = files.open_root(root).with_context(context)?;
    let temporary = format!("{STORE_FILE}-{}", hex(id));
    let text = lines::render(HEADER, &[("store", hex(id))]);
    let made = files
        .create(&directory, &temporary, text.as_bytes())
        .and_then(|()| files.link(&directory, &temporary, STORE_FILE));
    // Best effort: what stays is ignored by everyone.
    let _ = files.remove(&directory, &temporary);
    match made {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let id = read_identity(files, &directory, root)?;
            bail!(
                "{} is an arbiter's store already ({id}); nothing was changed",
                root.display()
            );
        }
        Err(error) => return Err(error).with_context(context),
    }
    files.sync(&directory).with_context(context)?;
    // The directory's own name: only best effort, since what it stands in may not be ours to open.
    if let Some(parent) = root
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        && let Ok(parent) = files.open_root(parent)
    {
        files.sync(&parent).with_context(context)?;
    }
    Ok(StoreId(id))
}

/// The identity of the store that is open as `directory`, and is called `root` in sentences.
///
/// # Errors
/// One sentence: there is none, it cannot be read, or it is damaged.
pub(super) fn read_identity(
    files: &mut dyn Files,
    directory: &OwnedFd,
    root: &Path,
) -> anyhow::Result<StoreId> {
    let bytes = match files.read(directory, STORE_FILE, TEXT_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "the arbiter directory {0} has no identity: either it is not mounted, or it is new, and `futago arbiter init {0}` makes it a store, once and on purpose",
            root.display()
        ),
        Err(error) => {
            return Err(error).with_context(|| {
                format!(
                    "cannot read the identity of the arbiter directory {}",
                    root.display()
                )
            });
        }
    };
    parse(&bytes).with_context(|| {
        format!(
            "{} is no identity of an arbiter's store; restore it from a copy",
            root.join(STORE_FILE).display()
        )
    })
}

fn parse(bytes: &[u8]) -> Result<StoreId, LinesError> {
    let text = str::from_utf8(bytes).map_err(|_| LinesError::Header(HEADER))?;
    let [id] = lines::parse(text, HEADER, ["store"])?;
    let id = parse_hex(id).ok_or(LinesError::Line("store"))?;
    Ok(StoreId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_given_once() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("arbiter");
        let id = init_store(&root).unwrap();
        let directory = HostFiles.open_root(&root).unwrap();
        assert_eq!(
            read_identity(&mut HostFiles, &directory, &root).unwrap(),
            id
        );
        let error = init_store(&root).unwrap_err().to_string();
        assert!(error.contains("already"), "{error}");
        assert_eq!(HostFiles.list(&directory).unwrap().len(), 3);
        assert!(init_store(&parent.path().join("none/arbiter")).is_err());
    }

    #[test]
    fn a_damaged_identity_is_refused() {
        let text = lines::render(HEADER, &[("store", hex(7))]);
        assert_eq!(parse(text.as_bytes()), Ok(StoreId(7)));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(parse(&bytes).is_err());
            assert!(parse(&text.as_bytes()[..at]).is_err());
        }
    }
}
