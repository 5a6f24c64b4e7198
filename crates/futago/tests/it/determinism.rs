//! The heart of the matter: what a Debian guest did under network load can be repeated, bit for bit, by a replay from the
//! beginning, by one from the middle, and by an engine that works in another way.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, Process, alone, futago};

/// The load goes on for so long at least, so that snapshots are taken in its midst.
const LOAD: Duration = Duration::from_secs(5);
const INCREMENTS_MIN: u64 = 500;

/// Records a boot under an engine, then redis under load; ends it while redis still holds connections. Returns what it said.
fn record(directory: &Path, file: &str, engine: &str, time: Duration) -> String {
    let image = guest::build(
        &guest::Options::new(guest::default_cache().unwrap()),
        &mut |_| {},
    )
    .unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let socket = directory.join("switch.sock");
    let forward = format!("127.0.0.1/{port}:6379");
    let mut switch = Process::start(
        &[
            "switch",
            "--socket",
            socket.to_str().unwrap(),
            "--forward",
            &forward,
        ],
        directory,
    );
    switch.wait_until("the switch listens", |_| socket.exists());
    let network = guest::Network::Static {
        address: [10, 0, 2, 15].into(),
        prefix: 24,
        gateway: Some([10, 0, 2, 2].into()),
    };
    let append = guest::command_line(network, true);
    let net = format!("stream:{}", socket.display());
    let (kernel, initrd) = (
        image.kernel.to_str().unwrap(),
        image.initrd.to_str().unwrap(),
    );
    let machine = [
        "--kernel", kernel, "--initrd", initrd, "--append", &append, "--net", &net,
    ];
    let how = [
        "--snapshot-every",
        "1",
        "--digest-every",
        "10000000",
        "--engine",
        engine,
    ];
    let mut recording =
        Process::start(&[&["record", file][..], &machine, &how].concat(), directory);
    recording.wait_until("the guest is ready", |process| {
        process.out().contains(guest::READY)
    });
    let connection = load(port, time);
    let (status, recording) = recording.terminate();
    drop(connection);
    assert!(status.success(), "{}", recording.err());
    recording.err()
}

/// Increments one number by one connection, with large values by another in between.
fn load(port: u16, time: Duration) -> [TcpStream; 2] {
    let connect = || {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        (stream, reader)
    };
    let (mut counter, mut counts) = connect();
    let (mut store, mut answers) = connect();
    let value = "x".repeat(20_000);
    let begun = Instant::now();
    let mut line = String::new();
    let mut count = 0;
    while count < INCREMENTS_MIN || begun.elapsed() < time {
        count += 1;
        counter.write_all(b"INCR counter\r\n").unwrap();
        line.clear();
        counts.read_line(&mut line).unwrap();
        assert_eq!(line, format!(":{count}\r\n"));
        if count % 20 == 0 {
            let key = count % 400;
            write!(store, "SET key{key} {value}\r\nSTRLEN key{key}\r\n").unwrap();
            line.clear();
            answers.read_line(&mut line).unwrap();
            answers.read_line(&mut line).unwrap();
            assert_eq!(line, format!("+OK\r\n:{}\r\n", value.len()));
        }
    }
    [counter, store]
}

/// What is said behind a word.
fn said<'a>(text: &'a str, word: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.unwrap_or_else(|| panic!("`{word}` is missing in: {text}"))
        .trim()
}

/// Replays, and returns how many digests and snapshots were equal.
fn check_replay(file: &str, more: &[&str], state: &str) -> (u64, u64) {
    let output = futago(&[&["replay", file, "--verify"][..], more].concat())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let explain = || {
        format!(
            "{more:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        )
    };
    assert!(output.status.success(), "{}", explain());
    assert_eq!(said(&text, "verdict"), "equal", "{}", explain());
    assert_eq!(said(&text, "final state"), state, "{}", explain());
    let number = |word| {
        said(&text, word)
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    (number("digests"), number("snapshots"))
}

/// Records under an engine; returns the file, what the final state is, and how many snapshots there are.
fn record_under(engine: &str, load: Duration, directory: &Path) -> (String, String, u64) {
    let file = directory.join("record");
    let file = file.to_str().unwrap();
    let recorded = record(directory, file, engine, load);
    assert_eq!(said(&recorded, "engine"), engine);
    let snapshots = said(&recorded, "entries").rsplit(' ').nth(1).unwrap();
    let state = said(&recorded, "final state");
    (
        file.to_owned(),
        state.to_owned(),
        snapshots.parse().unwrap(),
    )
}

#[test]
fn a_debian_guest_under_network_load_is_repeated_exactly_by_either_engine() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let (file, state, snapshots) = record_under("translator", LOAD, directory.path());
    assert!(snapshots >= 4, "{snapshots}");
    let check = |more: &[&str]| check_replay(&file, more, &state);

    let (digests, compared) = check(&["--engine", "translator"]);
    assert!(digests >= 50, "{digests}");
    assert_eq!(compared, snapshots - 1);
    assert_eq!(check(&["--engine", "interpreter"]), (digests, compared));
    let midway = (snapshots / 2).to_string();
    let (some, _) = check(&["--engine", "translator", "--from-snapshot", &midway]);
    assert!(some < digests);
    // Within the load, since it takes longer.
    let late = (snapshots - 2).to_string();
    let plain = ["--engine", "interpreter", "--block-cache", "off"];
    check(&[&plain[..], &["--from-snapshot", &late]].concat());
}

#[test]
fn what_the_interpreter_recorded_is_repeated_exactly_by_the_translator() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let (file, state, snapshots) = record_under("interpreter", LOAD / 3, directory.path());
    // A cache so small that code is given up again and again.
    for cache in ["256M", "4M"] {
        let translator = ["--engine", "translator", "--code-cache", cache];
        let (digests, compared) = check_replay(&file, &translator, &state);
        assert!(digests >= 50, "{digests}");
        assert_eq!(compared, snapshots - 1);
    }
}
