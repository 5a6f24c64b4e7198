//! Wrong inputs and faults, each with what is said of it and its exit status: the transcript `tests/words.txt`. `cargo xtask bless`
//! rewrites it from its own commands; review the difference.
//!
//! ```text
//! ## title       a chapter begins, in a fresh copy of the folder that `folder` makes
//! # remark
//! $ line         a line for bash that prepares something, and must succeed in silence
//! > line         a line for bash that is an entry; what follows is what came of it:
//! | text         a line on standard output
//! : text         a line on standard error
//! = 1            its exit status; in a pipe, the last that is not 0
//! ```

mod folder;
mod stable;

use std::path::Path;
use std::process::{Command, Stdio};

use folder::Folder;

/// There are at least so many entries.
const ENTRIES_MIN: usize = 60;
/// Seconds after which an entry is taken to hang.
const PATIENCE_S: &str = "60";
/// What each line of bash begins with. `poor` runs a command without root's right to read and write whatever there is; `wrong`
/// runs a node by a configuration that `sed` has changed; `unread` runs a command whose reader has gone already.
const PROLOGUE: &str = r#"
set -o pipefail
poor() {
    if [ "$(id -u)" = 0 ]; then setpriv --bounding-set=-dac_override,-dac_read_search "$@"; else "$@"; fi
}
wrong() {
    sed "$1" node.toml > wrong.toml
    cmp --quiet node.toml wrong.toml && exit 120
    futago node --config wrong.toml
}
unread() {
    exec 9> >(true)
    wait $!
    "$@" >&9 9>&-
}
"#;

/// One entry, as it was found in the transcript or as it went.
struct Entry {
    /// Its number in the chapter, and its command.
    name: String,
    said: String,
}

/// A piece of the transcript between two chapters' titles.
struct Chapter {
    text: String,
    entries: Vec<Entry>,
}

#[test]
fn each_wrong_input_has_its_words() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/words.txt");
    let before = std::fs::read_to_string(&path).unwrap();
    let folder = Folder::new();
    let old: Vec<_> = split(&before);
    let new: Vec<_> = std::thread::scope(|scope| {
        let folder = &folder;
        let tellers: Vec<_> = old
            .iter()
            .map(|chapter| scope.spawn(move || tell(&chapter.text, folder)))
            .collect();
        tellers
            .into_iter()
            .map(|teller| teller.join().expect("a chapter can be told"))
            .collect()
    });
    let after: String = new.iter().map(|chapter| chapter.text.as_str()).collect();
    let count: usize = new.iter().map(|chapter| chapter.entries.len()).sum();
    assert!(count >= ENTRIES_MIN, "there are only {count} entries");
    if std::env::var("FUTAGO_BLESS").is_ok() {
        std::fs::write(&path, &after).unwrap();
        return;
    }
    let pairs = old.iter().zip(&new);
    let pairs = pairs.flat_map(|(old, new)| old.entries.iter().zip(&new.entries));
    let different: Vec<_> = pairs
        .filter(|(old, new)| old.said != new.said)
        .map(|(old, new)| {
            format!(
                "> {}\n--- expected\n{}--- got\n{}",
                old.name, old.said, new.said
            )
        })
        .collect();
    assert!(
        different.is_empty(),
        "{} of {count} entries went differently (`cargo xtask bless` rewrites them):\n{}",
        different.len(),
        different.join("\n")
    );
    // Remarks, or what no entry led to.
    assert_eq!(before, after, "`cargo xtask bless` rewrites it");
}

/// The chapters of a transcript, each with its title; what is before the first is one, too.
fn split(text: &str) -> Vec<Chapter> {
    let mut chapters: Vec<String> = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.starts_with("## ") {
            chapters.push(String::new());
        }
        let last = chapters.last_mut().expect("there is a first");
        last.push_str(line);
    }
    chapters
        .into_iter()
        .map(|text| {
            let mut entries: Vec<Entry> = Vec::new();
            for line in text.split_inclusive('\n') {
                if let Some(command) = line.strip_prefix("> ") {
                    let name = command.trim_end().to_owned();
                    let said = String::new();
                    entries.push(Entry { name, said });
                } else if let Some(entry) = entries.last_mut()
                    && is_said(line)
                {
                    entry.said.push_str(line);
                }
            }
            Chapter { text, entries }
        })
        .collect()
}

/// Whether a line is what an entry led to.
fn is_said(line: &str) -> bool {
    line.starts_with(['|', ':', '='])
}

/// A chapter with what its commands lead to now.
fn tell(chapter: &str, folder: &Folder) -> Chapter {
    let place = folder.copy();
    let mut text = String::new();
    let mut entries = Vec::new();
    for line in chapter.split_inclusive('\n') {
        if let Some(command) = line.strip_prefix("> ") {
            let name = command.trim_end().to_owned();
            let said = obey(&name, &place);
            text.push_str(line);
            text.push_str(&said);
            entries.push(Entry { name, said });
        } else if !is_said(line) {
            text.push_str(line);
            if let Some(command) = line.strip_prefix("$ ") {
                let said = obey(command.trim_end(), &place);
                assert_eq!(said, "= 0\n", "{command}");
            }
        }
    }
    Chapter { text, entries }
}

/// Runs a line, and says what came of it.
fn obey(line: &str, place: &folder::Place) -> String {
    let output = Command::new("timeout")
        .args(["--signal=KILL", PATIENCE_S, "bash", "-c"])
        .arg(format!("{PROLOGUE}{line}"))
        .current_dir(place.path())
        .env("PATH", place.search_path())
        .env("TAKEN", place.taken_port())
        .env("HOME", place.path())
        .env("LC_ALL", "C")
        .env_remove("RUST_LOG")
        .env_remove("XDG_CACHE_HOME")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let code = output.status.code().unwrap_or(137);
    let [out, err] =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    // 101 is a panic, 124 to 127 are of programs that are missing or hang, beyond are signals.
    assert!(
        code < 101,
        "`{line}` ended with {code}: it hangs, or ends by a panic or a signal:\n{out}{err}"
    );
    let mut said = String::new();
    for (mark, text) in [("|", &out), (":", &err)] {
        for line in text.lines() {
            said.push_str(format!("{mark} {line}").trim_end());
            said.push('\n');
        }
    }
    said.push_str(&format!("= {code}\n"));
    let said = stable::words(&said, place);
    // One sentence, in words.
    for foreign in ["(os error", "panicked", "Os {", "Error("] {
        assert!(!said.contains(foreign), "`{line}`: {said}");
    }
    said
}
