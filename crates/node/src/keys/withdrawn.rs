//! The list of withdrawn certificates: a text file, one line `futago://MACHINE/NODE MICROSECONDS` each. All certificates of that
//! node that were issued up to that time since 1970 are of no use any more, stolen copies among them.

use crate::certificate::{CertificateFacts, Subject};
use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;

/// Largest list, in bytes.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// Which certificates are withdrawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withdrawn {
    until_us: BTreeMap<Subject, u64>,
}

impl Withdrawn {
    /// Reads a list; one that does not exist is empty.
    ///
    /// # Errors
    /// A file that cannot be read, or is no such list: then nobody knows what is withdrawn.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let length = match std::fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| unreadable(path)),
        };
        ensure!(
            length <= LIST_BYTES_MAX,
            "the list of withdrawn certificates {} is larger than any that `futago keys` writes",
            path.display()
        );
        let text = std::fs::read_to_string(path).with_context(|| unreadable(path))?;
        let mut list = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = line
                .split_once(' ')
                .and_then(|(uri, until)| Some((Subject::of_uri(uri)?, until.trim().parse().ok()?)));
            let Some((subject, until_us)) = entry else {
                bail!(
                    "line {number} of the list of withdrawn certificates {} is no entry: it should be like `futago://MACHINE/NODE TIME`",
                    path.display()
                );
            };
            list.add(subject, until_us);
        }
        Ok(list)
    }

    /// Withdraws all certificates that were issued to a node up to a time.
    pub fn add(&mut self, subject: Subject, until_us: u64) {
        let until = self.until_us.entry(subject).or_default();
        *until = until_us.max(*until);
    }

    /// Whether a certificate is withdrawn.
    pub fn holds(&self, certificate: &CertificateFacts) -> bool {
        self.until_us(&certificate.subject) >= certificate.issued_us
    }

    /// Up to when a node's certificates are withdrawn; 0 if none is.
    pub fn until_us(&self, subject: &Subject) -> u64 {
        self.until_us.get(subject).copied().unwrap_or(0)
    }

    /// The list as a file holds it.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# Withdrawn certificates, by `futago keys withdraw`: those issued up to a time, in microseconds since 1970.\n",
        );
        for (subject, until_us) in &self.until_us {
            writeln!(text, "{} {until_us}", subject.uri()).expect("a string takes all");
        }
        text
    }
}

fn unreadable(path: &Path) -> String {
    format!(
        "cannot read the list of withdrawn certificates {}",
        path.display()
    )
}
