//! The arbiter's record as a small text that an operator can read with `cat`, with a checksum as its last line.

use crate::names::{hex, parse_hex};
use replication::{Epoch, MachineId, Mode, NodeId, Nonce, Record};
use thiserror::Error;

/// First line of each record: names the format and its version.
const HEADER: &str = "futago-arbiter 1";
/// No record is longer; more bytes are not read.
pub(super) const RECORD_BYTES_MAX: u64 = 1024;

/// Why bytes are no record.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// Another format, another version, or no record at all.
    #[error("the first line is not `{HEADER}`: another format or version")]
    Header,
    /// A line is missing or is not what belongs there.
    #[error("the line `{0}` is missing or malformed")]
    Line(&'static str),
    /// The checksum does not agree with the rest.
    #[error("the checksum does not agree: the file is damaged")]
    Checksum,
    /// Something follows the checksum.
    #[error("there is something after the checksum")]
    Trailing,
}

/// The record as text.
pub fn render_record(record: &Record) -> String {
    let mode = match record.mode {
        Mode::Solo => "solo".to_owned(),
        Mode::Pair { backup } => format!("pair {}", hex(backup.0)),
        Mode::Down => "down".to_owned(),
    };
    let body = format!(
        "{HEADER}\nmachine {}\nepoch {}\nmode {mode}\nowner {}\nnonce {}\n",
        hex(record.machine.0),
        record.epoch.0,
        hex(record.owner.0),
        hex(record.nonce.0),
    );
    let checksum = blake3::hash(body.as_bytes());
    format!("{body}blake3 {checksum}\n")
}

/// Reads what [`render_record`] wrote.
///
/// # Errors
/// Anything else, byte for byte, is refused.
pub fn parse_record(text: &str) -> Result<Record, RecordError> {
    let mut lines = text.split_inclusive('\n');
    if lines.next() != Some(concat_header().as_str()) {
        return Err(RecordError::Header);
    }
    let machine = parse_id(field(lines.next(), "machine")?, "machine")?;
    let epoch = field(lines.next(), "epoch")?;
    let mode = field(lines.next(), "mode")?;
    let owner = parse_id(field(lines.next(), "owner")?, "owner")?;
    let nonce = parse_id(field(lines.next(), "nonce")?, "nonce")?;
    let checksum = field(lines.next(), "blake3")?;
    if lines.next().is_some() {
        return Err(RecordError::Trailing);
    }
    let body_len = text.len() - "blake3 \n".len() - checksum.len();
    if blake3::hash(&text.as_bytes()[..body_len]).to_string() != checksum {
        return Err(RecordError::Checksum);
    }
    let record = Record {
        machine: MachineId(machine),
        epoch: Epoch(epoch.parse().map_err(|_| RecordError::Line("epoch"))?),
        mode: parse_mode(mode)?,
        owner: NodeId(owner),
        nonce: Nonce(nonce),
    };
    Ok(record)
}

fn concat_header() -> String {
    format!("{HEADER}\n")
}

fn field<'a>(line: Option<&'a str>, name: &'static str) -> Result<&'a str, RecordError> {
    line.and_then(|line| line.strip_suffix('\n'))
        .and_then(|line| line.strip_prefix(name))
        .and_then(|line| line.strip_prefix(' '))
        .ok_or(RecordError::Line(name))
}

fn parse_id(text: &str, name: &'static str) -> Result<u128, RecordError> {
    parse_hex(text).ok_or(RecordError::Line(name))
}

fn parse_mode(text: &str) -> Result<Mode, RecordError> {
    match text.split_once(' ') {
        None if text == "solo" => Ok(Mode::Solo),
        None if text == "down" => Ok(Mode::Down),
        Some(("pair", backup)) => Ok(Mode::Pair {
            backup: NodeId(parse_id(backup, "mode")?),
        }),
        _ => Err(RecordError::Line("mode")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let mode = prop_oneof![
            Just(Mode::Solo),
            Just(Mode::Down),
            any::<u128>().prop_map(|id| Mode::Pair { backup: NodeId(id) })
        ];
        (
            any::<u128>(),
            any::<u64>(),
            mode,
            any::<u128>(),
            any::<u128>(),
        )
            .prop_map(|(machine, epoch, mode, owner, nonce)| Record {
                machine: MachineId(machine),
                epoch: Epoch(epoch),
                mode,
                owner: NodeId(owner),
                nonce: Nonce(nonce),
            })
    }

    proptest! {
        #[test]
        fn a_record_survives_being_written(record in any_record()) {
            prop_assert_eq!(parse_record(&render_record(&record)), Ok(record));
        }

        #[test]
        fn a_damaged_record_is_refused(record in any_record(), at in any::<prop::sample::Index>(), flip in 1u8..128) {
            let text = render_record(&record);
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(damaged) = String::from_utf8(bytes) {
                prop_assert!(parse_record(&damaged).is_err(), "{}", damaged);
            }
            prop_assert!(parse_record(&text[..at]).is_err());
        }

        #[test]
        fn hostile_text_never_panics(text in ".{0,300}") {
            let _ = parse_record(&text);
        }
    }
}
