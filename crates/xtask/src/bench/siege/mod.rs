//! `cargo xtask bench siege`: a protected guest under load, while one kind of trouble after another strikes. Judges what a
//! client saw, and what the processes took.

mod disk;
mod junk;
mod strikes;
mod watch;

use std::io::Write;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::client::Client;
use super::site::{Plan, Site};
use crate::say::say;
use crate::steps::Bench;

use strikes::Strike;
use watch::{BACKUP, NODES, PRIMARY, Siege};

/// The longest silence that a client may meet: a peer is suspected after 0.25 s, and a guest of this size stands still
/// for some tenths of a second while it gets a new backup.
const SILENCE_MS_MAX: f64 = 1_000.0;
/// The most memory that one process may hold: the guest's memory and the code cache, 256 MiB each, and as much again for a
/// state on its way.
const MEMORY_MIB_MAX: f64 = 768.0;
/// For how long the guest may stand still for failing joiners, in all: `pauses_us_max` of the protocol, in a minute.
const PAUSES_MS_MAX: f64 = 3_000.0;
/// Work in peace, before, between and after strikes.
const PEACE: Duration = Duration::from_secs(2);

/// The result; the names of its keys are a contract.
#[derive(Serialize)]
struct Outcome {
    operations: u64,
    lost: u64,
    repeated: u64,
    broken: u64,
    silence_ms_max: f64,
    memory_mib_max: f64,
    /// How long the guest stood still for joiners that failed.
    pauses_ms: f64,
    verdict: &'static str,
    /// The longest silence in each strike.
    strikes: Vec<Struck>,
}

#[derive(Serialize)]
struct Struck {
    name: &'static str,
    silence_ms: f64,
    operations: u64,
}

/// Measures, prints a table, and a line of JSON if wanted; fails if the verdict does.
pub(super) fn measure(bench: &Bench, json: bool) -> Result<()> {
    let plan = Plan::new(0, NODES)?;
    let disk = disk::Disk::mount(plan.directory.clone())?;
    let outcome = besiege(bench, plan, &disk)?;
    for line in lines(&outcome) {
        say(&line);
    }
    if json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&outcome)?)?;
    }
    ensure!(
        outcome.verdict == "pass",
        "the siege was not borne; see the logs in {}",
        disk.directory().display()
    );
    disk.unmount()
}

fn besiege(bench: &Bench, plan: Plan, disk: &disk::Disk) -> Result<Outcome> {
    let mut site = Site::set_up(bench, plan)?;
    site.start(PRIMARY)?;
    say("the guest boots");
    site.wait("the guest to answer", |site| {
        super::pair::answers(site.redis)
    })?;
    site.start(BACKUP)?;
    site.wait("the pair to be protected", Site::is_protected)?;
    let client = Client::start(site.redis)?;
    let mut siege = Siege::lay(site, client);
    siege.watch(PEACE)?;
    let mut struck = Vec::new();
    for strike in Strike::ALL {
        say(&format!("{}: {}", strike.name(), strike.story()));
        siege.client.take_silence();
        let before = siege.client.seen().operations;
        strike.run(&mut siege, disk)?;
        siege
            .site
            .wait("the machine to be protected again", Site::is_protected)?;
        siege.watch(PEACE)?;
        struck.push(Struck {
            name: strike.name(),
            silence_ms: siege.client.take_silence().as_secs_f64() * 1e3,
            operations: siege.client.seen().operations - before,
        });
    }
    let (outcome, site) = judge(siege, struck);
    if outcome.verdict == "pass" {
        site.clear();
    }
    Ok(outcome)
}

fn judge(siege: Siege, strikes: Vec<Struck>) -> (Outcome, Site) {
    let seen = siege.client.finish();
    let silence_ms_max = strikes.iter().map(|one| one.silence_ms).fold(0.0, f64::max);
    let wronged = seen.lost + seen.repeated + seen.broken > 0;
    let idle = strikes.iter().any(|one| one.operations == 0);
    let beyond = silence_ms_max > SILENCE_MS_MAX
        || siege.memory_mib_max > MEMORY_MIB_MAX
        || siege.pauses_ms > PAUSES_MS_MAX;
    let outcome = Outcome {
        operations: seen.operations,
        lost: seen.lost,
        repeated: seen.repeated,
        broken: seen.broken,
        silence_ms_max,
        memory_mib_max: siege.memory_mib_max,
        pauses_ms: siege.pauses_ms,
        verdict: if wronged || idle || beyond {
            "fail"
        } else {
            "pass"
        },
        strikes,
    };
    (outcome, siege.site)
}

fn lines(outcome: &Outcome) -> Vec<String> {
    let line = |what: &str, value: f64, bound: f64| {
        let verdict = if value <= bound { "within" } else { "BEYOND" };
        format!("{what:<44} {value:>10.0}   at most {bound}: {verdict}")
    };
    let mut lines = vec![format!("{:<44} {:>10}", "operations", outcome.operations)];
    lines.extend([
        line("acknowledged operations lost", outcome.lost as f64, 0.0),
        line("operations repeated", outcome.repeated as f64, 0.0),
        line("connections broken", outcome.broken as f64, 0.0),
    ]);
    lines.extend(outcome.strikes.iter().map(|one| {
        let what = format!("  longest silence, {}, ms", one.name);
        line(&what, one.silence_ms, SILENCE_MS_MAX)
    }));
    lines.extend([
        line(
            "longest silence, ms",
            outcome.silence_ms_max,
            SILENCE_MS_MAX,
        ),
        line(
            "pauses for joiners that failed, ms",
            outcome.pauses_ms,
            PAUSES_MS_MAX,
        ),
        line(
            "most memory of a process, MiB",
            outcome.memory_mib_max,
            MEMORY_MIB_MAX,
        ),
    ]);
    lines.push(format!("verdict: {}", outcome.verdict));
    lines
}
