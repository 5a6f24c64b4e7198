//! Running other programs, shown as they are run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::say::say;

/// The workspace's directory.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// Runs a program in the workspace's directory and fails if it does. Says what is run and, when it was
/// long, how long it took.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    show(program, arguments, Stdio::inherit())
}

/// Like [`run`], for set-up: what the program writes goes to standard error, for standard output
/// belongs to what the developer asked for.
pub(crate) fn prepare(program: &str, arguments: &[&str]) -> Result<()> {
    show(program, arguments, Stdio::from(std::io::stderr()))
}

fn show(program: &str, arguments: &[&str], stdout: Stdio) -> Result<()> {
    let line = line(program, arguments);
    say(&format!("$ {line}"));
    let begin = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stdout(stdout)
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    let seconds = begin.elapsed().as_secs();
    if seconds >= 2 {
        say(&format!("  took {seconds} s"));
    }
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs cargo, the one that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    run(&cargo_path(), arguments)
}

/// Runs a program silently and returns its standard output.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    let line = line(program, arguments);
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` did not write text"))
}

/// Whether a program runs and succeeds.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The cargo that runs this program.
pub(crate) fn cargo_path() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn line(program: &str, arguments: &[&str]) -> String {
    let name = program.rsplit('/').next().unwrap_or(program);
    [&[name], arguments].concat().join(" ")
}
