//! What both nodes of a pair must have alike: named values, which each says in its handshake. A difference is told by its
//! name, with both values, to whoever would otherwise find out by a divergence.

use serde::{Deserialize, Serialize};

/// Rows that an agreement may have.
const ROWS_MAX: usize = 32;
/// Longest key, in bytes: keys are those of the configuration.
const KEY_BYTES_MAX: usize = 48;
/// Longest value, in bytes: what is longer is said by its hash.
const VALUE_BYTES_MAX: usize = 96;

/// Named values that must be equal on both sides. A row that only one side has is not compared: the other does not know, or
/// does not need to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    key: String,
    value: String,
}

/// The first row that is not equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its key, as the configuration calls it.
    pub key: String,
    /// This node's value.
    pub ours: String,
    /// The peer's value, in its own words.
    pub theirs: String,
}

impl Agreement {
    /// Adds a row. A value that is too long to be said is represented by its hash.
    ///
    /// # Panics
    /// On more than 32 rows, or a key of more than 48 bytes: both are the program's own.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        assert!(
            self.rows.len() < ROWS_MAX && key.len() <= KEY_BYTES_MAX,
            "an agreement that fits a handshake: {key}"
        );
        let mut value = value.into();
        if value.len() > VALUE_BYTES_MAX {
            value = format!(
                "{} bytes of hash {}",
                value.len(),
                Self::shorten(&blake3::hash(value.as_bytes()))
            );
        }
        self.rows.push(Row {
            key: key.to_owned(),
            value,
        });
        self
    }

    /// The first row of ours that the peer has otherwise. What a peer sends is short, since its handshake is.
    pub fn difference(&self, theirs: &Self) -> Option<Difference> {
        self.rows.iter().find_map(|ours| {
            let theirs = theirs.rows.iter().find(|row| row.key == ours.key)?;
            (theirs.value != ours.value).then(|| Difference {
                key: ours.key.clone(),
                ours: ours.value.clone(),
                theirs: theirs.value.clone(),
            })
        })
    }

    /// The first 32 digits of a hash: as good as all 64 against mistakes, and against those whose certificate lets them join.
    pub fn shorten(hash: &blake3::Hash) -> String {
        hash.to_hex()[..32].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named_with_both_values() {
        let ours = Agreement::default()
            .with("machine.memory", "256M")
            .with("only.ours", "1")
            .with("machine.append", "x".repeat(1000));
        let theirs = Agreement::default()
            .with("only.theirs", "2")
            .with("machine.append", "x".repeat(1000))
            .with("machine.memory", "512M");
        let Difference {
            key,
            ours: a,
            theirs: b,
        } = ours.difference(&theirs).unwrap();
        assert_eq!([&*key, &*a, &*b], ["machine.memory", "256M", "512M"]);
        assert_eq!(ours.difference(&ours), None);
        let long = Agreement::default().with("machine.append", "y".repeat(1000));
        let difference = long.difference(&theirs).unwrap();
        assert!(difference.ours.starts_with("1000 bytes of hash "));
        assert_ne!(difference.ours, difference.theirs);
    }
}
