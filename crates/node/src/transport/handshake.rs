//! The first frame in each direction: who speaks, for which machine, in which version, and configured how. What does not
//! fit is told to both sides in one sentence.
//!
//! Layout: `futago\0`, the protocol version as 2 bytes little-endian, then postcard. Only the part before the postcard
//! is the same in every version, so that any two versions can at least tell each other which they are.

use super::agreement::{Agreement, Difference};
use super::frame::{FrameError, put_frame, read_frame};
use bytes::BytesMut;
use replication::{MachineId, NodeId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Version of everything said on the log channel, log entries and snapshots included.
pub const PROTOCOL_VERSION: u16 = 2;

const MAGIC: &[u8; 7] = b"futago\0";
const PREFIX_BYTES: usize = MAGIC.len() + 2;
/// Names, reasons and agreements are short.
const HANDSHAKE_BYTES_MAX: usize = 8192;
/// Of a peer's sentence, so much is shown.
const SENTENCE_CHARS_MAX: usize = 300;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The machine that the node belongs to.
    pub machine: MachineId,
    /// The machine's name, for people.
    pub machine_name: String,
    /// The node.
    pub node: NodeId,
    /// The node's name, for people.
    pub name: String,
    /// What must be alike on all nodes of the machine, the semantics of what executes it among it.
    pub agreement: Agreement,
}

/// The acceptor's answer to a [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Welcome; this is me.
    Accepted(Hello),
    /// There is a connection already, or a dial of mine that comes first.
    Duplicate,
    /// Our configurations differ; this is me, so that you can see in what.
    Differs(Hello),
    /// No, and why.
    Refused(String),
}

/// Why a handshake fails.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// No Futago node at all.
    #[error("it does not speak Futago's protocol")]
    NotFutago,
    /// Another protocol version.
    #[error(
        "it speaks protocol version {theirs} and this node version {PROTOCOL_VERSION}; install the same Futago on both"
    )]
    Version {
        /// The peer's version.
        theirs: u16,
    },
    /// A node of another machine.
    #[error(
        "it belongs to machine `{theirs}` and this node to `{ours}`; correct `machine.name` or `node.peers`"
    )]
    Machine {
        /// The peer's machine.
        theirs: String,
        /// This node's machine.
        ours: String,
    },
    /// A certificate that names no node.
    #[error("its certificate does not name a node of a machine; issue it anew by `futago keys`")]
    NoSubject,
    /// A certificate for another machine.
    #[error("its certificate is for {theirs}, and this node is of machine `{ours}`")]
    OtherCertificate {
        /// Whose it is.
        theirs: String,
        /// This node's machine.
        ours: String,
    },
    /// A certificate that is on the list of withdrawn ones.
    #[error("the certificate of node `{name}` was withdrawn; issue a new one by `futago keys`")]
    Withdrawn {
        /// Whose it is.
        name: String,
    },
    /// A node that is not in the configuration.
    #[error("node `{name}` may not pair with this one; name it in `node.accepts` if it should")]
    NotAccepted {
        /// Whose certificate it is.
        name: String,
    },
    /// A node that calls itself by another name.
    #[error("it calls itself `{claimed}`, and its certificate is node `{certified}`'s")]
    OtherName {
        /// What it says.
        claimed: String,
        /// What its certificate says.
        certified: String,
    },
    /// A node that claims the identity of another.
    #[error("its certificate is of node {certified}, and the identity that it claims of another")]
    OtherIdentity {
        /// The name in its certificate.
        certified: String,
    },
    /// This very node.
    #[error("it is this node itself; remove the address from `node.peers`")]
    Myself,
    /// Another configuration of the same machine.
    #[error("{difference} at node {name}; make the two configurations equal")]
    Differs {
        /// The peer's name.
        name: String,
        /// In what.
        difference: Difference,
    },
    /// The peer said no.
    #[error("it refuses this node: {0}")]
    Refused(String),
    /// The two are connected already, or about to be.
    #[error("there is a connection already")]
    Duplicate,
    /// Bytes that make no sense.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The stream failed while writing.
    #[error("{0}")]
    Write(#[from] quinn::WriteError),
}

impl Hello {
    /// Whether `peer` can be a peer of this node.
    pub(super) fn check(&self, peer: &Self) -> Result<(), HandshakeError> {
        if peer.machine != self.machine {
            return Err(HandshakeError::Machine {
                theirs: sanitize(&peer.machine_name),
                ours: self.machine_name.clone(),
            });
        }
        if peer.node == self.node {
            return Err(HandshakeError::Myself);
        }
        match self.agreement.difference(&peer.agreement) {
            Some(difference) => Err(HandshakeError::Differs {
                name: sanitize(&peer.name),
                difference,
            }),
            None => Ok(()),
        }
    }

