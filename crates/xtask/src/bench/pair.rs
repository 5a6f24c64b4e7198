//! What protection costs: two machines alike, one on a node alone, the other on a pair, in turns; then the other way round.

mod perfect;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::figure::{Bar, Figure};
use super::processor::processor_time;
use super::site::{PAIR, Plan, Site};
use super::statistics::{median, quantile};
use crate::say::say;
use crate::steps::Bench;

/// How long the log of an idle guest is measured.
const IDLE_WINDOW: Duration = Duration::from_secs(10);
/// How long the speed of a busy guest is measured at a time: no longer, for the host's speed wanders within seconds;
/// and no shorter, for the lag of a backup may change by a tenth of a second.
const BUSY_WINDOW: Duration = Duration::from_secs(2);
/// Busy guests take so many turns.
const BUSY_TURNS: usize = 12;
/// After this what went before has died away, and the lag is what it will be.
const SETTLE: Duration = Duration::from_secs(1);
/// Turns of round trips, and round trips in one turn.
const TRIP_TURNS: usize = 10;
const TRIPS: usize = 100;
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What is measured in every turn.
#[derive(Default)]
struct Samples {
    idle_kbit: Vec<f64>,
    busy_kbit: Vec<f64>,
    /// Positions a second, unprotected, under a busy loop.
    speed: Vec<f64>,
    /// Shares of one processor: what the primary's hart takes, and all that both nodes take beside their harts.
    hart: Vec<f64>,
    beside_hart: Vec<f64>,
    /// Microseconds.
    trips_alone: Vec<f64>,
    trips_protected: Vec<f64>,
}

pub(super) fn measure(bench: &Bench, rounds: usize) -> Result<Vec<Figure>> {
    let site = |index| Site::set_up(bench, Plan::new(index, PAIR)?);
    let mut sites = [site(0)?, site(1)?];
    for site in &mut sites {
        site.start(0)?;
    }
    for site in &mut sites {
        site.wait("the guest to answer", |site| answers(site.redis))?;
    }
    let mut samples = Samples::default();
    let (mut protected, mut perfect) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        say(&format!(
            "round {round}: both machines without a backup, side by side"
        ));
        for site in &sites {
            site.type_in("while :; do :; done &\n")?;
        }
        sleep(SETTLE);
        perfect.push(perfect::measure(&sites)?);
        for site in &sites {
            site.type_in("kill -STOP $!\n")?;
        }
        // One process is faster than its like by some hundredths, all its life: each machine is protected once.
        let mut halves = [0.0; 2];
        for (machine, half) in halves.iter_mut().enumerate() {
            say(&format!(
                "round {round}: machine {} gets a backup",
                machine + 1
            ));
            *half = protect(&mut sites, machine, &mut samples)?;
        }
        protected.push((halves[0] * halves[1]).sqrt());
        for site in &sites {
            site.type_in("kill -KILL $!\n")?;
        }
    }
    sites.into_iter().for_each(Site::clear);
    Ok(figures(protected, perfect, samples))
}

fn figures(protected: Vec<f64>, perfect: Vec<f64>, mut samples: Samples) -> Vec<Figure> {
    let mut added = |share| {
        quantile(&mut samples.trips_protected, share) - quantile(&mut samples.trips_alone, share)
    };
    let (p50, p99) = (added(0.5), added(0.99));
    let at_most = |bar| Some(Bar::AtMost(bar));
    vec![
        Figure::new(
            "protected / unprotected speed, CPU-bound",
            median(protected),
            "",
            Some(Bar::AtLeast(0.95)),
        ),
        Figure::new(
            "  a perfect pair on these processors, lag up to 100 ms",
            median(perfect),
            "",
            None,
        ),
        Figure::new(
            "  the primary's hart, of one processor",
            median(samples.hart) * 100.0,
            "%",
            None,
        ),
        Figure::new(
            "  both nodes beside their harts, of one processor",
            median(samples.beside_hart) * 100.0,
            "%",
            None,
        ),
        Figure::new(
            "speed unprotected, CPU-bound",
            median(samples.speed) / 1e6,
            "M/s",
            None,
        ),
        Figure::new(
            "log of an idle guest",
            median(samples.idle_kbit),
            "kbit/s",
            at_most(50.0),
        ),
        Figure::new(
            "log of a CPU-bound guest",
            median(samples.busy_kbit),
            "kbit/s",
            at_most(100.0),
        ),
        Figure::new(
            "latency that the output rule adds, p50",
            p50,
            "us",
            at_most(200.0),
        ),
        Figure::new("latency that the output rule adds, p99", p99, "us", None),
    ]
}

