//! Checks that read the tree and fail with a reason.

mod circles;
mod crates;
mod licences;
mod sources;
mod subjects;
mod tree;
mod unused;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::process;
use crate::say::say;

/// Crates in which files still use each other in circles, or show what nobody uses: each leaves this list once it is clean.
const UNTANGLED_LATER: &[&str] = &["jit", "machine", "node", "torture"];

/// Runs all checks and tells all findings.
pub(crate) fn run(root: &Path) -> Result<()> {
    let metadata = crates::Metadata::read()?;
    let mut findings = crates::check(root, &metadata);
    let homes: Vec<PathBuf> = metadata.homes().map(Path::to_owned).collect();
    let words = unused::Words::read(&sources::rust_files(root)?, &homes)?;
    for home in &homes {
        let mut tangles = circles::check(root, home)?;
        tangles.extend(unused::check(root, home, &words)?);
        let later = UNTANGLED_LATER.iter().any(|name| home.ends_with(name));
        if later && !tangles.is_empty() {
            say(&format!("tidy: later: {}", tangles.join("\ntidy: later: ")));
        } else {
            findings.extend(tangles);
        }
    }
    findings.extend(subjects::check()?);
    findings.extend(sources::check(root)?);
    findings.extend(licences::check(root, &metadata)?);
    deny()?;
    for finding in &findings {
        say(&format!("tidy: {finding}"));
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    say("tidy: nothing to complain about");
    Ok(())
}

/// What cargo-deny knows beyond our own checks, as far as it is installed and its database can be reached.
fn deny() -> Result<()> {
    if !process::succeeds("cargo-deny", &["--version"]) {
        say(
            "tidy: cargo-deny is not installed (cargo install --locked cargo-deny): advisories are not checked",
        );
        return Ok(());
    }
    let mut checks = vec![
        "deny",
        "--log-level=error",
        "check",
        "licenses",
        "bans",
        "sources",
    ];
    if process::succeeds("cargo-deny", &["fetch", "db"]) {
        checks.push("advisories");
    } else {
        say("tidy: the advisory database cannot be fetched from here: advisories are not checked");
    }
    process::cargo(&checks)
}
