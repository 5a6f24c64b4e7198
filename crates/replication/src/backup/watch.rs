//! How a backup watches its primary, and what it does about one that it suspects.

use super::{Backup, State};
use crate::action::{ArbiterReply, HaltReason, RequestId};
use crate::arbitration::{Answer, Inquiry};
use crate::config::Mutation;
use crate::core::{Next, Role};
use crate::shared::Shared;
use crate::suspicion::{self, Allegiance, BackupView, Fitness, Verdict};
use crate::takeover::Takeover;
use crate::types::{Instant, Record};

impl Backup {
    pub(super) fn suspect_at(&self, shared: &Shared) -> Instant {
        let times = &shared.config.times;
        let silence_us = match self.state {
            State::Receiving { .. } | State::Verifying => times.suspect_in_transfer_us,
            State::Following => times.suspect_primary_us,
        };
        let at = self.heard.after(silence_us);
        match self.disconnected {
            Some(disconnected) => {
                // When both see the channel break, the primary is first to ask, as with silence.
                let grace_us = times.suspect_disconnected_us
                    + times
                        .suspect_primary_us
                        .saturating_sub(times.suspect_backup_us);
                at.min(disconnected.after(grace_us))
            }
            None => at,
        }
    }

    /// Does not wait out a pause whose reason is gone: all that is held is replayed now.
    pub(super) fn suspect_sooner(&mut self, shared: &mut Shared) -> Next {
        if self.replayed == self.held
            && self.suspicion.as_ref().is_some_and(Inquiry::is_pausing)
            && shared.arbiter_reachable
            && self.suspect_at(shared) <= shared.now
        {
            self.suspicion = Some(Inquiry::start(shared));
        }
        Next::Stay
    }

    pub(super) fn arbiter(
        &mut self,
        shared: &mut Shared,
        request: RequestId,
        reply: ArbiterReply,
    ) -> Next {
        let Some(inquiry) = &self.suspicion else {
            return Next::Stay;
        };
        let Some(answer) = inquiry.reply(shared, request, reply) else {
            return Next::Stay;
        };
        let me = Allegiance {
            machine: shared.config.machine,
            node: shared.config.node,
            primary: self.primary,
            begun_in: self.begun_in,
        };
        let view = BackupView::of(me, answer);
        let fitness = self.fitness(shared);
        match (self.verdict(shared, view, fitness), answer) {
            (Verdict::Change, Answer::Record(Some(record))) => self.take_over(shared, record),
            (Verdict::Withdraw, _) => {
                self.suspicion = None;
                Next::Stay
            }
            (Verdict::Off, _) => Next::Halt(HaltReason::PoweredOff),
            (Verdict::Leave | Verdict::Lose, _) if !self.is_ready() => self.start_over(shared),
            (Verdict::Leave | Verdict::Lose, _) => Next::Halt(HaltReason::Dismissed),
            (Verdict::Wait | Verdict::Change, _) => {
                if let Some(inquiry) = &mut self.suspicion {
                    inquiry.ask_later(shared);
                }
                Next::Stay
            }
        }
    }

    fn fitness(&self, shared: &Shared) -> Fitness {
        Fitness {
            heard: self.suspect_at(shared) > shared.now,
            complete: self.is_ready(),
            drained: self.replayed == self.held,
        }
    }

    fn verdict(&self, shared: &mut Shared, view: BackupView, mut fitness: Fitness) -> Verdict {
        if shared.mutated(Mutation::TakeOverIncomplete)
            && !fitness.heard
            && view == BackupView::PrimaryAlone
        {
            return Verdict::Change;
        }
        fitness.drained |= shared.mutated(Mutation::SkipDrain);
        let (verdict, why) = suspicion::backup(view, fitness);
        shared.decide(why);
        verdict
    }

    /// From here on nothing is acknowledged, ever (I4): a takeover has no stream to acknowledge.
    fn take_over(&mut self, shared: &mut Shared, record: Record) -> Next {
        shared.invariant(
            self.is_ready() && self.replayed == self.held,
            "I7: an incomplete backup never takes over",
        );
        let takeover = Takeover::start(
            shared,
            record,
            self.primary,
            self.transfer,
            (self.held, self.replayed),
            self.powered_off,
        );
        Next::become_role(Role::TakingOver(takeover))
    }
}
