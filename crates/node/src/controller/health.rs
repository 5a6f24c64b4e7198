//! Whether the machine is protected as this node sees it, since when, and why not.

use super::{Controller, NodeEvent};
use crate::certificate::moment;
use crate::log::STORY;
use crate::names::short;
use crate::status::Mode;
use crate::transport::TransportEvent;
use replication::{Flag, Mode as RecordMode, NodeId, Record, RoleStatus, Status, TransferStatus};
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// A peer that is suspected for less time was only late.
const LATE_MAX: Duration = Duration::from_secs(1);

/// The mode that the node is in, and since when.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) mode: Mode,
    turned: Instant,
    since: SystemTime,
    /// None while the machine is protected.
    unprotected: Option<Instant>,
    /// The host has too little memory left.
    is_short: bool,
    /// Since when the peer is suspected.
    suspected: Option<Instant>,
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            mode: Mode::Starting,
            turned: now,
            since: SystemTime::now(),
            unprotected: Some(now),
            is_short: false,
            suspected: None,
        }
    }

    fn turn(&mut self, now: Instant, mode: Mode) {
        if mode == self.mode {
            return;
        }
        (self.mode, self.turned, self.since) = (mode, now, SystemTime::now());
        if mode == Mode::Protected {
            self.unprotected = None;
        } else {
            self.unprotected.get_or_insert(now);
        }
    }

    /// How long the mode has been this one.
    pub(super) fn lasts(&self) -> Duration {
        self.turned.elapsed()
    }

    /// When the mode began: RFC 3339.
    pub(super) fn since(&self) -> String {
        moment(self.since)
    }

    pub(super) fn unprotected_for(&self) -> Option<Duration> {
        self.unprotected.map(|since| since.elapsed())
    }
}

impl NodeEvent {
    /// Whether the node may be something else after it. What comes often and is none of these shows at the next deadline, which
    /// is no later than the next sign of life.
    pub(super) fn may_change_health(&self) -> bool {
        match self {
            Self::Executor(_) | Self::Switch(_) | Self::Control(_) => false,
            Self::Transport(event) => !matches!(event, TransportEvent::Message { .. }),
            Self::Arbiter(_) | Self::Time | Self::Signal => true,
        }
    }
}

impl Controller {
    /// Finds out in which mode the node is. To be called after whatever may have changed it.
    pub(super) fn look_at_health(&mut self) {
        let core = self.replica.status();
        let now = Instant::now();
        if core.suspects {
            self.health.suspected.get_or_insert(now);
        } else {
            self.health.suspected = None;
        }
        let mode = self.mode(&core);
        self.look_at_store(&core);
        self.health.turn(now, mode);
        self.tell_story(&core);
    }

    fn mode(&self, core: &Status) -> Mode {
        let is_late = |at: Instant| at.elapsed() < LATE_MAX;
        let is_silent = self.health.suspected.is_some_and(|at| !is_late(at));
        let is_sure = !self.store_is_away(core) && !is_silent;
        let paired = if is_sure {
            Mode::Protected
        } else {
            Mode::Unsure
        };
        match core.role {
            RoleStatus::Out | RoleStatus::Starting => Mode::Starting,
            RoleStatus::Joining => Mode::Joining,
            RoleStatus::Backup => match (core.flag, core.transfer) {
                // It asks whether it may take over.
                (Flag::Pair, TransferStatus::Complete(_)) if is_silent => Mode::TakingOver,
                (Flag::Pair, TransferStatus::Complete(_)) => paired,
                _ => Mode::Joining,
            },
            RoleStatus::TakingOver => Mode::TakingOver,
            RoleStatus::Primary => match core.flag {
                Flag::Pair => paired,
                // It has asked to go on alone.
                Flag::Unknown if core.suspects => Mode::Unsure,
                Flag::Solo | Flag::Unknown => Mode::Alone,
            },
            RoleStatus::Halted(_) => Mode::Ended,
        }
    }

    /// Bytes that the guest could still need here, and that the host does not have; none if it has them.
    pub(super) fn memory_missing(&self) -> Option<u64> {
        let unwritten =
            (self.config.machine.memory.0).saturating_sub(self.executor.status().touched_bytes);
        unwritten
            .checked_sub(self.room.free_bytes())
            .filter(|missing| *missing > 0)
    }

    /// Looks whether this node, which protects the machine or is to do so, could do its part if it became the machine.
    pub(super) fn look_ahead(&mut self) {
        if !matches!(
            self.health.mode,
            Mode::Joining | Mode::Protected | Mode::Unsure
        ) {
            return;
        }
        self.network.look_ahead();
        match (self.memory_missing(), self.health.is_short) {
            (Some(missing), false) => {
                self.health.is_short = true;
                warn!(
                    "this host has {} MiB of memory too little for all that the guest may still write to: it could end this node",
                    missing.div_ceil(1 << 20)
                );
            }
            (None, true) => {
                self.health.is_short = false;
                info!(target: STORY, "this host has memory enough again for all that the guest may write to");
            }
            _ => {}
        }
    }

    pub(super) fn store_is_away(&self, core: &Status) -> bool {
        self.standing.problem.is_some() || !core.arbiter_reachable
    }

