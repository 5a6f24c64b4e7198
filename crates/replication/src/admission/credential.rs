//! What a certificate says, as far as anybody decides by it, and which certificates are withdrawn.

use crate::time::Date;
use std::collections::BTreeMap;
use std::fmt;

/// Scheme of the name in a certificate: `futago://MACHINE/NODE`.
const SCHEME: &str = "futago://";

/// For which node of which machine a certificate is. The machine's name is kept as the certificate writes it: bytes that may not
/// be in a URI are `%` and two digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    machine: String,
    /// The node's name.
    pub node: String,
}

/// What a certificate says. Whether the authority signed it is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Whose it is.
    pub subject: Subject,
    /// When it was issued.
    pub issued: Date,
    /// When it ends.
    pub ends: Date,
}

/// Which certificates are withdrawn: of each node those that were issued up to a time, stolen copies among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withdrawn {
    until: BTreeMap<Subject, Date>,
}

impl Subject {
    /// That of a node of a machine with this name.
    pub fn new(machine: &str, node: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let machine = machine.bytes().fold(String::new(), |mut text, byte| {
            if plain(byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
            text
        });
        Self {
            machine,
            node: node.to_owned(),
        }
    }

    /// Reads what [`Self::uri`] wrote.
    pub fn of_uri(uri: &str) -> Option<Self> {
        let (machine, node) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let sound = |text: &str| {
            !text.is_empty()
                && text.len() <= 512
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        (sound(machine) && sound(node) && !node.contains('/')).then(|| Self {
            machine: machine.to_owned(),
            node: node.to_owned(),
        })
    }

    /// As a certificate names it.
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.machine, self.node)
    }

    /// Whether it is a node of the machine with this name.
    pub fn is_of(&self, machine: &str) -> bool {
        Self::new(machine, &self.node) == *self
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node `{}` of machine `{}`", self.node, self.machine)
    }
}

impl Withdrawn {
    /// Withdraws all certificates that were issued to a node up to a time.
    pub fn add(&mut self, subject: Subject, until: Date) {
        let known = self.until.entry(subject).or_default();
        *known = until.max(*known);
    }

    /// Whether a certificate is withdrawn.
    pub fn holds(&self, certificate: &Credential) -> bool {
        self.until(&certificate.subject) >= certificate.issued
    }

    /// Up to when a node's certificates are withdrawn; 0 if none is.
    pub fn until(&self, subject: &Subject) -> Date {
        self.until.get(subject).copied().unwrap_or_default()
    }

    /// Each node of which certificates are withdrawn, and up to when.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, Date)> {
        self.until.iter().map(|(subject, until)| (subject, *until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_their_uri() {
        for machine in ["demo", "my machine/2", "機械", "%41"] {
            let subject = Subject::new(machine, "a-1");
            assert_eq!(Subject::of_uri(&subject.uri()), Some(subject.clone()));
            assert!(subject.is_of(machine) && !subject.is_of("A"));
        }
        for wrong in [
            "futago://m",
            "futago:///a",
            "futago://m/",
            "futago://m/a/b",
            "http://m/a",
        ] {
            assert_eq!(Subject::of_uri(wrong), None, "{wrong}");
        }
    }
}
