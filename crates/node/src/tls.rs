//! TLS for the log channel: both ends show a certificate of the machine's own authority, or there is no connection.

use crate::certificate::{CertificateFacts, date};
use crate::given_file;
use crate::keys::{NodeKeyFiles, PEM_BYTES_MAX, load_withdrawn};
use anyhow::{Context, anyhow, bail, ensure};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use replication::Withdrawn;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Names the protocol inside TLS. The version of what is spoken is in the handshake, where it can be explained.
const ALPN: &[u8] = b"futago";

/// What a node shows and accepts.
pub struct TlsIdentity {
    /// For connections that come in.
    pub server: Arc<QuicServerConfig>,
    /// For connections that go out.
    pub client: Arc<QuicClientConfig>,
    /// What this node's own certificate says.
    pub facts: CertificateFacts,
    /// Certificates that are not accepted any more.
    pub withdrawn: Withdrawn,
    /// A secret that only this node's key holder can know, the same after a restart.
    pub reset_secret: [u8; 32],
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}

/// Reads a node's certificate files.
///
/// # Errors
/// A file that is missing, is no PEM, or does not belong to the others; a certificate that has expired, or was withdrawn.
pub fn load_identity(files: &NodeKeyFiles) -> anyhow::Result<TlsIdentity> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(&files.authority)? {
        roots.add(certificate).with_context(|| {
            format!(
                "{} holds no usable authority certificate",
                files.authority.display()
            )
        })?;
    }
    let roots = Arc::new(roots);
    let chain = read_certificates(&files.certificate)?;
    let unreadable = |error: &dyn fmt::Display| {
        anyhow!(
            "cannot read the private key {}: {error}; `futago keys` creates one",
            files.key.display()
        )
    };
    let key = given_file::read(&files.key, PEM_BYTES_MAX).map_err(|error| unreadable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| match error {
        pem::Error::NoItemsFound => unreadable(&"it holds none"),
        error => unreadable(&error),
    })?;
    let own = files.certificate.display();
    let facts = CertificateFacts::read(&chain[0])
        .with_context(|| format!("the certificate {own} is of no use"))?;
    let withdrawn = load_withdrawn(&files.withdrawn)?;
    let node = &facts.subject.node;
    ensure!(
        facts.ends > SystemTime::now(),
        "the certificate {own} has expired, on {}; `futago keys renew {node}` makes a new one",
        date(facts.ends)
    );
    ensure!(
        !withdrawn.holds(&facts.credential()),
        "the certificate {own} was withdrawn; `futago keys` issues a new one for node {node}"
    );
    let reset_secret = blake3::derive_key("futago 2026 stateless reset", key.secret_der());

    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .context("cannot set up the check of peers' certificates")?;
    // No peer would believe it, and none be believed.
    if verifier
        .verify_client_cert(&chain[0], &chain[1..], UnixTime::now())
        .is_err()
    {
        bail!(
            "the certificate {own} was not issued by the authority {}: take both from the same directory of `futago keys`",
            files.authority.display()
        );
    }
    let mismatch = |_| {
        anyhow!(
            "the certificate {own} and the key {} do not belong together: take both from the same directory of `futago keys`",
            files.key.display()
        )
    };
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .context("TLS 1.3 is missing")?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(mismatch)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would not look at certificates again: neither at their end, nor at their withdrawal.
    server.send_tls13_tickets = 0;
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .context("TLS 1.3 is missing")?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(mismatch)?;
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = rustls::client::Resumption::disabled();
    Ok(TlsIdentity {
        server: Arc::new(QuicServerConfig::try_from(server).context("TLS does not suit QUIC")?),
        client: Arc::new(QuicClientConfig::try_from(client).context("TLS does not suit QUIC")?),
        facts,
        withdrawn,
        reset_secret,
    })
}

fn read_certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error: &dyn fmt::Display| {
        anyhow!(
            "cannot read the certificate {}: {error}; `futago keys` creates one",
            path.display()
        )
    };
    let pem = given_file::read(path, PEM_BYTES_MAX).map_err(|error| unreadable(&error))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(&error))?;
    if certificates.is_empty() {
        return Err(anyhow!(
            "{} holds no certificate; `futago keys` creates one",
            path.display()
        ));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{create_keys, in_days, renew_keys, withdraw_keys};

    #[test]
    fn wrong_files_are_explained() {
        let directory = tempfile::tempdir().unwrap();
        let files = create_keys(directory.path(), "m", &["a".to_owned(), "b".to_owned()]).unwrap();
        let identity = load_identity(&files[0]).unwrap();
        assert_eq!(
            identity.reset_secret,
            load_identity(&files[0]).unwrap().reset_secret
        );
        let check = |files: NodeKeyFiles, text: &str| {
            let message = format!("{:#}", load_identity(&files).unwrap_err());
            assert!(message.contains(text), "{message}");
        };
        let own = files[0].clone();
        check(
            NodeKeyFiles {
                key: files[1].key.clone(),
                ..own.clone()
            },
            "do not belong together",
        );
        check(
            NodeKeyFiles {
                key: directory.path().join("x"),
                ..own.clone()
            },
            "cannot read the private key",
        );
        check(
            NodeKeyFiles {
                authority: own.key.clone(),
                ..own
            },
            "holds no certificate",
        );
        let other = create_keys(&directory.path().join("other"), "m", &["a".to_owned()]).unwrap();
        check(
            NodeKeyFiles {
                authority: other[0].authority.clone(),
                ..files[0].clone()
            },
            "was not issued by the authority",
        );
        let expired = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
        renew_keys(directory.path(), "a", expired).unwrap();
        check(files[0].clone(), "has expired, on 2020-09-13");
        renew_keys(directory.path(), "a", in_days(1)).unwrap();
        load_identity(&files[0]).unwrap();
        let kept = directory.path().join("kept");
        std::fs::create_dir(&kept).unwrap();
        let copy = NodeKeyFiles {
            withdrawn: files[0].withdrawn.clone(),
            ..NodeKeyFiles::in_directory(&kept, "a")
        };
        for (from, to) in [
            (&files[0].authority, &copy.authority),
            (&files[0].certificate, &copy.certificate),
            (&files[0].key, &copy.key),
        ] {
            std::fs::copy(from, to).unwrap();
        }
        withdraw_keys(directory.path(), "a", None).unwrap();
        check(copy, "was withdrawn");
    }
}
