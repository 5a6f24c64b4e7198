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
    /// Links cut, in one direction or both.
    pub cuts: u64,
    /// Backups whose state was damaged.
    pub corruptions: u64,
    /// Backups that found that their state differs.
    pub divergences: u64,
    /// Swaps that the arbiter refused, answered in vain or carried out late.
    pub arbiter_troubles: u64,
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
        self.cuts += other.cuts;
        self.corruptions += other.corruptions;
        self.divergences += other.divergences;
        self.arbiter_troubles += other.arbiter_troubles;
        self.machines_lost += other.machines_lost;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations, {} pairings, {} takeovers, {} kills, {} pauses, {} cuts, {} corruptions, \
             {} divergences, {} arbiter troubles, {} machines lost",
            self.operations,
            self.pairings,
            self.takeovers,
            self.kills,
            self.pauses,
            self.cuts,
            self.corruptions,
            self.divergences,
            self.arbiter_troubles,
            self.machines_lost
        )
    }
}
