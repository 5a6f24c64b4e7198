//! Any bytes, in any pieces, are a record or an error; the pieces do not matter.
#![no_main]

use eventlog::record::{Frame, RecordError, RecordReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    let whole = read(&bytes, bytes.len().max(1));
    assert_eq!(read(&bytes, usize::from(piece).max(1)), whole);
});

fn read(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, RecordError> {
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
