//! The README's words for a new user, run as they stand: two nodes, a guest that answers, the loss of one node, and the end.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, alone, by_way_of};

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

/// What runs a command in a network of its own, once it is set up; none where this user may not have one, as in some containers.
fn own_network(set_up: &str) -> Option<Vec<&str>> {
    let how = if is_root() { "-n" } else { "-rn" };
    let prefix = ["unshare", how, "sh", "-c", set_up, "sh"];
    let mut probe = Command::new(prefix[0]);
    probe.args(&prefix[1..]).arg("true").stderr(Stdio::null());
    let is_possible = probe.status().is_ok_and(|status| status.success());
    is_possible.then(|| prefix.to_vec())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A home with the program, a guest in its cache as a build leaves it there, and a fresh folder.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("bin")).unwrap();
        fs::create_dir(root.join("place")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_futago"), root.join("bin/futago")).unwrap();
        let options = guest::Options::new(guest::default_cache().unwrap());
        let image = guest::build(&options, &mut |_| {}).unwrap();
        let name = image.kernel.parent().unwrap().file_name().unwrap();
        let cache = root.join(".cache/futago/guest").join(name);
        image.copy_to(&cache).unwrap();
        Self { directory }
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    /// What a file has to say; nothing if there is none.
    fn read(&self, name: &str) -> String {
        let said = fs::read(self.root().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Everything that was said.
    fn said(&self) -> String {
        format!("{}{}", self.read("out"), self.read("err"))
    }

    /// Runs words by bash, in the fresh folder, by way of other programs. What is said is in the files `out` and `err`.
    fn run(&self, before: &[&str], words: &str) -> ExitStatus {
        let root = self.root();
        let script = root.join("words");
        fs::write(&script, format!("set -e\n{words}")).unwrap();
        let mut bash = Command::new("bash");
        bash.arg(&script);
        let path = std::env::var("PATH").unwrap();
        let file = |name: &str| File::create(root.join(name)).unwrap();
        let mut command = by_way_of(before, &bash);
        command
            .current_dir(root.join("place"))
            .env("HOME", root)
            .env("PATH", format!("{}:{path}", root.join("bin").display()))
            .env_remove("XDG_CACHE_HOME")
            .stdout(file("out"))
            .stderr(file("err"))
            .process_group(0);
        let mut shell = Shell(command.spawn().unwrap());
        let begun = Instant::now();
        loop {
            if let Some(status) = shell.0.try_wait().unwrap() {
                return status;
            }
            let said = || self.said();
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Runs the README's words, as the test's own user or as nobody.
fn check(as_nobody: bool) {
    let _alone = alone();
    let home = Home::new();
    let [first, second] = &blocks("Two hosts")[..] else {
        panic!("the README has two blocks for a new user");
    };
    // Without one, the words are run in the host's own network, and fail if their ports are taken.
    let mut before = own_network(NETWORK).unwrap_or_default();
    let nobody = NOBODY.to_string();
    if as_nobody && is_root() {
        let owner = format!("{nobody}:{nobody}");
        let mut chown = Command::new("chown");
        chown.args(["-R", &owner]).arg(home.root());
        assert!(chown.status().unwrap().success());
        let user = [
            "setpriv",
            "--reuid",
            &nobody,
            "--regid",
            &nobody,
            "--clear-groups",
        ];
        before.extend(user);
    }
    let status = home.run(&before, &format!("{first}{LOOK}{second}wait\n"));
    assert!(status.success(), "{status}:\n{}", home.said());

    // One connection, before and after the loss of the node that was the machine.
    let out = home.read("out");
    for words in [
        ":1\r\n",
        ":2\r\n",
        "protected   yes, by b",
        "protected   yes, by a",
    ] {
        assert_eq!(out.matches(words).count(), 1, "`{words}`:\n{}", home.said());
    }
    assert_eq!(home.read("place/pong"), "+PONG\r\n");
    for (status, mode) in [
        ("status-a", "role        primary"),
        ("status-b", "\"protected\":true"),
    ] {
        let text = home.read(&format!("place/{status}"));
        assert!(text.contains(mode), "{text}");
    }
    // The guest's redis has no password: it is for this host alone.
    let port = format!(":{:04X} ", 6379);
    let sockets = home.read("place/sockets");
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
    let err = home.read("err");
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

/// Two hosts: networks of their own with a line between them, directories of their own, and one store.
const TWO_HOSTS: &str = r#"
    unshare -n sleep infinity &
    beta=$!
    until [ "$(readlink /proc/$beta/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
    on_beta() { nsenter -t $beta -n "$@"; }
    ip link set lo up
    ip link add up0 type veth peer name up1
    ip link set up1 netns $beta
    ip address add 192.0.2.1/24 dev up0
    ip link set up0 up
    ip route add default via 192.0.2.254
    on_beta ip link set lo up
    on_beta ip address add 192.0.2.2/24 dev up1
    on_beta ip link set up1 up
    on_beta ip route add default via 192.0.2.254

    mkdir alpha beta beta/keys store home
    for host in alpha beta; do ln -s ../store $host/arbiter; done
    cd alpha
    futago guest build --output .
    futago keys --machine demo a b
    futago arbiter init arbiter
    futago node --example a > a.toml
    futago node --example b > ../beta/b.toml
    # The addresses are all that is edited.
    sed -i 's/127.0.0.1:7401/192.0.2.1:7401/; s/127.0.0.1:7402/192.0.2.2:7402/' a.toml ../beta/b.toml
    # What goes to a host, and what stays at home.
    cp kernel initrd ../beta
    cp keys/authority.pem keys/b.pem keys/b.key ../beta/keys
    mv keys/b.pem keys/b.key keys/authority.key ../home

    futago switch --socket switch.sock --forward 6379:6379 &
    futago node --config a.toml &
    until grep -s 'guest ready' a.console; do sleep 0.1; done
    (cd ../beta && exec nsenter -t $beta -n futago switch --socket switch.sock --forward 6379:6379) &
    (cd ../beta && exec nsenter -t $beta -n futago node --config b.toml) &
    futago status --wait protected a.sock
    exec 3<> /dev/tcp/127.0.0.1/6379
    echo INCR visits >&3; head -n 1 <&3

    kill -KILL %2 %3
    ip link set up0 down
    until futago status --json ../beta/b.sock | grep -q '"role":"primary"'; do sleep 0.1; done
    on_beta bash -c 'exec 3<> /dev/tcp/127.0.0.1/6379; echo INCR visits >&3; head -n 1 <&3'
    futago stop --power-off ../beta/b.sock
    kill %1 %4
    wait
"#;

#[test]
fn on_two_hosts_the_addresses_are_all_that_is_edited() {
    let _alone = alone();
    let home = Home::new();
    let Some(before) = own_network("exec \"$@\"") else {
        // One host, as this user may have, is tested above.
        return;
    };
    let status = home.run(&before, TWO_HOSTS);
    assert!(status.success(), "{status}:\n{}", home.said());
    // The guest's memory has come along.
    for words in [":1\r\n", ":2\r\n", "protected   yes, by b"] {
        assert!(
            home.read("out").contains(words),
            "`{words}`:\n{}",
            home.said()
        );
    }
}

#[test]
fn a_host_without_a_way_out_is_told_so() {
    let home = Home::new();
    let Some(before) = own_network("ip link set lo up && exec \"$@\"") else {
        return;
    };
    for sandbox in ["", "--no-sandbox"] {
        let switch = format!("exec futago switch --socket s --forward 6379:6379 {sandbox}\n");
        let status = home.run(&before, &switch);
        assert_eq!(status.code(), Some(1), "{}", home.said());
        let err = home.read("err");
        let words = "futago: the guest's way out, passt, takes the place of this host, which has no IPv4 address with a default route";
        assert!(err.starts_with(words) && err.lines().count() == 1, "{err}");
    }
}

#[test]
fn a_forward_is_reached_where_it_was_asked_for_and_nowhere_else() {
    let home = Home::new();
    let Some(before) = own_network(NETWORK) else {
        return;
    };
    let words = "futago switch --socket s --forward 6379:80 --forward 0.0.0.0/6380:80 --forward 192.0.2.1/6381:80 &\n\
                 until [ $(grep -c ' 0A ' /proc/net/tcp) = 3 ]; do kill -0 $!; sleep 0.05; done\n\
                 cat /proc/net/tcp /proc/net/tcp6\n\
                 kill $!; wait\n";
    let status = home.run(&before, words);
    assert!(status.success(), "{}", home.said());
    let out = home.read("out");
    let listening = out.lines().filter(|line| line.contains(" 0A ")).count();
    for address in ["0100007F:18EB", "00000000:18EC", "010200C0:18ED"] {
        assert!(
            listening == 3 && out.contains(&format!(": {address} ")),
            "{out}"
        );
    }
}
