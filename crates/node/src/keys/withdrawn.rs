//! The list of withdrawn certificates: a text file, one line `futago://MACHINE/NODE MICROSECONDS` each. All certificates of that
//! node that were issued up to that time since 1970 are of no use any more, stolen copies among them.

use crate::given_file;
use anyhow::{Context, bail};
use replication::{Date, Subject, Withdrawn};
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;

/// Largest list, in bytes.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// Reads a list; one that does not exist is empty.
///
/// # Errors
/// A file that cannot be read, or is no such list: then nobody knows what is withdrawn.
pub fn load_withdrawn(path: &Path) -> anyhow::Result<Withdrawn> {
    let text = match given_file::read_text(path, LIST_BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Withdrawn::default()),
        Err(error) => {
            return Err(error).with_context(|| {
                format!(
                    "cannot read the list of withdrawn certificates {}",
                    path.display()
                )
            });
        }
    };
    let mut list = Withdrawn::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = line.split_once(' ').and_then(|(uri, until)| {
            Some((Subject::of_uri(uri)?, Date(until.trim().parse().ok()?)))
        });
        let Some((subject, until)) = entry else {
            bail!(
                "line {number} of the list of withdrawn certificates {} is no entry: it should be like `futago://MACHINE/NODE TIME`",
                path.display()
            );
        };
        list.add(subject, until);
    }
    Ok(list)
}

/// The list as a file holds it.
pub(super) fn text(list: &Withdrawn) -> String {
    let mut text = String::from(
        "# Withdrawn certificates, by `futago keys withdraw`: those issued up to a time, in microseconds since 1970.\n",
    );
    for (subject, until) in list.iter() {
        writeln!(text, "{} {}", subject.uri(), until.0).expect("a string takes all");
    }
    text
}
