//! The frames by which a switch and a node speak of whose port it is. Their order is in the module's documentation.

use replication::{Claim, Epoch, MachineId, NodeId, Proof, Verdict};
use thiserror::Error;

/// A group address that IEEE 802.1D bridges never forward.
const DESTINATION: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0f];
/// The switch's side has no address of its own; this one is administered locally.
const SWITCH_ADDRESS: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0f];
/// Local experimental EtherType 1 (IEEE 802).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
const MAGIC: &[u8; 7] = b"futago\0";
const VERSION: u16 = 3;
const HEADER_BYTES: usize = 14;
/// Ethernet frames are padded to this.
const FRAME_BYTES_PADDED: usize = 60;

const KIND_CHALLENGE: u8 = 1;
const KIND_CLAIM: u8 = 2;
const KIND_ANSWER: u8 = 3;

/// What makes a port's proofs its own.
pub(super) type Nonce = replication::PortNonce;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// From the switch, first of all: what claims on this port are made over.
    Challenge { nonce: Nonce },
    /// From a node: this port speaks for the machine in the epoch.
    Claim { claim: Claim, proof: Proof },
    /// From the switch: what came of the claim.
    Answer { epoch: Epoch, verdict: Verdict },
}

/// What became of a claim, for people.
pub(super) fn sentence(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Admitted => "the switch lets this node speak for its machine",
        Verdict::WrongKey => {
            "the switch has another key for this machine: let this node read the key file beside the switch's socket, and start it again"
        }
        Verdict::OlderEpoch => {
            "a newer epoch of this machine has spoken at the switch: another node is the machine, or the arbiter's store was set back; where it was, end the other node and start the switch anew"
        }
        Verdict::EpochTaken => {
            "another node speaks for this machine in the same epoch at the switch; it ends as soon as it reads the record: if it hangs, end it"
        }
        Verdict::AddressTaken => {
            "another machine at the switch has this MAC address: change `machine.mac`"
        }
        Verdict::NoRoom => "the switch knows as many machines as it can: use another switch",
    }
}

/// Why a frame of the switch's own type is no word.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum WordError {
    #[error("malformed")]
    Malformed,
    #[error("version {0}, where {VERSION} is spoken: install the same Futago on both sides")]
    Version(u16),
}

/// Whether a frame is of the type that only switches and nodes may send, well-formed or not: never forwarded, and
/// never taken from a guest or given to it.
pub fn is_reserved(frame: &[u8]) -> bool {
    frame.get(12..HEADER_BYTES) == Some(&ETHERTYPE)
}

impl Word {
    /// The frame.
    pub(super) fn to_frame(self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(FRAME_BYTES_PADDED * 2);
        let source = match self {
            Self::Claim { claim, .. } => claim.address,
            Self::Challenge { .. } | Self::Answer { .. } => SWITCH_ADDRESS,
        };
        frame.extend_from_slice(&DESTINATION);
        frame.extend_from_slice(&source);
        frame.extend_from_slice(&ETHERTYPE);
        frame.extend_from_slice(MAGIC);
        frame.extend_from_slice(&VERSION.to_le_bytes());
        match self {
            Self::Challenge { nonce } => {
                frame.push(KIND_CHALLENGE);
                frame.extend_from_slice(&nonce);
            }
            Self::Claim { claim, proof } => {
                frame.push(KIND_CLAIM);
                frame.extend_from_slice(&claim.machine.0.to_le_bytes());
                frame.extend_from_slice(&claim.epoch.0.to_le_bytes());
                frame.extend_from_slice(&claim.address);
                frame.extend_from_slice(&claim.node.0.to_le_bytes());
                frame.extend_from_slice(&proof);
            }
            Self::Answer { epoch, verdict } => {
                frame.push(KIND_ANSWER);
                frame.extend_from_slice(&epoch.0.to_le_bytes());
                frame.push(match verdict {
                    Verdict::Admitted => 0,
                    Verdict::WrongKey => 1,
                    Verdict::OlderEpoch => 2,
                    Verdict::AddressTaken => 3,
                    Verdict::NoRoom => 4,
                    Verdict::EpochTaken => 5,
                });
            }
        }
        frame.resize(frame.len().max(FRAME_BYTES_PADDED), 0);
        frame
    }

