//! The whole state of a machine as bytes: versioned, checksummed, without pages of zeros.
//!
//! ```text
//! magic 8 | version 2 | length of state 4 | state (postcard)
//! | number of chunks 4 | chunks: index 4, pages present 8, length 4, lz4 | blake3 of all before 32
//! ```
//! Numbers are little-endian. A chunk holds those of 64 consecutive pages that are not all zeros.

use serde::{Deserialize, Serialize};

use crate::board::{self, BoardState, RestoreError};
use crate::clock::GuestClock;
use crate::config::BoardError;
use crate::hart::BadRegister;
use crate::ram::PAGE_BYTES;
use crate::{BoardConfig, Position, Ram};

const MAGIC: [u8; 8] = *b"futasnap";
const VERSION: u16 = 2;
const CHUNK_PAGES: usize = 64;
const HASH_BYTES: usize = 32;
/// Largest state without memory: each of eight slots may keep 16 MiB of frames, and the dirty marks are a bit a page.
const STATE_BYTES_MAX: usize = 160 << 20;

/// Why bytes are no snapshot that this program can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not a snapshot at all.
    #[error("this is not a snapshot")]
    Magic,
    /// From another version.
    #[error("the snapshot has version {0}, and this program understands version {known}", known = VERSION)]
    Version(u16),
    /// Ends too early, or is too long.
    #[error("the snapshot is cut off or has bytes too many")]
    Length,
    /// Damaged.
    #[error("the snapshot is damaged: its checksum is wrong")]
    Checksum,
    /// The state cannot be decoded.
    #[error("the state in the snapshot cannot be decoded")]
    State,
    /// The memory cannot be decoded.
    #[error("the memory in the snapshot cannot be decoded")]
    Memory,
    /// The clock was set in the future.
    #[error("the guest clock in the snapshot was set after the snapshot was taken")]
    Clock,
    /// The board is impossible.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// A register is impossible.
    #[error(transparent)]
    Register(#[from] BadRegister),
    /// A device is impossible.
    #[error(transparent)]
    Devices(#[from] RestoreError),
}

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

/// Some of 64 consecutive pages.
#[derive(Clone, PartialEq, Eq)]
struct Chunk {
    index: u32,
    present: u64,
    /// The present pages, one after the other, compressed.
    data: Vec<u8>,
}

/// The state of a machine at one position.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    state: Vec<u8>,
    chunks: Vec<Chunk>,
}

impl Snapshot {
    pub(crate) fn new(state: &State, ram: &Ram) -> Snapshot {
        let mut chunks = Vec::new();
        let mut pages = Vec::new();
        for first in (0..ram.pages()).step_by(CHUNK_PAGES) {
            let mut present = 0;
            pages.clear();
            for bit in (0..CHUNK_PAGES).filter(|bit| ram.touched(first) >> bit & 1 != 0) {
                let bytes = ram.page(first + bit);
                if !is_zero(bytes) {
                    present |= 1 << bit;
                    pages.extend_from_slice(bytes);
                }
            }
            if present != 0 {
                chunks.push(Chunk {
                    index: (first / CHUNK_PAGES) as u32,
                    present,
                    data: lz4_flex::block::compress(&pages),
                });
            }
        }
        Snapshot {
            state: postcard::to_allocvec(state).expect("plain data in memory always serialises"),
            chunks,
        }
    }

    /// Builds state and memory, checked as far as this file knows them.
    pub(crate) fn open(&self) -> Result<(State, Ram), SnapshotError> {
        let state: State = postcard::from_bytes(&self.state).map_err(|_| SnapshotError::State)?;
        state.config.check()?;
        let mut ram = board::memory_of(&state.config)?;
        let mut pages = vec![0; CHUNK_PAGES * PAGE_BYTES];
        for chunk in &self.chunks {
            let pages = &mut pages[..chunk.present.count_ones() as usize * PAGE_BYTES];
            let written = lz4_flex::block::decompress_into(&chunk.data, pages);
            if written.ok() != Some(pages.len()) {
                return Err(SnapshotError::Memory);
            }
            let first = chunk.index as usize * CHUNK_PAGES;
            let present = (0..CHUNK_PAGES).filter(|page| chunk.present >> page & 1 != 0);
            for (page, bytes) in present.zip(pages.chunks_exact(PAGE_BYTES)) {
                if first + page >= ram.pages() {
                    return Err(SnapshotError::Memory);
                }
                ram.page_mut(first + page).copy_from_slice(bytes);
            }
        }
        if !ram.set_dirty_words(&state.dirty, state.digest_next) {
            return Err(SnapshotError::Memory);
        }
        Ok((state, ram))
    }

    /// The board of the machine, unless the state cannot be decoded.
    pub fn config(&self) -> Option<BoardConfig> {
        let state: State = postcard::from_bytes(&self.state).ok()?;
        Some(state.config)
    }

    /// Length of all state but memory.
    pub fn state_bytes(&self) -> usize {
        self.state.len()
    }

    /// The snapshot as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let data: usize = self.chunks.iter().map(|chunk| 16 + chunk.data.len()).sum();
        let mut out = Vec::with_capacity(18 + self.state.len() + data + HASH_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.state.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.state);
        out.extend_from_slice(&(self.chunks.len() as u32).to_le_bytes());
        for chunk in &self.chunks {
            out.extend_from_slice(&chunk.index.to_le_bytes());
            out.extend_from_slice(&chunk.present.to_le_bytes());
            out.extend_from_slice(&(chunk.data.len() as u32).to_le_bytes());
            out.extend_from_slice(&chunk.data);
        }
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    /// Reads what [`Snapshot::to_bytes`] wrote. The bytes may come from anyone.
    pub fn from_bytes(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
        let mut reader = Reader(bytes);
        if reader.array().map_err(|_| SnapshotError::Magic)? != MAGIC {
            return Err(SnapshotError::Magic);
        }
        let version = u16::from_le_bytes(reader.array()?);
        if version != VERSION {
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
            let index = u32::from_le_bytes(reader.array()?);
            let present = u64::from_le_bytes(reader.array()?);
            let len = reader.number()?;
            let data = reader.bytes(len)?.to_vec();
            if present == 0 || chunks.last().is_some_and(|chunk| chunk.index >= index) {
                return Err(SnapshotError::Memory);
            }
            chunks.push(Chunk {
                index,
                present,
                data,
            });
        }
        if !reader.0.is_empty() {
            return Err(SnapshotError::Length);
        }
        Ok(Snapshot { state, chunks })
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], SnapshotError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(SnapshotError::Length)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let bytes = self.bytes(N)?;
        Ok(*bytes.first_chunk().expect("just cut to this length"))
    }

    fn number(&mut self) -> Result<usize, SnapshotError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }
}
