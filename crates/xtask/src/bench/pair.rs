//! What protection costs: the same guest on a node alone, and on the primary of a pair, in turns.

mod site;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::site::Site;
use super::processor::processor_time;
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
    /// The same for each second of processor time of the hart.
    hart_speed: Vec<f64>,
    /// Processor time that the nodes spend beside their harts, in hundredths of one processor.
    beside_hart: Vec<f64>,
    round_trip_p50: Vec<f64>,
    round_trip_p99: Vec<f64>,
}

pub(super) fn measure(bench: &Bench, rounds: usize) -> Result<Vec<Figure>> {
    let mut site = Site::set_up(bench)?;
    site.start(0)?;
    site.wait("the guest to answer", |site| answers(site.redis))?;
    let (mut alone, mut paired) = (Turns::default(), Turns::default());
    let mut beside_busy = Vec::new();
    for round in 0..rounds {
        say(&format!("round {}: alone", round + 1));
        turn(&site, &mut alone)?;
        say(&format!(
            "round {}: alone, beside a busy program",
            round + 1
        ));
        beside_busy.push(beside_busy_program(|| busy(&site))?.speed);
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
        // What the host itself takes away when two of its processors work, and the backup would be free.
        Figure::new(
            "  unprotected beside any busy program / unprotected",
            median(beside_busy) / alone_speed,
            "",
            None,
        ),
        Figure::new(
            "  the same of the primary's hart, by its processor time",
            median(paired.hart_speed) / median(alone.hart_speed),
            "",
            None,
        ),
        Figure::new(
            "  both nodes beside their harts, of one processor",
            median(paired.beside_hart),
            "%",
            None,
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
    turns.idle_kbit.push(rates(site)?.kbit);
    let busy = busy(site)?;
    turns.busy_kbit.push(busy.kbit);
    turns.speed.push(busy.speed);
    turns.hart_speed.push(busy.speed / busy.hart);
    turns.beside_hart.push(busy.beside_hart * 100.0);
    Ok(())
}

/// Rates while the guest executes a loop.
fn busy(site: &Site) -> Result<Rates> {
    site.type_in("while :; do :; done &\n")?;
    let rates = rates(site)?;
    site.type_in("kill $!\n")?;
    Ok(rates)
}

/// Measures while a thread of ours takes all that it can get of another processor.
fn beside_busy_program<T>(measure: impl FnOnce() -> Result<T>) -> Result<T> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut value = 1_u64;
            while !over.load(Ordering::Relaxed) {
                value =
                    black_box((0..1_000).fold(value, |value, step| value.rotate_left(7) ^ step));
            }
        });
        let measured = measure();
        over.store(true, Ordering::Relaxed);
        measured
    })
}

/// What happens in a second, on average over [`WINDOW`].
struct Rates {
    /// Bits to the backup in thousands, all headers from IPv4 up included.
    kbit: f64,
    /// Positions.
    speed: f64,
    /// Seconds of processor time of the primary's hart, and of all nodes' other threads.
    hart: f64,
    beside_hart: f64,
}

fn rates(site: &Site) -> Result<Rates> {
    let processors = || [0, 1].map(|node| site.process(node).map(|id| processor_time(id, "hart")));
    // What went before has died away.
    sleep(Duration::from_secs(1));
    let (from, spent, begin) = (site.status(0)?, processors(), Instant::now());
    sleep(WINDOW);
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
