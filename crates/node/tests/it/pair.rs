//! Two real nodes, each its own process, protecting one machine: killed, paused, and without their arbiter.
//!
//! The guest counts: for each byte typed at its console it says the next number, as one byte.

use crate::sandbox::filters_of;
use node::arbiter::init_store;
use node::status::NodeStatus;
use node::{Config, control, keys, run_node};
use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tells a copy of this test binary that it is a node, and of which configuration.
const NODE_CONFIG: &str = "FUTAGO_TEST_NODE_CONFIG";
const PATIENCE: Duration = Duration::from_secs(60);

/// The guest, in machine code for the start of memory. `t0` is the serial port, `s0` the count.
pub(crate) const COUNTER: [u32; 8] = [
    0x1000_02b7, // lui t0, 0x10000
    0x0052_c303, // lbu t1, 5(t0)
    0x0013_7313, // andi t1, t1, 1
    0xfe03_0ce3, // beqz t1, -8
    0x0002_c303, // lbu t1, 0(t0)
    0x0014_0413, // addi s0, s0, 1
    0x0082_8023, // sb s0, 0(t0)
    0xfe9f_f06f, // j -24
];

/// Not a test of its own: what the nodes of the other tests run.
#[test]
fn node_process() {
    if let Ok(path) = std::env::var(NODE_CONFIG) {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .init();
        let reason = run_node(Config::load(Path::new(&path)).unwrap(), true);
        match reason {
            Ok(reason) => {
                eprintln!("node ended: {reason}");
                std::process::exit(reason.code().into());
            }
            Err(error) => {
                eprintln!("node failed: {error:#}");
                std::process::exit(1);
            }
        }
    }
}

pub(crate) struct Node {
    name: &'static str,
    pub(crate) control: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) child: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- node {}\n{}",
                self.name,
                fs::read_to_string(&self.log).unwrap_or_default()
            );
        }
    }
}

