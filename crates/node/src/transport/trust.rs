//! Whom this node trusts to be a peer. TLS has checked that the authority issued a certificate and that it has not ended; whose it
//! is, whether it was withdrawn, and whether this node pairs with its node is for [`replication::Door`] to say.

use super::handshake::HandshakeError;
use crate::certificate::{CertificateFacts, protocol_date};
use crate::tls::TlsIdentity;
use replication::{Credential, Door, Hello};
use rustls::pki_types::CertificateDer;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What may change while the node runs.
#[derive(Debug)]
struct Current {
    client: quinn::ClientConfig,
    door: Door,
    ends: SystemTime,
}

#[derive(Debug)]
pub(super) struct Trust {
    me: Hello,
    accepts: Vec<String>,
    current: Mutex<Current>,
}

impl Trust {
    pub(super) fn new(
        me: &Hello,
        accepts: &[String],
        identity: &TlsIdentity,
        client: quinn::ClientConfig,
    ) -> Self {
        let current = current(me, accepts, identity, client);
        Self {
            me: me.clone(),
            accepts: accepts.to_vec(),
            current: Mutex::new(current),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // It is only ever replaced as a whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, this is what new connections use.
    pub(super) fn replace(&self, identity: &TlsIdentity, client: quinn::ClientConfig) {
        *self.current() = current(&self.me, &self.accepts, identity, client);
    }

    /// What the node shows to those that it dials.
    pub(super) fn client(&self) -> quinn::ClientConfig {
        self.current().client.clone()
    }

    /// When the node's own certificate ends.
    pub(super) fn ends(&self) -> SystemTime {
        self.current().ends
    }

    /// What the certificate at the other end says, if this node may pair with its node.
    pub(super) fn check(
        &self,
        connection: &quinn::Connection,
    ) -> Result<Credential, HandshakeError> {
        let shown = shown_by(connection)?;
        let now = protocol_date(SystemTime::now());
        let checked = self.current().door.check_certificate(&shown, now);
        checked.map_err(|why| HandshakeError::of(why, &self.me.machine_name))?;
        Ok(shown)
    }

    /// Whether what a peer says of itself fits its certificate, and this node.
    pub(super) fn check_hello(
        &self,
        shown: &Credential,
        peer: &Hello,
    ) -> Result<(), HandshakeError> {
        let checked = self.current().door.check_hello(&self.me, shown, peer);
        checked.map_err(|why| HandshakeError::of(why, &self.me.machine_name))
    }

    /// Whether a connection that was good must end, because its peer's certificate was withdrawn meanwhile.
    pub(super) fn is_withdrawn(&self, connection: &quinn::Connection) -> bool {
        shown_by(connection).is_ok_and(|shown| self.current().door.sends_away(&shown))
    }
}

fn current(
    me: &Hello,
    accepts: &[String],
    identity: &TlsIdentity,
    client: quinn::ClientConfig,
) -> Current {
    let mut door = Door::new(&me.machine_name, accepts);
    door.withdrawn = identity.withdrawn.clone();
    Current {
        client,
        door,
        ends: identity.facts.ends,
    }
}

fn shown_by(connection: &quinn::Connection) -> Result<Credential, HandshakeError> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = chain.as_ref().and_then(|chain| chain.first());
    certificate
        .and_then(|certificate| CertificateFacts::read(certificate).ok())
        .map(|facts| facts.credential())
        .ok_or(HandshakeError::NoSubject)
}
