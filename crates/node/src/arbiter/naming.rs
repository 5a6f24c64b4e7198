//! The names of machines in a store. Their directories are called by identities, which no name follows from; so each has its
//! machine's name in a file, written by whoever starts the machine. Nothing depends on it: people are told it.

use super::files::Files;
use super::lines::{self, TEXT_BYTES_MAX};
use crate::names::{hex, machine_id, random_u128};
use replication::MachineId;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

const HEADER: &str = "futago-machine 1";
/// File of the name in a machine's directory.
const NAME_FILE: &str = "name";

/// Puts a machine's name into its directory, if there is none. Names that a line of text cannot hold are not kept.
pub(super) fn write(files: &mut dyn Files, at: &OwnedFd, name: &str) -> io::Result<()> {
    let text = lines::render(HEADER, &[("name", name.to_owned())]);
    if !is_plain(name)
        || text.len() as u64 > TEXT_BYTES_MAX
        || read(files, at, machine_id(name)).is_some()
    {
        return Ok(());
    }
    let temporary = format!("{NAME_FILE}-{}", hex(random_u128()?));
    let made = files
        .create(at, &temporary, text.as_bytes())
        .and_then(|()| files.link(at, &temporary, NAME_FILE));
    let removed = files.remove(at, &temporary);
    match made {
        // Another node was as fast; what is damaged stays as it is.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => removed,
        made => made.and(removed),
    }
}

/// The name of `machine`, from its directory; none if it is not there, or is another's.
pub(super) fn read(files: &mut dyn Files, at: &OwnedFd, machine: MachineId) -> Option<String> {
    let bytes = files.read(at, NAME_FILE, TEXT_BYTES_MAX).ok()?;
    let text = str::from_utf8(&bytes).ok()?;
    let [name] = lines::parse(text, HEADER, ["name"]).ok()?;
    (is_plain(name) && machine_id(name) == machine).then(|| name.to_owned())
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::super::files::HostFiles;
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_believed_of_its_own_machine_alone() {
        let directory = tempfile::tempdir().unwrap();
        let files = &mut HostFiles;
        let at = files.open_root(directory.path()).unwrap();
        let machine = machine_id("demo");
        assert_eq!(read(files, &at, machine), None);
        for unkept in ["", "two\nlines", "\u{1b}[2J", &"n".repeat(2000)] {
            write(files, &at, unkept).unwrap();
        }
        assert!(
            files
                .list(&at)
                .unwrap()
                .iter()
                .all(|name| name != NAME_FILE)
        );
        for _ in 0..2 {
            write(files, &at, "demo").unwrap();
            assert_eq!(read(files, &at, machine).as_deref(), Some("demo"));
        }
        assert_eq!(read(files, &at, machine_id("other")), None);
        // The two that every directory has, and the name.
        assert_eq!(files.list(&at).unwrap().len(), 3);
        std::fs::write(directory.path().join(NAME_FILE), "demo\n").unwrap();
        assert_eq!(read(files, &at, machine), None);
        write(files, &at, "demo").unwrap();
        assert_eq!(read(files, &at, machine), None);
    }
}
