//! One entry of the log, and its bytes.
//!
//! ```text
//! byte 0            version (3 bits) and kind (5 bits)
//! 1 to 10 bytes     position, LEB128
//! n bytes           what the kind needs
//! last 4 bytes      CRC-32C of all before, little endian
//! ```
//!
//! Each entry stands alone: it can be decoded without its neighbours. Equal entries have equal bytes.

use crate::mark::OutputMark;
use crate::varint::{self, Cursor};
use machine::{
    Clock, Completion, Digest, FRAME_BYTES_MAX, Input, Position, REQUEST_BYTES_MAX, RequestId,
};

/// Longest encoded entry, in bytes.
pub const ENTRY_BYTES_MAX: usize = 128 << 10;
/// Most console bytes that one entry carries.
pub(crate) const CONSOLE_BYTES_MAX: usize = 65_536;
/// Longest digest, in bytes.
pub(crate) const DIGEST_BYTES_MAX: usize = 16 << 10;

/// Version of the encoding, in the upper three bits of an entry's first byte.
const VERSION: u8 = 2;
const CHECKSUM_BYTES: usize = 4;

/// Something that the log says, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The position at which it holds.
    pub position: Position,
    /// What holds there.
    pub event: Event,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The machine may run to this position.
    Progress,
    /// This input is applied here.
    Input(Input),
    /// All outputs up to here that no earlier mark covers are these.
    Output(OutputMark),
    /// The machine's state is this.
    Digest(Box<Digest>),
    /// The machine stopped by itself; nothing follows.
    Stopped {
        /// It asked for a reset rather than for power-off.
        reset: bool,
    },
}

/// Why bytes are no log entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Longer or shorter than any entry.
    #[error("a log entry of {0} bytes: the length is out of bounds")]
    Length(usize),
    /// Bits were changed on the way.
    #[error("a log entry's checksum does not match its bytes")]
    Checksum,
    /// Written by another version of the software.
    #[error("a log entry of version {0}, while this program reads version {VERSION}")]
    Version(u8),
    /// A kind that this version does not have.
    #[error("a log entry of unknown kind {0}")]
    Kind(u8),
    /// The checksum agrees, but a field is cut short, out of bounds or followed by more bytes.
    #[error("a malformed log entry: bad {0}")]
    Malformed(&'static str),
    /// The entry cannot be written, as it holds more than an entry may.
    #[error("{0} of {1} bytes does not fit a log entry")]
    TooLarge(&'static str, usize),
}

// Kinds. Numbers are part of the format: never use one again for something else.
const PROGRESS: u8 = 0;
const CLOCK: u8 = 1;
const FRAME: u8 = 2;
const CONSOLE: u8 = 3;
const SEED: u8 = 4;
const SYNCHRONIZE: u8 = 5;
const RESET: u8 = 6;
const POWER_OFF: u8 = 7;
const OUTPUT: u8 = 8;
const DIGEST: u8 = 9;
const STOPPED: u8 = 10;
const COMPLETION: u8 = 11;

impl Entry {
    /// The entry's bytes.
    ///
    /// # Errors
    /// A frame, console input, a digest or what a completion brings is longer than the format allows.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        let mut bytes = Vec::with_capacity(32);
        bytes.push(VERSION << 5 | self.event.kind());
        varint::put(&mut bytes, self.position.0);
        match &self.event {
            Event::Progress => {}
            Event::Input(input) => put_input(&mut bytes, input)?,
            Event::Output(mark) => {
                varint::put(&mut bytes, u64::from(mark.count));
                bytes.extend_from_slice(&mark.hash);
            }
            Event::Digest(digest) => {
                let digest = digest_to_bytes(digest);
                if digest.len() > DIGEST_BYTES_MAX {
                    return Err(EntryError::TooLarge("a digest", digest.len()));
                }
                bytes.extend_from_slice(&digest);
            }
            Event::Stopped { reset } => bytes.push(u8::from(*reset)),
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// Decodes what [`Entry::encode`] wrote.
    ///
    /// # Errors
    /// Any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::Length(bytes.len()));
        }
        let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Err(EntryError::Length(bytes.len()));
        };
        if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
            return Err(EntryError::Checksum);
        }
        let mut cursor = Cursor::new(body);
        let first = cursor.byte().ok_or(EntryError::Length(bytes.len()))?;
        if first >> 5 != VERSION {
            return Err(EntryError::Version(first >> 5));
        }
        let position = cursor.number().ok_or(EntryError::Malformed("position"))?;
        let event = take_event(first & 0x1f, &mut cursor)?;
        if !cursor.is_empty() {
            return Err(EntryError::Malformed("length"));
        }
        Ok(Self {
            position: Position(position),
            event,
        })
    }
}

impl Event {
    fn kind(&self) -> u8 {
        match self {
            Self::Progress => PROGRESS,
            Self::Input(Input::Clock(_)) => CLOCK,
            Self::Input(Input::Frame { .. }) => FRAME,
            Self::Input(Input::Console(_)) => CONSOLE,
            Self::Input(Input::Seed(_)) => SEED,
            Self::Input(Input::Synchronize) => SYNCHRONIZE,
            Self::Input(Input::Reset) => RESET,
            Self::Input(Input::PowerOff) => POWER_OFF,
            Self::Input(Input::Completion(_)) => COMPLETION,
            Self::Output(_) => OUTPUT,
            Self::Digest(_) => DIGEST,
            Self::Stopped { .. } => STOPPED,
        }
    }
}

