//! The bytes of history: log entries, their codec, and the recorder and replayer that drive a machine by
//! them. No files, no peers.
#![forbid(unsafe_code)]

mod divergence;
mod entry;
mod mark;
mod recorder;
mod replayer;
mod steering;
mod varint;

pub mod record;

pub use divergence::Divergence;
pub use entry::{ENTRY_BYTES_MAX, Entry, EntryError, Event, digest_from_bytes, digest_to_bytes};
pub use mark::OutputMark;
pub use recorder::{Recorder, RecorderConfig, RecorderState, RecorderStep};
pub use replayer::{ReplayState, ReplayStep, Replayer};
