//! What a record is made of, and what can be wrong with one.

use machine::Position;

/// Opens a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`machine::SEMANTICS`] of the program that recorded: only a program with the same can repeat it.
    pub semantics: u32,
    /// Describes the machine for people and for a check against another record: a sentence or a hash, at
    /// most [`MACHINE_BYTES_MAX`](super::MACHINE_BYTES_MAX) bytes.
    pub machine: String,
}

/// A state of the machine that replay can start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Number of log entries before it in this record; the next one is the first to apply.
    pub entries_before: u64,
    /// The machine's position in it.
    pub position: Position,
    /// The state, as `machine::Snapshot` encodes it.
    pub state: Vec<u8>,
}

/// Closes a record that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Number of log entries in the record.
    pub entries: u64,
    /// The last position.
    pub position: Position,
    /// What the writer says of the final state; the codec does not look into it. Futago's own records hold the
    /// BLAKE3 hash of a final snapshot's bytes (32 bytes), then the digest as an entry encodes it.
    pub digest: Vec<u8>,
}

/// One frame of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Comes first.
    Header(Header),
    /// A state to start from.
    Snapshot(Snapshot),
    /// Encoded log entries, in order, not yet looked into.
    Entries(Vec<Vec<u8>>),
    /// Comes last.
    End(End),
}

/// Why bytes are no record. Offsets count from its first byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The first bytes are not those of a record.
    #[error("this is no Futago record: it does not begin with the magic bytes")]
    Magic,
    /// Another version of the format.
    #[error("a record of format version {0}, while this program reads version {version}", version = super::VERSION)]
    Version(u16),
    /// A frame says that it is longer than any may be.
    #[error(
        "corrupt record at offset {offset}: a frame of {bytes} bytes is longer than any may be"
    )]
    Length {
        /// Where the frame begins.
        offset: u64,
        /// Its length as written.
        bytes: u64,
    },
    /// Bits of a frame were changed.
    #[error("corrupt record at offset {offset}: the frame's checksum does not match")]
    Checksum {
        /// Where the frame begins.
        offset: u64,
    },
    /// The checksum agrees, but the frame makes no sense or comes at the wrong place.
    #[error("corrupt record at offset {offset}: {what}")]
    Malformed {
        /// Where the frame begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The bytes end before the end frame.
    #[error("truncated record: it ends at offset {offset}, within or before {what}")]
    Truncated {
        /// Where the bytes end.
        offset: u64,
        /// What should have come.
        what: &'static str,
    },
    /// There are bytes behind the end frame.
    #[error("corrupt record at offset {offset}: more bytes follow its end")]
    Trailing {
        /// Where they begin.
        offset: u64,
    },
    /// What should be written does not fit the format.
    #[error("{0} is too large for a record")]
    TooLarge(&'static str),
}