    /// The sentence that tells `peer` why it is turned away, from its own point of view.
    pub(super) fn refusal(&self, error: &HandshakeError) -> String {
        match error {
            HandshakeError::Version { theirs } => {
                format!(
                    "node {} speaks protocol version {PROTOCOL_VERSION}, you {theirs}",
                    self.name
                )
            }
            HandshakeError::Machine { theirs, ours } => {
                format!(
                    "node {} belongs to machine `{ours}`, you to `{theirs}`",
                    self.name
                )
            }
            other => format!("node {}: {other}", self.name),
        }
    }
}

/// A peer that is turned away, or turns this node away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Why, as a sentence.
    pub(super) reason: String,
    /// Whether it is because the two are configured otherwise.
    pub(super) differs: bool,
}

impl From<&HandshakeError> for Refusal {
    fn from(error: &HandshakeError) -> Self {
        Self {
            reason: error.to_string(),
            differs: matches!(error, HandshakeError::Differs { .. }),
        }
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self {
            reason,
            differs: false,
        }
    }
}

/// A peer's text, safe to print in one line.
pub(super) fn sanitize(text: &str) -> String {
    text.chars()
        .take(SENTENCE_CHARS_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

pub(super) async fn write<T: Serialize>(
    stream: &mut quinn::SendStream,
    value: &T,
) -> Result<(), quinn::WriteError> {
    let mut payload = MAGIC.to_vec();
    payload.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    let payload =
        postcard::to_extend(value, payload).expect("a handshake consists of plain values");
    let mut frame = BytesMut::new();
    put_frame(&mut frame, &payload);
    stream.write_all(&frame).await
}

pub(super) async fn read<T: for<'de> Deserialize<'de>>(
    stream: &mut quinn::RecvStream,
) -> Result<T, HandshakeError> {
    let payload = read_frame(stream, HANDSHAKE_BYTES_MAX)
        .await?
        .ok_or(HandshakeError::Frame(FrameError::Truncated))?;
    decode(&payload)
}

fn decode<T: for<'de> Deserialize<'de>>(payload: &[u8]) -> Result<T, HandshakeError> {
    if payload.len() < PREFIX_BYTES || !payload.starts_with(MAGIC) {
        return Err(HandshakeError::NotFutago);
    }
    let theirs = u16::from_le_bytes([payload[MAGIC.len()], payload[MAGIC.len() + 1]]);
    if theirs != PROTOCOL_VERSION {
        return Err(HandshakeError::Version { theirs });
    }
    let (value, rest) = postcard::take_from_bytes(&payload[PREFIX_BYTES..])
        .map_err(|error| HandshakeError::Frame(FrameError::Malformed(error)))?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(HandshakeError::Frame(FrameError::Trailing(rest.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            machine: MachineId(1),
            machine_name: "demo".to_owned(),
            node: NodeId(7),
            name: "a".to_owned(),
            agreement: Agreement::default().with("machine.memory", "256M"),
        }
    }

    #[test]
    fn only_a_fitting_peer_is_taken() {
        let me = hello();
        let peer = Hello {
            node: NodeId(8),
            ..hello()
        };
        assert!(me.check(&peer).is_ok());
        let check = |peer: Hello, text: &str| {
            let error = me.check(&peer).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
            assert!(!me.refusal(&error).is_empty());
        };
        check(hello(), "this node itself");
        check(
            Hello {
                machine: MachineId(2),
                machine_name: "x\ny".to_owned(),
                ..peer.clone()
            },
            "machine `x\u{fffd}y`",
        );
        check(
            Hello {
                agreement: Agreement::default().with("machine.memory", "1024M"),
                ..peer
            },
            "`machine.memory` is `256M` here and `1024M` at node a",
        );
    }

    #[test]
    fn versions_are_told_apart_before_anything_else() {
        let mut payload = MAGIC.to_vec();
        payload.extend_from_slice(&1u16.to_le_bytes());
        payload.extend_from_slice(b"whatever version 1 has here");
        assert!(matches!(
            decode::<Hello>(&payload),
            Err(HandshakeError::Version { theirs: 1 })
        ));
        assert!(matches!(
            decode::<Hello>(b"GET / HTTP/1.1"),
            Err(HandshakeError::NotFutago)
        ));
        assert!(matches!(
            decode::<Hello>(b""),
            Err(HandshakeError::NotFutago)
        ));
    }
}
