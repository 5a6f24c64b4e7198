//! What a user sees of a protected machine without asking for more: the log of its nodes, and the answers of `futago status`.

use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, by_way_of, futago};

/// `wfi`, `j -4`: a guest that does nothing, for ever.
const IDLE: [u8; 8] = 0xffdf_f06f_1050_0073_u64.to_le_bytes();

/// A directory with keys, a store, a guest, and a configuration for each of two nodes.
pub(crate) struct Site {
    directory: tempfile::TempDir,
    pub(crate) addresses: [SocketAddr; 2],
}

pub(crate) struct Node {
    pub(crate) child: Child,
    log: PathBuf,
    pub(crate) socket: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn succeeds(arguments: &[&str]) {
    let output = futago(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

impl Site {
    /// `host` makes the loopback addresses of the test its own.
    pub(crate) fn new(host: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        let keys = format!("{root}/keys");
        succeeds(&["keys", "--machine", "demo", "--directory", &keys, "a", "b"]);
        succeeds(&["arbiter", "init", &format!("{root}/arbiter")]);
        fs::write(directory.path().join("guest.bin"), IDLE).unwrap();
        let addresses = [1, 2].map(|last| {
            let socket = UdpSocket::bind(SocketAddr::from(([127, 1, host, last], 0)));
            socket.unwrap().local_addr().unwrap()
        });
        Self {
            directory,
            addresses,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn start(&self, name: &str) -> Node {
        self.start_with(name, str::to_owned)
    }

    /// Writes a node's configuration, which `change` makes of the usual one.
    pub(crate) fn configure(&self, name: &str, change: impl FnOnce(&str) -> String) -> PathBuf {
        let own = usize::from(name == "b");
        let (listen, peer) = (self.addresses[own], self.addresses[1 - own]);
        let other = ["b", "a"][own];
        let text = format!(
            r#"
            machine = {{ name = "demo", bios = "guest.bin", memory = "16M" }}
            node = {{ name = "{name}", listen = "{listen}", peers = ["{peer}"], accepts = ["{other}"], control = "{name}.sock", engine = "interpreter" }}
            keys = {{ authority = "keys/authority.pem", certificate = "keys/{name}.pem", key = "keys/{name}.key" }}
            arbiter = {{ directory = "arbiter" }}
            timeouts = {{ suspicion_ms = 1000 }}
            "#
        );
        let config = self.path().join(format!("{name}.toml"));
        fs::write(&config, change(&text)).unwrap();
        config
    }

    /// With another configuration than usual.
    pub(crate) fn start_with(&self, name: &str, change: impl FnOnce(&str) -> String) -> Node {
        self.start_by(name, &[], change)
    }

    /// By way of other programs that become it.
    pub(crate) fn start_by(
        &self,
        name: &str,
        before: &[&str],
        change: impl FnOnce(&str) -> String,
    ) -> Node {
        let config = self.configure(name, change);
        let log = self.path().join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let node = futago(&["node", "--config", config.to_str().unwrap()]);
        let mut command = by_way_of(before, &node);
        let child = command.env("NO_COLOR", "").stderr(file.unwrap());
        let child = child.spawn().unwrap();
        let socket = self.path().join(format!("{name}.sock"));
        Node {
            child,
            log,
            socket: socket.to_str().unwrap().to_owned(),
        }
    }

    /// A protected pair, a the primary.
    pub(crate) fn start_pair(&self) -> (Node, Node) {
        let a = self.start("a");
        a.tells("this node starts the machine");
        let b = self.start("b");
        a.tells("paired with b");
        b.tells("paired with a");
        (a, b)
    }
}

impl Node {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until its log says so.
    pub(crate) fn tells(&self, words: &str) {
        let begun = Instant::now();
        while !self.log().contains(words) {
            assert!(
                begun.elapsed() < PATIENCE,
                "`{words}` not in:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn status(&self, options: &[&str]) -> Output {
        futago(&[&["status", &self.socket][..], options].concat())
            .output()
            .unwrap()
    }

    /// Waits until `futago status` shows this, with whatever breaks between words.
    pub(crate) fn shows(&self, words: &str) {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.waits_for(words, &[], |said| one_line(said).contains(&one_line(words)));
    }

    pub(crate) fn shows_json(&self, words: &str) {
        self.waits_for(words, &["--json"], |said| said.contains(words));
    }

    pub(crate) fn waits_for(&self, words: &str, options: &[&str], is_said: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let said = String::from_utf8(self.status(options).stdout).unwrap();
            if is_said(&said) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "`{words}` not in:\n{said}{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "it does not end:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The lines of a log without their times, which all of them have.
fn lines(log: &str) -> Vec<String> {
    let untimed = |line: &str| {
        let (time, rest) = line.split_once(' ').unwrap_or(("", line));
        let is_time = time.ends_with('Z') && time.contains('T');
        // What a process says as its last word, no filter keeps back, and has none.
        assert!(is_time || line.starts_with("futago: "), "no time: {line}");
        if is_time { rest.trim_start() } else { line }.to_owned()
    };
    log.lines().map(untimed).collect()
}

#[test]
fn a_pair_tells_its_story_by_itself_with_names_and_each_event_once() {
    let site = Site::new(1);
    let (mut a, mut b) = site.start_pair();
    a.child.kill().unwrap();
    a.child.wait().unwrap();
    b.tells("this node is the machine now");
    // Although the connection to the process that was killed is not given up yet.
    b.shows("no other node is connected: start a");
    let a = {
        drop(a);
        site.start("a")
    };
    b.tells("paired with a: protected");
    a.tells("paired with b, whose backup this node is");
    b.tells("the connection to an earlier process of a is gone");
    let stopped = futago(&["stop", &a.socket]).output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    let mut a = a;
    assert_eq!(a.end(), Some(0));
    b.tells("a is gone: alone, not protected");
    let stopped = futago(&["stop", "--give-up", &b.socket]).output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(b.end(), Some(0));
    for (log, once) in [
        (
            a.log(),
            &[
                "INFO node a of the machine `demo` has started; it listens at 127.1.1.1:",
                "INFO this node starts the machine: alone, not protected (epoch 1); no other node is connected: start b",
                "INFO b is connected, at 127.1.1.2:",
                "INFO b joins: it is sent the machine's state",
                "INFO paired with b: protected (epoch 2)",
                "INFO b takes this node as its backup",
                "INFO paired with b, whose backup this node is: protected (epoch 4)",
                "INFO told to stop: this backup goes once its primary has gone on alone",
            ][..],
        ),
        (
            b.log(),
            &[
                "INFO a takes this node as its backup",
                "INFO paired with a, whose backup this node is: protected (epoch 2)",
                "INFO this node is the machine now, in the place of a: alone, not protected (epoch 3)",
                "INFO a joins: it is sent the machine's state",
                "INFO paired with a: protected (epoch 4)",
                "INFO a is gone: alone, not protected (epoch 5); start a",
                "WARN the machine is given up, as it was asked for",
            ],
        ),
    ] {
        assert!(!log.contains('\u{1b}'), "colours in a file: {log}");
        let lines = lines(&log);
        let mut from = 0;
        for words in once {
            let found = lines[from..]
                .iter()
                .position(|line| line.starts_with(words));
            from += found
                .unwrap_or_else(|| panic!("`{words}` is missing, or not in its place:\n{log}"))
                + 1;
        }
        for line in lines.iter().filter(|line| {
            !line.contains("connect")
                && !line.contains("has started")
                && !line.contains("stands still")
        }) {
            let times = lines.iter().filter(|other| *other == line).count();
            assert_eq!(times, 1, "`{line}` comes {times} times:\n{log}");
            let hex =
                |word: &str| word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(
                !line.split(|c: char| !c.is_alphanumeric()).any(hex),
                "an identity: {line}"
            );
        }
        assert!(log.ends_with(&format!("{}\n", log.lines().last().unwrap())));
    }
}

/// What `futago status` says, and its exit status.
fn asked(node: &Node, options: &[&str]) -> (Option<i32>, String) {
    let output = node.status(options);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn status_answers_the_one_question_by_its_first_line_and_its_exit_status() {
    let site = Site::new(2);
    let nobody = site.path().join("a.sock");
    let output = futago(&["status", nobody.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(12), "{output:?}");
    let mut a = site.start("a");
    // Also for a node that does not run yet.
    let (code, said) = asked(&a, &["--wait", "protected", "--for", "2"]);
    assert_eq!(code, Some(10), "{said}");
    assert!(said.starts_with("protected   NO (alone), for "), "{said}");
    assert!(
        said.contains("no other node is connected: start b"),
        "{said}"
    );
    let mut b = site.start("b");
    for node in [&a, &b] {
        let (code, said) = asked(node, &["--wait", "protected"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.starts_with("protected   yes"), "{said}");
        assert!(
            said.lines().all(|line| line.chars().count() <= 80),
            "{said}"
        );
    }
    let (_, json) = asked(&a, &["--json"]);
    for key in [
        r#""protected":true"#,
        r#""mode":"protected""#,
        r#""unprotected_for_s":null"#,
        r#""reason":null"#,
        r#""peer_name":"b""#,
    ] {
        assert!(json.contains(key), "{key} not in {json}");
    }
    a.signal("-STOP");
    let (code, said) = asked(&a, &[]);
    assert_eq!(code, Some(13), "{said}");
    assert!(
        said.contains(&format!("`kill -CONT {}`", a.child.id())),
        "{said}"
    );
    b.tells("in the place of a");
    b.child.kill().unwrap();
    b.child.wait().unwrap();
    drop(b);
    a.child.kill().unwrap();
    a.child.wait().unwrap();
    drop(a);
    let a = site.start("a");
    a.tells("waiting: b is the machine");
    let (code, said) = asked(&a, &[]);
    assert_eq!(code, Some(11), "{said}");
    assert!(said.starts_with("protected   NO (joining), for "), "{said}");
    let help = futago(&["status", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for code in ["   0  ", "  10  ", "  11  ", "  12  ", "  13  "] {
        assert!(help.contains(code), "{help}");
    }
    let usage = futago(&["status", "x", "--for", "1"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_level_of_the_log_that_is_none_is_refused() {
    for (filter, words) in [
        (
            "loud",
            "`loud` is no level: it is one of off, error, warn, info, debug, trace",
        ),
        ("nod=debug", "there is no module `nod`"),
    ] {
        let output = futago(&["--log", filter, "status", "x"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.starts_with("futago: ") && said.contains(words),
            "{said}"
        );
    }
}

/// A switch without a way out, in the background.
pub(crate) fn start_switch(site: &Site) -> Node {
    let socket = site.path().join("switch.sock");
    let socket = socket.to_str().unwrap().to_owned();
    let log = site.path().join("switch.log");
    let child = futago(&["switch", "--no-uplink", "--socket", &socket])
        .stderr(
            File::options()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap(),
        )
        .spawn()
        .unwrap();
    let switch = Node { child, log, socket };
    let begun = Instant::now();
    while UnixStream::connect(&switch.socket).is_err() {
        assert!(begun.elapsed() < PATIENCE, "{}", switch.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    switch
}

fn with_network(text: &str) -> String {
    text.replace("memory = ", "network = \"switch.sock\", memory = ")
}

#[test]
fn a_backup_says_whether_it_would_have_a_network() {
    let site = Site::new(3);
    let switch = start_switch(&site);
    let a = site.start_with("a", with_network);
    a.tells("the network is connected");
    let b = site.start_with("b", with_network);
    b.tells("paired with a");
    b.shows("network     would be connected if this node took over");
    b.shows_json(r#""network_ready":true"#);
    a.shows("network     connected");
    drop(switch);
    b.tells("the machine would have no network if this node took over");
    b.shows("network     would be MISSING if this node took over");
    b.shows_json(r#""network_ready":false"#);
    a.tells("the machine has no network; this is tried again");
    a.shows("network     NOT connected");
    let switch = start_switch(&site);
    b.tells("the machine would have a network again");
    a.shows("network     connected");
    // One that takes nothing keeps nobody waiting: the pair goes on.
    switch.signal("-STOP");
    let (code, said) = asked(&b, &[]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_pair_without_a_switch_says_so_on_both_sides() {
    let site = Site::new(8);
    let a = site.start_with("a", with_network);
    a.tells(
        "the machine has no network; this is tried again: cannot connect to the network socket",
    );
    let b = site.start_with("b", with_network);
    b.tells("the machine would have no network if this node took over: cannot connect to the network socket");
    b.shows("network     would be MISSING if this node took over: cannot connect");
}

#[test]
fn whom_the_switch_refuses_says_so() {
    let site = Site::new(4);
    let _switch = start_switch(&site);
    let a = site.start_with("a", with_network);
    a.tells("the network is connected");
    let b = site.start_with("b", with_network);
    a.tells("paired with b: protected (epoch 2)");
    b.tells("paired with a");
    drop(a);
    b.tells("the network is connected");
    drop(b);
    // An arbiter that is set up anew knows nothing of the epochs that the switch has seen.
    fs::remove_dir_all(site.path().join("arbiter")).unwrap();
    fs::remove_file(site.path().join("a.seen")).unwrap();
    succeeds(&[
        "arbiter",
        "init",
        site.path().join("arbiter").to_str().unwrap(),
    ]);
    let a = site.start_with("a", with_network);
    a.tells(
        "the machine has no network; this is tried again: a newer epoch of this machine has spoken",
    );
    a.shows("network     NOT connected: a newer epoch");
    a.shows_json(r#""network_problem":"a newer epoch"#);
}

#[test]
fn a_store_that_goes_away_and_comes_back_is_told_of() {
    let site = Site::new(5);
    let (a, b) = site.start_pair();
    let (store, hidden) = (site.path().join("arbiter"), site.path().join("hidden"));
    fs::rename(&store, &hidden).unwrap();
    for node in [&a, &b] {
        node.tells("the arbiter's store is away, so that a takeover, a new backup and going on alone are impossible");
        node.tells("not protected: ");
        let (code, said) = asked(node, &[]);
        assert_eq!(code, Some(10), "{said}");
        assert!(said.contains("store       AWAY for "), "{said}");
        node.shows("neither could go on alone now");
        node.shows_json(r#""store_away_s":"#);
    }
    fs::rename(&hidden, &store).unwrap();
    for node in [&a, &b] {
        node.tells("the arbiter's store answers again, after ");
        node.tells("protected again, with ");
        let (code, said) = asked(node, &["--wait", "protected"]);
        assert_eq!(code, Some(0), "{said}");
        node.shows_json(r#""store_away_s":null"#);
    }
    // A primary that dies while it is away is silent, and not merely unsure.
    fs::rename(&store, &hidden).unwrap();
    b.tells("and this node are a pair, but neither could go on alone now");
    a.signal("-KILL");
    b.tells(
        "a is silent, and this node cannot take over, since the arbiter's store does not answer: ",
    );
    let (code, said) = asked(&b, &[]);
    assert_eq!(code, Some(11), "{said}");
    fs::rename(&hidden, &store).unwrap();
    b.tells("this node is the machine now, in the place of a");
}

#[test]
fn a_wrong_address_and_a_state_that_is_gone_are_told_of() {
    let site = Site::new(6);
    let (listen, nobody) = (site.addresses[1], SocketAddr::from(([127, 1, 6, 9], 9)));
    let wrong = |text: &str| text.replace(&format!("[\"{listen}\"]"), &format!("[\"{nobody}\"]"));
    let a = site.start_with("a", wrong);
    a.tells("nobody answers at 127.1.6.9:9, which `node.peers` names");
    a.shows("nobody answers at 127.1.6.9:9");
    drop(a);
    let site = Site::new(7);
    let (a, b) = site.start_pair();
    for node in [&a, &b] {
        node.signal("-KILL");
    }
    drop((a, b));
    let (a, b) = (site.start("a"), site.start("b"));
    for node in [&a, &b] {
        node.tells("the machine's state is gone: it was last with a and b, in epoch 2, and their processes have ended; `futago arbiter recover ");
        node.shows("NO (joining)");
        node.shows("state is gone");
    }
}
