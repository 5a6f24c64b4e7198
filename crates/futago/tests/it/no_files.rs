//! What is named as a file to be read and is none, or none that could be meant: one sentence at once, whatever it is.

use crate::bad_input::{Files, check, configuration};
use std::fs::{self, File};
use std::process::Command;

/// A pipe that nobody writes to, and a file that seems to be larger than any memory.
fn traps(files: &Files) -> [String; 2] {
    let [fifo, huge] = ["fifo", "huge"].map(|name| files.text(name));
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    File::create(&huge).unwrap().set_len(20 << 30).unwrap();
    [fifo, huge]
}

#[test]
fn images_are_regular_files_that_the_guest_could_hold() {
    let files = Files::new();
    let [fifo, huge] = traps(&files);
    let off = files.text("off.bin");
    let directory = files.text("");
    let expected = [
        ("/dev/zero", "no regular file"),
        ("/dev/full", "no regular file"),
        (&fifo, "no regular file"),
        (&huge, "too large"),
        (&directory, "directory"),
    ];
    for (path, why) in expected {
        let words = |what| [what, path, why];
        check(&["run", "--kernel", path], &words("the kernel"));
        check(&["run", "--bios", path], &words("the firmware"));
        for (option, what) in [
            ("--initrd", "the initial RAM disk"),
            ("--dtb", "the device tree"),
        ] {
            check(&["run", "--bios", &off, option, path], &words(what));
        }
    }
    let large = files.text("large");
    File::create(&large)
        .unwrap()
        .set_len((16 << 20) + 1)
        .unwrap();
    check(
        &["run", "--memory", "16M", "--bios", &off, "--initrd", &large],
        &[&large, "too large: 16777217 bytes, where at most 16777216"],
    );
}

#[test]
fn a_nodes_files_are_regular_and_small() {
    let files = Files::new();
    let [fifo, huge] = traps(&files);
    let text = configuration(&files);
    let config = files.text("node.toml");
    let joins = text.replacen("[keys]", "may_start = false\n[keys]", 1);
    for path in ["/dev/zero", &fifo, &huge] {
        check(
            &["node", "--config", path],
            &["cannot read the configuration", path],
        );
        let refused = |text: &str, from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            fs::write(&config, text.replacen(from, to, 1)).unwrap();
            check(&["node", "--config", &config], &["cannot", path]);
        };
        for given in ["keys/authority.pem", "keys/a.pem", "keys/a.key", "off.bin"] {
            refused(&text, given, path);
        }
        refused(&joins, "off.bin", path);
        refused(
            &text,
            "[keys]\n",
            &format!("[keys]\nwithdrawn = {path:?}\n"),
        );
        refused(&text, "[keys]\n", &format!("seen = {path:?}\n[keys]\n"));
    }
}