fn put_input(bytes: &mut Vec<u8>, input: &Input) -> Result<(), EntryError> {
    match input {
        Input::Clock(Clock { time, rate }) => {
            varint::put(bytes, *time);
            // Rates are written by the recorder with few significant bits, so this is short.
            let shift = if *rate == 0 { 0 } else { rate.trailing_zeros() };
            bytes.push(shift as u8);
            varint::put(bytes, rate >> shift);
        }
        Input::Frame { device, frame } => {
            if frame.len() > FRAME_BYTES_MAX {
                return Err(EntryError::TooLarge("a frame", frame.len()));
            }
            bytes.push(*device);
            bytes.extend_from_slice(frame);
        }
        Input::Console(typed) => {
            if typed.len() > CONSOLE_BYTES_MAX {
                return Err(EntryError::TooLarge("console input", typed.len()));
            }
            bytes.extend_from_slice(typed);
        }
        Input::Seed(seed) => bytes.extend_from_slice(seed),
        Input::Completion(Completion { id, result }) => {
            if result.len() > REQUEST_BYTES_MAX {
                return Err(EntryError::TooLarge("a completion", result.len()));
            }
            varint::put(bytes, id.0);
            bytes.extend_from_slice(result);
        }
        Input::Synchronize | Input::Reset | Input::PowerOff => {}
    }
    Ok(())
}

fn take_event(kind: u8, cursor: &mut Cursor<'_>) -> Result<Event, EntryError> {
    Ok(match kind {
        PROGRESS => Event::Progress,
        CLOCK => Event::Input(Input::Clock(take_clock(cursor)?)),
        FRAME => {
            let device = cursor.byte().ok_or(EntryError::Malformed("device"))?;
            let frame = take_bytes(cursor, FRAME_BYTES_MAX, "frame")?;
            Event::Input(Input::Frame { device, frame })
        }
        CONSOLE => {
            let typed = take_bytes(cursor, CONSOLE_BYTES_MAX, "console input")?;
            Event::Input(Input::Console(typed))
        }
        SEED => {
            let seed = cursor.array().ok_or(EntryError::Malformed("seed"))?;
            Event::Input(Input::Seed(seed))
        }
        SYNCHRONIZE => Event::Input(Input::Synchronize),
        RESET => Event::Input(Input::Reset),
        POWER_OFF => Event::Input(Input::PowerOff),
        OUTPUT => {
            let count = cursor.number().and_then(|count| u32::try_from(count).ok());
            Event::Output(OutputMark {
                count: count.ok_or(EntryError::Malformed("output count"))?,
                hash: cursor.array().ok_or(EntryError::Malformed("output hash"))?,
            })
        }
        DIGEST => {
            let digest = digest_from_bytes(cursor.take_rest());
            Event::Digest(Box::new(digest.ok_or(EntryError::Malformed("digest"))?))
        }
        STOPPED => match cursor.byte() {
            Some(0) => Event::Stopped { reset: false },
            Some(1) => Event::Stopped { reset: true },
            _ => return Err(EntryError::Malformed("reason to stop")),
        },
        COMPLETION => {
            let id = cursor.number().ok_or(EntryError::Malformed("request"))?;
            Event::Input(Input::Completion(Completion {
                id: RequestId(id),
                result: take_bytes(cursor, REQUEST_BYTES_MAX, "completion")?,
            }))
        }
        unknown => return Err(EntryError::Kind(unknown)),
    })
}

/// A digest's bytes, as entries and records carry them.
pub fn digest_to_bytes(digest: &Digest) -> Vec<u8> {
    postcard::to_stdvec(digest).expect("a digest is plain data, written to memory")
}

/// Decodes what [`digest_to_bytes`] wrote; `None` for any other bytes.
pub fn digest_from_bytes(bytes: &[u8]) -> Option<Digest> {
    if bytes.len() > DIGEST_BYTES_MAX {
        return None;
    }
    let digest = postcard::from_bytes(bytes).ok()?;
    // Numbers have longer forms too, and more bytes might follow.
    (digest_to_bytes(&digest) == bytes).then_some(digest)
}

fn take_clock(cursor: &mut Cursor<'_>) -> Result<Clock, EntryError> {
    const BAD: EntryError = EntryError::Malformed("clock");
    let time = cursor.number().ok_or(BAD)?;
    let shift = u32::from(cursor.byte().ok_or(BAD)?);
    let mantissa = cursor.number().ok_or(BAD)?;
    // One form for each rate: an odd mantissa, or zero.
    let shortest = mantissa & 1 == 1 || (mantissa == 0 && shift == 0);
    if shift > 63 || !shortest || mantissa.leading_zeros() < shift {
        return Err(BAD);
    }
    let rate = mantissa << shift;
    Ok(Clock { time, rate })
}

fn take_bytes(
    cursor: &mut Cursor<'_>,
    most: usize,
    what: &'static str,
) -> Result<Vec<u8>, EntryError> {
    let bytes = cursor.take_rest();
    if bytes.len() > most {
        return Err(EntryError::Malformed(what));
    }
    Ok(bytes.to_vec())
}
