//! A whole cluster from one seed: virtual time, faulty network, storage and hosts, and checkers that judge from
//! outside. Faults come first; then everything heals and must converge. Every failure prints its seed.
#![forbid(unsafe_code)]

mod arbiter;
mod birth;
mod channel;
mod checker;
mod clock;
mod cluster;
mod computer;
mod copies;
mod counts;
mod deed;
mod disaster;
mod drive;
mod engines;
mod errands;
mod faults;
mod fingerprint;
mod flow;
mod happening;
mod intruders;
mod intrusion;
mod joiners;
mod life;
mod link;
mod links;
mod neighbours;
mod network;
mod operator;
mod options;
mod outside;
mod pauses;
mod people;
mod process;
mod queue;
mod random;
mod real;
mod run;
mod store;
mod strikes;
mod switch;
mod toy;
mod transfers;
mod variety;
mod week;
mod world;

pub use arbiter::StoreMutation;
use checker::Broken;
use cluster::Cluster;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use checker::Violation;
pub use computer::Kind;
pub use counts::Counts;
pub use engines::EngineMutation;
pub use link::Link;
pub use options::Options;
pub use replication::Config;

/// Virtual time during which faults strike, in microseconds.
const FAULTS_LAST: u64 = 6_000_000;
/// Virtual time within which a healed cluster must be protected and serve again.
const CONVERGES_WITHIN: u64 = 20_000_000;
/// So much later at most where it waits for a state on its long way, or for another pause of the guest: those of the
/// storm count for a minute.
const AWAITS_BACKUP_MAX: u64 = 60_000_000;
/// As [`CONVERGES_WITHIN`], where the arbiter takes longer for each answer than anyone waits.
const CONVERGES_SLOWLY_WITHIN: u64 = 120_000_000;
/// Operations that a healed, protected cluster must answer.
const OPERATIONS_AFTER_HEALING: u64 = 20;

/// What one simulation came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The broken invariant, or the failure to converge.
    pub verdict: Result<(), Violation>,
    /// What happened, in numbers.
    pub counts: Counts,
    /// What happened, a line each, if asked for.
    pub transcript: String,
}

/// Runs the cluster that `seed` determines.
pub fn simulate(seed: u64, options: &Options) -> Outcome {
    judge(seed, Cluster::new(seed, options, None), options, run)
}

/// Virtual time within which a pair is formed over any link, beyond what the state takes on it.
const PAIRS_WITHIN: u64 = 10_000_000;
/// Virtual time for which a pair is watched then.
const WATCHED_FOR: u64 = 5_000_000;
/// Operations that the clients of a watched pair see answered in that time, at least.
const OPERATIONS_WATCHED: u64 = 5;

/// Runs a busy machine whose hosts are connected by one kind of link: it must be protected soon, stay so, and send
/// little twice.
pub fn simulate_link(seed: u64, link: Link, options: &Options) -> Outcome {
    judge(
        seed,
        Cluster::new(seed, options, Some(link)),
        options,
        run_link,
    )
}

fn run_link(cluster: &mut Cluster) -> Result<(), Broken> {
    let state_us = cluster.link.map_or(0, |link| link.state_us());
    let deadline = PAIRS_WITHIN + state_us;
    while !cluster.is_protected() {
        if cluster.now() > deadline {
            cluster.note_states();
            return Err(Broken {
                invariant: "liveness",
                what: format!("no pair was formed within {} s", deadline / 1_000_000),
            });
        }
        cluster.run_until(cluster.now() + 10_000)?;
    }
    let before = cluster.counts();
    cluster.run_until(cluster.now() + WATCHED_FOR)?;
    let after = cluster.counts();
    let answered = after.operations - before.operations;
    if !cluster.is_protected() || after.pairings > before.pairings || answered < OPERATIONS_WATCHED
    {
        cluster.note_states();
        return Err(Broken {
            invariant: "liveness",
            what: format!(
                "a pair was formed, but did not last, or served only {answered} operations"
            ),
        });
    }
    cluster.flows.judge_strictly()?;
    cluster.check_books()
}

fn judge(
    seed: u64,
    mut cluster: Cluster,
    options: &Options,
    run: fn(&mut Cluster) -> Result<(), Broken>,
) -> Outcome {
    cluster.arbiter.mutation = options.store;
    // An assertion that fails is a verdict like others, and wants its seed.
    let verdict = catch_unwind(AssertUnwindSafe(|| {
        if options.week {
            // Nobody presses the button.
            cluster.power_off_at = None;
            week::run(&mut cluster)?;
        }
        run(&mut cluster)
    }));
    let verdict = verdict.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or(panic.downcast_ref::<&str>().copied());
        Err(Broken {
            invariant: "assertion",
            what: words.unwrap_or("a panic").to_owned(),
        })
    });
    Outcome {
        seed,
        verdict: verdict.map_err(|broken| broken.of_seed(seed)),
        counts: cluster.counts(),
        transcript: cluster.transcript().to_owned(),
    }
}

fn run(cluster: &mut Cluster) -> Result<(), Broken> {
    cluster.run_until(cluster.now() + FAULTS_LAST)?;
    cluster.disaster()?;
    cluster.heal();
    let within = match cluster.arbiter.is_slow() {
        true => CONVERGES_SLOWLY_WITHIN,
        false => CONVERGES_WITHIN,
    };
    let mut deadline = cluster.now() + within;
    let latest = deadline + AWAITS_BACKUP_MAX;
    let mut protected_at = None;
    while cluster.has_survivor() {
        cluster.run_until(cluster.now() + 50_000)?;
        let (operations, requests) = (cluster.counts().operations, cluster.counts().requests);
        if cluster.is_off() {
            // Nothing may follow.
            cluster.run_until(cluster.now() + 1_000_000)?;
            if !cluster.is_started_again() {
                break;
            }
            deadline = cluster.now() + within;
        }
        if !cluster.is_protected() {
            protected_at = None;
        } else {
            let before = *protected_at.get_or_insert((operations, requests));
            // A machine that waits for an answer for ever asks no more.
            let asks = requests > before.1 || cluster.kind == Kind::Toy;
            let serves = operations >= before.0 + OPERATIONS_AFTER_HEALING;
            if serves && asks && cluster.power_off_at.is_none() {
                break;
            }
        }
        if cluster.awaits_backup() {
            deadline = (cluster.now() + within).min(latest).max(deadline);
        }
        if cluster.now() > deadline {
            cluster.note_states();
            let state = match cluster.is_protected() {
                true => "protected",
                false => "not protected",
            };
            let seconds = within / 1_000_000;
            return Err(Broken {
                invariant: "liveness",
                what: format!(
                    "after healing for {seconds} s the machine is {state}, with {operations} operations answered, and {requests} requests made"
                ),
            });
        }
    }
    cluster.check_given_up()?;
    cluster.check_books()?;
    cluster.two_copies()
}
