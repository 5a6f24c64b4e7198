//! Whom this node trusts to be a peer. TLS has checked that the authority issued a certificate and that it has not ended; here it is
//! checked whose it is, whether it was withdrawn, and whether this node's configuration lets that node pair.

use super::handshake::{HandshakeError, Hello, sanitize};
use crate::certificate::CertificateFacts;
use crate::keys::Withdrawn;
use crate::names::is_of_node;
use crate::tls::TlsIdentity;
use rustls::pki_types::CertificateDer;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What may change while the node runs.
#[derive(Debug)]
struct Current {
    client: quinn::ClientConfig,
    withdrawn: Withdrawn,
    ends: SystemTime,
}

#[derive(Debug)]
pub(super) struct Trust {
    machine: String,
    accepts: Vec<String>,
    current: Mutex<Current>,
}

impl Trust {
    pub(super) fn new(
        machine: &str,
        accepts: &[String],
        identity: &TlsIdentity,
        client: quinn::ClientConfig,
    ) -> Self {
        Self {
            machine: machine.to_owned(),
            accepts: accepts.to_vec(),
            current: Mutex::new(Current {
                client,
                withdrawn: identity.withdrawn.clone(),
                ends: identity.facts.ends,
            }),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // It is only ever replaced as a whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, this is what new connections use.
    pub(super) fn replace(&self, identity: &TlsIdentity, client: quinn::ClientConfig) {
        *self.current() = Current {
            client,
            withdrawn: identity.withdrawn.clone(),
            ends: identity.facts.ends,
        };
    }

    /// What the node shows to those that it dials.
    pub(super) fn client(&self) -> quinn::ClientConfig {
        self.current().client.clone()
    }

    /// When the node's own certificate ends.
    pub(super) fn ends(&self) -> SystemTime {
        self.current().ends
    }

    /// Whose certificate is at the other end, if this node may pair with it.
    pub(super) fn check(&self, connection: &quinn::Connection) -> Result<String, HandshakeError> {
        let facts = facts_of(connection)?;
        if !facts.subject.is_of(&self.machine) {
            return Err(HandshakeError::OtherCertificate {
                theirs: sanitize(&facts.subject.to_string()),
                ours: self.machine.clone(),
            });
        }
        if self.current().withdrawn.holds(&facts) {
            return Err(HandshakeError::Withdrawn {
                name: sanitize(&facts.subject.node),
            });
        }
        if !self.accepts.contains(&facts.subject.node) {
            return Err(HandshakeError::NotAccepted {
                name: sanitize(&facts.subject.node),
            });
        }
        Ok(facts.subject.node)
    }

    /// Whether a connection that was good must end, because its peer's certificate was withdrawn meanwhile.
    pub(super) fn is_withdrawn(&self, connection: &quinn::Connection) -> bool {
        facts_of(connection).is_ok_and(|facts| self.current().withdrawn.holds(&facts))
    }
}

/// A peer is who its certificate says: its name, and its identity, by which the protocol knows it.
pub(super) fn check_name(certified: &str, peer: &Hello) -> Result<(), HandshakeError> {
    if peer.name != certified {
        return Err(HandshakeError::OtherName {
            claimed: sanitize(&peer.name),
            certified: sanitize(certified),
        });
    }
    if !is_of_node(peer.node, certified) {
        return Err(HandshakeError::OtherIdentity {
            certified: sanitize(certified),
        });
    }
    Ok(())
}

fn facts_of(connection: &quinn::Connection) -> Result<CertificateFacts, HandshakeError> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = chain.as_ref().and_then(|chain| chain.first());
    certificate
        .and_then(|certificate| CertificateFacts::read(certificate).ok())
        .ok_or(HandshakeError::NoSubject)
}
