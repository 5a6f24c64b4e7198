//! Entries as a peer sends them: however few bytes each has, it costs this node more, so that their number is bounded.

use bytes::Bytes;
use serde::Deserializer;
use serde::de::{Error, SeqAccess, Visitor};
use std::fmt;

/// Most entries of one message.
pub const APPEND_ENTRIES_MAX: usize = 1 << 16;

/// Reads entries until there are too many.
pub(crate) fn bounded<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Bytes>, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<Bytes>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {APPEND_ENTRIES_MAX} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = source.next_element()? {
                if entries.len() == APPEND_ENTRIES_MAX {
                    return Err(A::Error::invalid_length(entries.len() + 1, &self));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    source.deserialize_seq(Entries)
}
