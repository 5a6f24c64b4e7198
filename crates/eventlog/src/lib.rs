//! The bytes of history: log entries, their codec, and the recorder and replayer that drive a machine by
//! them. No files, no peers.
#![forbid(unsafe_code)]

mod divergence;

pub use divergence::Divergence;
