//! Certificates by which the nodes of one machine know each other: one authority, and one certificate for each node, which
//! names node and machine, and ends. Renewal keeps the key; what was withdrawn gets a new one.

mod withdrawn;

pub use withdrawn::load_withdrawn;

use crate::certificate::{CertificateFacts, serial};
use crate::given_file;
use crate::names::fill_random;
use crate::new_files::{NewFiles, replace};
use anyhow::{Context, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use replication::{Date, Subject};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name that TLS asks every node's certificate for; which node it is says its other name, `futago://MACHINE/NODE`.
pub const NODE_SERVER_NAME: &str = "node.futago";
/// File of the authority's certificate: each node needs it.
pub const AUTHORITY_CERTIFICATE_FILE: &str = "authority.pem";
/// File of the authority's key: needed only to issue further certificates.
pub const AUTHORITY_KEY_FILE: &str = "authority.key";
/// File of the withdrawn certificates, beside the authority's.
pub const WITHDRAWN_FILE: &str = "withdrawn.txt";
/// Days that a certificate is good for unless told otherwise.
pub const DAYS_DEFAULT: u32 = 730;
/// A certificate is good from so long before it was issued, for hosts whose clocks differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest name of a machine that a certificate can hold, in bytes.
const MACHINE_BYTES_MAX: usize = 128;
/// A file with certificates, or a key, has at most so many bytes.
pub(crate) const PEM_BYTES_MAX: u64 = 1 << 20;
/// Words of `futago keys` that name no node.
const RESERVED: [&str; 5] = ["authority", "help", "renew", "show", "withdraw"];

/// The files that one node needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeKeyFiles {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The node's own certificate.
    pub certificate: PathBuf,
    /// The node's own key, readable only by its user.
    pub key: PathBuf,
    /// The list of withdrawn certificates.
    pub withdrawn: PathBuf,
}

impl NodeKeyFiles {
    /// Where [`create_keys`] puts the files of node `name` in `directory`.
    pub fn in_directory(directory: &Path, name: &str) -> Self {
        Self {
            authority: directory.join(AUTHORITY_CERTIFICATE_FILE),
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
            withdrawn: directory.join(WITHDRAWN_FILE),
        }
    }
}

/// Creates what is missing in `directory`: the authority, and a certificate and key for each of `names`, which are nodes of
/// `machine`. Existing files are never overwritten; an existing authority issues the new certificates.
///
/// # Errors
/// A name that is no file name, a file that exists already, or a directory that cannot be written.
pub fn create_keys(
    directory: &Path,
    machine: &str,
    names: &[String],
) -> anyhow::Result<Vec<NodeKeyFiles>> {
    create_keys_until(directory, machine, names, in_days(DAYS_DEFAULT))
}

/// As [`create_keys`], with an end of the caller's choice.
///
/// # Errors
/// As [`create_keys`].
pub fn create_keys_until(
    directory: &Path,
    machine: &str,
    names: &[String],
    ends: SystemTime,
) -> anyhow::Result<Vec<NodeKeyFiles>> {
    ensure!(
        (1..=MACHINE_BYTES_MAX).contains(&machine.len()),
        "a machine's name in certificates has from 1 to {MACHINE_BYTES_MAX} bytes"
    );
    for (index, name) in names.iter().enumerate() {
        check_name(name)?;
        ensure!(
            !names[..index].contains(name),
            "`{name}` is given twice: each node has one certificate"
        );
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| match error.kind() {
            // It says so of a name that is no directory.
            ErrorKind::AlreadyExists => ErrorKind::NotADirectory.into(),
            _ => error,
        })
        .with_context(|| format!("cannot create the key directory {}", directory.display()))?;
    // Before all else: without it, nothing can be issued or renewed here.
    let authority = existing_authority(directory)?;
    if authority.is_none() {
        check_no_orphans(directory)?;
    }
    for name in names {
        let files = NodeKeyFiles::in_directory(directory, name);
        for path in [&files.certificate, &files.key] {
            if path.exists() {
                bail!(
                    "{} exists already; `futago keys renew {name}` makes it good for longer, `futago keys withdraw {name}` takes it back",
                    path.display()
                );
            }
        }
    }
    let mut new = NewFiles::default();
    let issuer = match authority {
        Some(issuer) => issuer,
        None => new_authority(directory, &mut new)?,
    };
    let mut created = Vec::new();
    for name in names {
        let files = NodeKeyFiles::in_directory(directory, name);
        let key = KeyPair::generate().context("cannot generate a key")?;
        let certificate = issue(directory, &Subject::new(machine, name), ends, &key, &issuer)?;
        new.prepare(&files.key, &key.serialize_pem())?;
        new.prepare(&files.certificate, &certificate)?;
        created.push(files);
    }
    new.place()?;
    Ok(created)
}

