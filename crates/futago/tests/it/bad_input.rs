//! Whatever is wrong with what the user gives: one sentence that says what and where, and an exit status that is not 0.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
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

/// Runs `futago` with options that do not go, or do not go together.
fn misused(arguments: &[&str], words: &str) {
    let output = run(&[], arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?}: {said}");
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
fn machines() {
    let files = Files::new();
    let (none, text, off) = (
        files.text("none"),
        files.text("text"),
        files.text("off.bin"),
    );
    check(&["run"], &["--kernel"]);
    check(
        &["run", "--kernel", &none],
        &["cannot read the kernel", &none, "No such file"],
    );
    check(
        &["run", "--kernel", &text],
        &["kernel is neither a RISC-V Linux Image nor an ELF"],
    );
    check(
        &["run", "--bios", &none],
        &["cannot read the firmware", &none],
    );
    check(
        &["run", "--bios", &off, "--initrd", &none],
        &["cannot read the initial RAM disk", &none],
    );
    let dtb = ["run", "--bios", &off, "--dtb", &text];
    check(&dtb, &[&text, "the device tree cannot be used", "magic"]);
    assert_eq!(fails(&[], &dtb).matches("magic").count(), 1);
    misused(
        &["run", "--bios", &off, "--memory", "100000001"],
        "a number without a letter counts MiB",
    );
    check(
        &["run", "--bios", &off, "--drive", &none],
        &["disks are not supported yet", &none],
    );
    check(
        &["run", "--bios", &off, "--net", "tap:t0"],
        &["TAP devices are not supported yet", "tap:t0"],
    );
    let socket = format!("stream:{none}");
    check(
        &["run", "--bios", &off, "--net", &socket],
        &["cannot connect", &none],
    );
    check(
        &["run", "--bios", &off, "--block-cache", "off"],
        &["--block-cache is the interpreter's"],
    );
    check(
        &[
            "run",
            "--bios",
            &off,
            "--engine",
            "translator",
            "--block-cache",
            "on",
        ],
        &["--block-cache is the interpreter's"],
    );
    check(
        &[
            "run",
            "--bios",
            &off,
            "--engine",
            "interpreter",
            "--code-cache",
            "64M",
        ],
        &["--code-cache is the translator's"],
    );
    check(
        &["demo", "--engine", "translator,interpreter,translator"],
        &["more than two engines"],
    );
    check(
        &["run", "--bios", &off, "--signature", &none],
        &["--signature", "begin_signature"],
    );
    check(&["swap", &none], &["not built yet"]);
    let big = files.path("big");
    fs::File::create(&big).unwrap().set_len(15 << 20).unwrap();
    let big = big.to_str().unwrap();
    check(
        &["run", "--memory", "16M", "--bios", &off, "--initrd", big],
        &["too large", "are free"],
    );
}

#[test]
fn records() {
    let files = Files::new();
    let (text, off, record) = (
        files.text("text"),
        files.text("off.bin"),
        files.text("record"),
    );
    check(
        &["record", "/dev/full", "--bios", &off],
        &["cannot write the record /dev/full", "No space left"],
    );
    check(
        &["record", &files.text("none/record"), "--bios", &off],
        &["cannot create the record"],
    );
    check(
        &["replay", &files.text("none")],
        &["cannot replay", "No such file"],
    );
    check(&["replay", &text], &["no Futago record"]);

    assert!(
        futago(&["record", &record, "--bios", &off])
            .status()
            .unwrap()
            .success()
    );
    check(
        &["record", &record, "--bios", &off],
        &[&record, "exists already", "not overwritten"],
    );
    let nowhere = ["--net", &format!("stream:{}", files.text("nowhere"))];
    let new = files.text("new");
    let fails_late = [&["record", &new, "--bios", &off][..], &nowhere].concat();
    for _ in 0..2 {
        check(&fails_late, &["cannot connect"]);
    }
    let replay = futago(&["replay", &record, "--verify"]).output().unwrap();
    assert!(replay.status.success(), "{replay:?}");
    check(
        &["replay", &record, "--from-snapshot", "7"],
        &["no snapshot 7"],
    );
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
fn arbiters() {
    let files = Files::new();
    let path = files.text("store");
    let run = |arguments: &[&str]| futago(arguments).output().unwrap();
    check(&["arbiter", "show", &path, "m"], &["store", "mounted"]);
    assert!(run(&["arbiter", "init", &path]).status.success());
    check(
        &["arbiter", "init", &path],
        &["already", "nothing was changed"],
    );
    let shown = run(&["arbiter", "show", "--json", &path, "m"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("\"mode\":\"none\""));
    check(
        &["arbiter", "recover", "--yes", &path, "m"],
        &["nothing to recover"],
    );
    // Nobody answers: it has said what would be given up, and gives up nothing.
    let asked = futago(&["arbiter", "recover", &path, "m", "--beyond", "4"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&asked.stderr);
    let last = said.lines().last().unwrap_or_default();
    assert!(
        !asked.status.success() && last.starts_with("futago: nothing was changed"),
        "{said}"
    );
    assert!(said.contains("gives up everything"), "{said}");
    let shown = run(&["arbiter", "show", "--json", &path, "m"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("\"mode\":\"none\""));
    let recovered = run(&["arbiter", "recover", "--yes", &path, "m", "--beyond", "4"]);
    assert!(recovered.status.success());
    let said = String::from_utf8_lossy(&recovered.stdout);
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

fn check_node(files: &Files, text: &str, from: &str, to: &str, words: &[&str]) {
    assert!(text.contains(from), "{from}");
    let path = files.path("node.toml");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    check(&["node", "--config", path.to_str().unwrap()], words);
}

#[test]
fn nodes() {
    let files = Files::new();
    let text = configuration(&files);
    let check = |from: &str, to: &str, words: &[&str]| check_node(&files, &text, from, to, words);
    check("bios =", "bois =", &["bois", "unknown field", "line 3"]);
    check(
        "off.bin",
        "missing.bin",
        &["cannot read the firmware", "missing.bin"],
    );
    check(
        "bios = \"off.bin\"",
        "kernel = \"text\"",
        &["neither a RISC-V Linux Image nor an ELF"],
    );
    check("keys/a.pem", "keys/b.pem", &["certificate", "keys/b.pem"]);
    check("keys/a.pem", "text", &["certificate", "text"]);
    check("keys/a.key", "text", &["key", "text"]);
    check(
        "keys/authority.pem",
        "text",
        &["holds no certificate", "text"],
    );
    check(
        "directory = \"arbiter\"",
        "directory = \"missing\"",
        &["arbiter", "missing"],
    );
    check(
        "directory = \"arbiter\"",
        "directory = \"empty\"",
        &["empty", "has no identity", "futago arbiter init"],
    );
    check(
        "[keys]",
        "seen = \"none/a.seen\"\n[keys]",
        &["none/a.seen", "has seen of the arbiter"],
    );
    check(
        "directory = \"arbiter\"",
        "directory = \"text\"",
        &["arbiter", "text"],
    );
    check(
        "control = \"a.sock\"",
        "control = \"none/a.sock\"",
        &["control socket", "none/a.sock"],
    );
    check(
        "[keys]",
        "console = \"none/console\"\n[keys]",
        &["console", "none/console"],
    );
    check("[keys]", "[kyes]", &["line"]);
    check(
        "name = \"m\"",
        "name = \"other\"",
        &["is for node `a` of machine `m`", "`other`"],
    );
    check("name = \"a\"", "name = \"b\"", &["is for node `a`", "`b`"]);
    check(
        "[keys]\n",
        "[keys]\nwithdrawn = \"text\"\n",
        &["withdrawn", "line 1", "text"],
    );
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    check("127.0.0.1:0", &port, &[&port, "in use"]);
    self::check(
        &["node", "--config", &files.text("none")],
        &["cannot read the configuration", "none"],
    );
    self::check(&["status", &files.text("none")], &["no node answers"]);
    self::check(&["stop", &files.text("none")], &["no node answers"]);
    self::check(&["console", &files.text("none")], &["no node answers"]);
    let keys = files.text("keys");
    let keys = |arguments: &[&str], words: &[&str]| {
        self::check(
            &[&["keys", "--directory", &keys], arguments].concat(),
            words,
        );
    };
    keys(&["--machine", "m", "a"], &["exists already"]);
    keys(
        &["show", "none"],
        &["cannot read the certificate", "none.pem"],
    );
    keys(
        &["renew", "none"],
        &["cannot read the certificate", "none.pem"],
    );
    keys(&["withdraw", "none"], &["--machine", "none.pem"]);
    let proc = ["keys", "--directory", "/proc/none", "--machine", "m", "a"];
    self::check(&proc, &["/proc/none"]);
}

#[test]
fn standard_outputs() {
    let files = Files::new();
    let keys = files.text("keys");
    fs::write(files.path("node.toml"), configuration(&files)).unwrap();
    let socket = files.text("s");
    for arguments in [
        &["node", "--example", "a"][..],
        &["keys", "--directory", &keys, "show"],
        &["arbiter", "show", &files.text("arbiter"), "m"],
        &["switch", "--socket", &socket, "--machine-key", "m"],
    ] {
        let said = fails(&["sh", "-c", "exec \"$@\" > /dev/full", "sh"], arguments);
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
}

#[test]
fn switches() {
    let files = Files::new();
    let socket = files.text("none/switch.sock");
    check(&["switch", "--no-uplink", "--socket", &socket], &[&socket]);
    let text: &Path = &files.path("text");
    check(
        &["switch", "--no-uplink", "--socket", text.to_str().unwrap()],
        &["text", "is no socket, and is kept"],
    );
    let long = files.text(&"a".repeat(100));
    check(
        &["switch", "--no-uplink", "--socket", &long],
        &["at most 107 bytes"],
    );
    let socket = files.text("switch.sock");
    for (options, words) in [
        (
            &["--no-uplink", "--forward", "1:1"][..],
            "cannot be used with",
        ),
        (
            &["--no-uplink", "--guest", "10.0.0.2"],
            "cannot be used with",
        ),
        (
            &["--machine-key", "m", "--forward", "1:1"],
            "cannot be used with",
        ),
        (&["--machine-key", ""], "a value is required"),
        (&["--forward", "0:0"], "`0` is no port"),
        (&["--forward", "1:65536"], "`65536` is no port"),
        (&["--forward", "localhost/1:1"], "is no IPv4 address"),
        (&["--forward", "1"], "as in `6379:6379`"),
        (&["--forward", ""], "as in `6379:6379`"),
    ] {
        misused(&[&["switch", "--socket", &socket], options].concat(), words);
    }
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
