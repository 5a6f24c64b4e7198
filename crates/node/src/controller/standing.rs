//! How the node stands with the arbiter: whether it answers, and what to say when the record names somebody whom nobody
//! hears of.

use super::Controller;
use crate::arbiter::{ArbiterAnswer, Seen};
use crate::log::STORY;
use crate::node::ExitReason;
use crate::status::span;
use replica::Event;
use replication::{ArbiterReply, Mode, NodeId, Record, RoleStatus, Status};
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// A store may be slow for so long before that is told.
const SLOW_MAX: Duration = Duration::from_secs(2);
/// What could not be written is tried again within a second or two as long as it is wanted; after so long, a look counts again.
const UNWRITTEN_MAX: Duration = Duration::from_secs(5);
/// What nobody may do while it is away.
const FORBIDDEN: &str = "a takeover, a new backup and going on alone";
/// A node that joins says after so long that nobody takes it.
const JOIN_PATIENCE: Duration = Duration::from_secs(3);

/// A node that would start the machine waits so long for a peer that may know better: the store that it finds may be a copy.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// What the node knows of the arbiter beside the protocol.
#[derive(Debug)]
pub(super) struct Standing {
    /// What an earlier process of this node had seen.
    seen_before: Option<Seen>,
    /// Why the last answer was none, or the store cannot be written.
    pub(super) problem: Option<String>,
    /// When it was last asked to write, in vain.
    unwritten_at: Option<Instant>,
    /// Since when no answer has come, and whether that was told.
    away: Option<(Instant, bool)>,
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
            unwritten_at: None,
            away: None,
            joining: None,
            start_at: None,
        }
    }

    /// Takes in whether the store could be asked. That it can be read is no proof that it can be written, which is what a
    /// change of role needs.
    fn heed(&mut self, answer: ArbiterAnswer) {
        let cause = match (answer.reply, answer.cause) {
            (ArbiterReply::Unavailable, None) => Some("no cause is known".to_owned()),
            (_, cause) => cause,
        };
        if answer.wrote {
            self.unwritten_at = cause.is_some().then(Instant::now);
        } else if answer.reply != ArbiterReply::Unavailable
            && (self.unwritten_at).is_some_and(|at| at.elapsed() < UNWRITTEN_MAX)
        {
            return;
        }
        if let (Some(before), Some(cause)) = (&self.problem, &cause)
            && before != cause
        {
            warn!("the arbiter's store is still away: {cause}");
        }
        self.problem = cause;
    }

    /// For how long the store has been away.
    pub(super) fn away_for(&self) -> Option<Duration> {
        self.away.map(|(since, _)| since.elapsed())
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

impl Controller {
    /// Asks to start the machine, or to join it. The store may be one that somebody made beside the right one, or a copy: peers
    /// are first given time to say so.
    pub(super) fn begin(&mut self) {
        if !self.config.node.may_start {
            self.tell(Event::Join);
        } else if !self.config.node.peers.is_empty() {
            self.standing.start_at = Some(Instant::now() + START_PATIENCE);
        } else {
            self.tell(Event::Start);
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
            self.tell(Event::Start);
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
        let told = Event::Arbiter {
            request: answer.request,
            reply: answer.reply,
        };
        self.standing.heed(answer);
        self.tell(told);
    }

    /// Says that the store is away, what that forbids, and when it is over.
    pub(super) fn look_at_store(&mut self, core: &Status) {
        let away = self.standing.away;
        if !self.store_is_away(core) {
            self.standing.away = None;
            if let Some((since, true)) = away {
                let lasted = span(since.elapsed().as_secs_f64());
                info!(target: STORY, "the arbiter's store answers again, after {lasted}: {FORBIDDEN} are possible again");
            }
            return;
        }
        let (since, told) = away.unwrap_or((Instant::now(), false));
        let cause = self.standing.problem.as_deref();
        let tells = !told && (cause.is_some() || since.elapsed() >= SLOW_MAX);
        self.standing.away = Some((since, told || tells));
        if tells {
            let cause = cause.unwrap_or("it does not answer in time");
            warn!("the arbiter's store is away, so that {FORBIDDEN} are impossible: {cause}");
        }
    }

    /// Whether every process that the record names has ended, since another one has come in its place: nobody has the state.
    pub(super) fn state_is_gone(&self, record: &Record) -> bool {
        let own = &self.config.node.name;
        let has_ended =
            |id: NodeId| id != self.node && (id.is_process_of(own) || self.gauges.is_succeeded(id));
        record.mode != Mode::Down
            && has_ended(record.owner)
            && record.backup().is_none_or(has_ended)
    }

    /// Says so, and what to do.
    pub(super) fn gone(&self, record: &Record) -> String {
        let with = match record.backup() {
            Some(backup) => format!("{} and {}", self.who(record.owner), self.who(backup)),
            None => self.who(record.owner),
        };
        format!(
            "the machine's state is gone: it was last with {with}, in epoch {}, and their processes have ended; `{}` gives its state up, and the nodes, started again, start the machine anew",
            record.epoch.0,
            self.recovery()
        )
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
        self.tell(Event::Join);
    }

    /// Says once that the node that it wants to join is not heard of.
    pub(super) fn wonder(&mut self) {
        let status = self.replica.status();
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
            if self.state_is_gone(&record) {
                warn!("{}", self.gone(&record));
                return;
            }
            if let Some((written, (_, reason))) = self.gauges.refused.iter().next() {
                warn!(
                    "the record names {} as the machine since epoch {}, and there is no connection to {written}: {reason}",
                    self.who(record.owner),
                    record.epoch.0,
                );
                return;
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use replication::RequestId;

    fn answer(reply: ArbiterReply, wrote: bool, cause: Option<&str>) -> ArbiterAnswer {
        ArbiterAnswer {
            request: RequestId(1),
            reply,
            wrote,
            cause: cause.map(str::to_owned),
        }
    }

    #[test]
    fn a_store_that_can_only_be_read_is_away() {
        let read = ArbiterReply::Current(None);
        let mut standing = Standing::new(None);
        standing.heed(answer(read, false, Some("read-only")));
        assert_eq!(standing.problem.as_deref(), Some("read-only"));
        standing.heed(answer(read, false, None));
        assert_eq!(standing.problem, None);
        // A full one shows when it is written; reading it then says nothing.
        standing.heed(answer(ArbiterReply::Unavailable, true, Some("full")));
        standing.heed(answer(read, false, None));
        assert_eq!(standing.problem.as_deref(), Some("full"));
        standing.heed(answer(ArbiterReply::Unavailable, false, Some("gone")));
        assert_eq!(standing.problem.as_deref(), Some("gone"));
        standing.heed(answer(read, true, None));
        assert_eq!(standing.problem, None);
        // Nobody wants to write any more.
        standing.heed(answer(ArbiterReply::Unavailable, true, Some("full")));
        standing.unwritten_at = Instant::now().checked_sub(UNWRITTEN_MAX);
        standing.heed(answer(read, false, None));
        assert_eq!(standing.problem, None);
    }
}
