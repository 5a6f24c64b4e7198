//! Finds the frames in the bytes of a record, which are hostile.

use super::frame::{End, Frame, Header, RecordError, Snapshot};
use super::{
    END, ENTRIES, HEAD_BYTES, HEADER, MACHINE_BYTES_MAX, MAGIC, PART, RECORD_FRAME_BYTES_MAX,
    SNAPSHOT, SNAPSHOT_BYTES_MAX, VERSION,
};
use crate::entry::ENTRY_BYTES_MAX;
use crate::varint::Cursor;
use machine::Position;

/// Reads a record piece by piece: feed bytes, take frames, and ask at the end whether all was there.
#[derive(Debug, Default)]
pub struct RecordReader {
    /// Fed and not yet used; what is before `used` is.
    buffer: Vec<u8>,
    used: usize,
    /// Offset of `buffer[used]` in the record.
    offset: u64,
    stage: Stage,
    entries: u64,
    failed: Option<RecordError>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Magic,
    Header,
    Log,
    /// Within a snapshot: what is missing of it, and where it began.
    Snapshot(Snapshot, u64),
    Ended,
}

impl Stage {
    fn expects(&self) -> &'static str {
        match self {
            Self::Magic => "the magic bytes",
            Self::Header => "the header",
            Self::Log => "the end frame",
            Self::Snapshot(..) => "a snapshot",
            Self::Ended => "nothing",
        }
    }
}

/// A frame whose checksum agrees, and where it begins.
struct Raw {
    kind: u8,
    payload: Vec<u8>,
    offset: u64,
}

impl RecordReader {
    /// A reader at the beginning of a record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the next bytes of the record.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Offset in the record of the first byte that is not part of a frame already returned.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame, or `None` when more bytes must be fed. After an error there is only that error.
    ///
    /// # Errors
    /// The bytes are no record, or one of another version, or damaged. There is only that error from then on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, RecordError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.advance();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    /// Says whether the record was whole, once all its bytes were fed and all frames taken.
    ///
    /// # Errors
    /// It was not: it ends too early, or what was read is no record.
    pub fn finish(&self) -> Result<(), RecordError> {
        match (&self.failed, &self.stage) {
            (Some(error), _) => Err(error.clone()),
            (None, Stage::Ended) => Ok(()),
            (None, stage) => Err(RecordError::Truncated {
                offset: self.offset + (self.buffer.len() - self.used) as u64,
                what: stage.expects(),
            }),
        }
    }