    /// Reads a frame that [`is_reserved`].
    pub(super) fn from_frame(frame: &[u8]) -> Result<Self, WordError> {
        let mut rest = Rest(frame);
        let _addresses_and_type: [u8; HEADER_BYTES] = rest.take()?;
        if rest.take()? != *MAGIC {
            return Err(WordError::Malformed);
        }
        let version = u16::from_le_bytes(rest.take()?);
        if version != VERSION {
            return Err(WordError::Version(version));
        }
        let [kind] = rest.take()?;
        match kind {
            KIND_CHALLENGE => Ok(Self::Challenge {
                nonce: rest.take()?,
            }),
            KIND_CLAIM => Ok(Self::Claim {
                claim: Claim {
                    machine: MachineId(u128::from_le_bytes(rest.take()?)),
                    epoch: Epoch(u64::from_le_bytes(rest.take()?)),
                    address: rest.take()?,
                    node: NodeId(u128::from_le_bytes(rest.take()?)),
                },
                proof: rest.take()?,
            }),
            KIND_ANSWER => Ok(Self::Answer {
                epoch: Epoch(u64::from_le_bytes(rest.take()?)),
                verdict: match rest.take()? {
                    [0] => Verdict::Admitted,
                    [1] => Verdict::WrongKey,
                    [2] => Verdict::OlderEpoch,
                    [3] => Verdict::AddressTaken,
                    [4] => Verdict::NoRoom,
                    [5] => Verdict::EpochTaken,
                    _ => return Err(WordError::Malformed),
                },
            }),
            _ => Err(WordError::Malformed),
        }
    }
}

/// What of a frame is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], WordError> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(WordError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words() -> Vec<Word> {
        let epoch = Epoch(77);
        let mut words = vec![
            Word::Challenge { nonce: [7; 16] },
            Word::Claim {
                claim: Claim {
                    machine: MachineId(0x1234_5678_9abc),
                    epoch,
                    address: [0x52; 6],
                    node: NodeId(0x9abc),
                },
                proof: [9; 32],
            },
        ];
        words.extend(
            [
                Verdict::Admitted,
                Verdict::WrongKey,
                Verdict::OlderEpoch,
                Verdict::AddressTaken,
                Verdict::NoRoom,
                Verdict::EpochTaken,
            ]
            .map(|verdict| Word::Answer { epoch, verdict }),
        );
        words
    }

    #[test]
    fn words_survive_being_sent() {
        for word in words() {
            let frame = word.to_frame();
            assert!(is_reserved(&frame));
            assert_eq!(Word::from_frame(&frame), Ok(word));
            assert_eq!(Word::from_frame(&frame[..24]), Err(WordError::Malformed));
            let mut other = frame.clone();
            other[21] = 9;
            assert_eq!(Word::from_frame(&other), Err(WordError::Version(9)));
            other[14] = b'x';
            assert_eq!(Word::from_frame(&other), Err(WordError::Malformed));
            other[12] = 8;
            assert!(!is_reserved(&other));
        }
        assert!(!is_reserved(&[]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_word_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..140), which in 0..8usize) {
            let _ = Word::from_frame(&bytes);
            let mut frame = words()[which].to_frame();
            let length = frame.len();
            for (at, byte) in bytes.into_iter().enumerate().skip(23) {
                frame[at % length] = byte;
            }
            if let Ok(word) = Word::from_frame(&frame) {
                prop_assert_eq!(Word::from_frame(&word.to_frame()), Ok(word));
            }
        }
    }
}
