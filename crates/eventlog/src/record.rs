//! The record: a log with the snapshots it can be replayed from, as one stream of bytes. A pure codec;
//! whoever uses it owns the file.
//!
//! ```text
//! "FUTAGO\r\n"      magic
//! frames            kind u8, payload length u32, CRC-32C u32 of kind, length and payload, payload
//! ```
//!
//! A record is a header frame (version of the format u16, semantics u32, description), then snapshots and batches of entries in the order of the log, then an end
//! frame. Snapshots are cut into parts of at most [`RECORD_FRAME_BYTES_MAX`]. Numbers are little endian.

mod frame;
mod reader;
mod writer;

pub use frame::{End, Frame, Header, RecordError, Snapshot};
pub use reader::RecordReader;
pub use writer::RecordWriter;

/// Most bytes of one frame's payload.
pub(crate) const RECORD_FRAME_BYTES_MAX: usize = 2 << 20;
/// Most bytes of a snapshot in a record.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 1 << 40;
/// Most bytes of the header's description of the machine.
pub const MACHINE_BYTES_MAX: usize = 64 << 10;

const MAGIC: [u8; 8] = *b"FUTAGO\r\n";
/// Version of the format, in the header frame.
const VERSION: u16 = 2;
/// Bytes before a frame's payload.
const HEAD_BYTES: usize = 9;

// Kinds of frame. Numbers are part of the format.
const HEADER: u8 = 1;
const SNAPSHOT: u8 = 2;
const PART: u8 = 3;
const ENTRIES: u8 = 4;
const END: u8 = 5;
