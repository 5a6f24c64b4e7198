//! `futago demo`: a Debian guest outlives the kills of its primaries, and one TCP connection outlives them with it.

mod client;
mod result;
mod screen;
mod site;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use guest::Options;

use client::{Client, Seen};
use result::{Outcome, Samples, tenths};
use screen::{Screen, View};
use site::{NAMES, Site};

use crate::vm;

/// Between two looks at the nodes.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A machine that starts, a guest that boots, a backup that joins: each has so long.
const STEP_MAX: Duration = Duration::from_secs(120);
/// A backup goes live within this time.
const FAILOVER_MAX: Duration = Duration::from_secs(30);
/// A kill comes after this time of protected work, and up to as much later as the second says.
const CALM_MIN: Duration = Duration::from_millis(500);
const CALM_RANDOM_MS: u64 = 1500;
/// So many replies after a kill show that the connection goes on.
const REPLIES_AFTER: u64 = 20;

#[derive(Args)]
pub(crate) struct Demo {
    /// How often the primary is killed.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// What executes the guest: one for both nodes, or one for each, as in `translator,interpreter` [default: the best]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ENGINE")]
    engine: Vec<vm::Engine>,
    /// The result as one line of JSON on standard output; the story goes to standard error.
    #[arg(long)]
    json: bool,
}

/// Runs `futago demo`.
pub(crate) fn run(arguments: &Demo) -> Result<ExitCode> {
    let engines = match arguments.engine[..] {
        [] => [None; 2],
        [both] => [Some(both.into()); 2],
        [a, b] => [Some(a.into()), Some(b.into())],
        _ => bail!("--engine names more than two engines, but there are two nodes"),
    };
    let mut screen = Screen::new(arguments.json);
    screen.event("looking for the guest's image");
    let image = guest::build(&Options::new(guest::default_cache()?), &mut |step| {
        screen.event(&step.to_string());
    })?;
    let directory = tempfile::Builder::new()
        .prefix("futago-demo-")
        .tempdir()
        .context("cannot make a directory")?;
    let told_to_end = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&told_to_end);
    node::signals::when_told_to_end(move || told.store(true, Ordering::Relaxed))?;
    let mut story = Story {
        site: Site::set_up(directory.path(), &image, engines)?,
        screen,
        told_to_end,
        client: None,
        view: View::default(),
        gaps: Samples::default(),
        log_rates: Samples::default(),
        protected_work: (0, Duration::ZERO),
    };
    let told = story.tell(arguments.kills);
    let (mut screen, outcome) = story.end(told.err());
    screen.end(&outcome.to_string());
    if arguments.json {
        writeln!(
            crate::output::lock(),
            "{}",
            serde_json::to_string(&outcome)?
        )?;
    }
    if outcome.reason.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let kept = directory.keep();
    writeln!(
        std::io::stderr(),
        "futago: the demo failed; its logs are in {}",
        kept.display()
    )?;
    Ok(ExitCode::FAILURE)
}

struct Story {
    site: Site,
    screen: Screen,
    told_to_end: Arc<AtomicBool>,
    client: Option<Client>,
    view: View,
    /// Failover gaps, in milliseconds.
    gaps: Samples,
    /// In kbit/s, while there was a pair under load.
    log_rates: Samples,
    /// Replies while there was a pair, and how long that was.
    protected_work: (u64, Duration),
}

impl Story {
    fn tell(&mut self, kills: u32) -> Result<()> {
        self.say(&format!(
            "switch and passt are up; node {} starts the machine",
            NAMES[0]
        ));
        self.site.start(0)?;
        self.wait("for the machine to start", STEP_MAX, |view| {
            view.primary().is_some()
        })?;
        self.site.forbid_starting()?;
        self.say(&format!("node {} starts, to be its backup", NAMES[1]));
        self.site.start(1)?;
        let begun = Instant::now();
        while !self.site.guest_is_ready()? {
            self.look("for the guest to boot")?;
            ensure!(
                begun.elapsed() < STEP_MAX,
                "the guest is not ready after {} s",
                STEP_MAX.as_secs()
            );
        }
        self.say("the guest is ready, and serves redis");
        if self.view.protected().is_some() {
            self.say_pair();
        }
        self.wait_for_pair()?;
        self.client = Some(Client::start(self.site.redis)?);
        self.screen.client_begins();
        self.say(&format!(
            "one client is connected to {}, and increments",
            self.site.redis
        ));
        self.wait("for the first replies", FAILOVER_MAX, |view| {
            view.seen.operations >= REPLIES_AFTER
        })?;
        for _ in 0..kills {
            self.work_in_calm()?;
            self.kill_primary()?;
        }
        self.work_in_calm()
    }

    /// Lets the protected machine work until a random moment.
    fn work_in_calm(&mut self) -> Result<()> {
        let random = node::names::random_u128().context("the host gives no random numbers")?;
        let calm = CALM_MIN + Duration::from_millis((random % u128::from(CALM_RANDOM_MS)) as u64);
        let (begun, operations) = (Instant::now(), self.view.seen.operations);
        while begun.elapsed() < calm {
            self.look("for the next kill")?;
            if let Some((_, primary)) = self.view.protected() {
                self.log_rates
                    .add(primary.log_bits_per_second as f64 / 1000.0);
            }
        }
        self.protected_work.0 += self.view.seen.operations - operations;
        self.protected_work.1 += begun.elapsed();
        Ok(())
    }

