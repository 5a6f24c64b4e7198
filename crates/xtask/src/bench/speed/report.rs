//! The figures as a table for people, and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use super::memory::Resident;
use super::results::{Clock, Peer, Results, Row, geometric_mean};

/// How many times faster than these Futago must be, by the geometric mean of all workloads.
const MEANS_MIN: [(Peer, f64); 2] = [(Peer::Tcg, 1.6), (Peer::Record, 2.0)];

/// What the figures belong to.
#[derive(Serialize)]
pub(super) struct About<'a> {
    pub(super) rounds: usize,
    pub(super) engine: &'a str,
    /// The peer's version.
    pub(super) qemu: Option<&'a str>,
    /// Load averages at the end.
    pub(super) load: String,
}

/// Medians in seconds, ratios, their means, and what is slower than it must be.
pub(super) fn table(results: &Results, about: &About) -> String {
    let clock = match results.clock {
        Clock::Host => "by the host's clock",
        Clock::Processor => "of processor time (native: by the host's clock)",
    };
    let mut text = format!(
        "seconds {clock}, medians of {} rounds, one hart, 1 GiB; futago with its {}\n",
        about.rounds, about.engine
    );
    if let Some(qemu) = about.qemu {
        text += &format!(
            "TCG and record: {qemu}; load average at the end: {}\n",
            about.load.trim()
        );
    }
    text += &line(
        "work",
        [
            "native",
            "TCG",
            "record",
            "futago",
            "TCG/futago",
            "record/futago",
        ]
        .map(str::to_owned),
    );
    for row in &results.rows {
        let seconds = [Peer::Native, Peer::Tcg, Peer::Record, Peer::Futago]
            .map(|peer| cell(row.median(peer, results.clock), 3));
        let ratios = [Peer::Tcg, Peer::Record].map(|peer| cell(row.ratio(peer, results.clock), 2));
        let [native, tcg, record, futago] = seconds;
        let [to_tcg, to_record] = ratios;
        let title = format!("{} ({})", row.workload.title, row.workload.name);
        text += &line(&title, [native, tcg, record, futago, to_tcg, to_record]);
    }
    let slower: Vec<String> = (results.rows.iter())
        .filter_map(|row| Some((row, row.ratio(Peer::Tcg, results.clock)?)))
        .filter(|(_, ratio)| *ratio < 1.0)
        .map(|(row, ratio)| format!("{} ({ratio:.2})", row.workload.name))
        .collect();
    match slower.as_slice() {
        _ if mean(results, Peer::Tcg).is_none() => {}
        [] => text += "slower than TCG: none\n",
        slower => text += &format!("slower than TCG: {}\n", slower.join(", ")),
    }
    if let Some(mean) = mean(results, Peer::Native) {
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "futago takes {:.1} times as long as native, geometric mean",
            1.0 / mean
        );
    }
    text += &memory(results);
    let bars = bars(results, slower.len());
    if !bars.is_empty() {
        text += &format!("{bars}\n");
    }
    let means = [Peer::Tcg, Peer::Record].map(|peer| cell(mean(results, peer), 2));
    let [to_tcg, to_record] = means;
    let none = String::new;
    text + &line(
        "geometric mean",
        [none(), none(), none(), none(), to_tcg, to_record],
    )
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "NOT reached" }
}

/// What the machines of an idle guest hold of the host's memory, if that was measured.
fn memory(results: &Results) -> String {
    let held = |peer| Some((peer, results.resident(peer)?));
    let all: Vec<(Peer, Resident)> = Peer::ALL.into_iter().filter_map(held).collect();
    if all.is_empty() {
        return String::new();
    }
    let figures: Vec<String> = (all.iter())
        .map(|(peer, held)| {
            let Resident { rss_mib, pss_mib } = held;
            format!("{} {rss_mib:.0} ({pss_mib:.0})", peer.title())
        })
        .collect();
    let mut text = format!(
        "resident memory at the prompt in MiB (shared pages counted once): {}",
        figures.join(", ")
    );
    if let (Some((_, own)), Some((_, tcg))) = (held(Peer::Futago), held(Peer::Tcg)) {
        let reached = own.rss_mib <= tcg.rss_mib && own.pss_mib <= tcg.pss_mib;
        text += &format!("; no more than TCG: {}", verdict(reached));
    }
    text + "\n"
}

/// What is asked of the means, and of every workload.
fn bars(results: &Results, slower: usize) -> String {
    let mut bars: Vec<String> = (MEANS_MIN.iter())
        .filter_map(|&(peer, bar)| {
            let reached = verdict(mean(results, peer)? >= bar);
            Some(format!("at least {bar} times {}: {reached}", peer.title()))
        })
        .collect();
    if mean(results, Peer::Tcg).is_some() {
        bars.push(format!("nothing slower than TCG: {}", verdict(slower == 0)));
    }
    bars.join("; ")
}

/// The geometric mean of how many times faster Futago is than `peer`.
pub(super) fn mean(results: &Results, peer: Peer) -> Option<f64> {
    geometric_mean(
        results
            .rows
            .iter()
            .filter_map(|row| row.ratio(peer, results.clock)),
    )
}

fn line(title: &str, cells: [String; 6]) -> String {
    let [native, tcg, record, futago, to_tcg, to_record] = cells;
    let line =
        format!("{title:<50}{native:>8}{tcg:>8}{record:>8}{futago:>8}{to_tcg:>12}{to_record:>15}");
    line.trim_end().to_owned() + "\n"
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or(String::new(), |value| format!("{value:.digits$}"))
}

/// The file's contents.
#[derive(Serialize)]
struct File<'a> {
    #[serde(flatten)]
    about: &'a About<'a>,
    clock: Clock,
    work: Vec<Work<'a>>,
    tcg_ratio_mean: Option<f64>,
    record_ratio_mean: Option<f64>,
    native_ratio_mean: Option<f64>,
    /// Of an idle guest, after each boot.
    resident: &'a BTreeMap<Peer, Vec<Resident>>,
    wrong: Vec<String>,
}

#[derive(Serialize)]
struct Work<'a> {
    name: &'a str,
    title: &'a str,
    seconds: Vec<Seconds>,
    tcg_ratio: Option<f64>,
    record_ratio: Option<f64>,
}

#[derive(Serialize)]
struct Seconds {
    peer: Peer,
    /// By the chosen clock.
    median: Option<f64>,
    wall: Vec<f64>,
    /// Of the machine's process; for native it means nothing.
    processor: Vec<f64>,
}

/// Everything that was measured.
pub(super) fn json(results: &Results, about: &About) -> Result<String> {
    let work = results.rows.iter().map(|row| work(row, results.clock));
    let file = File {
        about,
        clock: results.clock,
        work: work.collect(),
        tcg_ratio_mean: mean(results, Peer::Tcg),
        record_ratio_mean: mean(results, Peer::Record),
        native_ratio_mean: mean(results, Peer::Native),
        resident: &results.resident,
        wrong: results.wrong(),
    };
    Ok(serde_json::to_string_pretty(&file)?)
}

fn work(row: &Row, clock: Clock) -> Work<'_> {
    let seconds = row.cells.iter().map(|(&peer, cell)| Seconds {
        peer,
        median: row.median(peer, clock),
        wall: cell.taken.iter().map(|taken| taken.wall).collect(),
        processor: cell.taken.iter().map(|taken| taken.processor).collect(),
    });
    Work {
        name: row.workload.name,
        title: row.workload.title,
        seconds: seconds.collect(),
        tcg_ratio: row.ratio(Peer::Tcg, clock),
        record_ratio: row.ratio(Peer::Record, clock),
    }
}
