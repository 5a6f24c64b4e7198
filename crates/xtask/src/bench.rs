//! `cargo xtask bench`: measures, side by side and alternating, and sets the bars of the project next to the figures.
//! Figures never fail: machines are noisy, and this one may be busy.

mod boot;
mod client;
mod eviction;
mod figure;
mod link;
mod pair;
mod processor;
mod siege;
mod site;
mod speed;
mod statistics;

use std::fs;
use std::io::Write;

use anyhow::{Context, Result};

use crate::process::root;
use crate::say::say;
use crate::steps;

pub(crate) use speed::Options as SpeedOptions;

/// How often each is measured, unless the developer says otherwise.
const ROUNDS: usize = 3;
const SPEED_ROUNDS: usize = 5;

/// Measures `boot`, `pair`, `eviction`, `speed`, or all of these; `link` and `siege` only when asked.
pub(crate) fn run(
    part: Option<&str>,
    rounds: Option<usize>,
    json: bool,
    options: &SpeedOptions,
) -> Result<()> {
    let bench = steps::set_up_bench(options.futago.as_deref())?;
    if part == Some("siege") {
        return siege::measure(&bench, json);
    }
    let asked = |name: &str| part.is_none_or(|part| part == name);
    if part == Some("link") {
        return link::measure(&bench, rounds.unwrap_or(1), &options.only, json);
    }
    if part != Some("speed") {
        figures(&bench, &asked, rounds.unwrap_or(ROUNDS))?;
    }
    if asked("speed") {
        speed::measure(&bench, rounds.unwrap_or(SPEED_ROUNDS), options)?;
    }
    Ok(())
}

fn figures(bench: &steps::Bench, asked: &dyn Fn(&str) -> bool, rounds: usize) -> Result<()> {
    let mut figures = Vec::new();
    if asked("boot") {
        figures.extend(boot::measure(bench, rounds)?);
    }
    if asked("pair") {
        figures.extend(pair::measure(bench, rounds)?);
    }
    if asked("eviction") {
        figures.extend(eviction::measure(bench)?);
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    say(&format!("load average at the end: {}", load.trim()));
    for figure in &figures {
        writeln!(std::io::stdout(), "{}", figure.line())?;
    }
    let directory = root().join("target/bench");
    fs::create_dir_all(&directory).context("cannot create target/bench")?;
    let file = directory.join("figures.json");
    fs::write(&file, serde_json::to_string_pretty(&figures)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    say(&format!("written to {}", file.display()));
    Ok(())
}
