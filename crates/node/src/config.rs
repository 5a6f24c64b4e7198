//! The configuration of a node: one commented TOML file. Each key or value that is wrong gets one sentence that says
//! what, where, and what to do.

mod address;
mod example;
mod value;

pub use address::NodeAddress;
pub use value::{CodeCacheSize, ConsoleSize, MacAddress, MemorySize};

use crate::engine::EngineKind;
use crate::given_file;
use crate::keys::{NodeKeyFiles, WITHDRAWN_FILE};
use crate::names::machine_id;
use anyhow::{Context, bail, ensure};
use replication::MachineId;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest configuration, in bytes: many times the example.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Everything that a node is told by its operator. Paths are relative to the file that names them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which machine, and what it consists of.
    pub machine: MachineConfig,
    /// This node and its peers.
    pub node: NodeConfig,
    /// Certificates, as `futago keys` makes them.
    pub keys: KeysConfig,
    /// Where the record is that says who is the machine.
    pub arbiter: ArbiterConfig,
    /// Patience, in milliseconds.
    #[serde(default)]
    pub timeouts: TimeoutsConfig,
}

/// `[machine]`: the same on every node of the machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineConfig {
    /// Names the machine among all that share an arbiter.
    pub name: String,
    /// Kernel image to boot.
    pub kernel: Option<PathBuf>,
    /// Initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// Kernel command line.
    #[serde(default)]
    pub append: String,
    /// M-mode firmware instead of the built-in SBI; `none` for none: the kernel starts in M-mode.
    pub bios: Option<PathBuf>,
    /// Guest memory.
    #[serde(default)]
    pub memory: MemorySize,
    /// UNIX socket of a switch that speaks QEMU's stream protocol. None: no network.
    pub network: Option<PathBuf>,
    /// The guest's MAC address.
    #[serde(default)]
    pub mac: MacAddress,
}

/// `[node]`: of this node alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// For logs and status.
    pub name: String,
    /// UDP address of the log channel.
    pub listen: NodeAddress,
    /// Addresses at which other nodes of the machine listen.
    #[serde(default)]
    pub peers: Vec<NodeAddress>,
    /// Names of the nodes that may pair with this one, as their certificates say them.
    #[serde(default)]
    pub accepts: Vec<String>,
    /// UNIX socket for `futago status`, `console` and `stop`, for the node's own user.
    pub control: PathBuf,
    /// UNIX socket for `futago status` alone, for the node's group, too.
    pub control_look: Option<PathBuf>,
    /// File in which the node keeps what it has seen of the arbiter; `NAME.seen` beside the configuration where nothing
    /// is said.
    pub seen: Option<PathBuf>,
    /// Whether this node may start the machine where it runs nowhere; otherwise it only joins.
    #[serde(default = "yes")]
    pub may_start: bool,
    /// File that the guest's console is appended to.
    pub console: Option<PathBuf>,
    /// How much of it is kept.
    #[serde(default)]
    pub console_size: ConsoleSize,
    /// What executes the guest here; the best that the host allows where nothing is said.
    pub engine: Option<EngineKind>,
    /// What becomes of a backup that cannot keep up, where this node is the primary.
    #[serde(default)]
    pub slow_backup: SlowBackup,
    /// Translated code that is kept.
    #[serde(default)]
    pub code_cache: CodeCacheSize,
}

/// `node.slow_backup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlowBackup {
    /// The machine becomes as slow as its backup.
    Brake,
    /// The machine goes on without it, and tries again later.
    #[default]
    Drop,
}

impl From<SlowBackup> for replication::SlowBackup {
    fn from(policy: SlowBackup) -> Self {
        match policy {
            SlowBackup::Brake => Self::Brake,
            SlowBackup::Drop => Self::Drop,
        }
    }
}

/// `[keys]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// Certificate of the authority that issued all nodes' certificates.
    pub authority: PathBuf,
    /// This node's certificate.
    pub certificate: PathBuf,
    /// This node's private key.
    pub key: PathBuf,
    /// The machine's key at its network's switch; where nothing is said, it follows from the file beside the socket.
    pub network: Option<PathBuf>,
    /// The list of withdrawn certificates; where nothing is said, `withdrawn.txt` beside the authority's certificate.
    pub withdrawn: Option<PathBuf>,
}

