//! How the node stands with the arbiter: whether it answers, and what to say when the record names somebody whom nobody
//! hears of.

use super::EngineRoom;
use crate::arbiter::{ArbiterAnswer, Seen};
use crate::log::STORY;
use crate::node::ExitReason;
use replication::{ArbiterReply, Local, Mode, NodeId, Record, RoleStatus};
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// A node that joins says after so long that nobody takes it.
const JOIN_PATIENCE: Duration = Duration::from_secs(3);

/// A node that would start the machine waits so long for a peer that may know better: the store that it finds may be a copy.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// What the node knows of the arbiter beside the protocol.
#[derive(Debug)]
pub(super) struct Standing {
    /// What an earlier process of this node had seen.
    seen_before: Option<Seen>,
    /// Why the last answer was none.
    pub(super) problem: Option<String>,
    /// Since when the node has asked to join, and whether it has said that nobody takes it.
    joining: Option<(Instant, bool)>,
    /// When it asks to start the machine, having waited for its peers.
    start_at: Option<Instant>,
}

impl Standing {
    pub(super) fn new(seen_before: Option<Seen>) -> Self {
        Self {
            seen_before,
            problem: None,
            joining: None,
            start_at: None,
        }
    }

    /// When the node asks to start the machine, if it waits before that.
    pub(super) fn start_at(&self) -> Option<Instant> {
        self.start_at
    }

    /// Whether `record` names an earlier process of this node as the only one with the state.
    fn was_alone(&self, record: &Record) -> bool {
        let before = self.seen_before.map(|seen| seen.node);
        record.mode == Mode::Solo && before == Some(record.owner)
    }
}

impl EngineRoom {
    /// Asks to start the machine, or to join it. The store may be one that somebody made beside the right one, or a copy: peers
    /// are first given time to say so.
    pub(super) fn begin(&mut self) {
        if !self.config.node.may_start {
            self.tell(Local::Join);
        } else if !self.config.node.peers.is_empty() {
            self.standing.start_at = Some(Instant::now() + START_PATIENCE);
        } else {
            self.tell(Local::Start);
        }
    }

    /// A peer that reads the same store has said what it knows of the record. Of two that would start the machine, one waits until
    /// the other has done so: should their stores be two copies of one, it then learns that before it has an owner there.
    pub(super) fn peer_spoke(&mut self, peer: NodeId, known: Option<Record>) {
        let is_owned = known.is_some_and(|record| record.mode != Mode::Down);
        if self.node < peer || is_owned {
            self.start_now();
        }
    }

    fn start_now(&mut self) {
        if self.standing.start_at.take().is_some() {
            self.tell(Local::Start);
        }
    }

    pub(super) fn start_when_due(&mut self) {
        if self
            .standing
            .start_at
            .is_some_and(|at| at <= Instant::now())
        {
            self.start_now();
        }
    }

    pub(super) fn on_arbiter(&mut self, answer: ArbiterAnswer) {
        match (answer.reply, &self.standing.problem, answer.cause) {
            (ArbiterReply::Unavailable, None, cause) => {
                let cause = cause.unwrap_or_else(|| "no cause is known".to_owned());
                warn!("the arbiter is unavailable, nobody changes role: {cause}");
                self.standing.problem = Some(cause);
            }
            (ArbiterReply::Unavailable, Some(before), Some(cause)) => {
                if *before != cause {
                    warn!("the arbiter is still unavailable: {cause}");
                    self.standing.problem = Some(cause);
                }
            }
            (ArbiterReply::Unavailable, Some(_), None) => {}
            (_, problem, _) => {
                if problem.is_some() {
                    info!(target: STORY, "the arbiter answers again");
                }
                self.standing.problem = None;
            }
        }
        self.tell(Local::Arbiter {
            request: answer.request,
            reply: answer.reply,
        });
    }

    /// The machine is another node, and this one joins it; unless the other was this one.
    pub(super) fn stand_aside(&mut self, record: Record) {
        if self.standing.was_alone(&record) {
            let recovery = self.recovery();
            self.end = Some(ExitReason::StateLost { record, recovery });
            return;
        }
        debug!(
            epoch = record.epoch.0,
            "{} is the machine: this node joins it",
            self.who(record.owner)
        );
        self.tell(Local::Join);
    }

    /// Says once that the node that it wants to join is not heard of.
    pub(super) fn wonder(&mut self) {
        let status = self.core.status();
        if status.role != RoleStatus::Joining {
            self.standing.joining = None;
            return;
        }
        let (since, said) = *(self.standing.joining).get_or_insert((Instant::now(), false));
        let owned = status.known.filter(|record| record.mode != Mode::Down);
        if let Some(record) = owned.filter(|_| !said && status.join_refused.is_none())
            && since.elapsed() >= JOIN_PATIENCE
        {
            self.standing.joining = Some((since, true));
            warn!(
                "the record names {} as the machine since epoch {}, but no peer takes this node as its backup; if that node is gone for good, `{}` gives its state up, so that the nodes may start the machine anew",
                self.who(record.owner),
                record.epoch.0,
                self.recovery()
            );
        }
    }

    fn recovery(&self) -> String {
        format!(
            "futago arbiter recover {} {}",
            self.config.arbiter.directory.display(),
            self.config.machine.name
        )
    }
}