/// Issues a node's certificate anew, for the same node, machine and key. The old one stays good until it ends.
///
/// # Errors
/// There is none to renew, it was withdrawn, or a file cannot be written.
pub fn renew_keys(directory: &Path, name: &str, ends: SystemTime) -> anyhow::Result<NodeKeyFiles> {
    check_name(name)?;
    let files = NodeKeyFiles::in_directory(directory, name);
    let old = read_facts(&files.certificate)?;
    if load_withdrawn(&files.withdrawn)?.holds(&old.credential()) {
        bail!(
            "the certificate {} was withdrawn; remove it and its key, and let `futago keys` make new ones",
            files.certificate.display()
        );
    }
    let key = read_key(&files.key)?.with_context(|| {
        format!(
            "the key {} is missing beside its certificate: renew it where the key is, or withdraw it and make new ones",
            files.key.display()
        )
    })?;
    let issuer = existing_authority(directory)?.with_context(|| {
        format!(
            "there is no authority in {}: renew the certificate where {AUTHORITY_KEY_FILE} is kept",
            directory.display()
        )
    })?;
    let certificate = issue(directory, &old.subject, ends, &key, &issuer)?;
    replace(&files.certificate, &certificate)?;
    Ok(files)
}

/// Withdraws every certificate issued so far to a node, and removes what is left of it in `directory`, so that new ones may be
/// made under its name. The machine's name is needed only where the node's certificate is not there.
///
/// # Errors
/// It is not known of which machine the node is, or a file cannot be written.
pub fn withdraw_keys(
    directory: &Path,
    name: &str,
    machine: Option<&str>,
) -> anyhow::Result<PathBuf> {
    check_name(name)?;
    let files = NodeKeyFiles::in_directory(directory, name);
    let subject = match machine {
        Some(machine) => Subject::new(machine, name),
        None => {
            read_facts(&files.certificate)
                .context("say with `--machine` of which machine the node is")?
                .subject
        }
    };
    let mut list = load_withdrawn(&files.withdrawn)?;
    list.add(subject, now()?);
    replace(&files.withdrawn, &withdrawn::text(&list))?;
    for path in [&files.key, &files.certificate] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(files.withdrawn)
}

/// What the certificate in a file says.
///
/// # Errors
/// The file cannot be read, or holds no certificate of a node.
pub fn read_facts(path: &Path) -> anyhow::Result<CertificateFacts> {
    let unreadable = || format!("cannot read the certificate {}", path.display());
    let pem = given_file::read(path, PEM_BYTES_MAX).with_context(unreadable)?;
    let certificate = CertificateDer::from_pem_slice(&pem).map_err(|error| match error {
        pem::Error::NoItemsFound => anyhow::anyhow!("{} holds no certificate", path.display()),
        error => anyhow::anyhow!("{}: {error}", unreadable()),
    })?;
    CertificateFacts::read(&certificate)
        .with_context(|| format!("the certificate {} is of no use", path.display()))
}

/// The names of the nodes whose certificates are in `directory`, in order.
///
/// # Errors
/// The directory cannot be read.
pub fn names_in(directory: &Path) -> anyhow::Result<Vec<String>> {
    let unreadable = || format!("cannot read the key directory {}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(unreadable)? {
        let name = entry.with_context(unreadable)?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".pem"))
            && check_name(name).is_ok()
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The time in so many days.
pub fn in_days(days: u32) -> SystemTime {
    SystemTime::now() + Duration::from_secs(24 * 60 * 60) * days
}

fn now() -> anyhow::Result<Date> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the host's clock is before 1970")?;
    Ok(Date(u64::try_from(since.as_micros()).unwrap_or(u64::MAX)))
}

/// Whether a node can be called so.
///
/// # Errors
/// A name that no certificate is issued to.
pub fn check_name(name: &str) -> anyhow::Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) || RESERVED.contains(&name)
    {
        bail!(
            "`{name}` cannot name a node: use 1 to 64 letters, digits, `-` or `_`, and none of {}",
            RESERVED.join(", ")
        );
    }
    Ok(())
}

