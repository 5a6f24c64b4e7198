//! Hosts that are given by name: known, not known, not known yet, and moved.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bad_input::{Files, check, configuration};
use crate::process::{PATIENCE, futago};
use crate::seen::Site;

/// The names of the test's hosts are in a file of its own, for what is run by way of this.
const HOSTS: &str = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";

/// What runs a command that sees other hosts; nothing where this user may not do that, as in some containers.
fn with_hosts(hosts: &Path) -> Option<Vec<&str>> {
    let hosts = hosts.to_str().unwrap();
    ["-m", "-rm"].into_iter().find_map(|how| {
        let words = ["unshare", how, "sh", "-c", HOSTS, "sh", hosts];
        let mut probe = Command::new(words[0]);
        probe.args(&words[1..]).arg("true").stderr(Stdio::null());
        let is_possible = probe.status().is_ok_and(|status| status.success());
        is_possible.then(|| words.to_vec())
    })
}

#[test]
fn a_peer_is_found_by_its_name_once_it_has_one_and_wherever_it_moves() {
    let site = Site::new(9);
    let [at_a, at_b] = site.addresses;
    let hosts = site.path().join("hosts");
    fs::write(&hosts, format!("{} alpha\n", at_a.ip())).unwrap();
    let Some(with_hosts) = with_hosts(&hosts) else {
        // What does not take other hosts is tested below.
        return;
    };
    let (listen, peer) = (
        format!("alpha:{}", at_a.port()),
        format!("beta:{}", at_b.port()),
    );
    let mut a = site.start_by("a", &with_hosts, |text| {
        text.replace(&at_a.to_string(), &listen)
            .replace(&at_b.to_string(), &peer)
    });
    a.tells(&format!("it listens at {at_a}"));
    // Meanwhile it is the machine, for nobody waits for names.
    a.tells("this node starts the machine: alone, not protected");
    let unknown = "the host's name is not known here";
    a.tells(&format!("nobody can be asked at {peer}, which `node.peers` names, and which is tried again: {unknown}"));
    a.shows(&format!("{peer} of `node.peers`: {unknown}"));
    a.shows_json(&format!(r#""unknown":["{peer}"]"#));
    // The other dials nobody.
    let joins = |text: &str| text.replace(&format!("[\"{at_a}\"]"), "[], may_start = false");
    let b = site.start_with("b", joins);
    b.tells("has started");
    // In its place, as an editor would not do it, but what is mounted is the file.
    fs::write(&hosts, format!("{} beta\n", at_b.ip())).unwrap();
    a.tells(&format!("the host's name is known now: {peer} ({at_b})"));
    a.tells("paired with b: protected");
    a.shows_json(r#""unknown":[]"#);
    assert!(looks_for("beta"));
    drop(b);
    a.tells("b is gone: alone, not protected");
    let moved = at_b.to_string().replace("127.1.9.2", "127.1.9.3");
    fs::write(&hosts, "127.1.9.3 beta\n").unwrap();
    let mut b = site.start_with("b", |text| joins(text).replace(&at_b.to_string(), &moved));
    a.tells(&format!("b is connected, at {moved}"));
    // Its log tells of an earlier pairing, too.
    b.shows_json(r#""protected":true"#);
    a.signal("-KILL");
    a.end();
    b.tells("this node is the machine now");
    let begun = Instant::now();
    while looks_for("beta") {
        assert!(begun.elapsed() < PATIENCE, "who looks for its name is left");
        std::thread::sleep(Duration::from_millis(20));
    }
    b.signal("-KILL");
    b.end();
}

/// Whether a process looks for the addresses of this host.
fn looks_for(host: &str) -> bool {
    let words = format!("\0lookup\0--\0{host}\0");
    fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).ends_with(&words)
    })
}

#[test]
fn who_listens_where_no_other_host_reaches_it_is_told() {
    let site = Site::new(11);
    let [at_a, at_b] = site.addresses;
    let elsewhere = |text: &str| text.replace(&at_b.to_string(), "192.0.2.99:7402");
    let a = site.start_with("a", elsewhere);
    a.tells(&format!(
        "`node.listen` is {at_a}, which no other host reaches, and the peer 192.0.2.99:7402 is another host"
    ));
}

#[test]
fn nodes_of_one_host_meet_by_its_name() {
    let site = Site::new(10);
    // Ports of the loopback, which all tests share, but for those that were free a moment ago.
    let by_name = |text: &str| {
        let [a, b] = site.addresses;
        text.replace(&a.ip().to_string(), "localhost")
            .replace(&b.ip().to_string(), "localhost")
    };
    let a = site.start_with("a", by_name);
    let b = site.start_with("b", by_name);
    a.tells(": protected (epoch 2)");
    b.tells(": protected (epoch 2)");
}

#[test]
fn an_address_to_listen_at_is_one_of_this_host_and_free() {
    let files = Files::new();
    let text = configuration(&files);
    let config = files.text("node.toml");
    let refused = |listen: &str, words: &[&str]| {
        fs::write(&config, text.replace("127.0.0.1:0", listen)).unwrap();
        check(&["node", "--config", &config], words);
    };
    refused(
        "192.0.2.99:7401",
        &["UDP 192.0.2.99:7401: it is no address of this host"],
    );
    refused(
        "nowhere.invalid:7401",
        &[
            "`node.listen`, nowhere.invalid:7401",
            "the host's name is not known here",
        ],
    );
    refused("192.0.2.999:7401", &["is no address with a port", "line 7"]);
}

#[test]
fn a_look_beforehand_finds_names_or_says_that_it_does_not() {
    let site = Site::new(12);
    let [at_a, at_b] = site.addresses;
    let looked_at = |peer: &str| {
        let named = |text: &str| {
            text.replace(&at_a.to_string(), &format!("localhost:{}", at_a.port()))
                .replace(&at_b.to_string(), peer)
        };
        let config = site.configure("a", named);
        let output = futago(&["node", "--check", config.to_str().unwrap()]);
        String::from_utf8({ output }.output().unwrap().stdout).unwrap()
    };
    let said = looked_at("nowhere.invalid:7402");
    let words = "WRONG  peer: nobody can be asked at nowhere.invalid:7402 of `node.peers`: the host's name is not known here";
    assert!(said.contains(words), "{said}");
    let said = looked_at("localhost:7402");
    assert!(
        said.contains("ok     peer: 127.0.0.1:7402 can be sent to")
            || said.contains("ok     peer: [::1]:7402"),
        "{said}"
    );
}
