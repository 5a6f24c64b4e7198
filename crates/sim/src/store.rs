//! What goes wrong with the arbiter's store beside being out of reach.

use crate::arbiter::Found;
use crate::cluster::Cluster;
use crate::random::Random;
use replication::{Mode, Record};

/// Strikes the store in one way; says which.
pub(crate) fn strike(random: &mut Random, cluster: &mut Cluster) -> &'static str {
    let older = cluster.arbiter.older_copy();
    let older = older.filter(|older| is_found_out(cluster, older));
    let arbiter = &mut cluster.arbiter;
    match random.between(0, 6) {
        0 => {
            arbiter.slow = true;
            "slower than anyone waits"
        }
        1 => {
            arbiter.stale = random.between(50, 700);
            "reads are stale"
        }
        2 => {
            let Some(older) = older else {
                return "spared";
            };
            arbiter.found = Found::Older(older);
            "an older copy is in its place"
        }
        3 => {
            arbiter.replace();
            "another one is in its place"
        }
        4 => {
            arbiter.full = true;
            "full"
        }
        _ => {
            arbiter.lose_power();
            "without power"
        }
    }
}

/// Whether somebody who could change the record in this older copy of the store knows that it is one. A zombie that has seen
/// nothing newer than the copy cannot know, nor can anybody tell it who only has the copy: that is beyond what is promised.
fn is_found_out(cluster: &Cluster, older: &[Record]) -> bool {
    let Some(shown) = older.last().filter(|shown| shown.mode != Mode::Down) else {
        return false;
    };
    let mut swaps = cluster.swaps_in_flight.values();
    swaps.all(|&count| count == 0)
        && (0..cluster.processes.len()).all(|index| {
            let process = &cluster.processes[index];
            !process.is_alive()
                || !cluster.is_member(index, *shown)
                || cluster.arbiter.is_up_to_date(process.host)
        })
}
