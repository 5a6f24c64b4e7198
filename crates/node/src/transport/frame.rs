//! Frames on the log channel's stream: 4-byte little-endian length, then a message in postcard. What a peer sends is
//! hostile until it is decoded: lengths are bounded before anything is allocated.

use bytes::{Bytes, BytesMut};
use replication::{APPEND_ENTRIES_MAX, LogIndex, Message};
use thiserror::Error;

/// Largest frame, in bytes, without its length.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// Bytes of entries that one `Append` carries before it is split.
const APPEND_BYTES_TARGET: usize = 1 << 20;
/// Length of the length.
pub(super) const LENGTH_BYTES: usize = 4;

/// Why a peer's bytes are refused.
#[derive(Debug, Error)]
pub enum FrameError {
    /// A length above [`FRAME_BYTES_MAX`].
    #[error("a frame of {0} bytes is longer than allowed")]
    TooLong(usize),
    /// Bytes that are no message.
    #[error("malformed message: {0}")]
    Malformed(postcard::Error),
    /// Bytes after the message.
    #[error("{0} bytes follow a message in its frame")]
    Trailing(usize),
    /// A datagram that carries what must travel in order.
    #[error("a datagram carries what must travel by stream")]
    NotDatagram,
    /// A state transfer whose length is above what this machine's state can be.
    #[error("a state of {0} bytes is larger than this machine's")]
    StateTooLong(u64),
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Truncated,
    /// The connection failed while reading.
    #[error("{0}")]
    Read(#[from] quinn::ReadError),
}

/// The payload of a message's frame.
pub fn encode_message(message: &Message) -> Bytes {
    let payload = postcard::to_allocvec(message)
        .expect("a message consists of plain values, and a Vec takes any number of bytes");
    Bytes::from(payload)
}

/// Reads what [`encode_message`] wrote.
///
/// # Errors
/// Anything else.
pub fn decode_message(payload: &[u8]) -> Result<Message, FrameError> {
    let (message, rest) = postcard::take_from_bytes(payload).map_err(FrameError::Malformed)?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(FrameError::Trailing(rest.len()))
    }
}

/// Splits an `Append` of many bytes into several that mean the same; other messages stay whole.
pub fn split_message(message: Message) -> Vec<Message> {
    let Message::Append {
        epoch,
        transfer,
        first,
        entries,
        released,
        urgent,
        stamp,
    } = message
    else {
        return vec![message];
    };
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut part_bytes = 0;
    let mut part_first = first;
    for entry in entries {
        let full =
            part.len() == APPEND_ENTRIES_MAX || part_bytes + entry.len() > APPEND_BYTES_TARGET;
        if !part.is_empty() && full {
            let next = LogIndex(part_first.0 + part.len() as u64);
            parts.push(Message::Append {
                epoch,
                transfer,
                first: part_first,
                entries: std::mem::take(&mut part),
                released,
                urgent: false,
                stamp,
            });
            part_first = next;
            part_bytes = 0;
        }
        part_bytes += entry.len();
        part.push(entry);
    }
    // An acknowledgement covers everything before it, so only the last part asks for one.
    parts.push(Message::Append {
        epoch,
        transfer,
        first: part_first,
        entries: part,
        released,
        urgent,
        stamp,
    });
    parts
}

/// Appends a frame to what is about to be written.
pub(super) fn put_frame(buffer: &mut BytesMut, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("frames are far below 4 GiB");
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(payload);
}

/// Reads one frame; none where the stream ends between frames.
pub(super) async fn read_frame(
    stream: &mut quinn::RecvStream,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, FrameError> {
    let mut length = [0u8; LENGTH_BYTES];
    match stream.read_exact(&mut length).await {
        Ok(()) => {}
        Err(quinn::ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(error) => return Err(read_error(error)),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > bytes_max {
        return Err(FrameError::TooLong(length));
    }
    let mut payload = vec![0u8; length];
    stream.read_exact(&mut payload).await.map_err(read_error)?;
    Ok(Some(payload))
}

fn read_error(error: quinn::ReadExactError) -> FrameError {
    match error {
        quinn::ReadExactError::FinishedEarly(_) => FrameError::Truncated,
        quinn::ReadExactError::ReadError(error) => FrameError::Read(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use replication::{Epoch, TransferId};

    fn append(entries: Vec<Bytes>) -> Message {
        Message::Append {
            epoch: Epoch(3),
            transfer: TransferId(1),
            first: LogIndex(10),
            entries,
            released: LogIndex(9),
            urgent: true,
            stamp: 12,
        }
    }

    proptest! {
        #[test]
        fn splitting_loses_nothing(sizes in prop::collection::vec(0usize..700_000, 0..12)) {
            let entries: Vec<_> = sizes.iter().map(|&size| Bytes::from(vec![size as u8; size])).collect();
            let parts = split_message(append(entries.clone()));
            let mut joined = Vec::new();
            for part in parts {
                let encoded = encode_message(&part);
                prop_assert!(encoded.len() <= FRAME_BYTES_MAX);
                let Message::Append { first, entries, .. } = decode_message(&encoded).unwrap() else {
                    panic!("another message came out");
                };
                prop_assert_eq!(first.0, 10 + joined.len() as u64);
                joined.extend(entries);
            }
            prop_assert_eq!(joined, entries);
        }

        #[test]
        fn as_many_entries_as_there_are_and_no_more_than_a_message_holds(extra in 0usize..3) {
            let entries = vec![Bytes::from_static(b"e"); 2 * APPEND_ENTRIES_MAX - 1 + extra];
            let whole = append(entries);
            prop_assert!(matches!(decode_message(&encode_message(&whole)), Err(FrameError::Malformed(_))));
            let parts: Vec<_> = split_message(whole).iter().map(|part| decode_message(&encode_message(part)).unwrap()).collect();
            prop_assert_eq!(parts.len(), if extra < 2 { 2 } else { 3 });
        }

        #[test]
        fn hostile_bytes_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(message) = decode_message(&bytes) {
                prop_assert!(decode_message(&encode_message(&message)).is_ok());
            }
        }

        #[test]
        fn a_cut_message_is_an_error(cut in any::<prop::sample::Index>()) {
            let encoded = encode_message(&append(vec![Bytes::from_static(b"entry"); 5]));
            prop_assert!(decode_message(&encoded[..cut.index(encoded.len())]).is_err());
        }
    }
}
