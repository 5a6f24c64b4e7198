//! Files that cannot be written to their end: nothing half-made stays that would keep the next attempt from working.

use crate::bad_input::{Files, check, fails, run};
use std::fs;
use std::path::Path;

/// Lets files grow to a number of blocks of 512 bytes; a write beyond fails, as on a full disk.
fn full_at(blocks: u32) -> [String; 4] {
    let script = format!("trap '' XFSZ && ulimit -f {blocks} && exec \"$@\"");
    ["sh", "-c", &script, "sh"].map(str::to_owned)
}

/// Likewise, but the process ends in the midst of it.
fn killed_at(blocks: u32) -> [String; 4] {
    let script = format!("ulimit -f {blocks} && exec \"$@\"");
    ["sh", "-c", &script, "sh"].map(str::to_owned)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

#[test]
fn keys_are_made_whole_or_not_at_all() {
    let files = Files::new();
    let directory = files.path("keys");
    let keys = directory.to_str().unwrap().to_owned();
    let make = ["keys", "--directory", &keys, "--machine", "m", "a", "b"];
    // Keys have fewer bytes than a block, certificates more.
    let count = || fs::read_dir(&directory).into_iter().flatten().count();
    for blocks in [0, 1] {
        let left = count();
        let before = full_at(blocks);
        let said = fails(&before.each_ref().map(String::as_str), &make);
        assert!(said.contains("cannot write"), "{said}");
        assert_eq!(count(), left);
        let before = killed_at(blocks);
        let killed = run(&before.each_ref().map(String::as_str), &make);
        assert!(!killed.status.success());
        assert!(names(&directory).is_empty());
    }
    assert!(run(&[], &make).status.success());
    let all = [
        "a.key",
        "a.pem",
        "authority.key",
        "authority.pem",
        "b.key",
        "b.pem",
    ];
    assert_eq!(names(&directory), all);
    let certificate = fs::read(directory.join("a.pem")).unwrap();
    let full = full_at(0);
    let full = full.each_ref().map(String::as_str);
    for change in ["renew", "withdraw"] {
        fails(&full, &["keys", "--directory", &keys, change, "a"]);
        assert_eq!(names(&directory), all);
        assert_eq!(fs::read(directory.join("a.pem")).unwrap(), certificate);
    }
    for change in ["renew", "withdraw"] {
        let done = run(&[], &["keys", "--directory", &keys, change, "a"]);
        assert!(done.status.success(), "{done:?}");
    }
}

#[test]
fn an_authority_that_is_none_is_refused() {
    let files = Files::new();
    let directory = files.path("keys");
    let keys = directory.to_str().unwrap().to_owned();
    let make = |name| ["keys", "--directory", &keys, "--machine", "m", name];
    assert!(run(&[], &make("a")).status.success());
    let restore = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).unwrap();
    let [pem, key] =
        ["authority.pem", "authority.key"].map(|name| fs::read(directory.join(name)).unwrap());
    let all: [&[&str]; 3] = [
        &["keys", "--directory", &keys, "renew", "a"],
        &["keys", "--directory", &keys, "show"],
        &make("b"),
    ];
    for garbage in [&b""[..], b"\xff\xfe", b"garbage", &key] {
        restore("authority.pem", garbage);
        for arguments in all {
            check(
                arguments,
                &["authority.pem holds no authority's certificate"],
            );
        }
    }
    restore("authority.pem", &pem);
    for garbage in [&b""[..], b"\xff\xfe", b"garbage", &pem] {
        restore("authority.key", garbage);
        check(&make("b"), &["authority.key"]);
    }
    // Another authority's.
    let other = files.text("other");
    let made = run(&[], &["keys", "--directory", &other, "--machine", "m", "a"]);
    assert!(made.status.success());
    restore(
        "authority.key",
        &fs::read(files.path("other/authority.key")).unwrap(),
    );
    check(
        &make("b"),
        &["authority.key is not the key of", "authority.pem"],
    );
    fs::remove_file(directory.join("authority.key")).unwrap();
    check(
        &make("b"),
        &["the authority's key", "authority.key is missing"],
    );
    restore("authority.key", &key);
    fs::remove_file(directory.join("authority.pem")).unwrap();
    check(&make("b"), &["authority.pem is missing beside its key"]);
    restore("authority.pem", &pem);
    fs::remove_file(directory.join("a.key")).unwrap();
    check(all[0], &["a.key is missing beside its certificate"]);
    check(
        &["keys", "--directory", &keys, "--machine", "m", "c", "c"],
        &["given twice"],
    );
    assert!(run(&[], &make("b")).status.success());
}
