//! The whole state of a machine as bytes: versioned, checksummed, without pages of zeros.
//!
//! ```text
//! magic 8 | version 2 | length of state 4 | state (postcard), and in version 3 that of requests (postcard)
//! | number of chunks 4 | chunks: index 4, pages present 8, length 4, lz4 | blake3 of all before 32
//! ```
//! Numbers are little-endian. A chunk holds those of 64 consecutive pages that are not all zeros.

mod chunk;
mod error;
mod reader;

use serde::{Deserialize, Serialize};

use self::chunk::Cursor;
use self::error::{VERSION, VERSION_WITH_REQUESTS};
use self::reader::Reader;
use crate::board::{BoardState, RequestState};
use crate::clock::GuestClock;
use crate::{BoardConfig, Position, Ram};

pub use self::chunk::Chunk;
pub use self::error::SnapshotError;

const MAGIC: [u8; 8] = *b"futasnap";
const HASH_BYTES: usize = 32;
/// Largest state without memory: each of eight slots may keep 16 MiB of frames, and the dirty marks are a bit a page.
const STATE_BYTES_MAX: usize = 160 << 20;

/// Everything but memory.
#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) config: BoardConfig,
    pub(crate) position: Position,
    pub(crate) clock: GuestClock,
    pub(crate) registers: Vec<u64>,
    pub(crate) board: BoardState,
    pub(crate) dirty: Vec<u64>,
    pub(crate) digest_next: u64,
    pub(crate) built_in_firmware: bool,
}

/// The state of a machine at one position.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    state: StateBytes,
    chunks: Vec<Chunk>,
}

/// All of a snapshot but memory.
#[derive(Clone, PartialEq, Eq)]
pub struct StateBytes {
    version: u16,
    bytes: Vec<u8>,
}

/// A snapshot that is being taken: the state at one position, of which memory is handed out chunk by chunk while the machine may
/// go on. What it overwrites before its turn is kept until then.
#[must_use = "pages are kept for it until it ends"]
pub struct Capture {
    state: StateBytes,
    memory: Cursor,
}

impl Capture {
    /// No page of memory is plain any more: whoever lets stores be fast must be told.
    pub(crate) fn new(state: &State, requests: Option<&RequestState>, ram: &mut Ram) -> Capture {
        const PLAIN: &str = "plain data in memory always serialises";
        let mut version = VERSION;
        let mut bytes = postcard::to_allocvec(state).expect(PLAIN);
        if let Some(requests) = requests {
            version = VERSION_WITH_REQUESTS;
            bytes = postcard::to_extend(requests, bytes).expect(PLAIN);
        }
        Capture {
            state: StateBytes { version, bytes },
            memory: Cursor::new(ram),
        }
    }

    pub(crate) fn take_chunk(&mut self, ram: &mut Ram) -> Option<Chunk> {
        self.memory.take(ram)
    }

    pub(crate) fn end(self, ram: &mut Ram) -> StateBytes {
        self.memory.release(ram);
        self.state
    }
}

impl Snapshot {
    /// What was taken at one position: the state but memory, and all chunks of memory.
    pub fn new(state: StateBytes, chunks: Vec<Chunk>) -> Snapshot {
        Snapshot { state, chunks }
    }

    /// The state but memory, checked as far as this file knows it, and that of requests.
    pub(crate) fn state(&self) -> Result<(State, Option<RequestState>), SnapshotError> {
        let state = postcard::take_from_bytes(&self.state.bytes);
        let (state, rest): (State, _) = state.map_err(|_| SnapshotError::State)?;
        state.config.check()?;
        let requests = match self.state.version {
            VERSION => None,
            _ => Some(postcard::from_bytes(rest).map_err(|_| SnapshotError::State)?),
        };
        Ok((state, requests))
    }

    /// The chunks of memory.
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The board of the machine, unless the state cannot be decoded.
    pub fn config(&self) -> Option<BoardConfig> {
        let state: State = postcard::from_bytes(&self.state.bytes).ok()?;
        Some(state.config)
    }

    /// Length of all state but memory.
    pub fn state_bytes(&self) -> usize {
        self.state.bytes.len()
    }

    /// The snapshot as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let data: usize = self.chunks.iter().map(Chunk::encoded_bytes).sum();
        let mut out = Vec::with_capacity(18 + self.state.bytes.len() + data + HASH_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.state.version.to_le_bytes());
        out.extend_from_slice(&(self.state.bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.state.bytes);
        out.extend_from_slice(&(self.chunks.len() as u32).to_le_bytes());
        for chunk in &self.chunks {
            chunk.encode(&mut out);
        }
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    /// Reads what [`Snapshot::to_bytes`] wrote. The bytes may come from anyone.
    ///
    /// # Errors
    /// They are no snapshot, or one of another version, cut off or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
        let mut reader = Reader(bytes);
        if reader.array().map_err(|_| SnapshotError::Magic)? != MAGIC {
            return Err(SnapshotError::Magic);
        }
        let version = u16::from_le_bytes(reader.array()?);
        if version != VERSION && version != VERSION_WITH_REQUESTS {
            return Err(SnapshotError::Version(version));
        }
        let (body, hash) = bytes
            .split_last_chunk::<HASH_BYTES>()
            .ok_or(SnapshotError::Length)?;
        if blake3::hash(body) != *hash {
            return Err(SnapshotError::Checksum);
        }
        let mut reader = Reader(body.get(10..).ok_or(SnapshotError::Length)?);
        let state_len = reader.number()?;
        if state_len > STATE_BYTES_MAX {
            return Err(SnapshotError::Length);
        }
        let state = reader.bytes(state_len)?.to_vec();
        let count = reader.number()?;
        let mut chunks: Vec<Chunk> = Vec::new();
        for _ in 0..count {
            let chunk = Chunk::decode(&mut reader)?;
            if chunk.is_empty() || chunks.last().is_some_and(|last| !last.is_before(&chunk)) {
                return Err(SnapshotError::Memory);
            }
            chunks.push(chunk);
        }
        if !reader.0.is_empty() {
            return Err(SnapshotError::Length);
        }
        let state = StateBytes {
            version,
            bytes: state,
        };
        Ok(Snapshot { state, chunks })
    }
}
