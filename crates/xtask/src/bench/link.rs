//! Pairs over bad links: how soon a busy guest is protected over each, and what its clients then feel.

mod load;
mod relay;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use self::load::Load;
use self::relay::{Relay, Weather};
use super::site::{PAIR, Plan, Site};
use super::statistics::{median, quantile};
use crate::process::root;
use crate::say::say;
use crate::steps::Bench;

/// How long a pair is watched once it is protected.
const WINDOW: Duration = Duration::from_secs(8);
/// The guest is under load for so long before its backup joins.
const BEFORE: Duration = Duration::from_secs(1);
/// After this the load of the transfer has died away.
const SETTLE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(25);
/// Pairing may take so long beyond the time that the state's bytes take on the link.
const PAIRING_S_MAX: f64 = 10.0;
/// Nobody waits longer for it than so much more.
const PATIENCE_S: f64 = 30.0;
/// The bound on the slowest requests holds up to this loss.
const LOSS_PER_MILLE_MAX: u64 = 10;

/// The figures of one link. The names are what `--json` promises.
#[derive(Clone, Serialize)]
struct Figures {
    /// From the start of the backup's process; none if it never came to it.
    pairing_s: Option<f64>,
    operations_per_s: f64,
    latency_ms_p50: f64,
    latency_ms_p99: f64,
    lag_ms_p99: f64,
    /// Requests that were answered, and then forgotten.
    lost: u64,
    /// Changes of the record beside the one to a pair.
    role_changes: u64,
    state_mib: f64,
    bounds: Bounds,
    /// What is above its bound.
    broken: Vec<&'static str>,
}

/// What the figures of one link must not exceed.
#[derive(Clone, Copy, Serialize)]
struct Bounds {
    pairing_s: f64,
    latency_ms_p50: f64,
    /// None where so much is lost that nothing is promised.
    latency_ms_p99: Option<f64>,
    lost: u64,
    role_changes: u64,
}

impl Bounds {
    fn of(weather: &Weather, state_bytes: f64) -> Self {
        let trip_ms = weather.round_trip.as_secs_f64() * 1e3;
        let on_link_s = weather
            .bits_per_second
            .map_or(0.0, |rate| state_bytes * 8.0 / rate as f64);
        let p99 = trip_ms * 4.0 + 5.0;
        Self {
            pairing_s: PAIRING_S_MAX + on_link_s,
            latency_ms_p50: trip_ms * 1.5 + 1.0,
            latency_ms_p99: (weather.loss_per_mille <= LOSS_PER_MILLE_MAX).then_some(p99),
            lost: 0,
            role_changes: 0,
        }
    }

    fn broken(&self, figures: &Figures) -> Vec<&'static str> {
        let mut broken = Vec::new();
        let mut check = |holds: bool, what| {
            if !holds {
                broken.push(what);
            }
        };
        check(
            figures.pairing_s.is_some_and(|s| s <= self.pairing_s),
            "pairing_s",
        );
        check(
            figures.latency_ms_p50 <= self.latency_ms_p50,
            "latency_ms_p50",
        );
        let p99 = self.latency_ms_p99.unwrap_or(f64::INFINITY);
        check(figures.latency_ms_p99 <= p99, "latency_ms_p99");
        check(figures.lost <= self.lost, "lost");
        check(figures.role_changes <= self.role_changes, "role_changes");
        broken
    }
}

/// The table of links: round trips × loss × reordering, and a slow line.
fn links() -> Vec<(String, Weather)> {
    let mut links = Vec::new();
    for trip_ms in [1, 10, 40] {
        for loss_per_mille in [0, 1, 10, 50] {
            for reorders in [false, true] {
                let loss = loss_per_mille as f64 / 10.0;
                let end = if reorders { "-reordered" } else { "" };
                let weather = Weather {
                    round_trip: Duration::from_millis(trip_ms),
                    loss_per_mille,
                    reorders,
                    bits_per_second: None,
                };
                links.push((format!("{trip_ms}ms-loss{loss}%{end}"), weather));
            }
        }
    }
    let slow = Weather {
        round_trip: Duration::from_millis(10),
        loss_per_mille: 0,
        reorders: false,
        bits_per_second: Some(10_000_000),
    };
    links.push(("10ms-10Mbit".to_owned(), slow));
    links
}

