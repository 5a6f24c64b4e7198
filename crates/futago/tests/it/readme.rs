//! The README's words for a new user, run as they stand: two nodes, a guest that answers, the loss of one node, and the end.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, alone};

/// A user and group that own nothing.
const NOBODY: u32 = 65534;

/// A host's network of the test's own, whose ports are all free: with an interface, since passt takes one as its example.
const NETWORK: &str = "\
    ip link set lo up && ip link add up0 type veth peer name up1 && ip link set up1 up && ip link set up0 up && \
    ip address add 192.0.2.1/24 dev up0 && ip route add default via 192.0.2.254 && exec \"$@\"";

/// Between the README's two blocks: another client, and who can reach the guest.
const LOOK: &str = "\
    exec 4<> /dev/tcp/127.0.0.1/6379; echo PING >&4; head -n 1 <&4 > pong; exec 4>&-\n\
    cat /proc/net/tcp /proc/net/tcp6 > sockets\n\
    futago status a.sock > status-a; futago status --json b.sock > status-b\n";

/// The lines of the blocks of shell commands under a heading, block by block.
fn blocks(heading: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fenced = section.split("```bash\n").skip(1);
    let block = |rest: &str| rest.split("```").next().unwrap().to_owned();
    fenced.map(block).collect()
}

/// A shell with everything that it starts.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        // All are in its process group, which is gone if they have ended by themselves.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.0.wait();
    }
}

/// What runs a command in a network of its own; nothing where this user may not have one, as in some containers.
fn own_network(is_root: bool) -> Vec<&'static str> {
    let prefix = [
        "unshare",
        if is_root { "-n" } else { "-rn" },
        "sh",
        "-c",
        NETWORK,
        "sh",
    ];
    let mut probe = Command::new(prefix[0]);
    probe.args(&prefix[1..]).arg("true").stderr(Stdio::null());
    match probe.status() {
        Ok(status) if status.success() => prefix.to_vec(),
        // The words are run in the host's own network, and fail if their ports are taken.
        _ => Vec::new(),
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Runs the README's words, as the test's own user or as nobody.
fn check(as_nobody: bool) {
    let _alone = alone();
    let is_root = is_root();
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    let place = root.join("place");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir(&place).unwrap();
    // The program, and the guest as a cache has it, where that user can read them.
    fs::copy(env!("CARGO_BIN_EXE_futago"), root.join("bin/futago")).unwrap();
    let options = guest::Options::new(guest::default_cache().unwrap());
    let image = guest::build(&options, &mut |_| {}).unwrap();
    let cached = image.kernel.parent().unwrap();
    let cache = root
        .join(".cache/futago/guest")
        .join(cached.file_name().unwrap());
    image.copy_to(&cache).unwrap();

    let [first, second] = &blocks("Two hosts")[..] else {
        panic!("the README has two blocks for a new user");
    };
    let script = root.join("words");
    fs::write(&script, format!("set -e\n{first}{LOOK}{second}wait\n")).unwrap();
    let mut words = own_network(is_root);
    let nobody = NOBODY.to_string();
    if as_nobody && is_root {
        let owner = format!("{nobody}:{nobody}");
        let mut chown = Command::new("chown");
        chown.args(["-R", &owner]).arg(root);
        assert!(chown.status().unwrap().success());
        let user = [
            "setpriv",
            "--reuid",
            &nobody,
            "--regid",
            &nobody,
            "--clear-groups",
        ];
        words.extend(user);
    }
    words.push("bash");
    let path = std::env::var("PATH").unwrap();
    let file = |name: &str| File::create(root.join(name)).unwrap();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .arg(&script)
        .current_dir(&place)
        .env("HOME", root)
        .env("PATH", format!("{}:{path}", root.join("bin").display()))
        .env_remove("XDG_CACHE_HOME")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(file("out"))
        .stderr(file("err"))
        .process_group(0);
    let mut shell = Shell(command.spawn().unwrap());
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let said = || format!("{}{}", read(&root.join("out")), read(&root.join("err")));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = shell.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", said());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}:\n{}", said());

    // One connection, before and after the loss of the node that was the machine.
    let out = read(&root.join("out"));
    for words in [
        ":1\r\n",
        ":2\r\n",
        "protected   yes, by b",
        "protected   yes, by a",
    ] {
        assert_eq!(out.matches(words).count(), 1, "`{words}`:\n{}", said());
    }
    assert_eq!(read(&place.join("pong")), "+PONG\r\n");
    for (status, mode) in [
        ("status-a", "role        primary"),
        ("status-b", "\"protected\":true"),
    ] {
        let text = read(&place.join(status));
        assert!(text.contains(mode), "{text}");
    }
    // The guest's redis has no password: it is for this host alone.
    let port = format!(":{:04X} ", 6379);
    let sockets = read(&place.join("sockets"));
    let listens = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let is_there = words
            .next()
            .is_some_and(|own| format!("{own} ").ends_with(&port));
        // The state, after the address of the other side, is TCP_LISTEN.
        is_there && words.nth(1) == Some("0A")
    };
    let listening: Vec<_> = sockets.lines().filter(listens).collect();
    assert!(
        listening.len() == 1 && listening[0].contains(" 0100007F:18EB "),
        "{sockets}"
    );
    let err = read(&root.join("err"));
    assert!(!err.contains("was closed: the connection broke"), "{err}");
    assert_eq!(
        err.matches("the machine is switched off").count(),
        3,
        "{err}"
    );
}

#[test]
fn the_readmes_words_work_as_they_stand() {
    check(false);
}

/// Where the tests are not run by root, that user is the one.
#[test]
fn the_readmes_words_need_no_privileges() {
    check(true);
}
