//! What rights at a switch rest on: the switch's secret, and the key that follows from it for each machine.
//!
//! The secret is a file beside the switch's socket, readable by its user only. A node reads it when it starts, keeps
//! its own machine's key and nothing else; who is handed a machine's key can speak for that machine alone.

use crate::given_file;
use crate::names::{fill_random, machine_id};
use anyhow::{Context, bail, ensure};
use replication::{MachineId, MachineKey, Rights};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const SECRET_WORDS: &str = "futago switch secret ";
const KEY_WORDS: &str = "futago machine key ";
/// A key file has one short line.
const FILE_BYTES_MAX: u64 = 1024;

/// What a switch keeps to itself and to the nodes of its user.
#[derive(Clone, PartialEq, Eq)]
pub struct SwitchSecret([u8; 32]);

impl fmt::Debug for SwitchSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SwitchSecret")
    }
}

impl SwitchSecret {
    /// The file of the secret of the switch that listens on `socket`.
    pub fn path(socket: &Path) -> PathBuf {
        let mut path = socket.as_os_str().to_owned();
        path.push(".key");
        path.into()
    }

    /// Reads the secret beside `socket`; whoever comes first, switch or node, makes it.
    ///
    /// # Errors
    /// The file cannot be read or made, holds something else, or can be read by others.
    pub fn load_or_create(socket: &Path) -> anyhow::Result<Self> {
        let path = Self::path(socket);
        if !path.exists() {
            create(&path)
                .with_context(|| format!("cannot make the switch's secret {}", path.display()))?;
        }
        match read(&path)? {
            KeyFile::Secret(secret) => Ok(secret),
            KeyFile::Key(_) => bail!(
                "{} holds one machine's key instead of the switch's secret: remove it, and a secret is made",
                path.display()
            ),
        }
    }

    /// The key of a machine.
    pub fn machine_key(&self, machine: MachineId) -> MachineKey {
        MachineKey::of_machine(&self.0, machine)
    }

    /// One for those who need no file.
    pub(super) fn from_bytes(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// What nobody has proven anything to yet.
    pub(super) fn rights<T: Default>(&self) -> Rights<T> {
        Rights::new(self.0)
    }

    /// The text of a file with the key of the machine `name`, to be handed to nodes that may not read the secret.
    pub fn machine_key_text(&self, name: &str) -> String {
        format!(
            "{KEY_WORDS}{}\n",
            to_hex(&self.machine_key(machine_id(name)).to_bytes())
        )
    }
}

/// The key by which a node speaks for `machine`: from `file` if one is named, else by the secret beside `socket`.
/// None where the socket is another program's (passt's), which has no such file.
///
/// # Errors
/// As [`SwitchSecret::load_or_create`].
pub fn key_of_node(
    file: Option<&Path>,
    socket: &Path,
    machine: MachineId,
) -> anyhow::Result<Option<MachineKey>> {
    if let Some(file) = file {
        return Ok(Some(match read(file)? {
            KeyFile::Secret(secret) => secret.machine_key(machine),
            KeyFile::Key(key) => key,
        }));
    }
    // A switch makes its secret before its socket.
    if socket.exists() && !SwitchSecret::path(socket).exists() {
        return Ok(None);
    }
    SwitchSecret::load_or_create(socket).map(|secret| Some(secret.machine_key(machine)))
}

enum KeyFile {
    Secret(SwitchSecret),
    Key(MachineKey),
}

fn read(path: &Path) -> anyhow::Result<KeyFile> {
    let shown = path.display();
    let unreadable = || format!("cannot read the key {shown}");
    let metadata = fs::metadata(path).with_context(unreadable)?;
    ensure!(
        metadata.mode() & 0o077 == 0,
        "others than its owner may use the key {shown}: chmod 600 {shown}"
    );
    let text = given_file::read_text(path, FILE_BYTES_MAX).with_context(unreadable)?;
    let parse = |words| text.trim_end().strip_prefix(words).and_then(from_hex);
    if let Some(bytes) = parse(SECRET_WORDS) {
        Ok(KeyFile::Secret(SwitchSecret(bytes)))
    } else if let Some(bytes) = parse(KEY_WORDS) {
        Ok(KeyFile::Key(MachineKey::from_bytes(bytes)))
    } else {
        bail!(
            "{shown} holds neither a switch's secret nor a machine's key: remove it, or name another"
        )
    }
}

/// Makes the file whole or not at all; one that somebody else has made meanwhile is as good.
fn create(path: &Path) -> anyhow::Result<()> {
    let mut secret = [0; 32];
    fill_random(&mut secret).context("the host gives no random numbers")?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(format!("{SECRET_WORDS}{}\n", to_hex(&secret)).as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            result => result,
        });
    let removed = fs::remove_file(&temporary);
    made.context("its directory must exist and be writable")?;
    removed.with_context(|| format!("cannot remove {}", temporary.display()))
}

fn to_hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn whoever_comes_first_makes_the_secret_and_only_its_user_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let machine = machine_id("demo");
        let key = key_of_node(None, &socket, machine).unwrap().unwrap();
        let secret = SwitchSecret::load_or_create(&socket).unwrap();
        assert_eq!(secret.machine_key(machine), key);
        assert_ne!(secret.machine_key(machine_id("other")), key);
        let path = SwitchSecret::path(&socket);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = SwitchSecret::load_or_create(&socket).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_machines_key_can_be_handed_out_alone() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let secret = SwitchSecret::load_or_create(&socket).unwrap();
        let file = directory.path().join("demo.key");
        fs::write(&file, secret.machine_key_text("demo")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let machine = machine_id("demo");
        let key = key_of_node(Some(&file), &socket, machine).unwrap();
        assert_eq!(key, Some(secret.machine_key(machine)));
        fs::write(&file, "nonsense").unwrap();
        let error = key_of_node(Some(&file), &socket, machine).unwrap_err();
        assert!(
            error.to_string().contains("neither a switch's secret"),
            "{error}"
        );
    }

    #[test]
    fn another_programs_socket_has_no_key() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("passt.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let key = key_of_node(None, &socket, machine_id("demo")).unwrap();
        assert_eq!(key, None);
        assert!(!SwitchSecret::path(&socket).exists());
    }
}
