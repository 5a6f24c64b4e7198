//! A week in steps: a little of each hour is simulated, and the rest of it jumps by, for every host's clock at once. What
//! cores hold is compared with their bounds after each step.

use crate::checker::Broken;
use crate::cluster::Cluster;
use crate::network::HOSTS;
use replication::Footprint;

/// Hours of a week.
const STEPS: u64 = 7 * 24;
/// How much of each hour is simulated, in microseconds.
const STEP: u64 = 400_000;
const HOUR: u64 = 3_600_000_000;
/// Hosts and pauses that a core remembers at most: what `replication` bounds by itself.
const PACING_MAX: usize = 16 + 64;
/// Channels that a core may take for open: to each host's process, and to those that died and are not missed yet.
const CONNECTED_MAX: usize = HOSTS * 8;
/// Entries and marks that a hart may still produce after its core told it to stand still, at most.
const LATE_MAX: u64 = 200;

/// Runs a week with its faults, and jumps.
pub(crate) fn run(cluster: &mut Cluster) -> Result<(), Broken> {
    for _ in 0..STEPS {
        cluster.run_until(cluster.now() + STEP)?;
        check(cluster)?;
        cluster.queue.jump(HOUR - STEP);
        cluster.forget_laggards();
    }
    Ok(())
}

/// Compares what every living process holds with its bounds.
fn check(cluster: &Cluster) -> Result<(), Broken> {
    let bounds = &cluster.config.bounds;
    let living = cluster
        .processes
        .iter()
        .filter(|process| process.is_alive());
    for process in living {
        let footprint = process.replica.footprint();
        let Footprint {
            actions,
            connected,
            claims,
            window_entries,
            marks,
            candidates,
            pacing,
            unreplayed_entries,
        } = footprint;
        let within = actions == 0
            && connected <= CONNECTED_MAX
            && claims <= connected
            && window_entries <= bounds.window_entries_max * 2
            && marks as u64 <= bounds.held_marks_max * 2 + LATE_MAX
            && candidates <= bounds.candidates_max
            && pacing <= PACING_MAX
            && unreplayed_entries as u64 <= bounds.unreplayed_entries_max * 2;
        if !within {
            return Err(Broken {
                invariant: "memory",
                what: format!("{:?} holds {footprint:?}, with {bounds:?}", process.node),
            });
        }
    }
    Ok(())
}
