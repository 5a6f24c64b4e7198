//! A host that gives a process less than it needs: a sentence at the start that says of what, and never a panic.

use crate::bad_input::{Files, configuration, fails, run};
use std::fs;

/// Starts what follows with a limit that the shell's `ulimit` sets.
fn limited(limit: &str) -> [String; 4] {
    let script = format!("ulimit {limit} && exec \"$@\"");
    ["sh", "-c", &script, "sh"].map(str::to_owned)
}

fn fails_limited(limit: &str, arguments: &[&str], words: &[&str]) {
    let before = limited(limit);
    let said = fails(&before.each_ref().map(String::as_str), arguments);
    for word in words {
        assert!(said.contains(word), "{limit} {arguments:?}: {said}");
    }
}

#[test]
fn too_few_open_files_are_noticed_at_the_start() {
    let files = Files::new();
    let off = files.text("off.bin");
    let config = files.text("node.toml");
    fs::write(&config, configuration(&files)).unwrap();
    let socket = files.text("switch.sock");
    let words = ["files open", "ulimit -n"];
    for few in ["6", "8", "10", "12", "14", "16"] {
        let few = format!("-n {few}");
        fails_limited(&few, &["node", "--config", &config], &words);
        fails_limited(
            &few,
            &["switch", "--no-uplink", "--socket", &socket],
            &words,
        );
        fails_limited(&few, &["run", "--bios", &off, "--memory", "16M"], &words);
    }
    // A few more are enough for all that the machine does, its confinement among it.
    let before = limited("-n 32");
    let ended = run(
        &before.each_ref().map(String::as_str),
        &["run", "--bios", &off, "--memory", "16M"],
    );
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn too_little_memory_for_code_is_noticed_at_the_start() {
    let files = Files::new();
    let off = files.text("off.bin");
    let config = files.text("node.toml");
    let text = configuration(&files).replace("16M", "256M");
    let joins = text.replace("[keys]", "may_start = false\n[keys]");
    // Enough for the cache, and not for the tables; not even for the cache.
    for kib in ["-v 1000000", "-v 400000"] {
        let words = [
            "no memory for a code cache of 256 MiB",
            "ulimit -v",
            "code-cache",
        ];
        fails_limited(kib, &["run", "--bios", &off, "--memory", "256M"], &words);
        for text in [&text, &joins] {
            fs::write(&config, text).unwrap();
            fails_limited(kib, &["node", "--config", &config], &words);
        }
    }
    let before = limited("-v 1000000");
    let smaller = [
        "run",
        "--bios",
        &off,
        "--memory",
        "64M",
        "--code-cache",
        "16M",
    ];
    let ended = run(&before.each_ref().map(String::as_str), &smaller);
    assert!(ended.status.success(), "{ended:?}");
}