/// `[arbiter]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArbiterConfig {
    /// A directory on a filesystem that all nodes share.
    pub directory: PathBuf,
}

/// `[timeouts]`, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// Between two signs of life.
    pub heartbeat_ms: u32,
    /// Silence after which a peer is suspected.
    pub suspicion_ms: u32,
    /// After which an arbiter that has not answered counts as unreachable.
    pub arbiter_ms: u32,
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 50,
            suspicion_ms: 200,
            arbiter_ms: 2000,
        }
    }
}

impl TimeoutsConfig {
    /// [`Self::suspicion_ms`] as a duration.
    pub fn suspicion(&self) -> Duration {
        Duration::from_millis(self.suspicion_ms.into())
    }
}

fn yes() -> bool {
    true
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// One sentence that says what is wrong, where, and what to do.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = given_file::read_text(path, CONFIG_BYTES_MAX).with_context(|| {
            format!("cannot read the configuration {}; `futago node --example a` prints one to start from", path.display())
        })?;
        let mut config = Self::parse(&text)
            .with_context(|| format!("the configuration {} is not usable", path.display()))?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        if let Some(console) = &config.node.console {
            let own = path.to_owned();
            given_file::ensure_not_read(console, config.files_read().chain([&own])).with_context(
                || {
                    format!(
                        "`node.console` of the configuration {} is not usable",
                        path.display()
                    )
                },
            )?;
        }
        Ok(config)
    }

    /// Reads and checks the text of a file; paths stay as they are.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| explain(text, &error))?;
        config.check()?;
        Ok(config)
    }

    /// The text of a complete commented file for node `name` of the two that pair. It runs as it is beside the files of the guest,
    /// the keys and the store, with both nodes on one host.
    ///
    /// # Errors
    /// Names that certificates cannot hold, or one for both.
    pub fn example(name: &str, peer: &str) -> anyhow::Result<String> {
        example::example(name, peer)
    }

    /// The identity behind the machine's name.
    pub fn machine_id(&self) -> MachineId {
        machine_id(&self.machine.name)
    }

    /// Where the node keeps what it has seen of the arbiter.
    pub fn seen_file(&self) -> PathBuf {
        let default = || PathBuf::from(format!("{}.seen", self.node.name));
        self.node.seen.clone().unwrap_or_else(default)
    }

    /// The node's certificate files.
    pub fn key_files(&self) -> NodeKeyFiles {
        NodeKeyFiles {
            authority: self.keys.authority.clone(),
            certificate: self.keys.certificate.clone(),
            key: self.keys.key.clone(),
            withdrawn: self
                .keys
                .withdrawn
                .clone()
                .unwrap_or_else(|| self.keys.authority.with_file_name(WITHDRAWN_FILE)),
        }
    }

    /// The files that it names for the node to read.
    fn files_read(&self) -> impl Iterator<Item = &PathBuf> {
        let optional = [
            &self.machine.kernel,
            &self.machine.initrd,
            &self.machine.bios,
            &self.keys.network,
            &self.keys.withdrawn,
            &self.node.seen,
        ];
        let keys = &self.keys;
        let always = [&keys.authority, &keys.certificate, &keys.key];
        optional.into_iter().flatten().chain(always)
    }

    fn check(&self) -> anyhow::Result<()> {
        let timeouts = &self.timeouts;
        ensure!(
            !self.machine.name.is_empty() && !self.node.name.is_empty(),
            "`machine.name` and `node.name` must not be empty"
        );
        if self.machine.kernel.is_none() && self.machine.bios.is_none() {
            bail!("neither `machine.kernel` nor `machine.bios` is given; name the image to boot");
        }
        ensure!(
            self.node.seen.is_some() || !self.node.name.contains('/'),
            "`node.name` (`{}`) is no file name, so that `node.seen` must be given",
            self.node.name
        );
        ensure!(
            self.node.control_look.as_ref() != Some(&self.node.control),
            "`node.control_look` and `node.control` are both {}: name another socket for those who may only look, or none",
            self.node.control.display()
        );
        ensure!(
            timeouts.heartbeat_ms >= 1,
            "`timeouts.heartbeat_ms` must be at least 1"
        );
        ensure!(
            timeouts.suspicion_ms >= timeouts.heartbeat_ms.saturating_mul(3),
            "`timeouts.suspicion_ms` ({}) must be at least three times `timeouts.heartbeat_ms` ({})",
            timeouts.suspicion_ms,
            timeouts.heartbeat_ms
        );
        ensure!(
            timeouts.arbiter_ms >= 10,
            "`timeouts.arbiter_ms` must be at least 10"
        );
        if self.node.peers.contains(&self.node.listen) {
            bail!(
                "`node.peers` names this node's own address {}; remove it",
                self.node.listen
            );
        }
        if let Some(peer) = self.node.peers.iter().find(|peer| peer.port() == 0) {
            bail!("`node.peers` names port 0 in {peer}: name the port at which that node listens");
        }
        ensure!(
            self.node.peers.is_empty() || !self.node.accepts.is_empty(),
            "`node.peers` is given, but `node.accepts` names nobody: name the nodes that may pair with this one, as in `accepts = [\"b\"]`"
        );
        ensure!(
            !self.node.accepts.contains(&self.node.name),
            "`node.accepts` names this node, {}, itself; remove it",
            self.node.name
        );
        Ok(())
    }

    fn resolve(&mut self, base: &Path) {
        self.node.seen = Some(self.seen_file());
        let resolve = |path: &mut PathBuf| *path = base.join(&*path);
        let bios = self.machine.bios.as_mut();
        if let Some(bios) = bios.filter(|bios| !crate::bios::is_bios_word(bios)) {
            resolve(bios);
        }
        let optional = [
            &mut self.machine.kernel,
            &mut self.machine.initrd,
            &mut self.machine.network,
            &mut self.node.console,
            &mut self.node.control_look,
            &mut self.keys.network,
            &mut self.keys.withdrawn,
            &mut self.node.seen,
        ];
        optional.into_iter().flatten().for_each(resolve);
        resolve(&mut self.node.control);
        resolve(&mut self.keys.authority);
        resolve(&mut self.keys.certificate);
        resolve(&mut self.keys.key);
        resolve(&mut self.arbiter.directory);
    }
}

