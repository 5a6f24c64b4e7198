//! The guest's console on its way out of a node: to its file, and to whoever is attached.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, Process, futago};
use crate::seen::{Node, Site, start_switch};

/// `lui t0, 0x10000; li t1, 'x'; sb t1, (t0); j -4`: a guest that says as much as it can, for ever.
const CHATTERS: [u32; 4] = [0x1000_02b7, 0x0780_0313, 0x0062_8023, 0xffdf_f06f];

/// The same but for `wfi; j -4`: a guest that says one letter, and waits for ever.
const GREETER: [u32; 5] = [
    0x1000_02b7,
    0x0780_0313,
    0x0062_8023,
    0x1050_0073,
    0xffdf_f06f,
];

/// Writes a guest of raw instructions beside the configurations.
fn write_guest(site: &Site, name: &str, code: &[u32]) {
    let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(site.path().join(name), bytes).unwrap();
}

#[test]
fn a_console_file_has_a_bound_under_a_guest_that_floods_it() {
    let site = Site::new(20);
    write_guest(&site, "chatter.bin", &CHATTERS);
    let a = site.start_with("a", |text| {
        text.replace("guest.bin", "chatter.bin").replace(
            "engine =",
            "console = \"a.console\", console_size = \"1M\", engine =",
        )
    });
    a.waits_for("console_file_rotated_bytes", &["--json"], |said| {
        !said.contains(r#""console_file_rotated_bytes":0"#)
            && said.contains(r#""console_file_bytes":0"#)
    });
    a.shows("of its file gave way to newer ones");
    let sizes = || {
        ["a.console", "a.console.1"].map(|name| {
            let file = fs::metadata(site.path().join(name));
            file.unwrap().len()
        })
    };
    assert!(
        sizes().iter().all(|size| *size <= 512 << 10),
        "{:?}",
        sizes()
    );
    // It is confined, and could rotate all the same.
    a.shows_json(r#""sandbox":"full""#);
}

/// For each byte typed at its serial port, this says the next number, as one byte.
const COUNTER: [u32; 8] = [
    0x1000_02b7, // lui t0, 0x10000
    0x0052_c303, // lbu t1, 5(t0)
    0x0013_7313, // andi t1, t1, 1
    0xfe03_0ce3, // beqz t1, -8
    0x0002_c303, // lbu t1, 0(t0)
    0x0014_0413, // addi s0, s0, 1
    0x0082_8023, // sb s0, 0(t0)
    0xfe9f_f06f, // j -24
];

/// `futago console`, with `typed` piped in; the pipe is closed only where `ends`.
fn attach(node: &Node, typed: &[u8], ends: bool) -> (Child, Option<ChildStdin>) {
    let mut console = futago(&["console", &node.socket])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = console.stdin.take().unwrap();
    keys.write_all(typed).unwrap();
    (console, (!ends).then_some(keys))
}

/// How a session ended, what the guest said in it, and what the program said.
fn end_of(console: Child) -> (Option<i32>, Vec<u8>, String) {
    let output = console.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), output.stdout, said)
}

#[test]
fn a_session_says_what_it_is_attached_to_and_how_it_ended() {
    let site = Site::new(29);
    write_guest(&site, "counter.bin", &COUNTER);
    let start = |name: &str| site.start_with(name, |text| text.replace("guest.bin", "counter.bin"));
    let a = start("a");
    a.tells("this node starts the machine");
    let b = start("b");
    a.tells("paired with b");
    b.tells("paired with a");
    // At the machine: all is typed, and the guest's answer is shown.
    let (console, _) = attach(&a, b"xyz", true);
    assert_eq!(end_of(console), (Some(0), vec![1, 2, 3], String::new()));
    // At its backup, nothing is.
    let (console, _) = attach(&b, b"xyz", true);
    let (code, guest, said) = end_of(console);
    assert_eq!((code, guest), (Some(1), Vec::new()), "{said}");
    let words = "futago: node b is the backup of a: the guest's console is at a's socket.";
    assert!(said.starts_with(words), "{said}");
    assert!(
        said.ends_with("futago: nothing of what is piped in was typed\n"),
        "{said}"
    );
    // Nor at any time later, but the session goes on with whoever becomes the machine.
    let (mut at_b, keys) = attach(&b, b"", false);
    let (mut at_a, _keys) = attach(&a, b"", false);
    let mut before = [0; 3];
    at_a.stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut before)
        .unwrap();
    assert_eq!(before, [1, 2, 3], "what the guest said last");
    let mut words = [0; 32];
    at_b.stderr
        .as_mut()
        .unwrap()
        .read_exact(&mut words)
        .unwrap();
    a.signal("-KILL");
    let (code, _, said) = end_of(at_a);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(said, "futago: the node's process is gone, without a word\n");
    b.shows_json(r#""role":"primary""#);
    let mut keys = keys.unwrap();
    keys.write_all(b"x").unwrap();
    let mut guest = [0];
    at_b.stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut guest)
        .unwrap();
    assert_eq!(guest, [4]);
    // A node that ends in good order.
    let stopped = futago(&["stop", "--power-off", &b.socket])
        .output()
        .unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    let (code, _, said) = end_of(at_b);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.trim_end().ends_with("b.sock has ended"), "{said}");
}

