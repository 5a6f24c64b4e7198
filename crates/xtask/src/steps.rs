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
    build(&["--package", "futago"])?;
    let futago = futago()?;
    // Built here so that its time is not the demo's.
    process::prepare(&futago, &["guest", "build"])?;
    process::run(&futago, &with(&["demo"], arguments))
}

/// `cargo xtask test`
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    if arguments.is_empty() {
        setup_all()?;
        return process::cargo(&["test", "--release", "--workspace"]);
    }
    set_up(&["--package", "futago"])?;
    process::cargo(&with(&["test", "--release"], arguments))
}

/// `cargo xtask setup`
pub(crate) fn setup_all() -> Result<()> {
    // What the tests build: it includes the program, and nothing is then compiled twice.
    set_up(&["--workspace", "--all-targets"])
}

/// Gets all that tests need; `scope` is what is compiled on the way.
fn set_up(scope: &[&str]) -> Result<()> {
    setup::ensure(&[setup::GUEST, setup::DEMO, setup::TEST])?;
    build(scope)?;
    process::prepare(&futago()?, &["guest", "build", "--output", GUEST])
}

/// What a measurement needs.
pub(crate) struct Bench {
    /// The program.
    pub(crate) futago: String,
    /// The default guest.
    pub(crate) kernel: String,
    pub(crate) initrd: String,
}

/// Gets all that measurements need; builds the program, unless one is given.
pub(crate) fn set_up_bench(given: Option<&str>) -> Result<Bench> {
    setup::ensure(&[setup::GUEST, setup::DEMO, setup::TEST, setup::BENCH])?;
    let futago = match given {
        Some(given) => given.to_owned(),
        None => {
            build(&["--package", "futago"])?;
            futago()?
        }
    };
    process::prepare(&futago, &["guest", "build", "--output", GUEST])?;
    let [kernel, initrd] = guest_paths();
    Ok(Bench {
        futago,
        kernel,
        initrd,
    })
}

/// Builds the default guest: its kernel and its initial RAM disk.
pub(crate) fn guest_files() -> Result<[String; 2]> {
    set_up(&["--package", "futago"])?;
    Ok(guest_paths())
}

fn guest_paths() -> [String; 2] {
    ["kernel", "initrd"].map(|name| process::root().join(GUEST).join(name).display().to_string())
}

fn build(scope: &[&str]) -> Result<()> {
    let line = [&["build", "--release"], scope].concat();
    process::prepare(&process::cargo_path(), &line)
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

/// `cargo xtask bless`
pub(crate) fn bless() -> Result<()> {
    let cargo = process::cargo_path();
    for (package, test) in [("replication", "scenario"), ("futago", "words::")] {
        let scope = [
            "test",
            "--release",
            "--package",
            package,
            "--test",
            "it",
            test,
        ];
        process::run("env", &[&["FUTAGO_BLESS=1", &cargo][..], &scope].concat())?;
    }
    Ok(())
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
