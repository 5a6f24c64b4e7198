//! The commands themselves, as the steps that they are made of.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;
use crate::setup;

/// Where tests look for the guest, in the workspace's directory: `kernel` and `initrd`.
const GUEST: &str = ".guest";

/// `cargo xtask demo`
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    setup::ensure(&[setup::GUEST, setup::DEMO])?;
    process::cargo(&["build", "--release", "--package", "futago"])?;
    let futago = futago()?;
    // Built here so that its time is not the demo's.
    process::run(&futago, &["guest", "build"])?;
    process::run(&futago, &with(&["demo"], arguments))
}

/// `cargo xtask test`
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    setup_all()?;
    let scope: &[&str] = if arguments.is_empty() {
        &["test", "--release", "--workspace"]
    } else {
        &["test", "--release"]
    };
    process::cargo(&with(scope, arguments))
}

/// `cargo xtask setup`
pub(crate) fn setup_all() -> Result<()> {
    setup::ensure(&[setup::GUEST, setup::DEMO, setup::TEST])?;
    // The tests' own build first: it makes the program too, and nothing is compiled twice.
    process::cargo(&["build", "--release", "--workspace", "--all-targets"])?;
    process::run(&futago()?, &["guest", "build", "--output", GUEST])
}

/// `cargo xtask ci`
pub(crate) fn ci() -> Result<()> {
    process::run(".ci/run", &[])
}

/// `cargo xtask sim`
pub(crate) fn sim(arguments: &[String]) -> Result<()> {
    let scope = ["run", "--release", "--quiet", "--package", "sim", "--"];
    process::cargo(&with(&scope, arguments))
}

fn with<'a>(fixed: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    let more = more.iter().map(String::as_str);
    fixed.iter().copied().chain(more).collect()
}

/// The program that `cargo build` has made.
fn futago() -> Result<String> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let arguments = ["metadata", "--format-version=1", "--no-deps", "--offline"];
    let json = process::output(&process::cargo_path(), &arguments)?;
    let metadata: Metadata =
        serde_json::from_str(&json).context("cannot understand cargo metadata")?;
    let path = metadata.target_directory.join("release/futago");
    path.into_os_string()
        .into_string()
        .ok()
        .context("the target directory's name is not text")
}