#[test]
fn a_socket_that_was_removed_is_made_again() {
    let site = Site::new(30);
    let switch = start_switch(&site);
    let a = site.start_with("a", |text| {
        text.replace("memory = ", "network = \"switch.sock\", memory = ")
            .replace("control = ", "control_look = \"a.look\", control = ")
    });
    a.tells("the network is connected");
    a.shows_json(r#""sandbox":"full""#);
    let look = site.path().join("a.look");
    for socket in [a.socket.as_ref(), switch.socket.as_ref(), look.as_path()] {
        fs::remove_file(socket).unwrap();
    }
    for (node, socket) in [(&a, "a.sock"), (&a, "a.look"), (&switch, "switch.sock")] {
        node.tells(&format!("{socket} was removed, and is made again"));
    }
    a.shows_json(r#""network_connected":true"#);
    UnixStream::connect(&switch.socket).unwrap();
    assert!(
        futago(&["status", look.to_str().unwrap()])
            .output()
            .unwrap()
            .status
            .code()
            == Some(10)
    );
}

/// Waits until a process has taken SIGHUP for itself, and sends it.
fn hang_up(pid: u32) {
    let begun = Instant::now();
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        // The first bit is that of signal 1.
        if caught & 1 != 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "SIGHUP would end it");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = Command::new("kill")
        .args(["-HUP", &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_closed_terminal_ends_nothing() {
    let site = Site::new(31);
    let bios = site.path().join("guest.bin");
    let record = site.path().join("record");
    let bios = ["--memory", "16M", "--bios", bios.to_str().unwrap()];
    for command in [&["run"][..], &["record", record.to_str().unwrap()]] {
        let process = Process::start(&[command, &bios].concat(), site.path());
        hang_up(process.id());
        let (status, process) = process.terminate();
        assert_eq!(status.code(), Some(0), "{}", process.err());
    }
    let mut switch = start_switch(&site);
    hang_up(switch.child.id());
    switch.signal("-TERM");
    assert_eq!(switch.end(), Some(0));
}

#[test]
fn a_machine_alone_says_that_its_network_is_gone_and_back() {
    let site = Site::new(32);
    let switch = start_switch(&site);
    let net = format!("stream:{}", switch.socket);
    write_guest(&site, "greeter.bin", &GREETER);
    let bios = site.path().join("greeter.bin");
    let mut guest = Process::start(
        &[
            "run",
            "--memory",
            "16M",
            "--bios",
            bios.to_str().unwrap(),
            "--net",
            &net,
        ],
        site.path(),
    );
    guest.wait_until("it runs", |guest| guest.out() == "x");
    switch.signal("-KILL");
    drop(switch);
    guest.wait_until("the loss", |guest| {
        guest.err().contains("the network is gone: ")
    });
    let _switch = start_switch(&site);
    guest.wait_until("the return", |guest| {
        guest.err().contains("the network is back")
    });
    let (status, guest) = guest.terminate();
    assert!(status.success(), "{}", guest.err());
}
