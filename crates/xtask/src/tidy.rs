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
    if process::succeeds("cargo-deny", &["--version"]) {
        process::cargo(&["deny", "--log-level=error", "check"])?;
    } else {
        say(
            "tidy: cargo-deny is not installed, so advisories are not checked \
             (cargo install --locked cargo-deny)",
        );
    }
    for finding in &findings {
        say(&format!("tidy: {finding}"));
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    say("tidy: nothing to complain about");
    Ok(())
}
