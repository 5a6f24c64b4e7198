//! What protection costs: the same guest on a node alone, and on the primary of a pair, in turns.

mod site;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::site::Site;
use super::{Bar, Figure, median, quantile};
use crate::say;
use crate::steps::Bench;

/// How long a rate is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Round trips in one turn.
const ROUND_TRIPS: usize = 500;
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Figures of one turn.
#[derive(Default)]
struct Turns {
    idle_kbit: Vec<f64>,
    busy_kbit: Vec<f64>,
    /// Positions a second under a busy loop.
    speed: Vec<f64>,
    round_trip_p50: Vec<f64>,
    round_trip_p99: Vec<f64>,
}

pub(super) fn measure(bench: &Bench, rounds: usize) -> Result<Vec<Figure>> {
    let mut site = Site::set_up(bench)?;
    site.start(0)?;
    site.wait("the guest to answer", |site| answers(site.redis))?;
    let (mut alone, mut paired) = (Turns::default(), Turns::default());
    for round in 0..rounds {
        say(&format!("round {}: alone", round + 1));
        turn(&site, &mut alone)?;
        site.start(1)?;
        site.wait("the pair to be protected", Site::is_protected)?;
        say(&format!("round {}: protected", round + 1));
        turn(&site, &mut paired)?;
        site.stop(1)?;
        site.wait("the primary to go on alone", Site::is_alone)?;
    }
    let alone_speed = median(alone.speed);
    let p50 = median(paired.round_trip_p50) - median(alone.round_trip_p50);
    let p99 = median(paired.round_trip_p99) - median(alone.round_trip_p99);
    let at_most = |bar| Some(Bar::AtMost(bar));
    Ok(vec![
        Figure::new(
            "protected / unprotected speed, CPU-bound",
            median(paired.speed) / alone_speed,
            "",
            Some(Bar::AtLeast(0.95)),
        ),
        Figure::new(
            "speed unprotected, CPU-bound",
            alone_speed / 1e6,
            "M/s",
            None,
        ),
        Figure::new(
            "log of an idle guest",
            median(paired.idle_kbit),
            "kbit/s",
            at_most(50.0),
        ),
        Figure::new(
            "log of a CPU-bound guest",
            median(paired.busy_kbit),
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
    ])
}

fn turn(site: &Site, turns: &mut Turns) -> Result<()> {
    let mut trips = round_trips(site.redis)?;
    turns.round_trip_p50.push(quantile(&mut trips, 0.5));
    turns.round_trip_p99.push(quantile(&mut trips, 0.99));
    let (idle, _) = rates(site)?;
    turns.idle_kbit.push(idle);
    site.type_in("while :; do :; done &\n")?;
    let (busy, speed) = rates(site)?;
    site.type_in("kill $!\n")?;
    turns.busy_kbit.push(busy);
    turns.speed.push(speed);
    Ok(())
}

/// Bandwidth to the backup in kbit/s, all headers from IPv4 up included, and positions a second, over [`WINDOW`].
fn rates(site: &Site) -> Result<(f64, f64)> {
    // What went before has died away.
    sleep(Duration::from_secs(1));
    let (from, begin) = (site.status(0)?, Instant::now());
    sleep(WINDOW);
    let to = site.status(0)?;
    let seconds = begin.elapsed().as_secs_f64();
    let bits = (to.wire_bytes_sent - from.wire_bytes_sent) as f64 * 8.0;
    let positions = (to.position - from.position) as f64;
    Ok((bits / seconds / 1000.0, positions / seconds))
}

fn answers(redis: SocketAddr) -> bool {
    incr(redis, 1).is_ok()
}

/// Microseconds that each INCR took, after some that do not count.
fn round_trips(redis: SocketAddr) -> Result<Vec<f64>> {
    let mut trips = incr(redis, ROUND_TRIPS + 20)?;
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
