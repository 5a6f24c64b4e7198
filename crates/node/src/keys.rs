//! Certificates by which the nodes of one machine know each other: one authority, one certificate per node. They do
//! not expire, so that no host's calendar can break a pair; to revoke one, make a new authority.

use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name that every node's certificate is issued for; which node it is, the handshake says.
pub const NODE_SERVER_NAME: &str = "node.futago";
/// File of the authority's certificate: each node needs it.
pub const AUTHORITY_CERTIFICATE_FILE: &str = "authority.pem";
/// File of the authority's key: needed only to issue further certificates.
pub const AUTHORITY_KEY_FILE: &str = "authority.key";

/// The files that one node needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeKeyFiles {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The node's own certificate.
    pub certificate: PathBuf,
    /// The node's own key, readable only by its user.
    pub key: PathBuf,
}

impl NodeKeyFiles {
    /// Where [`create_keys`] puts the files of node `name` in `directory`.
    pub fn in_directory(directory: &Path, name: &str) -> Self {
        Self {
            authority: directory.join(AUTHORITY_CERTIFICATE_FILE),
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        }
    }
}

/// Creates what is missing in `directory`: the authority, and a certificate and key for each of `names`. Existing
/// files are never overwritten; an existing authority issues the new certificates.
///
/// # Errors
/// A name that is no file name, a file that exists already, or a directory that cannot be written.
pub fn create_keys(directory: &Path, names: &[String]) -> anyhow::Result<Vec<NodeKeyFiles>> {
    for name in names {
        check_name(name)?;
        let files = NodeKeyFiles::in_directory(directory, name);
        for path in [&files.certificate, &files.key] {
            if path.exists() {
                bail!(
                    "{} exists already; remove it first to issue a new one",
                    path.display()
                );
            }
        }
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot create the key directory {}", directory.display()))?;
    let issuer = authority(directory)?;
    let mut created = Vec::new();
    for name in names {
        let files = NodeKeyFiles::in_directory(directory, name);
        let key = KeyPair::generate().context("cannot generate a key")?;
        let certificate = node_parameters(name)?
            .signed_by(&key, &issuer)
            .with_context(|| format!("cannot issue the certificate of node {name}"))?;
        write_private(&files.key, &key.serialize_pem())?;
        write_private(&files.certificate, &certificate.pem())?;
        created.push(files);
    }
    Ok(created)
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) || name == "authority" {
        bail!(
            "`{name}` cannot name a node: use 1 to 64 letters, digits, `-` or `_`, and not `authority`"
        );
    }
    Ok(())
}

fn authority(directory: &Path) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let key_path = directory.join(AUTHORITY_KEY_FILE);
    let certificate_path = directory.join(AUTHORITY_CERTIFICATE_FILE);
    match fs::read_to_string(&key_path) {
        Ok(pem) => {
            let key = KeyPair::from_pem(&pem)
                .with_context(|| format!("{} holds no private key", key_path.display()))?;
            if !certificate_path.exists() {
                bail!(
                    "{} is missing beside its key: restore it, or remove the key to start anew",
                    certificate_path.display()
                );
            }
            Ok(Issuer::new(authority_parameters(), key))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = KeyPair::generate().context("cannot generate a key")?;
            let parameters = authority_parameters();
            let certificate = parameters
                .self_signed(&key)
                .context("cannot issue the authority's certificate")?;
            write_private(&certificate_path, &certificate.pem())?;
            write_private(&key_path, &key.serialize_pem())?;
            Ok(Issuer::new(parameters, key))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", key_path.display())),
    }
}

fn authority_parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Futago authority");
    parameters.distinguished_name = name;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    parameters
}

fn node_parameters(name: &str) -> anyhow::Result<CertificateParams> {
    let mut parameters = CertificateParams::new(vec![NODE_SERVER_NAME.to_owned()])
        .context("cannot name a certificate")?;
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    parameters.distinguished_name = distinguished;
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(parameters)
}

/// Creates a file that only its owner may read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_private_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let files = create_keys(directory.path(), &names).unwrap();
        for path in files
            .iter()
            .flat_map(|files| [&files.authority, &files.certificate, &files.key])
        {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        let error = create_keys(directory.path(), &names).unwrap_err();
        assert!(error.to_string().contains("exists already"));
        create_keys(directory.path(), &["c".to_owned()]).unwrap();
        assert!(create_keys(directory.path(), &["../d".to_owned()]).is_err());
    }
}
