//! The first frame in each direction: who speaks, for which machine, in which version, and configured how. What does not
//! fit is told to both sides in one sentence.
//!
//! Layout: `futago\0`, the protocol version as 2 bytes little-endian, then postcard. Only the part before the postcard
//! is the same in every version, so that any two versions can at least tell each other which they are.

use super::frame::{FrameError, put_frame, read_frame};
use bytes::BytesMut;
use replication::{Difference, Hello, NotAdmitted};
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
    /// A certificate that has ended. TLS says so first, unless it ends in this very moment.
    #[error("its certificate has expired; `futago keys renew {name}` makes a new one")]
    Expired {
        /// Whose it is.
        name: String,
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
    #[error(
        "`{key}` is `{ours}` here and `{theirs}` at node {name}; make the two configurations equal",
        key = difference.key, ours = difference.ours, theirs = sanitize(&difference.theirs)
    )]
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

impl HandshakeError {
    /// Why a peer is not admitted, at a node of the machine `ours`.
    pub(super) fn of(why: NotAdmitted, ours: &str) -> Self {
        let ours = ours.to_owned();
        match why {
            NotAdmitted::OtherCertificate { theirs } => Self::OtherCertificate {
                theirs: sanitize(&theirs.to_string()),
                ours,
            },
            NotAdmitted::Expired { name } => Self::Expired {
                name: sanitize(&name),
            },
            NotAdmitted::Withdrawn { name } => Self::Withdrawn {
                name: sanitize(&name),
            },
            NotAdmitted::NotAccepted { name } => Self::NotAccepted {
                name: sanitize(&name),
            },
            NotAdmitted::OtherName { claimed, certified } => Self::OtherName {
                claimed: sanitize(&claimed),
                certified: sanitize(&certified),
            },
            NotAdmitted::OtherIdentity { certified } => Self::OtherIdentity {
                certified: sanitize(&certified),
            },
            NotAdmitted::OtherMachine { theirs } => Self::Machine {
                theirs: sanitize(&theirs),
                ours,
            },
            NotAdmitted::Myself => Self::Myself,
            NotAdmitted::Differs { name, difference } => Self::Differs {
                name: sanitize(&name),
                difference,
            },
        }
    }

    /// The sentence by which the node called `me` tells a peer why it is turned away, from the peer's point of view.
    pub(super) fn refusal(&self, me: &str) -> String {
        match self {
            Self::Version { theirs } => {
                format!("node {me} speaks protocol version {PROTOCOL_VERSION}, you {theirs}")
            }
            Self::Machine { theirs, ours } => {
                format!("node {me} belongs to machine `{ours}`, you to `{theirs}`")
            }
            other => format!("node {me}: {other}"),
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

    #[test]
    fn a_refusal_is_safe_to_print_and_names_what_differs() {
        let check = |why: NotAdmitted, text: &str| {
            let error = HandshakeError::of(why, "demo");
            assert!(error.to_string().contains(text), "{error}");
            assert!(error.refusal("a").contains("node a"));
        };
        check(NotAdmitted::Myself, "this node itself");
        let theirs = "x\ny".to_owned();
        check(
            NotAdmitted::OtherMachine { theirs },
            "machine `x\u{fffd}y` and this node to `demo`",
        );
        let name = "a".to_owned();
        let difference = Difference {
            key: "machine.memory".to_owned(),
            ours: "256M".to_owned(),
            theirs: "1024\nM".to_owned(),
        };
        check(
            NotAdmitted::Differs { name, difference },
            "`machine.memory` is `256M` here and `1024\u{fffd}M` at node a; make",
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