/// Measures the links whose names contain one of `only`, or all; writes `target/bench/link.json`.
pub(super) fn measure(bench: &Bench, rounds: usize, only: &[String], json: bool) -> Result<()> {
    #[derive(Serialize)]
    struct Results {
        links: BTreeMap<String, Figures>,
        verdict: &'static str,
    }
    let mut measured = BTreeMap::new();
    for (name, weather) in links() {
        if !only.is_empty() && !only.iter().any(|part| name.contains(part)) {
            continue;
        }
        let rows = (0..rounds).map(|_| pair(bench, &weather));
        let rows: Vec<_> = rows.collect::<Result<_>>().with_context(|| name.clone())?;
        let figures = middle(&rows);
        say(&line(&name, &figures));
        measured.insert(name, figures);
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    say(&format!("load average at the end: {}", load.trim()));
    let holds = measured.values().all(|figures| figures.broken.is_empty());
    let results = Results {
        links: measured,
        verdict: if holds { "pass" } else { "fail" },
    };
    let text = serde_json::to_string_pretty(&results)?;
    let directory = root().join("target/bench");
    fs::create_dir_all(&directory).context("cannot create target/bench")?;
    let file = directory.join("link.json");
    fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    say(&format!(
        "{}; written to {}",
        results.verdict,
        file.display()
    ));
    if json {
        writeln!(std::io::stdout(), "{text}")?;
    }
    Ok(())
}

fn line(name: &str, figures: &Figures) -> String {
    let bounds = &figures.bounds;
    let pairing = figures
        .pairing_s
        .map_or("never".to_owned(), |s| format!("{s:.1}"));
    let p99_max = bounds
        .latency_ms_p99
        .map_or("-".to_owned(), |ms| format!("{ms:.0}"));
    let verdict = match figures.broken.is_empty() {
        true => "holds".to_owned(),
        false => format!("BROKEN: {}", figures.broken.join(", ")),
    };
    format!(
        "{name:<22} pairing {pairing:>5} s (at most {:.1}), {:>5.0} operations/s, p50 {:>6.2} ms (at most {:.1}), \
         p99 {:>6.2} ms (at most {p99_max}), lag p99 {:>5.1} ms, lost {} (0), role changes {} (0), {verdict}",
        bounds.pairing_s,
        figures.operations_per_s,
        figures.latency_ms_p50,
        bounds.latency_ms_p50,
        figures.latency_ms_p99,
        figures.lag_ms_p99,
        figures.lost,
        figures.role_changes,
    )
}

/// Medians of several rounds; what must never happen is summed up.
fn middle(rows: &[Figures]) -> Figures {
    let of = |pick: fn(&Figures) -> f64| median(rows.iter().map(pick).collect());
    let never = rows.iter().any(|row| row.pairing_s.is_none());
    let mut figures = rows[0].clone();
    figures.pairing_s = (!never).then(|| of(|row| row.pairing_s.unwrap_or_default()));
    figures.operations_per_s = of(|row| row.operations_per_s);
    figures.latency_ms_p50 = of(|row| row.latency_ms_p50);
    figures.latency_ms_p99 = of(|row| row.latency_ms_p99);
    figures.lag_ms_p99 = of(|row| row.lag_ms_p99);
    figures.lost = rows.iter().map(|row| row.lost).sum();
    figures.role_changes = rows.iter().map(|row| row.role_changes).sum();
    figures.broken = figures.bounds.broken(&figures);
    figures
}

/// One pair over one link, from the start of its primary on.
fn pair(bench: &Bench, weather: &Weather) -> Result<Figures> {
    let mut plan = Plan::new(0, PAIR)?;
    let relay = Relay::start([plan.listen[0], plan.listen[1]], *weather)?;
    plan.peers = relay.addresses.map(|address| vec![address]).to_vec();
    let mut site = Site::set_up(bench, plan)?;
    site.start(0)?;
    site.wait("the guest to answer", |site| {
        super::pair::answers(site.redis)
    })?;
    let load = Load::start(site.redis);
    sleep(BEFORE);
    let alone = site.status(0)?;
    site.start(1)?;
    let begin = Instant::now();
    let mut state_bytes = 0;
    let pairing_s = loop {
        let status = site.status(0)?;
        state_bytes = state_bytes.max(status.transfer_bytes_total);
        let seconds = begin.elapsed().as_secs_f64();
        if site.is_protected() {
            break Some(seconds);
        }
        if seconds > Bounds::of(weather, state_bytes as f64).pairing_s + PATIENCE_S {
            break None;
        }
        sleep(LOOK);
    };
    sleep(SETTLE);
    let paired = site.status(0)?;
    load.take();
    let begin = Instant::now();
    let mut lags_ms = Vec::new();
    while begin.elapsed() < WINDOW {
        lags_ms.push(site.status(0)?.lag_ms);
        sleep(LOOK);
    }
    let mut heard = load.take();
    let seconds = begin.elapsed().as_secs_f64();
    let status = site.status(0)?;
    load.stop()?;
    site.clear();
    let epochs = u64::from(pairing_s.is_some());
    let mut figures = Figures {
        pairing_s,
        operations_per_s: heard.operations as f64 / seconds,
        latency_ms_p50: quantile(&mut heard.waits_ms, 0.5),
        latency_ms_p99: quantile(&mut heard.waits_ms, 0.99),
        lag_ms_p99: quantile(&mut lags_ms, 0.99),
        lost: heard.lost,
        role_changes: (status.epoch - alone.epoch).saturating_sub(epochs),
        state_mib: state_bytes as f64 / f64::from(1 << 20),
        bounds: Bounds::of(weather, state_bytes as f64),
        broken: Vec::new(),
    };
    if paired.role != "primary" {
        figures.role_changes += 1;
    }
    figures.broken = figures.bounds.broken(&figures);
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_has_its_name() {
        let names: std::collections::BTreeSet<_> =
            links().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), links().len());
        assert_eq!(names.len(), 3 * 4 * 2 + 1);
    }

    #[test]
    fn bounds_are_those_of_the_link() {
        let (_, slow) = links().pop().expect("the slow link is the last");
        let bounds = Bounds::of(&slow, 12.5e6);
        assert!((bounds.pairing_s - 20.0).abs() < 1e-6);
        assert!((bounds.latency_ms_p50 - 16.0).abs() < 1e-6);
        assert_eq!(bounds.latency_ms_p99, Some(45.0));
    }
}