/// Gives a machine a backup for a while, and measures both machines in turns; returns protected to unprotected speed.
fn protect(sites: &mut [Site; 2], machine: usize, samples: &mut Samples) -> Result<f64> {
    sites[machine].start(1)?;
    sites[machine].wait("the pair to be protected", Site::is_protected)?;
    let (pair, alone) = (&sites[machine], &sites[1 - machine]);
    say("  round trips");
    for _ in 0..TRIP_TURNS {
        samples.trips_alone.extend(round_trips(alone.redis)?);
        samples.trips_protected.extend(round_trips(pair.redis)?);
    }
    say("  log of an idle guest");
    sleep(SETTLE);
    samples.idle_kbit.push(rates(pair, IDLE_WINDOW)?.kbit);
    say("  speed of busy guests");
    let mut ratios = Vec::new();
    for _ in 0..BUSY_TURNS {
        let (protected, unprotected) = (busy(pair)?, busy(alone)?);
        ratios.push(protected.speed / unprotected.speed);
        samples.speed.push(unprotected.speed);
        samples.busy_kbit.push(protected.kbit);
        samples.hart.push(protected.hart);
        samples.beside_hart.push(protected.beside_hart);
    }
    sites[machine].stop(1)?;
    sites[machine].wait("the primary to go on alone", Site::is_alone)?;
    Ok(median(ratios))
}

/// Rates while the guest executes its loop.
fn busy(site: &Site) -> Result<Rates> {
    site.type_in("kill -CONT $!\n")?;
    sleep(SETTLE);
    let rates = rates(site, BUSY_WINDOW)?;
    site.type_in("kill -STOP $!\n")?;
    Ok(rates)
}

/// What happens in a second, on average over a window.
struct Rates {
    /// Bits to the backup in thousands, all headers from IPv4 up included.
    kbit: f64,
    /// Positions.
    speed: f64,
    /// Seconds of processor time of the primary's hart, and of all nodes' other threads.
    hart: f64,
    beside_hart: f64,
}

fn rates(site: &Site, window: Duration) -> Result<Rates> {
    let processors = || [0, 1].map(|node| site.process(node).map(|id| processor_time(id, "hart")));
    let (from, spent, begin) = (site.status(0)?, processors(), Instant::now());
    sleep(window);
    let (to, spent_then) = (site.status(0)?, processors());
    let seconds = begin.elapsed().as_secs_f64();
    let bits = (to.wire_bytes_sent - from.wire_bytes_sent) as f64 * 8.0;
    let (mut hart, mut beside_hart) = (0.0, 0.0);
    for (node, (from, to)) in spent.into_iter().zip(spent_then).enumerate() {
        let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
        let on_hart = to.named - from.named;
        hart += if node == 0 { on_hart } else { 0.0 };
        beside_hart += to.process - from.process - on_hart;
    }
    Ok(Rates {
        kbit: bits / seconds / 1000.0,
        speed: (to.position - from.position) as f64 / seconds,
        hart: hart / seconds,
        beside_hart: beside_hart / seconds,
    })
}

pub(super) fn answers(redis: SocketAddr) -> bool {
    incr(redis, 1).is_ok()
}

/// Microseconds that each INCR took, after some that do not count.
fn round_trips(redis: SocketAddr) -> Result<Vec<f64>> {
    let mut trips = incr(redis, TRIPS + 20)?;
    trips.drain(..20);
    Ok(trips)
}

fn incr(redis: SocketAddr, count: usize) -> Result<Vec<f64>> {
    let mut connection =
        TcpStream::connect_timeout(&redis, ANSWER_MAX).context("cannot reach redis")?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(ANSWER_MAX))?;
    let mut answers = BufReader::new(connection.try_clone()?);
    let mut trips = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        connection.write_all(b"INCR bench\r\n")?;
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        ensure!(answer.starts_with(':'), "redis said {answer:?}");
        trips.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(trips)
}
