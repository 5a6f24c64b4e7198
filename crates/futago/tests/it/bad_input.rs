//! Whatever is wrong with what the user gives: one sentence that says what and where, and an exit status that is not 0.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::process::futago;

/// Runs `futago` and expects it to fail with one sentence that holds all of `words`.
pub(crate) fn check(arguments: &[&str], words: &[&str]) {
    let said = fails(&[], arguments);
    for word in words {
        assert!(
            said.contains(word),
            "{arguments:?}: `{word}` is not in: {said}"
        );
    }
}

/// Runs `futago`, by way of other programs that start it, and expects it to fail with one sentence.
pub(crate) fn fails(before: &[&str], arguments: &[&str]) -> String {
    let output = run(before, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(
        code.is_some_and(|code| code != 0 && code != 101 && code < 124),
        "{before:?} {arguments:?}: {code:?}, {said}"
    );
    let sentence = said
        .strip_prefix("futago: ")
        .unwrap_or_else(|| panic!("{before:?} {arguments:?}: {said}"));
    assert_eq!(
        sentence.trim_end().lines().count(),
        1,
        "{before:?} {arguments:?}: {said}"
    );
    sentence.to_owned()
}

/// Runs `futago` to its end, by way of other programs that start it.
pub(crate) fn run(before: &[&str], arguments: &[&str]) -> Output {
    let program = futago(arguments);
    Command::new("timeout")
        .arg("60")
        .args(before)
        .arg(program.get_program())
        .args(program.get_args())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Files of a test: one that is text, and a guest in machine code that powers off at once.
pub(crate) struct Files {
    directory: tempfile::TempDir,
}

/// lui t0, 0x100; lui t1, 5; addi t1, t1, 0x555; sw t1, 0(t0): the finisher device's word for power-off.
const POWER_OFF: [u32; 4] = [0x0010_02b7, 0x0000_5337, 0x5553_0313, 0x0062_a023];

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Self { directory };
        fs::write(files.path("text"), "no kernel\n").unwrap();
        let code: Vec<u8> = POWER_OFF
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        fs::write(files.path("off.bin"), code).unwrap();
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

#[test]
fn records() {
    let files = Files::new();
    let (off, record) = (files.text("off.bin"), files.text("record"));
    let made = futago(&["record", &record, "--bios", &off]).status();
    assert!(made.unwrap().success());
    // What fails late leaves nothing behind that would keep the next attempt from working.
    let nowhere = ["--net", &format!("stream:{}", files.text("nowhere"))];
    let new = files.text("new");
    let fails_late = [&["record", &new, "--bios", &off][..], &nowhere].concat();
    for _ in 0..2 {
        check(&fails_late, &["cannot connect"]);
    }
    let replay = futago(&["replay", &record, "--verify"]).output().unwrap();
    assert!(replay.status.success(), "{replay:?}");
    let bytes = fs::read(&record).unwrap();
    let damaged = files.path("damaged");
    for length in [0, 5, 20, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&damaged, &bytes[..length]).unwrap();
        check(
            &["replay", damaged.to_str().unwrap()],
            &[&format!("ends at offset {length}")],
        );
    }
    for at in [20, bytes.len() / 2, bytes.len() - 5] {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        fs::write(&damaged, changed).unwrap();
        check(&["replay", damaged.to_str().unwrap()], &["offset"]);
    }
}

#[test]
fn a_recovery_that_nobody_confirms_changes_nothing() {
    let files = Files::new();
    let path = files.text("store");
    let run = |arguments: &[&str]| {
        let output = futago(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["arbiter", "init", &path]);
    run(&["arbiter", "recover", &path, "m", "--beyond", "4"]);
    let shown = run(&["arbiter", "show", "--json", &path, "m"]);
    assert!(shown.contains("\"mode\":\"none\""), "{shown}");
    let said = run(&["arbiter", "recover", "--yes", &path, "m", "--beyond", "4"]);
    assert!(
        said.contains("epoch       5") && said.contains("down"),
        "{said}"
    );
}

/// A configuration that works, but for what a test changes.
pub(crate) fn configuration(files: &Files) -> String {
    let keys = files.text("keys");
    assert!(
        futago(&["keys", "--directory", &keys, "--machine", "m", "a"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let arbiter = files.text("arbiter");
    let init = futago(&["arbiter", "init", &arbiter]).output().unwrap();
    assert!(init.status.success());
    fs::create_dir(files.path("empty")).unwrap();
    "[machine]\nname = \"m\"\nbios = \"off.bin\"\nmemory = \"16M\"\n\
     [node]\nname = \"a\"\nlisten = \"127.0.0.1:0\"\ncontrol = \"a.sock\"\n\
     [keys]\nauthority = \"keys/authority.pem\"\ncertificate = \"keys/a.pem\"\nkey = \"keys/a.key\"\n\
     [arbiter]\ndirectory = \"arbiter\"\n"
        .to_owned()
}

#[test]
fn forwards_that_the_host_cannot_have() {
    let files = Files::new();
    let socket = files.text("switch.sock");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("{}:80", taken.local_addr().unwrap().port());
    for sandbox in [&[][..], &["--no-sandbox"]] {
        let switch = |forwards: &[&str], words: &[&str]| {
            let socket = ["switch", "--socket", &socket];
            check(&[&socket, forwards, sandbox].concat(), words);
        };
        // It is said by us, before passt has anything to say.
        switch(
            &["--forward", &taken],
            &["cannot forward 127.0.0.1/", "another program uses port"],
        );
        switch(
            &["--forward", "192.0.2.99/7000:80"],
            &["192.0.2.99 is no address of this host"],
        );
        switch(
            &["--forward", "7000:80", "--forward", "0.0.0.0/7000:81"],
            &["cannot forward 0.0.0.0/7000:81 beside 127.0.0.1/7000:80"],
        );
    }
}
