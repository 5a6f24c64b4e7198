//! Checks that read the tree and fail with a reason.

mod crates;
mod licences;
mod sources;

use std::path::Path;

use anyhow::{Result, bail};

use crate::process;
use crate::say;

/// Runs all checks and tells all findings.
pub(crate) fn run(root: &Path) -> Result<()> {
    let metadata = crates::Metadata::read()?;
    let mut findings = crates::check(root, &metadata);
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
