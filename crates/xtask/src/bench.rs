//! `cargo xtask bench`: measures, side by side and alternating, and sets the bars of the project next to the figures.
//! Figures never fail: machines are noisy, and this one may be busy.

mod boot;
mod client;
mod eviction;
mod link;
mod pair;
mod processor;
mod siege;
mod site;
mod speed;

use std::fs;
use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{root, say, steps};

pub(crate) use speed::Options as SpeedOptions;

/// One figure.
#[derive(Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    what: String,
    /// The figure, in `unit`.
    value: f64,
    unit: &'static str,
    /// What it must reach, and whether it did; none if it is there to compare with.
    bar: Option<Bar>,
}

/// A bar: at most, or at least.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    fn reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(bar) => value <= bar,
            Self::AtLeast(bar) => value >= bar,
        }
    }
}

impl Figure {
    fn new(what: impl Into<String>, value: f64, unit: &'static str, bar: Option<Bar>) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            bar,
        }
    }
}

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
        writeln!(std::io::stdout(), "{}", line(figure))?;
    }
    let directory = root().join("target/bench");
    fs::create_dir_all(&directory).context("cannot create target/bench")?;
    let file = directory.join("figures.json");
    fs::write(&file, serde_json::to_string_pretty(&figures)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    say(&format!("written to {}", file.display()));
    Ok(())
}

fn line(figure: &Figure) -> String {
    let Figure {
        what, value, unit, ..
    } = figure;
    let bar = match figure.bar {
        None => String::new(),
        Some(bar) => {
            let words = match bar {
                Bar::AtMost(bar) => format!("at most {bar}"),
                Bar::AtLeast(bar) => format!("at least {bar}"),
            };
            let verdict = if bar.reached(*value) {
                "reached"
            } else {
                "NOT reached"
            };
            format!("{words}: {verdict}")
        }
    };
    format!("{what:<62} {value:>10.2} {unit:<7} {bar}")
}

/// The middle one, or the mean of the two in the middle; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

/// The value below which so many of `values` lie; 0 of none.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![]), 0.0);
        let mut values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.99), 99.0);
    }
}