    fn advance(&mut self) -> Result<Option<Frame>, RecordError> {
        if matches!(self.stage, Stage::Magic) {
            let seen = &self.buffer[self.used..];
            let known = seen.len().min(MAGIC.len());
            if seen[..known] != MAGIC[..known] {
                return Err(RecordError::Magic);
            }
            if known < MAGIC.len() {
                return Ok(None);
            }
            self.consume(MAGIC.len());
            self.stage = Stage::Header;
        }
        while let Some(raw) = self.take_raw()? {
            if let Some(frame) = self.interpret(&raw)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn consume(&mut self, bytes: usize) {
        self.used += bytes;
        self.offset += bytes as u64;
    }

    fn take_raw(&mut self) -> Result<Option<Raw>, RecordError> {
        let offset = self.offset;
        let seen = &self.buffer[self.used..];
        if matches!(self.stage, Stage::Ended) && !seen.is_empty() {
            return Err(RecordError::Trailing { offset });
        }
        let Some((head, rest)) = seen.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > RECORD_FRAME_BYTES_MAX {
            return Err(RecordError::Length {
                offset,
                bytes: length as u64,
            });
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&head[..5]), payload);
        if checksum != u32::from_le_bytes([head[5], head[6], head[7], head[8]]) {
            return Err(RecordError::Checksum { offset });
        }
        let raw = Raw {
            kind: head[0],
            payload: payload.to_vec(),
            offset,
        };
        self.consume(HEAD_BYTES + length);
        Ok(Some(raw))
    }

    fn interpret(&mut self, raw: &Raw) -> Result<Option<Frame>, RecordError> {
        let offset = raw.offset;
        let malformed = |what| RecordError::Malformed { offset, what };
        let frame = match (std::mem::take(&mut self.stage), raw.kind) {
            (Stage::Header, HEADER) => {
                self.stage = Stage::Log;
                Frame::Header(header(raw)?)
            }
            (Stage::Log, SNAPSHOT) => {
                let (snapshot, bytes) = snapshot_start(raw)?;
                if snapshot.entries_before != self.entries {
                    return Err(malformed(
                        "a snapshot that counts other entries than there are",
                    ));
                }
                return self.collect(snapshot, bytes, offset);
            }
            (Stage::Snapshot(mut snapshot, missing), PART) => {
                let Some(missing) = missing.checked_sub(raw.payload.len() as u64) else {
                    return Err(malformed("more parts of a snapshot than it announced"));
                };
                if raw.payload.is_empty() {
                    return Err(malformed("an empty part of a snapshot"));
                }
                snapshot.state.extend_from_slice(&raw.payload);
                return self.collect(snapshot, missing, offset);
            }
            (Stage::Log, ENTRIES) => {
                let entries = entries(raw)?;
                self.entries += entries.len() as u64;
                self.stage = Stage::Log;
                Frame::Entries(entries)
            }
            (Stage::Log, END) => {
                let end = end(raw)?;
                if end.entries != self.entries {
                    return Err(malformed("an end that counts other entries than there are"));
                }
                self.stage = Stage::Ended;
                Frame::End(end)
            }
            (Stage::Header, _) => return Err(malformed("the first frame is no header")),
            (Stage::Snapshot(..), _) => return Err(malformed("a snapshot that was not finished")),
            _ => return Err(malformed("a frame of unknown kind, or out of place")),
        };
        Ok(Some(frame))
    }

    /// Goes on with a snapshot of which `missing` bytes are to come.
    fn collect(
        &mut self,
        snapshot: Snapshot,
        missing: u64,
        offset: u64,
    ) -> Result<Option<Frame>, RecordError> {
        if missing > SNAPSHOT_BYTES_MAX {
            let bytes = missing;
            return Err(RecordError::Length { offset, bytes });
        }
        if missing > 0 {
            self.stage = Stage::Snapshot(snapshot, missing);
            return Ok(None);
        }
        self.stage = Stage::Log;
        Ok(Some(Frame::Snapshot(snapshot)))
    }
}

fn header(raw: &Raw) -> Result<Header, RecordError> {
    let offset = raw.offset;
    let malformed = |what| RecordError::Malformed { offset, what };
    let cut = || malformed("the header is cut short");
    let (version, rest) = raw.payload.split_first_chunk::<2>().ok_or_else(cut)?;
    let version = u16::from_le_bytes(*version);
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    let (semantics, machine) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    if machine.len() > MACHINE_BYTES_MAX {
        return Err(malformed(
            "the header's description of the machine is too long",
        ));
    }
    let machine = String::from_utf8(machine.to_vec())
        .map_err(|_| malformed("the header's description of the machine is no text"))?;
    Ok(Header {
        semantics: u32::from_le_bytes(*semantics),
        machine,
    })
}

/// The snapshot, still empty, and the number of its bytes.
fn snapshot_start(raw: &Raw) -> Result<(Snapshot, u64), RecordError> {
    let mut cursor = Cursor::new(&raw.payload);
    let mut next = || cursor.array().map(u64::from_le_bytes);
    let fields = (next(), next(), next());
    match fields {
        (Some(entries_before), Some(position), Some(bytes)) if cursor.is_empty() => {
            let snapshot = Snapshot {
                entries_before,
                position: Position(position),
                state: Vec::new(),
            };
            Ok((snapshot, bytes))
        }
        _ => Err(RecordError::Malformed {
            offset: raw.offset,
            what: "a snapshot frame of the wrong length",
        }),
    }
}

fn entries(raw: &Raw) -> Result<Vec<Vec<u8>>, RecordError> {
    let mut entries = Vec::new();
    let mut cursor = Cursor::new(&raw.payload);
    while !cursor.is_empty() {
        let entry = cursor
            .number()
            .and_then(|length| usize::try_from(length).ok())
            .filter(|&length| (1..=ENTRY_BYTES_MAX).contains(&length))
            .and_then(|length| cursor.take(length));
        let entry = entry.ok_or(RecordError::Malformed {
            offset: raw.offset,
            what: "an entry is empty, or longer than its frame",
        })?;
        entries.push(entry.to_vec());
    }
    Ok(entries)
}

fn end(raw: &Raw) -> Result<End, RecordError> {
    let mut cursor = Cursor::new(&raw.payload);
    let mut next = || cursor.array().map(u64::from_le_bytes);
    match (next(), next()) {
        (Some(entries), Some(position)) => Ok(End {
            entries,
            position: Position(position),
            digest: cursor.take_rest().to_vec(),
        }),
        _ => Err(RecordError::Malformed {
            offset: raw.offset,
            what: "the end frame is cut short",
        }),
    }
}
