//! What happened in a simulation, in numbers: a fault that never strikes proves nothing.

use std::fmt;
use std::ops::AddAssign;

/// Numbers of one simulation, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations that clients saw answered.
    pub operations: u64,
    /// Pairs formed.
    pub pairings: u64,
    /// Backups that went live.
    pub takeovers: u64,
    /// Processes killed.
    pub kills: u64,
    /// Processes paused.
    pub pauses: u64,
    /// Hosts suspended, with their clocks.
    pub suspends: u64,
    /// Links cut, in one direction or both.
    pub cuts: u64,
    /// Backups whose state was damaged.
    pub corruptions: u64,
    /// Backups that found that their state differs.
    pub divergences: u64,
    /// States of backups that were compared with their owner's.
    pub states_compared: u64,
    /// Backups told to leave.
    pub dismissals: u64,
    /// State transfers that arrived damaged.
    pub states_damaged: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Times that a joiner was refused, for another reason than before.
    pub refusals: u64,
    /// Requests of machines that hosts were given.
    pub requests: u64,
    /// Those of them that another host had been given before.
    pub requests_repeated: u64,
    /// Machines that ended switched off.
    pub power_offs: u64,
    /// Swaps that the arbiter refused, answered in vain or carried out late.
    pub arbiter_troubles: u64,
    /// Times that everything failed at once.
    pub disasters: u64,
    /// Times that an operator gave the machine up.
    pub recoveries: u64,
    /// Machines that were started again after they were switched off.
    pub cold_starts: u64,
    /// Answers of a store that its host did not trust.
    pub stores_refused: u64,
    /// Answers that came later than anyone waits.
    pub late_answers: u64,
    /// Changes that a full store took, since they were prepared.
    pub swaps_while_full: u64,
    /// Panics of engines that were contained.
    pub engine_panics: u64,
    /// Times that somebody was not let in as a peer.
    pub turned_away: u64,
    /// Connections that ended since a certificate was withdrawn.
    pub sent_away: u64,
    /// Lies that were heard from a thief whose certificate was not withdrawn yet.
    pub lies: u64,
    /// Forgeries tried at the switch.
    pub forgeries: u64,
    /// Stores of which there came to be two copies.
    pub copies: u64,
    /// Simulations in which nobody was left who could carry the machine on.
    pub machines_lost: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.pairings += other.pairings;
        self.takeovers += other.takeovers;
        self.kills += other.kills;
        self.pauses += other.pauses;
        self.suspends += other.suspends;
        self.cuts += other.cuts;
        self.corruptions += other.corruptions;
        self.divergences += other.divergences;
        self.states_compared += other.states_compared;
        self.dismissals += other.dismissals;
        self.states_damaged += other.states_damaged;
        self.snapshots += other.snapshots;
        self.refusals += other.refusals;
        self.requests += other.requests;
        self.requests_repeated += other.requests_repeated;
        self.power_offs += other.power_offs;
        self.arbiter_troubles += other.arbiter_troubles;
        self.disasters += other.disasters;
        self.recoveries += other.recoveries;
        self.cold_starts += other.cold_starts;
        self.stores_refused += other.stores_refused;
        self.late_answers += other.late_answers;
        self.swaps_while_full += other.swaps_while_full;
        self.engine_panics += other.engine_panics;
        self.turned_away += other.turned_away;
        self.sent_away += other.sent_away;
        self.lies += other.lies;
        self.forgeries += other.forgeries;
        self.copies += other.copies;
        self.machines_lost += other.machines_lost;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            (self.operations, "operations"),
            (self.pairings, "pairings"),
            (self.takeovers, "takeovers"),
            (self.kills, "kills"),
            (self.pauses, "pauses"),
            (self.suspends, "suspends"),
            (self.cuts, "cuts"),
            (self.dismissals, "dismissals"),
            (self.corruptions, "corruptions"),
            (self.divergences, "divergences"),
            (self.states_compared, "states compared"),
            (self.states_damaged, "states damaged"),
            (self.snapshots, "snapshots"),
            (self.refusals, "refusals"),
            (self.arbiter_troubles, "arbiter troubles"),
            (self.requests, "requests"),
            (self.requests_repeated, "requests repeated"),
            (self.power_offs, "power-offs"),
            (self.disasters, "disasters"),
            (self.recoveries, "recoveries"),
            (self.cold_starts, "cold starts"),
            (self.stores_refused, "stores refused"),
            (self.late_answers, "late answers"),
            (self.swaps_while_full, "swaps while full"),
            (self.engine_panics, "engine panics"),
            (self.turned_away, "turned away"),
            (self.sent_away, "sent away"),
            (self.lies, "lies"),
            (self.forgeries, "forgeries"),
            (self.copies, "stores copied"),
            (self.machines_lost, "machines lost"),
        ];
        let numbers = numbers.map(|(number, what)| format!("{number} {what}"));
        f.write_str(&numbers.join(", "))
    }
}
