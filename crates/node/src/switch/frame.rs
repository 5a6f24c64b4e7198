//! QEMU's stream protocol: 4-byte big-endian length, then an Ethernet frame.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Shortest frame: two addresses and an EtherType.
pub const FRAME_BYTES_MIN: usize = 14;
/// Longest frame: what a virtio network device with offloads could send, and as much as passt takes.
pub const FRAME_BYTES_MAX: usize = 65_550;
const LENGTH_BYTES: usize = 4;

/// Why a port's bytes are no frames. There is no way to find the next frame: the port is closed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// A length outside [`FRAME_BYTES_MIN`] to [`FRAME_BYTES_MAX`].
    #[error("a frame of {0} bytes is not possible: this is not QEMU's stream protocol")]
    Length(usize),
}

/// Takes the first frame out of what was received; none if it is not whole yet.
///
/// # Errors
/// A length that no frame has.
pub fn take_frame(received: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = received.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&length) {
        return Err(FrameError::Length(length));
    }
    if received.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    received.advance(LENGTH_BYTES);
    Ok(Some(received.split_to(length).freeze()))
}

/// Bytes of the first frame, its length included, of whole frames that wait to be sent; none at their end.
pub(super) fn frame_bytes(frames: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*frames.first_chunk::<LENGTH_BYTES>()?);
    Some(LENGTH_BYTES + length as usize)
}

/// Appends a frame to what will be sent. Frames that no frame can be are left out.
pub fn put_frame(buffer: &mut BytesMut, frame: &[u8]) {
    if (FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&frame.len()) {
        let length = u32::try_from(frame.len()).expect("the length was just bounded");
        buffer.extend_from_slice(&length.to_be_bytes());
        buffer.extend_from_slice(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
            lengths in prop::collection::vec(FRAME_BYTES_MIN..2000usize, 1..8),
            fragment in 1usize..700,
        ) {
            let frames: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![length as u8; length]).collect();
            let mut wire = BytesMut::new();
            for frame in &frames {
                put_frame(&mut wire, frame);
            }
            let mut received = BytesMut::new();
            let mut taken = Vec::new();
            for fragment in wire.chunks(fragment) {
                received.extend_from_slice(fragment);
                while let Some(frame) = take_frame(&mut received).unwrap() {
                    taken.push(frame.to_vec());
                }
            }
            prop_assert_eq!(taken, frames);
        }
    }

    #[test]
    fn impossible_lengths_are_refused_before_they_are_received() {
        for length in [0u32, 13, FRAME_BYTES_MAX as u32 + 1, u32::MAX] {
            let mut received = BytesMut::from(&length.to_be_bytes()[..]);
            assert_eq!(
                take_frame(&mut received),
                Err(FrameError::Length(length as usize))
            );
        }
    }
}
