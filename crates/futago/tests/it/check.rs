//! `futago node --check`: each thing that would go wrong has its line, and nothing is changed by looking.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::SystemTime;

use crate::process::futago;
use crate::seen::{Site, start_switch};

/// What a directory and all below it look like: sizes, and when they were changed last.
fn picture(root: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            all.insert(
                path.display().to_string(),
                (found.size(), found.modified().unwrap()),
            );
            if found.is_dir() {
                left.push(path);
            }
        }
    }
    all
}

/// The answer about a configuration, and whether all is well; it must not have changed anything.
fn checked(site: &Site, change: impl FnOnce(&str) -> String) -> (bool, String) {
    let config = site.configure("a", change);
    let before = picture(site.path());
    let answer = looked(&config);
    assert_eq!(picture(site.path()), before, "something was changed");
    answer
}

/// The answer alone, for a directory in which a node runs, and writes.
fn looked(config: &Path) -> (bool, String) {
    let output = futago(&["node", "--check", config.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let is_well = output.status.success();
    assert!(is_well || output.status.code() == Some(1), "{said}");
    assert_eq!(is_well, !said.contains("WRONG"), "{said}");
    let lines = |said: &str| {
        said.lines()
            .all(|line| line.starts_with("ok     ") || line.starts_with("WRONG  "))
    };
    assert!(lines(&said), "{said}");
    (is_well, said)
}

/// Exactly one line says that something is wrong, and what.
#[track_caller]
fn one_is_wrong(site: &Site, words: &str, change: impl FnOnce(&str) -> String) {
    let (_, said) = checked(site, change);
    let wrong: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("WRONG"))
        .collect();
    assert!(
        wrong.len() == 1 && wrong[0].contains(words),
        "`{words}`:\n{said}"
    );
}

/// Another value for one key.
fn with(key: &'static str, value: &'static str) -> impl FnOnce(&str) -> String {
    move |text| {
        let begin = text.find(&format!("{key} = ")).unwrap();
        let end = begin + text[begin..].find([',', '}', '\n']).unwrap();
        format!("{}{key} = {value} {}", &text[..begin], &text[end..])
    }
}

#[test]
fn a_node_that_would_run_is_well_and_runs() {
    let site = Site::new(21);
    let _switch = start_switch(&site);
    let all = |text: &str| {
        text.replace("memory = ", "network = \"switch.sock\", memory = ")
            .replace(
                "control = ",
                "console = \"a.console\", control_look = \"a.look\", control = ",
            )
    };
    let (is_well, said) = checked(&site, all);
    assert!(is_well, "{said}");
    for words in [
        "certificate: for node `a` of machine `demo`",
        "accepts: b",
        "engine: interpreter",
        "memory: ",
        "the guest may take 16 MiB",
        "firmware: ",
        "machine: `demo` can be started",
        "network: the switch at ",
        "in which the machine was never started",
        "control: ",
        "control_look: ",
        "a.console will be made",
        "listen: UDP 127.1.21.1:",
        "peer: 127.1.21.2:",
    ] {
        assert!(said.contains(words), "`{words}`:\n{said}");
    }
    let a = site.start_with("a", all);
    a.tells("this node starts the machine");
    // Its own sockets, ports and record are in use now, which is what a second one would meet.
    let (_, said) = looked(&site.path().join("a.toml"));
    for words in [
        "WRONG  control: ",
        "in use by another process",
        "WRONG  listen: ",
        "another program uses it",
        "newest record is of epoch 1: the machine is alone",
    ] {
        assert!(said.contains(words), "`{words}`:\n{said}");
    }
}

#[test]
fn each_fault_has_its_line() {
    let site = Site::new(22);
    let root = site.path();
    fs::create_dir(root.join("folder")).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("text"), "no key").unwrap();
    one_is_wrong(
        &site,
        "firmware: cannot read the firmware",
        with("bios", "\"none.bin\""),
    );
    one_is_wrong(&site, "is a directory", with("bios", "\"folder\""));
    one_is_wrong(&site, "is empty", with("bios", "\"empty\""));
    one_is_wrong(
        &site,
        "initial RAM disk",
        with("memory", "\"16M\", initrd = \"none\""),
    );
    one_is_wrong(
        &site,
        "kernel: ",
        with("memory", "\"16M\", kernel = \"/dev/zero\""),
    );
    one_is_wrong(
        &site,
        "machine: the machine cannot be started with",
        |text| with("bios", "\"default\", kernel = \"text\"")(text),
    );
    one_is_wrong(
        &site,
        "certificate: cannot read the private key",
        with("key", "\"none\""),
    );
    one_is_wrong(
        &site,
        "holds no certificate",
        with("certificate", "\"text\""),
    );
    one_is_wrong(
        &site,
        "certificate: the certificate",
        with("key", "\"keys/b.key\""),
    );
    one_is_wrong(&site, "is for node `b` of machine `demo`", |text| {
        text.replace("keys/a.", "keys/b.")
    });
    one_is_wrong(&site, "store: ", with("directory", "\"none\""));
    one_is_wrong(&site, "has no identity", with("directory", "\"folder\""));
    one_is_wrong(
        &site,
        "control: cannot listen on",
        with("control", "\"none/a.sock\""),
    );
    one_is_wrong(&site, "is no socket", with("control", "\"text\""));
    one_is_wrong(
        &site,
        "console: cannot append",
        with("control", "\"a.sock\", console = \"folder\""),
    );
    one_is_wrong(
        &site,
        "console: cannot append",
        with("control", "\"a.sock\", console = \"none/c\""),
    );
    one_is_wrong(
        &site,
        "seen: cannot write",
        with("control", "\"a.sock\", seen = \"none/seen\""),
    );
    one_is_wrong(&site, "no address of this host", |text| {
        text.replace("127.1.22.1", "192.0.2.1")
            .replace("127.1.22.2", "192.0.2.2")
    });
    let taken = UdpSocket::bind(site.addresses[0]).unwrap();
    one_is_wrong(
        &site,
        "listen: cannot listen on UDP 127.1.22.1:",
        str::to_owned,
    );
    drop(taken);
    one_is_wrong(&site, "peer: nothing can be sent to [::1]:9", |text| {
        text.replace(&format!("\"{}\"", site.addresses[1]), "\"[::1]:9\"")
    });
    let (is_well, said) = checked(&site, str::to_owned);
    assert!(is_well, "{said}");
}