    /// The node of an identity, by the name that stays when its process is another.
    pub(super) fn who(&self, id: NodeId) -> String {
        let config = &self.config.node;
        let known = std::iter::once(&config.name).chain(&config.accepts);
        match self.gauges.name(id) {
            "" => known
                .clone()
                .find(|name| id.is_process_of(name))
                .map_or_else(
                    || format!("an unknown node ({})", short(id.0)),
                    String::clone,
                ),
            name => name.to_owned(),
        }
    }

    /// The nodes that may pair with this one, for a sentence.
    pub(super) fn others(&self) -> String {
        match self.config.node.accepts.as_slice() {
            [] => "a node (`node.accepts` names none yet)".to_owned(),
            names => names.join(" or "),
        }
    }

    /// Why the machine is not protected.
    pub(super) fn reason(&self, core: &Status) -> Option<String> {
        let peer = core.peer.map(|peer| self.who(peer)).unwrap_or_default();
        Some(match self.health.mode {
            Mode::Protected => return None,
            Mode::Starting => match self.store_trouble(core) {
                Some(trouble) => format!("who is the machine is not known, since {trouble}"),
                None => "this node has yet to learn who is the machine".to_owned(),
            },
            Mode::Joining if core.role == RoleStatus::Backup => match self.transferred(core) {
                Some(moved) => format!("the machine's state comes in from {peer}: {moved}"),
                None => format!("{peer} and this node become a pair: that takes a moment"),
            },
            Mode::Joining => self.why_joining(core),
            Mode::Alone => self.why_alone(core),
            Mode::Unsure => match self.store_trouble(core) {
                Some(trouble) if core.suspects => {
                    format!("{peer} is silent, and this node cannot go on alone, since {trouble}")
                }
                Some(trouble) => format!(
                    "{peer} and this node are a pair, but neither could go on alone now, since {trouble}"
                ),
                None => {
                    format!("{peer} is silent: this node asks the store whether it may go on alone")
                }
            },
            Mode::TakingOver => match self.store_trouble(core) {
                Some(trouble) => {
                    format!("{peer} is silent, and this node cannot take over, since {trouble}")
                }
                None => format!("{peer} is silent: this node takes over"),
            },
            Mode::Ended => "this node has no part of the machine any more".to_owned(),
        })
    }

    fn store_trouble(&self, core: &Status) -> Option<String> {
        let away = self.store_is_away(core);
        away.then(|| match &self.standing.problem {
            Some(problem) => format!("the arbiter's store does not answer: {problem}"),
            None => "the arbiter's store does not answer in time".to_owned(),
        })
    }

    /// How much of the state has moved.
    fn transferred(&self, core: &Status) -> Option<String> {
        let progress = self.transferring(core)?;
        let (done, total) = (progress.bytes_done(), progress.bytes_total());
        (total > done).then(|| format!("{} of {} MiB", done >> 20, total.div_ceil(1 << 20)))
    }

    fn why_joining(&self, core: &Status) -> String {
        let refused = core
            .join_refused
            .and_then(|refused| self.gauges.waiting(refused, self.now(), None));
        if let Some(why) = refused {
            return format!("this node must wait to become a backup. {why}");
        }
        match core.known.filter(|record| record.mode != RecordMode::Down) {
            Some(record) if self.state_is_gone(&record) => self.gone(&record),
            Some(Record { owner, epoch, .. }) => {
                let (owner, epoch) = (self.who(owner), epoch.0);
                match self.gauges.is_connected() {
                    true => format!(
                        "{owner} is the machine (epoch {epoch}), and this node asks to become its backup"
                    ),
                    false => format!(
                        "{owner} is the machine (epoch {epoch}), and is not connected to this node{}",
                        self.unanswered()
                    ),
                }
            }
            None => format!(
                "no node has started the machine: this one may not, and waits for {}{}",
                self.others(),
                self.unanswered()
            ),
        }
    }

    fn why_alone(&self, core: &Status) -> String {
        if let Some(refused) = core.join_refused
            && let Some(why) = self.gauges.waiting(refused, self.now(), None)
        {
            return format!("a node that would be the backup must wait. {why}");
        }
        match core.peer.map(|peer| self.who(peer)) {
            Some(peer) => match self.transferred(core) {
                Some(moved) => {
                    format!("{peer} is being made the backup: {moved} of the state have moved")
                }
                None => format!("{peer} is being made the backup"),
            },
            None => match self.gauges.connected_beside(self.story.former()) {
                Some(name) => {
                    format!("{name} is connected, and has not asked to be the backup yet")
                }
                None => format!(
                    "no other node is connected: start {}{}",
                    self.others(),
                    self.unanswered()
                ),
            },
        }
    }

    /// Where nobody answers, in words that follow a sentence.
    fn unanswered(&self) -> String {
        let mut words = match self.gauges.unanswered().as_slice() {
            [] => String::new(),
            some => format!(
                "; nobody answers at {}, which `node.peers` names",
                some.join(", ")
            ),
        };
        for (written, (_, reason)) in &self.gauges.refused {
            words.push_str(&format!("; no connection to {written}: {reason}"));
        }
        for (written, problem) in &self.gauges.unknown {
            words.push_str(&format!("; {written} of `node.peers`: {problem}"));
        }
        words
    }
}
