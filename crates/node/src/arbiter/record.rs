//! The arbiter's record as a small text that an operator can read with `cat`, with a checksum as its last line.

use super::lines::{self, LinesError};
use crate::names::{hex, parse_hex};
use replication::{Epoch, MachineId, Mode, NodeId, Nonce, Record};

/// First line of each record: names the format and its version.
const HEADER: &str = "futago-arbiter 1";

/// The record as text.
pub fn render_record(record: &Record) -> String {
    let mode = match record.mode {
        Mode::Solo => "solo".to_owned(),
        Mode::Pair { backup } => format!("pair {}", hex(backup.0)),
        Mode::Down => "down".to_owned(),
    };
    lines::render(
        HEADER,
        &[
            ("machine", hex(record.machine.0)),
            ("epoch", record.epoch.0.to_string()),
            ("mode", mode),
            ("owner", hex(record.owner.0)),
            ("nonce", hex(record.nonce.0)),
        ],
    )
}

/// Reads what [`render_record`] wrote.
///
/// # Errors
/// Anything else, byte for byte, is refused.
pub fn parse_record(text: &str) -> Result<Record, LinesError> {
    let names = ["machine", "epoch", "mode", "owner", "nonce"];
    let [machine, epoch, mode, owner, nonce] = lines::parse(text, HEADER, names)?;
    Ok(Record {
        machine: MachineId(parse_id(machine, "machine")?),
        epoch: Epoch(epoch.parse().map_err(|_| LinesError::Line("epoch"))?),
        mode: parse_mode(mode)?,
        owner: NodeId(parse_id(owner, "owner")?),
        nonce: Nonce(parse_id(nonce, "nonce")?),
    })
}

fn parse_id(text: &str, name: &'static str) -> Result<u128, LinesError> {
    parse_hex(text).ok_or(LinesError::Line(name))
}

fn parse_mode(text: &str) -> Result<Mode, LinesError> {
    match text.split_once(' ') {
        None if text == "solo" => Ok(Mode::Solo),
        None if text == "down" => Ok(Mode::Down),
        Some(("pair", backup)) => Ok(Mode::Pair {
            backup: NodeId(parse_id(backup, "mode")?),
        }),
        _ => Err(LinesError::Line("mode")),
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
