//! What an owner of the machine knows, what it lets out, and how hard it brakes.

use crate::action::{Action, HaltReason};
use crate::config::Mutation;
use crate::look::Look;
use crate::output::{Outputs, Rule};
use crate::pacing::{Pacing, Refused};
use crate::protection::Protection;
use crate::shared::Shared;
use crate::slow::{BRAKE_FOR_JOINER_MAX, brake_for_lag};
use crate::time::Instant;
use crate::transfer::Owner;
use crate::turn::Next;
use crate::types::{Epoch, LogIndex, Mode, NodeId, Record, TakeoverTimes};
use std::collections::VecDeque;

/// The brake is told anew when it changes by so much, in thousandths.
const BRAKE_STEP: u16 = 25;

/// Told once when a backup turns out to be slow.
const SLOW: &str = "the backup cannot keep up: the machine is only as fast as it";

/// The owner of the machine.
#[derive(Debug)]
pub(crate) struct Primary {
    /// The arbiter's record as this node last wrote it.
    pub(crate) record: Record,
    /// The last entry appended.
    pub(crate) last: LogIndex,
    pub(crate) outputs: Outputs,
    pub(crate) protection: Protection,
    /// Nodes that asked to join and may, and their attempts.
    pub(crate) candidates: VecDeque<(NodeId, u64)>,
    pub(crate) pacing: Pacing,
    /// Who was refused last, and is no backup since.
    pub(crate) refused: Option<Refused>,
    /// The guest switched itself off.
    pub(crate) powered_off: bool,
    /// An operator ends this node.
    pub(crate) gives_up: bool,
    pub(crate) brake: u16,
    pub(crate) look: Look,
    /// How the machine came to this node, if it was another's before.
    pub(crate) takeover: Option<TakeoverTimes>,
}

impl Primary {
    pub(super) fn new(shared: &mut Shared, record: Record, last: LogIndex) -> Self {
        Self {
            look: Look::rest(shared),
            takeover: None,
            record,
            last,
            outputs: Outputs::new(last),
            protection: Protection::Alone,
            candidates: VecDeque::new(),
            pacing: Pacing::default(),
            refused: None,
            powered_off: false,
            gives_up: false,
            brake: 0,
        }
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner {
            epoch: self.record.epoch,
            released: self.outputs.released(),
            paired: matches!(self.record.mode, Mode::Pair { .. }),
        }
    }

    /// Whether its backup takes over should it end now: one that has spoken since it protects the machine, and that nobody doubts.
    pub(crate) fn may_leave(&self, shared: &Shared) -> bool {
        match &self.protection {
            Protection::Paired { stream, suspicion } => {
                let knows = stream.answered_in >= self.record.epoch;
                suspicion.is_none() && stream.cause(shared).is_none() && knows
            }
            Protection::Disarming { .. } => shared.mutated(Mutation::EndInDoubt),
            _ => false,
        }
    }

    pub(crate) fn deadline(&self, shared: &Shared) -> Option<Instant> {
        let look = self.protection.is_at_rest().then(|| self.look.deadline());
        look.into_iter()
            .chain(self.protection.deadline(shared))
            .min()
    }

    pub(crate) fn forgive(&mut self, shared: &Shared) {
        if let Some(stream) = self.protection.stream_mut() {
            stream.forgive(shared);
        }
    }

    /// Lets out what the output rule allows (I2).
    pub(crate) fn release(&mut self, shared: &mut Shared) {
        if matches!(self.protection, Protection::Stopping { .. }) {
            // All has left that may. A guest that is given up goes on until the record says DOWN, and says nothing more.
            return;
        }
        let acknowledged = self
            .protection
            .stream()
            .map_or(LogIndex(0), |stream| stream.window.acknowledged());
        let rule = self.outputs.rule();
        let Some(up_to) = self.outputs.release(shared, acknowledged) else {
            return;
        };
        shared.invariant(
            match rule {
                Rule::Free => self.record.mode == Mode::Solo && !self.protection.in_doubt(),
                Rule::Acknowledged { sync } => up_to <= acknowledged.max(sync),
            },
            "I2: unacknowledged output leaves only in SOLO, by the owner",
        );
        let epoch = match self.record.epoch {
            Epoch(epoch) if shared.mutated(Mutation::StampOlderEpoch) => Epoch(epoch - 1),
            epoch => epoch,
        };
        shared.act(Action::Release { up_to, epoch });
    }

    /// Tells the hart how hard to brake, when that has changed.
    pub(crate) fn apply_brake(&mut self, shared: &mut Shared) {
        let marks = (self.outputs.held() as u64).saturating_mul(1000);
        let half = shared.config.bounds.held_marks_max.max(2) / 2;
        let by_marks = (marks / half).saturating_sub(1000).min(1000) as u16;
        let by_stream = self.protection.stream();
        let by_stream = by_stream.map_or(0, |stream| stream.brake(shared));
        let brake = self.pace(shared, by_marks.max(by_stream));
        let edge = brake != self.brake && (brake == 0 || brake == 1000);
        if edge || brake.abs_diff(self.brake) >= BRAKE_STEP {
            self.brake = brake;
            shared.act(Action::Throttle { brake });
        }
    }

    /// The brake when the backup's pace is looked at, too: harder for one that lags far behind in a pair, and never a full
    /// stop for one that protects nothing yet.
    pub(super) fn pace(&mut self, shared: &mut Shared, brake: u16) -> u16 {
        let alone = matches!(
            self.protection,
            Protection::Copying(_) | Protection::Closing { .. }
        );
        if alone && !shared.mutated(Mutation::StopForJoiner) {
            return brake.min(BRAKE_FOR_JOINER_MAX);
        }
        let (now, times) = (shared.now, &shared.config.times);
        let Some(stream) = self.protection.stream_mut().filter(|stream| stream.ready) else {
            return brake;
        };
        let lag = stream.lag(now);
        let brake = brake.max(brake_for_lag(lag, times));
        if stream.pace.look(now, lag, brake, times) {
            shared.decide(SLOW);
        }
        brake
    }

    /// Whether nobody protects it, as far as the record says.
    pub(crate) fn is_alone(&self) -> bool {
        self.record.mode == Mode::Solo
    }

    /// Whether this owner gives way to another that its own store does not know of: there must not be two. One that is
    /// protected goes on, since two nodes agree on it. Of two that are alone the later goes on, then the one with the lower name: so
    /// that each knows of the other's choice.
    pub(crate) fn yields_to(&self, other: &Record) -> bool {
        match (self.record.mode, other.mode) {
            (Mode::Pair { .. }, _) | (_, Mode::Down) => false,
            (_, Mode::Pair { .. }) => true,
            (_, Mode::Solo) => (other.epoch, self.record.owner) > (self.record.epoch, other.owner),
        }
    }

    /// Stops as the loser of the machine.
    pub(crate) fn lose(&mut self, shared: &mut Shared, record: Record) -> Next {
        if shared.mutated(Mutation::ReleaseOnLoss) {
            shared.act(Action::Release {
                up_to: self.last,
                epoch: self.record.epoch,
            });
        }
        Next::Halt(HaltReason::Lost { record })
    }
}
