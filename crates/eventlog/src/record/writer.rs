//! Turns frames into the bytes of a record.

use super::{
    END, ENTRIES, HEADER, Header, MACHINE_BYTES_MAX, MAGIC, PART, RECORD_FRAME_BYTES_MAX,
    RecordError, SNAPSHOT, SNAPSHOT_BYTES_MAX, VERSION,
};
use crate::entry::ENTRY_BYTES_MAX;
use crate::varint;
use machine::Position;

/// Part of a snapshot, or about how much of a batch of entries, that goes into one frame, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Writes a record: each call appends bytes to a buffer, which the caller writes out and clears.
#[derive(Debug)]
pub struct RecordWriter {
    entries: u64,
}

impl RecordWriter {
    /// Begins a record of the described machine.
    ///
    /// # Errors
    /// The description is too long.
    pub fn new(header: &Header, out: &mut Vec<u8>) -> Result<Self, RecordError> {
        if header.machine.len() > MACHINE_BYTES_MAX {
            return Err(RecordError::TooLarge("the description of the machine"));
        }
        out.extend_from_slice(&MAGIC);
        let mut payload = VERSION.to_le_bytes().to_vec();
        payload.extend_from_slice(&header.semantics.to_le_bytes());
        payload.extend_from_slice(header.machine.as_bytes());
        put_frame(out, HEADER, &payload);
        Ok(Self { entries: 0 })
    }

    /// Number of entries written so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Adds a snapshot, taken after the entries written so far.
    ///
    /// # Errors
    /// The snapshot is too large.
    pub fn snapshot(
        &mut self,
        position: Position,
        state: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        if state.len() as u64 > SNAPSHOT_BYTES_MAX {
            return Err(RecordError::TooLarge("a snapshot"));
        }
        let mut payload = self.entries.to_le_bytes().to_vec();
        payload.extend_from_slice(&position.0.to_le_bytes());
        payload.extend_from_slice(&(state.len() as u64).to_le_bytes());
        put_frame(out, SNAPSHOT, &payload);
        for part in state.chunks(CHUNK_BYTES) {
            put_frame(out, PART, part);
        }
        Ok(())
    }

    /// Adds encoded entries.
    ///
    /// # Errors
    /// An entry is too long.
    pub fn entries_batch<B: AsRef<[u8]>>(
        &mut self,
        entries: &[B],
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let mut payload = Vec::new();
        for entry in entries {
            let entry = entry.as_ref();
            if entry.len() > ENTRY_BYTES_MAX {
                return Err(RecordError::TooLarge("a log entry"));
            }
            if payload.len() + entry.len() > CHUNK_BYTES && !payload.is_empty() {
                put_frame(out, ENTRIES, &payload);
                payload.clear();
            }
            varint::put(&mut payload, entry.len() as u64);
            payload.extend_from_slice(entry);
            self.entries += 1;
        }
        if !payload.is_empty() {
            put_frame(out, ENTRIES, &payload);
        }
        Ok(())
    }

    /// Closes the record at the last position, with the digest of the final state.
    ///
    /// # Errors
    /// The digest is too long.
    pub fn end(
        self,
        position: Position,
        digest: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        if digest.len() > RECORD_FRAME_BYTES_MAX - 16 {
            return Err(RecordError::TooLarge("the final digest"));
        }
        let mut payload = self.entries.to_le_bytes().to_vec();
        payload.extend_from_slice(&position.0.to_le_bytes());
        payload.extend_from_slice(digest);
        put_frame(out, END, &payload);
        Ok(())
    }
}

fn put_frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length =
        u32::try_from(payload.len()).expect("callers keep frames below RECORD_FRAME_BYTES_MAX");
    let mut head = [0; 5];
    head[0] = kind;
    head[1..].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&head), payload);
    out.extend_from_slice(&head);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(payload);
}
