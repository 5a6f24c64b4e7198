//! How a backup watches its primary, and what it does about one that it suspects.

use super::state::{Backup, State};
use crate::action::{ArbiterReply, HaltReason, RequestId};
use crate::arbitration::{Answer, Inquiry};
use crate::config::Mutation;
use crate::look;
use crate::shared::Shared;
use crate::suspicion::{self, Allegiance, BackupView, Fitness, Verdict};
use crate::time::{Duration, Instant};
use crate::turn::{Attempt, Next};
use crate::types::{Record, TakeoverTimes};

impl Backup {
    pub(super) fn suspect_at(&self, shared: &Shared) -> Instant {
        let times = &shared.config.times;
        let silence = match self.state {
            State::Receiving { .. } | State::Verifying => times.suspect_in_transfer,
            State::Following => times.suspect_primary,
        };
        let at = self.heard.after(silence);
        match self.disconnected {
            Some(disconnected) => {
                // When both see the channel break, the primary is first to ask, as with silence.
                let grace =
                    times.suspect_disconnected + (times.suspect_primary - times.suspect_backup);
                at.min(disconnected.after(grace))
            }
            None => at,
        }
    }

    pub(crate) fn is_suspicious(&self, shared: &Shared) -> bool {
        self.suspected.is_some() && self.suspect_at(shared) <= shared.now
    }

    /// When `watch` has something to do.
    pub(super) fn watch_at(&self, shared: &Shared) -> Instant {
        let suspect = self.suspected.is_none().then(|| self.suspect_at(shared));
        let read = match &self.inquiry {
            Some(inquiry) => Some(inquiry.deadline()),
            None if self.is_ready() => Some(self.look_at),
            None => None,
        };
        let due = suspect.into_iter().chain(read).min();
        due.unwrap_or(shared.now)
    }

    /// Suspects a primary that is silent for too long, and reads the record, about it or just to look.
    pub(super) fn watch(&mut self, shared: &mut Shared) -> Option<Next> {
        let silent = self.suspect_at(shared) <= shared.now;
        if silent && self.suspected.is_none() {
            if !self.is_ready() && !shared.mutated(Mutation::TakeOverIncomplete) {
                return Some(self.start_over(shared));
            }
            self.suspected = Some(shared.now);
        }
        let looks = self.is_ready() && self.look_at <= shared.now;
        match &mut self.inquiry {
            Some(inquiry) if inquiry.pause_is_over(shared) && !silent => self.unsuspect(shared),
            Some(inquiry) => inquiry.timeout(shared),
            None if silent || looks => {
                self.inquiry = Some(Inquiry::start(shared));
            }
            // It was suspected, and spoke before anything was asked.
            None => self.suspected = None,
        }
        None
    }

    fn unsuspect(&mut self, shared: &mut Shared) {
        self.inquiry = None;
        self.suspected = None;
        self.look_at = look::next(shared);
    }

    /// Does not wait out a pause whose reason is gone: all that is held is replayed now.
    pub(super) fn suspect_sooner(&mut self, shared: &mut Shared) -> Next {
        if self.replayed == self.held
            && self.inquiry.as_ref().is_some_and(Inquiry::is_pausing)
            && shared.arbiter_reachable
            && self.suspect_at(shared) <= shared.now
        {
            self.inquiry = Some(Inquiry::start(shared));
        }
        Next::Stay
    }

    pub(super) fn arbiter(
        &mut self,
        shared: &mut Shared,
        request: RequestId,
        reply: ArbiterReply,
    ) -> Next {
        let Some(inquiry) = &self.inquiry else {
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
        let (verdict, why) = self.verdict(shared, view, fitness);
        if self.suspected.is_some() || verdict != Verdict::Withdraw {
            shared.decide(why);
        }
        match (verdict, answer) {
            (Verdict::Change, Answer::Record(Some(record))) => self.take_over(shared, record),
            (Verdict::Withdraw, answer) => {
                self.unsuspect(shared);
                if let (BackupView::PairWithMe, Answer::Record(Some(record))) = (view, answer) {
                    shared.prepare(record);
                }
                Next::Stay
            }
            (Verdict::Off, Answer::Record(Some(record))) => {
                Next::Halt(HaltReason::of_down(record, self.primary))
            }
            (Verdict::Leave | Verdict::Lose, _) if !self.is_ready() => self.start_over(shared),
            (Verdict::Leave | Verdict::Lose, _) => Next::Halt(self.dismissed()),
            (Verdict::Wait | Verdict::Change | Verdict::Off, _) => {
                if let Some(inquiry) = &mut self.inquiry {
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

    fn verdict(
        &self,
        shared: &Shared,
        view: BackupView,
        mut fitness: Fitness,
    ) -> (Verdict, &'static str) {
        if shared.mutated(Mutation::TakeOverIncomplete)
            && !fitness.heard
            && view == BackupView::PrimaryAlone
        {
            return (Verdict::Change, "a mutation");
        }
        fitness.drained |= shared.mutated(Mutation::SkipDrain);
        suspicion::backup(view, fitness)
    }

    /// From here on nothing is acknowledged, ever (I4): a takeover has no stream to acknowledge.
    fn take_over(&self, shared: &mut Shared, record: Record) -> Next {
        shared.invariant(
            self.is_ready() && self.replayed == self.held,
            "I7: an incomplete backup never takes over",
        );
        let suspected = self.suspected.unwrap_or(shared.now);
        let times = TakeoverTimes {
            detected: suspected.since(self.heard),
            drained: shared.now.since(suspected),
            swapped: Duration::ZERO,
        };
        Next::TakeOver(Box::new(Attempt {
            record,
            former: self.primary,
            transfer: self.transfer,
            held: self.held,
            replayed: self.replayed,
            powered_off: self.powered_off,
            times,
        }))
    }
}