/// A certificate in PEM.
fn issue(
    directory: &Path,
    subject: &Subject,
    ends: SystemTime,
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
) -> anyhow::Result<String> {
    // Later than what was withdrawn, even if the clock was set back.
    let withdrawn = load_withdrawn(&directory.join(WITHDRAWN_FILE))?;
    let issued = now()?.max(Date(withdrawn.until(subject).0.saturating_add(1)));
    let mut random = [0; 8];
    fill_random(&mut random).context("the host's random source gives nothing")?;
    let mut parameters = node_parameters(subject)?;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial(
        issued,
        u64::from_le_bytes(random),
    )));
    parameters.not_before = (SystemTime::now().min(ends) - CLOCKS_DIFFER).into();
    parameters.not_after = ends.into();
    let certificate = parameters
        .signed_by(key, issuer)
        .with_context(|| format!("cannot issue the certificate of {subject}"))?;
    Ok(certificate.pem())
}

/// The authority in a directory; none if nothing is there of it.
fn existing_authority(directory: &Path) -> anyhow::Result<Option<Issuer<'static, KeyPair>>> {
    let key_path = directory.join(AUTHORITY_KEY_FILE);
    let certificate_path = directory.join(AUTHORITY_CERTIFICATE_FILE);
    let (shown_key, shown) = (key_path.display(), certificate_path.display());
    let certificates = check_authority(directory)?;
    match (read_key(&key_path)?, certificates) {
        (Some(key), Some(certificates)) => {
            let own = key.subject_public_key_info();
            ensure!(
                certificates.iter().any(|certificate| {
                    // The anchor's is without the outermost tag and length.
                    webpki::anchor_from_trusted_cert(certificate)
                        .is_ok_and(|anchor| own.ends_with(&anchor.subject_public_key_info))
                }),
                "{shown_key} is not the key of {shown}: restore the one that belongs to the other"
            );
            Ok(Some(Issuer::new(authority_parameters(), key)))
        }
        (Some(_), None) => {
            bail!("{shown} is missing beside its key: restore it, or remove the key to start anew")
        }
        (None, Some(_)) => bail!(
            "the authority's key {shown_key} is missing beside {shown}, and only it can issue certificates: restore it from where it is \
             kept, or make a new authority in another directory, for all nodes"
        ),
        (None, None) => Ok(None),
    }
}

/// Refuses a directory with certificates whose authority is not there: a new one's nodes would not know them.
fn check_no_orphans(directory: &Path) -> anyhow::Result<()> {
    if let Some(name) = names_in(directory)?.first() {
        bail!(
            "{} has the certificate of {name}, and not the authority that issued it, {AUTHORITY_CERTIFICATE_FILE} and {AUTHORITY_KEY_FILE}: \
             restore both from where they are kept, or make a new authority in another directory, for all nodes",
            directory.display()
        );
    }
    Ok(())
}

/// Makes an authority, whose files are prepared.
fn new_authority(directory: &Path, new: &mut NewFiles) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let key = KeyPair::generate().context("cannot generate a key")?;
    let parameters = authority_parameters();
    let certificate = parameters
        .self_signed(&key)
        .context("cannot issue the authority's certificate")?;
    new.prepare(&directory.join(AUTHORITY_KEY_FILE), &key.serialize_pem())?;
    new.prepare(
        &directory.join(AUTHORITY_CERTIFICATE_FILE),
        &certificate.pem(),
    )?;
    Ok(Issuer::new(parameters, key))
}

/// Looks at the authority's certificate in a directory (or several, while one takes over from another), and gives what is there.
///
/// # Errors
/// The file holds something else.
pub fn check_authority(directory: &Path) -> anyhow::Result<Option<Vec<CertificateDer<'static>>>> {
    let path = directory.join(AUTHORITY_CERTIFICATE_FILE);
    let pem = match given_file::read(&path, PEM_BYTES_MAX) {
        Ok(pem) => pem,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let are_usable = |certificates: &Vec<CertificateDer<'_>>| {
        let mut anchors = certificates.iter().map(webpki::anchor_from_trusted_cert);
        !certificates.is_empty() && anchors.all(|anchor| anchor.is_ok())
    };
    let certificates = certificates.ok().filter(are_usable).with_context(|| {
        format!(
            "{} holds no authority's certificate: restore it, from any node that has it",
            path.display()
        )
    })?;
    Ok(Some(certificates))
}