#[test]
fn a_certificate_of_others_and_a_withdrawn_one_are_told_of() {
    let site = Site::new(23);
    let other = Site::new(24);
    let authority = other.path().join("keys/authority.pem");
    fs::copy(authority, site.path().join("other.pem")).unwrap();
    one_is_wrong(
        &site,
        "was not issued by the authority",
        with("authority", "\"other.pem\""),
    );
    let keys = site.path().join("keys");
    let own = ["a.pem", "a.key"].map(|name| (keys.join(name), site.path().join(name)));
    for (file, copy) in &own {
        fs::copy(file, copy).unwrap();
    }
    let withdrawn = futago(&[
        "keys",
        "withdraw",
        "a",
        "--directory",
        keys.to_str().unwrap(),
    ])
    .output()
    .unwrap();
    assert!(withdrawn.status.success(), "{withdrawn:?}");
    for (file, copy) in &own {
        fs::rename(copy, file).unwrap();
    }
    one_is_wrong(&site, "was withdrawn", str::to_owned);
}

#[test]
fn a_switch_that_is_away_and_a_key_of_another_machine_are_told_of() {
    let site = Site::new(25);
    let network = |text: &str| text.replace("memory = ", "network = \"switch.sock\", memory = ");
    one_is_wrong(
        &site,
        "network: cannot connect to the network socket",
        network,
    );
    let switch = start_switch(&site);
    let (is_well, said) = checked(&site, network);
    assert!(is_well, "{said}");
    let key = futago(&[
        "switch",
        "--socket",
        &switch.socket,
        "--machine-key",
        "another",
    ])
    .output()
    .unwrap();
    let path = site.path().join("machine.key");
    fs::write(&path, key.stdout).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let handed_over =
        |text: &str| with("key", "\"keys/a.key\", network = \"machine.key\"")(&network(text));
    one_is_wrong(&site, "is not the key of machine `demo`", handed_over);
    drop(switch);
    // What a switch that was killed has left.
    one_is_wrong(&site, "start `futago switch` first", network);
}

#[test]
fn a_store_that_is_another_or_an_older_one_is_told_of() {
    let site = Site::new(26);
    let a = site.start("a");
    a.tells("this node starts the machine");
    drop(a);
    let store = site.path().join("arbiter");
    let (is_well, said) = checked(&site, str::to_owned);
    assert!(is_well, "{said}");
    let hidden = site.path().join("hidden");
    fs::rename(&store, &hidden).unwrap();
    let made = futago(&["arbiter", "init", store.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success());
    one_is_wrong(
        &site,
        "has seen its machine's record in store",
        str::to_owned,
    );
    // The same store, with nothing of the machine in it.
    fs::remove_dir_all(&store).unwrap();
    fs::create_dir(&store).unwrap();
    for entry in fs::read_dir(&hidden).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, store.join(path.file_name().unwrap())).unwrap();
        }
    }
    one_is_wrong(
        &site,
        "shows epoch 0 of the machine, but this node has seen epoch 1",
        str::to_owned,
    );
    fs::remove_dir_all(&store).unwrap();
    symlink(&hidden, &store).unwrap();
    let (is_well, said) = checked(&site, str::to_owned);
    assert!(is_well, "{said}");
}

#[test]
fn too_little_memory_is_told_of() {
    let site = Site::new(27);
    let config = site.configure("a", with("memory", "\"1G\""));
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 800000; exec \"$0\" node --check \"$1\""])
        .args([env!("CARGO_BIN_EXE_futago"), config.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let words = "MiB free, but the guest may take 1024 MiB, and the interpreter 50 MiB beside it";
    assert!(said.contains(words), "{said}");
}

#[test]
fn what_is_no_configuration_is_one_sentence() {
    let site = Site::new(28);
    let config = site.configure("a", |text| text.replace("bios", "boss"));
    let output = futago(&["node", "--check", config.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("unknown key `boss`"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
