//! Records survive their encoding, whatever the pieces they are read in; damage is told with its place.

use eventlog::record::{End, Frame, Header, RecordError, RecordReader, RecordWriter, Snapshot};
use machine::Position;
use proptest::collection::vec;
use proptest::prelude::*;

fn header(machine: &str) -> Header {
    Header {
        semantics: 7,
        machine: machine.to_owned(),
    }
}

/// A record of two snapshots and some entries, and the frames that should come out of it.
fn sample() -> (Vec<u8>, Vec<Frame>) {
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&header("a machine"), &mut bytes).unwrap();
    let large: Vec<u8> = (0..2_500_000u32).map(|at| (at * 3) as u8).collect();
    writer.snapshot(Position(0), &large, &mut bytes).unwrap();
    let entries = vec![vec![1, 2, 3], vec![4; 300]];
    writer.entries_batch(&entries, &mut bytes).unwrap();
    writer.snapshot(Position(9), b"small", &mut bytes).unwrap();
    writer.entries_batch(&[b"last"], &mut bytes).unwrap();
    writer.end(Position(11), b"digest", &mut bytes).unwrap();
    let snapshot = |entries_before, position, state| {
        Frame::Snapshot(Snapshot {
            entries_before,
            position: Position(position),
            state,
        })
    };
    let frames = vec![
        Frame::Header(header("a machine")),
        snapshot(0, 0, large),
        Frame::Entries(entries),
        snapshot(2, 9, b"small".to_vec()),
        Frame::Entries(vec![b"last".to_vec()]),
        Frame::End(End {
            entries: 3,
            position: Position(11),
            digest: b"digest".to_vec(),
        }),
    ];
    (bytes, frames)
}

/// Reads all frames, fed in pieces of this size. The fuzz target `record` does the same.
fn check(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, RecordError> {
    let mut reader = RecordReader::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.feed(piece);
        while let Some(frame) = reader.next_frame()? {
            frames.push(frame);
        }
    }
    reader.finish()?;
    Ok(frames)
}

/// A small record, for damage at every place.
fn small() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&header("m"), &mut bytes).unwrap();
    writer.snapshot(Position(0), b"state", &mut bytes).unwrap();
    writer
        .entries_batch(&[b"entry", b"other"], &mut bytes)
        .unwrap();
    writer.end(Position(5), b"digest", &mut bytes).unwrap();
    bytes
}

#[test]
fn a_record_survives_in_any_pieces() {
    let (bytes, frames) = sample();
    for piece in [4_096, 1 << 20, bytes.len()] {
        assert_eq!(check(&bytes, piece).as_ref(), Ok(&frames));
    }
    let small = small();
    assert_eq!(check(&small, 1), check(&small, small.len()));
    assert!(check(&small, 1).is_ok());
}

#[test]
fn every_cut_is_called_a_truncation_at_its_offset() {
    let bytes = small();
    for end in 0..bytes.len() {
        match check(&bytes[..end], 7) {
            Err(RecordError::Truncated { offset, .. }) => assert_eq!(offset, end as u64),
            other => panic!("cut at {end}: {other:?}"),
        }
    }
}

#[test]
fn every_changed_bit_is_noticed_at_or_before_its_place() {
    let bytes = small();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            match check(&damaged, 16) {
                Err(RecordError::Magic) => assert!(at < 8),
                Err(RecordError::Checksum { offset } | RecordError::Length { offset, .. }) => {
                    assert!(offset <= at as u64 && offset >= 8);
                }
                // The length was changed to reach behind the end of the file.
                Err(RecordError::Truncated { .. }) => {}
                other => panic!("byte {at}, bit {bit}: {other:?}"),
            }
        }
    }
}

#[test]
fn more_bytes_after_the_end_are_an_error() {
    let mut bytes = small();
    let offset = bytes.len() as u64;
    bytes.push(0);
    assert_eq!(check(&bytes, 9), Err(RecordError::Trailing { offset }));
}

#[test]
fn an_error_stays() {
    let mut reader = RecordReader::new();
    reader.feed(b"no record at all");
    assert_eq!(reader.next_frame(), Err(RecordError::Magic));
    reader.feed(&small());
    assert_eq!(reader.next_frame(), Err(RecordError::Magic));
    assert_eq!(reader.finish(), Err(RecordError::Magic));
}

/// A frame with the right checksum.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = vec![kind];
    head.extend((payload.len() as u32).to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&head), payload);
    [head, checksum.to_le_bytes().to_vec(), payload.to_vec()].concat()
}

proptest! {
    #[test]
    fn noise_is_harmless(noise in vec(any::<u8>(), 0..400), piece in 1usize..50) {
        let _ = check(&noise, piece);
        let _ = check(&[b"FUTAGO\r\n".to_vec(), noise].concat(), piece);
    }

    #[test]
    fn sealed_noise_is_harmless(
        frames in vec((0u8..7, vec(any::<u8>(), 0..40)), 0..8),
        piece in 1usize..50,
    ) {
        let mut bytes = b"FUTAGO\r\n".to_vec();
        bytes.extend(frame(1, &[1, 0, b'm']));
        for (kind, payload) in &frames {
            bytes.extend(frame(*kind, payload));
        }
        let _ = check(&bytes, piece);
    }
}