    /// SIGKILL for the primary of a pair; then everything must go on, and the next pair come.
    fn kill_primary(&mut self) -> Result<()> {
        let (victim, epoch) = self.wait_to_strike()?;
        let Some(client) = &self.client else {
            bail!("there is no client")
        };
        client.watch_gap();
        self.site.kill(victim);
        self.view.kills += 1;
        let heir = 1 - victim;
        self.say(&format!(
            "KILL {}: SIGKILL for node {}, the primary",
            self.view.kills, NAMES[victim]
        ));
        self.wait("for the backup to go live", FAILOVER_MAX, |view| {
            view.primary()
                .is_some_and(|(index, node)| index == heir && node.epoch > epoch)
        })?;
        let operations = self.view.seen.operations;
        self.wait("for the connection to go on", FAILOVER_MAX, |view| {
            view.seen.operations >= operations + REPLIES_AFTER
        })?;
        let gap = self.client.as_ref().map(Client::gap).unwrap_or_default();
        self.gaps.add_ms(gap);
        let epoch = self.view.primary().map_or(epoch, |(_, node)| node.epoch);
        self.say(&format!(
            "node {} is the machine, epoch {epoch}; the same connection went on after {:.0} ms",
            NAMES[heir],
            gap.as_secs_f64() * 1e3
        ));
        self.site.start(victim)?;
        self.wait_for_pair()
    }

    /// Which node is the primary, and in which epoch, while the arbiter's record says that it is protected: what was
    /// last seen of the nodes may be outdated, and the last copy of a machine must not be killed.
    fn wait_to_strike(&mut self) -> Result<(usize, u64)> {
        let begun = Instant::now();
        loop {
            self.wait_for_pair()?;
            let seen = self.view.protected().map(|(host, node)| (host, node.epoch));
            if let Some((victim, epoch)) = seen
                && self.site.is_pair_in(epoch)?
            {
                return Ok((victim, epoch));
            }
            ensure!(begun.elapsed() < STEP_MAX, "the pair does not last");
            self.look("for the pair")?;
        }
    }

    fn wait_for_pair(&mut self) -> Result<()> {
        if self.view.protected().is_some() {
            self.look("for the pair")?;
        }
        if self.view.protected().is_some() {
            return Ok(());
        }
        self.wait("for the backup to join", STEP_MAX, |view| {
            view.protected().is_some()
        })?;
        self.say_pair();
        Ok(())
    }

    fn say_pair(&mut self) {
        let (primary, pause) = self
            .view
            .primary()
            .map_or((0, 0.0), |(host, node)| (host, node.snapshot_pause_ms));
        let [primary, backup] = [primary, 1 - primary].map(|host| {
            let engine = self.view.nodes[host].as_ref().map(|node| &*node.engine);
            format!("{} ({})", NAMES[host], engine.unwrap_or_default())
        });
        self.say(&format!(
            "PAIR: node {backup} protects node {primary}, whose guest stood still for {pause:.0} ms"
        ));
    }

    fn wait(&mut self, what: &str, limit: Duration, done: impl Fn(&View) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !done(&self.view) {
            ensure!(
                begun.elapsed() < limit,
                "waited {what} for {} s, in vain",
                limit.as_secs()
            );
            self.look(what)?;
        }
        Ok(())
    }

    /// One look at everything, one moment later.
    fn look(&mut self, waiting: &str) -> Result<()> {
        std::thread::sleep(LOOK_EVERY);
        // Processes of the same terminal are told, too: what they do then is no failure of theirs.
        let ended = self.site.take_ended();
        ensure!(
            !self.told_to_end.load(Ordering::Relaxed),
            "it was told to end"
        );
        for (host, words) in ended? {
            self.say(&format!(
                "node {} ended by itself, and is started again: {words}",
                NAMES[host]
            ));
            self.site.start(host)?;
        }
        self.view.running = self.site.running();
        self.view.nodes = self.site.status();
        self.view.seen = self.client.as_ref().map(Client::seen).unwrap_or_default();
        self.screen.show(&self.view, &format!("waiting {waiting}"));
        self.judge(&self.view.seen)
    }

    fn judge(&self, seen: &Seen) -> Result<()> {
        if let Some(error) = &seen.error {
            bail!(
                "the connection broke after {} replies: {error}",
                seen.operations
            );
        }
        ensure!(
            !seen.is_wronged(),
            "after {} replies {} increments were lost, {} repeated",
            seen.operations,
            seen.lost,
            seen.repeated
        );
        Ok(())
    }

    fn say(&mut self, what: &str) {
        let line = self.screen.event(what);
        site::note(self.site.directory(), &line);
    }

    /// Ends all processes, and says what came out.
    fn end(mut self, error: Option<anyhow::Error>) -> (Screen, Outcome) {
        let seen = match self.client.take() {
            Some(client) => client.finish(),
            None => Seen::default(),
        };
        let reason = error.or_else(|| self.judge(&seen).err());
        let reason = reason.map(|error| format!("{error:#}"));
        if let Some(reason) = &reason {
            site::note(self.site.directory(), reason);
        }
        let (operations, time) = self.protected_work;
        let outcome = Outcome {
            verdict: if reason.is_none() { "pass" } else { "fail" },
            kills: self.view.kills,
            operations: seen.operations,
            lost: seen.lost,
            repeated: seen.repeated,
            connections_broken: seen.broken,
            failover_ms_median: self.gaps.median(),
            failover_ms_max: self.gaps.max(),
            operations_per_second: tenths(operations as f64 / time.as_secs_f64().max(1e-3)),
            log_kbit_per_second_median: self.log_rates.median(),
            log_kbit_per_second_max: self.log_rates.max(),
            seconds: tenths(self.screen.seconds()),
            reason,
        };
        (self.screen, outcome)
    }
}