/// The private key in a file; none if there is no such file.
fn read_key(path: &Path) -> anyhow::Result<Option<KeyPair>> {
    match given_file::read_text(path, PEM_BYTES_MAX) {
        Ok(pem) => KeyPair::from_pem(&pem)
            .with_context(|| format!("{} holds no private key", path.display()))
            .map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
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

fn node_parameters(subject: &Subject) -> anyhow::Result<CertificateParams> {
    let mut parameters = CertificateParams::new(vec![NODE_SERVER_NAME.to_owned()])
        .context("cannot name a certificate")?;
    let uri = subject
        .uri()
        .try_into()
        .context("cannot name a certificate")?;
    parameters.subject_alt_names.push(SanType::URI(uri));
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, subject.node.as_str());
    parameters.distinguished_name = distinguished;
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn keys_are_private_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let files = create_keys(directory.path(), "m", &names(&["a", "b"])).unwrap();
        for path in files
            .iter()
            .flat_map(|files| [&files.authority, &files.certificate, &files.key])
        {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        let error = create_keys(directory.path(), "m", &names(&["b"])).unwrap_err();
        assert!(error.to_string().contains("exists already"));
        create_keys(directory.path(), "m", &names(&["c"])).unwrap();
        // A host that has only what it needs issues nothing, and says why.
        let key = directory.path().join(AUTHORITY_KEY_FILE);
        let kept = fs::read(&key).unwrap();
        fs::remove_file(&key).unwrap();
        for name in ["b", "d"] {
            let error = create_keys(directory.path(), "m", &names(&[name])).unwrap_err();
            assert!(
                error.to_string().contains("authority.key is missing"),
                "{error}"
            );
        }
        let certificate = directory.path().join(AUTHORITY_CERTIFICATE_FILE);
        let shown = fs::read(&certificate).unwrap();
        fs::remove_file(&certificate).unwrap();
        for name in ["b", "d"] {
            let error = create_keys(directory.path(), "m", &names(&[name])).unwrap_err();
            let words = "has the certificate of a, and not the authority that issued it";
            assert!(error.to_string().contains(words), "{error}");
        }
        fs::write(&certificate, shown).unwrap();
        fs::write(&key, kept).unwrap();
        for wrong in ["../d", "", "show"] {
            assert!(create_keys(directory.path(), "m", &names(&[wrong])).is_err());
        }
        assert_eq!(names_in(directory.path()).unwrap(), ["a", "b", "c"]);
    }

    #[test]
    fn a_certificate_says_whose_it_is_and_when_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        for (name, days) in [("a", 1), ("b", 729), ("c", 20_000)] {
            let ends = in_days(days) + Duration::from_secs(60);
            let files =
                create_keys_until(directory.path(), "my machine", &names(&[name]), ends).unwrap();
            let facts = read_facts(&files[0].certificate).unwrap();
            assert_eq!(facts.subject, Subject::new("my machine", name));
            assert_eq!(facts.days_left(SystemTime::now()), i64::from(days));
            assert!(facts.issued.0.abs_diff(now().unwrap().0) < 60_000_000);
        }
        let renewed = renew_keys(directory.path(), "a", in_days(100)).unwrap();
        let facts = read_facts(&renewed.certificate).unwrap();
        assert_eq!(facts.days_left(SystemTime::now()), 99);
        let past = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        renew_keys(directory.path(), "a", past).unwrap();
        assert_eq!(read_facts(&renewed.certificate).unwrap().ends, past);
        assert!(
            read_facts(&renewed.certificate)
                .unwrap()
                .days_left(SystemTime::now())
                < -1
        );
        assert!(renew_keys(directory.path(), "z", in_days(1)).is_err());
    }

    #[test]
    fn what_was_withdrawn_stays_so_and_a_new_one_is_good() {
        let directory = tempfile::tempdir().unwrap();
        let files = &create_keys(directory.path(), "m", &names(&["a", "b"])).unwrap()[0];
        let stolen = read_facts(&files.certificate).unwrap();
        let other = read_facts(&directory.path().join("b.pem")).unwrap();
        let list = withdraw_keys(directory.path(), "a", None).unwrap();
        let withdrawn = load_withdrawn(&list).unwrap();
        assert!(withdrawn.holds(&stolen.credential()) && !withdrawn.holds(&other.credential()));
        assert!(!files.key.exists(), "it is of no use");
        create_keys(directory.path(), "m", &names(&["a"])).unwrap();
        let new = read_facts(&files.certificate).unwrap();
        assert!(!withdrawn.holds(&new.credential()));
        withdraw_keys(directory.path(), "lost", Some("m")).unwrap();
        let withdrawn = load_withdrawn(&list).unwrap();
        assert!(
            withdrawn.holds(&stolen.credential())
                && withdrawn.until(&Subject::new("m", "lost")) > Date(0)
        );
        fs::write(&list, "# fine\nnonsense\n").unwrap();
        let error = load_withdrawn(&list).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
