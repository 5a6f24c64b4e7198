//! Lists as a peer sends them: however few bytes each item has, it costs this node more, so that their number is bounded.

use crate::message::BEYOND_MAX;
use crate::types::LogIndex;
use bytes::Bytes;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// Most entries of one message.
pub const APPEND_ENTRIES_MAX: usize = 1 << 16;

/// Reads entries until there are too many.
pub(crate) fn bounded<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Bytes>, D::Error> {
    source.deserialize_seq(AtMost::<Bytes, APPEND_ENTRIES_MAX>(PhantomData))
}

/// Reads ranges of entries until there are too many.
pub(crate) fn ranges<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Vec<(LogIndex, LogIndex)>, D::Error> {
    source.deserialize_seq(AtMost::<(LogIndex, LogIndex), BEYOND_MAX>(PhantomData))
}

struct AtMost<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for AtMost<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MOST} of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = source.next_element()? {
            if items.len() == MOST {
                return Err(A::Error::invalid_length(items.len() + 1, &self));
            }
            items.push(item);
        }
        Ok(items)
    }
}
