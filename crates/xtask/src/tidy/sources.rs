//! The shape of files: how they open, how long they are, and words that must not be in them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;

/// A file longer than this has more than one subject.
const LINES_MAX: usize = 600;

/// Files that are tables, and so may be long.
const TABLES: &[&str] = &[];

/// Words that must not be in Rust code, and why. Clippy looks at expressions; these hide elsewhere
/// too. They are written in two parts so that this file has none.
const BANNED_CODE: &[(&str, &str, &str)] = &[
    (
        "#[ign",
        "ore",
        "no test is ignored: assert today's behaviour and say so",
    ),
    ("todo", "!(", "nothing is left undone in the tree"),
    ("unimplemented", "!(", "nothing is left undone in the tree"),
];

/// Words that must not be in any file, and why.
const BANNED_TEXT: &[(&str, &str, &str)] = &[
    ("deb.debian", ".org", HOST),
    ("security.debian", ".org", HOST),
    ("snapshot.debian", ".org", HOST),
    ("archive.ubuntu", ".com", HOST),
    ("ports.ubuntu", ".com", HOST),
    ("index.crates", ".io", HOST),
    ("static.crates", ".io", HOST),
    ("trusted", "=yes", "signatures of packages are checked"),
];

const HOST: &str = "no host of a registry or mirror is named: the system's configuration decides";

/// Names each of [`UNSAFE_FILES`] and says why it is sound.
const UNSAFE_MAP: &str = "docs/translator.md";

/// The only files with unsafe code.
const UNSAFE_FILES: &[&str] = &[
    "crates/jit/src/arena.rs",
    "crates/jit/src/host/x86_64/exceptions.rs",
    "crates/jit/src/host/x86_64/helpers.rs",
    "crates/jit/src/host/x86_64/run.rs",
];

/// What unsafe code has, in two parts as above.
const UNSAFE_WORDS: &[(&str, &str)] = &[
    ("unsafe", " {"),
    ("unsafe", " impl"),
    ("unsafe", " fn"),
    ("unsafe", " extern"),
    ("unsafe", "(no_mangle"),
    ("allow(unsafe", "_code)"),
];

/// The commands with which the README opens.
const README_COMMANDS: &[&str] = &["cargo xtask demo", "cargo xtask test"];

/// How soon they must come.
const README_OPENING_LINES: usize = 20;

/// The Rust files among those that [`check`] looks at.
pub(crate) fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let files = files(root)?.into_iter();
    Ok(files
        .filter(|name| name.ends_with(".rs"))
        .map(|name| root.join(name))
        .collect())
}

/// Files that git knows or would take.
fn files(root: &Path) -> Result<Vec<String>> {
    let list = process::output(
        "git",
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    )?;
    let names = list.split('\0').filter(|name| root.join(name).is_file());
    Ok(names.map(str::to_owned).collect())
}

/// Checks every text file that git knows or would take.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for name in &files(root)? {
        let path = root.join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {name}"))?;
        let Ok(text) = std::str::from_utf8(&bytes) else {
            continue;
        };
        let rust = name.ends_with(".rs");
        findings.extend(check_text(name, text));
        if rust {
            findings.extend(check_rust(name, text));
        }
        if name == "README.md" {
            findings.extend(check_readme(text));
        }
        if name == UNSAFE_MAP {
            findings.extend(check_map(text));
        }
    }
    Ok(findings)
}

/// Whoever looks for unsafe code must find it by the map.
fn check_map(text: &str) -> Vec<String> {
    let module = |name: &str| name.trim_start_matches("crates/jit/src/").to_owned();
    UNSAFE_FILES
        .iter()
        .filter(|name| !text.contains(&format!("`{}`", module(name))))
        .map(|name| format!("{UNSAFE_MAP} does not say why the unsafe code of {name} is sound"))
        .collect()
}

fn check_text(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if name != "Cargo.lock" {
        findings.extend(banned(name, text, BANNED_TEXT));
    }
    for (number, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(format!("{name}:{}: the line ends in a space", number + 1));
        }
    }
    findings
}

fn check_rust(name: &str, text: &str) -> Vec<String> {
    let mut findings = banned(name, text, BANNED_CODE);
    if !text.starts_with("//!") {
        findings.push(format!(
            "{name} does not open with a //! line that says what lives there"
        ));
    }
    if !UNSAFE_FILES.contains(&name) {
        findings.extend(unsafe_code(name, text));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX && !TABLES.contains(&name) {
        findings.push(format!(
            "{name} has {lines} lines, more than {LINES_MAX}: split it"
        ));
    }
    findings
}

/// Lines with unsafe code, where there must be none.
fn unsafe_code(name: &str, text: &str) -> Vec<String> {
    let words: Vec<String> = (UNSAFE_WORDS.iter())
        .map(|(first, second)| format!("{first}{second}"))
        .collect();
    let lines = (1..).zip(text.lines());
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter(|(_, line)| words.iter().any(|word| line.contains(word.as_str())))
        .map(|(number, _)| {
            format!(
                "{name}:{number}: unsafe code is only in the modules that ARCHITECTURE.md names"
            )
        })
        .collect()
}

fn banned(name: &str, text: &str, words: &[(&str, &str, &str)]) -> Vec<String> {
    let mut findings = Vec::new();
    for (first, second, reason) in words {
        let word = format!("{first}{second}");
        for (number, line) in text.lines().enumerate() {
            if line.contains(&word) {
                findings.push(format!("{name}:{}: `{word}`: {reason}", number + 1));
            }
        }
    }
    findings
}

fn check_readme(text: &str) -> Vec<String> {
    let opening: Vec<&str> = text.lines().take(README_OPENING_LINES).collect();
    let opening = opening.join("\n");
    README_COMMANDS
        .iter()
        .filter(|command| !opening.contains(**command))
        .map(|command| format!("README.md does not open with `{command}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_file_passes() {
        let good = "//! What lives here.\n\nfn main() {}\n";
        assert!(check_rust("a.rs", good).is_empty());
        assert!(check_text("a.rs", good).is_empty());
    }

    #[test]
    fn each_fault_is_found() {
        let long = format!("//! Long.\n{}", "// line\n".repeat(LINES_MAX));
        let skipped = format!("//! Skips.\n#[{}]\nfn test() {{}}\n", concat!("ign", "ore"));
        assert_eq!(check_rust("a.rs", &long).len(), 1);
        assert_eq!(check_rust("a.rs", &skipped).len(), 1);
        assert_eq!(check_rust("a.rs", "fn main() {}\n").len(), 1);
        let unsafely = format!("//! Dares.\nfn f() {{ {} {{ }} }}\n", concat!("uns", "afe"));
        assert_eq!(check_rust("a.rs", &unsafely).len(), 1);
        assert!(check_rust(UNSAFE_FILES[0], &unsafely).is_empty());
        assert_eq!(check_map("").len(), UNSAFE_FILES.len());
        assert_eq!(check_text("a.md", "a \nb\n").len(), 1);
        assert_eq!(check_text("a.md", concat!("deb.debian", ".org\n")).len(), 1);
        assert_eq!(check_readme("# Futago\n").len(), README_COMMANDS.len());
    }
}
