//! `cargo xtask fuzz`: hostile bytes for every decoder, and hostile guests. A seeded loop runs each target in a process of
//! its own, and measures what an input costs; with cargo-fuzz, coverage can lead the bytes.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;
use crate::say::say;

const MANIFEST: &str = "fuzz/Cargo.toml";

/// What is wanted.
pub(crate) struct Options<'a> {
    /// One target; else all.
    pub(crate) target: Option<&'a str>,
    /// For all of them.
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    /// One input, in a file.
    pub(crate) input: Option<&'a str>,
    /// By cargo-fuzz.
    pub(crate) coverage: bool,
}

/// What a target found, as `fuzz/src/main.rs` prints it.
#[derive(Deserialize)]
struct Row {
    target: String,
    inputs: u64,
    crashes: u64,
    longest_stop_ms: Option<f64>,
    longest_stop_ms_max: f64,
    memory_mib: Option<f64>,
    memory_mib_max: f64,
}

/// Runs targets, and prints what they found.
pub(crate) fn run(options: &Options<'_>) -> Result<()> {
    let scope = [
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--manifest-path",
        MANIFEST,
    ];
    let seeded = [&scope[..], &["--bin", "seeded", "--"]].concat();
    let list = process::output(&process::cargo_path(), &seeded)?;
    let all: Vec<(&str, u64)> = (list.lines())
        .filter_map(|line| {
            let (name, weight) = line.split_once(' ')?;
            Some((name, weight.parse().ok()?))
        })
        .collect();
    let names = || {
        all.iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let chosen: Vec<(&str, u64)> = match options.target {
        None => all.clone(),
        Some(wanted) => all
            .iter()
            .copied()
            .filter(|(name, _)| *name == wanted)
            .collect(),
    };
    if chosen.is_empty() {
        bail!("no such target: there are {}", names());
    }
    if let Some(file) = options.input {
        let [(name, _)] = chosen[..] else {
            bail!("an input is for one target: name it, of {}", names());
        };
        let row = one(&seeded, name, &[file])?;
        return print(&[row]);
    }
    let whole: u64 = chosen.iter().map(|(_, weight)| weight).sum();
    let mut rows = Vec::new();
    for (name, weight) in chosen {
        let milliseconds = options.seconds * 1000 * weight / whole;
        if options.coverage {
            covered(name, milliseconds.div_ceil(1000))?;
            continue;
        }
        let words = [milliseconds.to_string(), options.seed.to_string()];
        rows.push(one(&seeded, name, &words.each_ref().map(String::as_str))?);
    }
    print(&rows)
}

/// One target in its process, and whether it ended well.
fn one(seeded: &[&str], name: &str, words: &[&str]) -> Result<(Row, bool)> {
    let output = Command::new(process::cargo_path())
        .args(seeded)
        .arg(name)
        .args(words)
        .current_dir(process::root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Ok(row) = serde_json::from_str(&text) else {
        let line = words.join(" ");
        bail!(
            "the target {name} ended without a word ({}): repeat with `seeded {name} {line}`",
            output.status
        );
    };
    Ok((row, output.status.success()))
}

fn print(rows: &[(Row, bool)]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let figure = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    say(&format!(
        "{:10} {:>9} {:>8} {:>22} {:>24}",
        "target", "inputs", "crashes", "peak memory, MiB (max)", "longest stop, ms (max)"
    ));
    for (row, good) in rows {
        let memory = format!("{} ({})", figure(row.memory_mib), row.memory_mib_max);
        let stop = format!(
            "{} ({})",
            figure(row.longest_stop_ms),
            row.longest_stop_ms_max
        );
        let end = if *good { "" } else { "  FAILED" };
        say(&format!(
            "{:10} {:>9} {:>8} {memory:>22} {stop:>24}{end}",
            row.target, row.inputs, row.crashes
        ));
    }
    let failed: Vec<&str> = (rows.iter())
        .filter(|(_, good)| !good)
        .map(|(row, _)| row.target.as_str())
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Without a sanitizer a stable compiler will do, and there is hardly any unsafe code to sanitize.
fn covered(target: &str, seconds: u64) -> Result<()> {
    let time = format!("-max_total_time={seconds}");
    let scope = ["fuzz", "run", "--sanitizer", "none"];
    let bounds = ["--", &time, "-timeout=60", "-rss_limit_mb=2048"];
    process::cargo(&[&scope[..], &["--features", "libfuzzer", target], &bounds].concat())
        .context("cargo-fuzz leads by coverage: cargo install cargo-fuzz")
}