impl Node {
    pub(crate) fn status(&self) -> Option<NodeStatus> {
        control::status(&self.control).ok()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits until the node's status is as wanted.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&NodeStatus) -> bool) -> NodeStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if let Some(status) = &status
                && wanted(status)
            {
                return status.clone();
            }
            assert!(
                Instant::now() < deadline,
                "node {} is not {what} in time: {status:#?}",
                self.name
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the node has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has logged this.
    pub(crate) fn wait_log(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(words) {
            assert!(Instant::now() < deadline, "not logged: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child
            .try_wait()
            .unwrap()
            .and_then(|status| status.code())
    }

    pub(crate) fn wait_end(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(Instant::now() < deadline, "node {} does not end", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn console(&self) -> BufReader<UnixStream> {
        let console = control::attach_console(&self.control).unwrap();
        console.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        console
    }
}

pub(crate) struct Site {
    pub(crate) directory: tempfile::TempDir,
    addresses: [SocketAddr; 2],
}

impl Site {
    /// `host` makes the loopback addresses of this test its own.
    pub(crate) fn new(host: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        keys::create_keys(
            &root.join("keys"),
            "counter",
            &["a".to_owned(), "b".to_owned()],
        )
        .unwrap();
        init_store(&root.join("arbiter")).unwrap();
        let image: Vec<u8> = COUNTER.iter().flat_map(|word| word.to_le_bytes()).collect();
        fs::write(root.join("counter.bin"), image).unwrap();
        let address = |last| {
            UdpSocket::bind(SocketAddr::from(([127, 0, host, last], 0)))
                .unwrap()
                .local_addr()
                .unwrap()
        };
        let addresses = [address(1), address(2)];
        Self {
            directory,
            addresses,
        }
    }

    pub(crate) fn start(&self, name: &'static str) -> Node {
        self.start_with(name, str::to_owned)
    }

    /// With another configuration than usual.
    pub(crate) fn start_with(
        &self,
        name: &'static str,
        change: impl FnOnce(&str) -> String,
    ) -> Node {
        self.start_by(name, change, Command::new(std::env::current_exe().unwrap()))
    }

    /// By a command that executes this program.
    pub(crate) fn start_by(
        &self,
        name: &'static str,
        change: impl FnOnce(&str) -> String,
        mut command: Command,
    ) -> Node {
        let root = self.directory.path();
        let own = usize::from(name == "b");
        // The two nodes are of different kinds, and neither their guest nor their digests may tell.
        let engine = ["translator", "interpreter"][own];
        let other = ["b", "a"][own];
        let (listen, peer) = (self.addresses[own], self.addresses[1 - own]);
        let config = root.join(format!("{name}.toml"));
        let text = format!(
            r#"
            machine = {{ name = "counter", bios = "counter.bin", memory = "16M" }}
            node = {{ name = "{name}", listen = "{listen}", peers = ["{peer}"], accepts = ["{other}"], control = "{name}.sock", engine = "{engine}" }}
            keys = {{ authority = "keys/authority.pem", certificate = "keys/{name}.pem", key = "keys/{name}.key" }}
            arbiter = {{ directory = "arbiter" }}
            timeouts = {{ heartbeat_ms = 20, suspicion_ms = 300, arbiter_ms = 2000 }}
            "#
        );
        fs::write(&config, change(&text)).unwrap();
        let log = root.join(format!("{name}.log"));
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = command
            .args(["--exact", "pair::node_process", "--nocapture"])
            .env(NODE_CONFIG, &config)
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Node {
            name,
            control: root.join(format!("{name}.sock")),
            log,
            child,
        }
    }

    /// A protected pair, with its primary first.
    pub(crate) fn start_pair(&self) -> (Node, Node) {
        let a = self.start("a");
        a.wait("primary", |status| status.role == "primary");
        let b = self.start("b");
        protected(&a, &b);
        (a, b)
    }
}

pub(crate) fn protected(primary: &Node, backup: &Node) {
    primary.wait("protected", |status| {
        status.role == "primary" && status.flag == Some(0)
    });
    backup.wait("a backup", |status| {
        status.role == "backup" && status.transfer == "complete"
    });
}

/// Types once and expects the count to be `expected`.
pub(crate) fn count(console: &mut BufReader<UnixStream>, expected: u8) {
    console.get_mut().write_all(b"x").unwrap();
    let mut said = [0];
    console.read_exact(&mut said).unwrap();
    assert_eq!(said[0], expected);
}

/// The console of the node that has gone live, at its end: past what it may say again.
pub(crate) fn console_after(node: &Node, expected: u8) -> BufReader<UnixStream> {
    let mut console = node.console();
    console.get_mut().write_all(b"x").unwrap();
    let mut said = [0];
    while said[0] != expected {
        console.read_exact(&mut said).unwrap();
        assert!(
            said[0] <= expected,
            "counted to {}, {expected} was expected",
            said[0]
        );
    }
    console
}

/// Every thread of a running node is confined, and the hart's most of all.
fn check_confinement(node: &Node) {
    let sandbox = node.status().unwrap().sandbox;
    assert!(
        sandbox == "full" || sandbox.starts_with("partial: "),
        "{sandbox}"
    );
    let filters = filters_of(node.child.id());
    let of = |wanted: &str| filters.iter().find(|(name, _)| name == wanted).unwrap().1;
    let least = filters.iter().map(|(_, filters)| *filters).min().unwrap();
    assert!(sandbox != "full" || least > 0, "{filters:?}");
    assert!(sandbox != "full" || of("hart") > least, "{filters:?}");
}

#[test]
fn the_backup_goes_on_counting_when_the_primary_is_killed() {
    let site = Site::new(11);
    let (mut primary, mut backup) = site.start_pair();
    let mut expected = 0;
    for round in 0..3 {
        let mut console = if round == 0 {
            primary.console()
        } else {
            console_after(&primary, {
                expected += 1;
                expected
            })
        };
        for _ in 0..10 {
            expected += 1;
            count(&mut console, expected);
        }
        let name = primary.name;
        let epoch = primary.status().unwrap().epoch;
        let killed = Instant::now();
        primary.signal("-KILL");
        drop(primary);
        primary = backup;
        let status = primary.wait("the machine", |status| status.role == "primary");
        eprintln!(
            "round {round}: the backup is the machine after {:?}",
            killed.elapsed()
        );
        assert!(status.epoch > epoch);
        backup = site.start(name);
        protected(&primary, &backup);
    }
    for node in [&primary, &backup] {
        check_confinement(node);
    }
    let status = backup.wait("checked", |status| status.digests_compared > 0);
    assert_eq!(status.refused_peers, 0);
    // The operator takes the backup out; the machine goes on alone, then is switched off.
    control::stop(&backup.control, false).unwrap();
    assert_eq!(backup.wait_end(), 0);
    primary.wait("alone", |status| status.flag == Some(1));
    expected += 1;
    console_after(&primary, expected);
    control::power_off(&primary.control).unwrap();
    assert_eq!(primary.wait_end(), 0);
}

#[test]
fn a_paused_primary_that_wakes_up_ends_by_itself() {
    let site = Site::new(12);
    let (mut a, b) = site.start_pair();
    count(&mut a.console(), 1);
    a.signal("-STOP");
    b.wait("the machine", |status| status.role == "primary");
    console_after(&b, 2);
    a.signal("-CONT");
    assert_eq!(a.wait_end(), 3);
    console_after(&b, 3);
}

#[test]
fn without_the_arbiter_nothing_goes_live() {
    let site = Site::new(13);
    let (a, b) = site.start_pair();
    count(&mut a.console(), 1);
    let arbiter = site.directory.path().join("arbiter");
    let hidden = site.directory.path().join("hidden");
    fs::rename(&arbiter, &hidden).unwrap();
    a.signal("-KILL");
    b.wait("asking for the machine", |status| {
        status.suspects && !status.arbiter_reachable
    });
    let still = Instant::now();
    while still.elapsed() < Duration::from_secs(1) {
        assert_ne!(b.status().unwrap().role, "primary");
    }
    fs::rename(&hidden, &arbiter).unwrap();
    b.wait("the machine", |status| status.role == "primary");
    console_after(&b, 2);
}
