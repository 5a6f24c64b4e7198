//! A peer that sends anything. Fuzz targets and tests run it on any bytes; it panics where a promise of the log
//! channel's codec is broken.

use super::{FRAME_BYTES_MAX, decode_message, encode_message, split_message};
use replication::Message;

/// Reads `data` as a message. One that can be read can be said again, in parts that fit a frame, and is the same
/// then; cut short or continued, it is none.
///
/// # Panics
/// If a promise is broken: that is what it looks for.
pub fn run(data: &[u8]) -> Option<Message> {
    let message = decode_message(data).ok()?;
    let encoded = encode_message(&message);
    let again = decode_message(&encoded).expect("what we say can be read");
    assert_eq!(again, message, "it says the same");
    assert!(
        decode_message(&encoded[..encoded.len() - 1]).is_err(),
        "a cut message is none"
    );
    assert!(
        decode_message(&[&encoded[..], &[0]].concat()).is_err(),
        "a continued message is none"
    );
    for part in split_message(message.clone()) {
        assert!(encode_message(&part).len() <= FRAME_BYTES_MAX, "it fits");
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use replication::{Epoch, LogIndex, MachineId, TransferId};

    fn messages() -> impl Strategy<Value = Message> {
        let append = (
            any::<[u64; 4]>(),
            prop::collection::vec(any::<Vec<u8>>(), 0..6),
        );
        let append =
            append.prop_map(
                |([epoch, transfer, first, released], entries)| Message::Append {
                    epoch: Epoch(epoch),
                    transfer: TransferId(u128::from(transfer) << 64 | u128::from(first)),
                    first: LogIndex(first),
                    entries: entries.into_iter().map(Bytes::from).collect(),
                    released: LogIndex(released),
                    urgent: epoch % 2 == 0,
                    stamp: epoch ^ first,
                },
            );
        let join =
            (any::<u128>(), any::<[u64; 2]>()).prop_map(|(machine, [attempt, room_bytes])| {
                Message::Join {
                    room_bytes,
                    machine: MachineId(machine),
                    attempt,
                }
            });
        prop_oneof![append, join]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..300)) {
            run(&data);
        }

        #[test]
        fn damaged_messages(message in messages(), changes in prop::collection::vec(any::<(u16, u8)>(), 0..4)) {
            let mut bytes = encode_message(&message).to_vec();
            let intact = changes.is_empty();
            for (at, value) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            let heard = run(&bytes);
            prop_assert!(!intact || heard == Some(message));
        }
    }
}
