//! How the node stands with the arbiter: whether it answers, and what to say when the record names somebody whom nobody
//! hears of.

use super::EngineRoom;
use crate::arbiter::{ArbiterAnswer, Seen};
use crate::names::short;
use crate::node::ExitReason;
use replication::{ArbiterReply, Local, Mode, Record, RoleStatus};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// A node that joins says after so long that nobody takes it.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);

/// A node that has never seen the store waits so long for a peer that may know another one, before it starts the machine.
const FIRST_START_PATIENCE: Duration = Duration::from_millis(500);

/// What the node knows of the arbiter beside the protocol.
#[derive(Debug)]
pub(super) struct Standing {
    /// What an earlier process of this node had seen.
    seen_before: Option<Seen>,
    /// Why the last answer was none.
    pub(super) problem: Option<String>,
    /// The record for which this node stood aside, and when it says that nobody takes it.
    aside: Option<(Record, Instant)>,
    /// When it asks to start the machine, having waited for its peers.
    start_at: Option<Instant>,
}

impl Standing {
    pub(super) fn new(seen_before: Option<Seen>) -> Self {
        Self {
            seen_before,
            problem: None,
            aside: None,
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
    /// Asks to start the machine, or to join it. A store that this node has never seen may be one that somebody made
    /// beside the right one: its peers, whom it tells its store in the handshake, are first given time to say so.
    pub(super) fn begin(&mut self) {
        if !self.config.node.may_start {
            self.tell(Local::Join);
        } else if self.standing.seen_before.is_none() && !self.config.node.peers.is_empty() {
            self.standing.start_at = Some(Instant::now() + FIRST_START_PATIENCE);
        } else {
            self.tell(Local::Start);
        }
    }

    /// Waits for nobody any more: a peer has the same store, or none has come.
    pub(super) fn start_now(&mut self) {
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
                    info!("the arbiter answers again");
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
        info!(owner = %short(record.owner.0), epoch = record.epoch.0, "another node is the machine: this one joins it");
        self.standing.aside = Some((record, Instant::now() + JOIN_PATIENCE));
        self.tell(Local::Join);
    }

    /// Says once that the node that it wants to join is not heard of.
    pub(super) fn wonder(&mut self) {
        let due = |(_, due): &mut (Record, Instant)| *due <= Instant::now();
        if self.core.status().role == RoleStatus::Joining {
            if let Some((record, _)) = self.standing.aside.take_if(due) {
                warn!(
                    "the record names node {} as the machine since epoch {}, but no peer takes this node as its backup; if that node is gone for good, `{}` gives its state up, so that the nodes may start the machine anew",
                    short(record.owner.0),
                    record.epoch.0,
                    self.recovery()
                );
            }
        } else {
            self.standing.aside = None;
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