/// The parser's error as one sentence with the line that it is about.
fn explain(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let mut message = error.message().trim_end().replace('\n', "; ");
    for (parsers, ours) in [
        ("expected a sequence", "expected a list, as in `[\"b\"]`"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected text in quotes"),
        ("expected u32", "expected a number from 0 to 4294967295"),
        ("unknown variant", "unknown word"),
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
    ] {
        message = message.replace(parsers, ours);
    }
    match error.span() {
        Some(span) => {
            let before = &text.as_bytes()[..span.start.min(text.len())];
            let line = before.iter().filter(|&&byte| byte == b'\n').count();
            let shown = text.lines().nth(line).unwrap_or_default();
            let shown = shown.split(" #").next().unwrap_or_default().trim();
            if shown.is_empty() {
                anyhow::anyhow!("{message}")
            } else {
                anyhow::anyhow!("line {}, `{shown}`: {message}", line + 1)
            }
        }
        None => anyhow::anyhow!("{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> String {
        Config::example("a", "b").unwrap()
    }

    fn check_error(from: &str, to: &str, expected: &str) {
        let text = example().replacen(from, to, 1);
        assert_ne!(text, example(), "`{from}` is not in the example");
        let message = format!("{:#}", Config::parse(&text).unwrap_err());
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn the_example_is_a_configuration() {
        let config = Config::parse(&example()).unwrap();
        assert_eq!(
            config.timeouts,
            TimeoutsConfig::default(),
            "the example shows the defaults"
        );
        assert_eq!(config.machine.memory, MemorySize::default());
        assert_eq!(config.machine.mac, MacAddress::default());
        assert_eq!(config.node.code_cache, CodeCacheSize::default());
        assert_eq!(config.node.console_size, ConsoleSize::default());
        let default = |shown: &str, key: &str| {
            assert!(example().contains(shown), "{key} is shown as it holds");
        };
        default("# seen = \"a.seen\"", "node.seen");
        default("# withdrawn = \"keys/withdrawn.txt\"", "keys.withdrawn");
        assert_eq!(config.seen_file(), Path::new("a.seen"));
        assert_eq!(
            config.key_files().withdrawn,
            Path::new("keys/withdrawn.txt")
        );
    }

    #[test]
    fn the_examples_of_two_nodes_name_each_other() {
        for [one, two] in [["a", "b"], ["zoe", "alpha-2"]] {
            let of = |name, peer| {
                let text = Config::example(name, peer).unwrap();
                assert!(!text.contains(['{', '}']), "{text}");
                Config::parse(&text).unwrap()
            };
            let (one_of, two_of) = (of(one, two), of(two, one));
            for (own, other, name, peer) in
                [(&one_of, &two_of, one, two), (&two_of, &one_of, two, one)]
            {
                assert_eq!(own.node.name, name);
                assert_eq!(own.node.accepts, [peer]);
                assert_eq!(
                    own.node.peers.as_slice(),
                    std::slice::from_ref(&other.node.listen)
                );
                let keys = NodeKeyFiles::in_directory(Path::new("keys"), name);
                assert_eq!(own.key_files(), keys);
                assert_eq!(own.node.control, Path::new(&format!("{name}.sock")));
            }
            assert_eq!(one_of.machine.append, two_of.machine.append);
        }
        for [name, peer] in [["a", "a"], ["a b", "c"], ["a", ""], ["a", "x\"y"]] {
            let error = Config::example(name, peer).unwrap_err().to_string();
            assert!(error.contains("cannot"), "{error}");
        }
    }

    #[test]
    fn each_mistake_is_explained_in_one_sentence() {
        check_error(
            "kernel =",
            "kernal =",
            "`kernal = \"kernel\"`: unknown key `kernal`",
        );
        check_error(
            "memory = \"256M\"",
            "memory = \"12X\"",
            "`12X` is no size: memory is from 16M to 64G",
        );
        check_error("mac = \"52:", "mac = \"53:", "group address");
        check_error("listen = \"127.0.0.1:7401\"", "listen = \"here\"", "line ");
        check_error("listen = \"127.0.0.1:7401\"", "", "missing key `listen`");
        check_error(
            "suspicion_ms = 200",
            "suspicion_ms = 50",
            "at least three times",
        );
        check_error(
            "# engine = \"translator\"",
            "engine = \"turbo\"",
            "unknown word `turbo`, expected `interpreter` or `translator`",
        );
        check_error(
            "code_cache = \"256M\"",
            "code_cache = \"2G\"",
            "a code cache is from 4M to 1G",
        );
        check_error(
            "console_size = \"64M\"",
            "console_size = \"0\"",
            "a console file is from 1M to 1024G",
        );
        check_error("accepts = [\"b\"]", "", "`node.accepts` names nobody");
        check_error("accepts = [\"b\"]", "accepts = [\"a\"]", "itself");
        check_error(
            "[\"127.0.0.1:7402\"]",
            "[\"beta:0\"]",
            "names port 0 in beta:0",
        );
        check_error(
            "[\"127.0.0.1:7402\"]",
            "[\"beta\"]",
            "`beta` is no address with a port",
        );
        check_error("[arbiter]", "[arbiter", "line ");
        check_error(
            "# control_look = \"a.look\"",
            "control_look = \"a.sock\"",
            "`node.control_look` and `node.control` are both a.sock",
        );
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.toml");
        std::fs::write(&path, example()).unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.machine.kernel, Some(directory.path().join("kernel")));
        assert_eq!(config.seen_file(), directory.path().join("a.seen"));
        let error = Config::load(&directory.path().join("none.toml")).unwrap_err();
        assert!(error.to_string().contains("cannot read the configuration"));
    }
}
