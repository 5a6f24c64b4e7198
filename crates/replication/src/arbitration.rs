//! Asking the arbiter: reading the record, and changing it so that the outcome is known for certain.
//!
//! ```text
//!             ┌───────────── expected ────────────┐
//!             ▼                                   │
//!  start ─▶ swapping ── unknown ──▶ pause ──▶ reading back
//!             │                       ▲            │
//!             │                       └─ unknown ──┤
//!             └─ mine ─▶ Won    changed ─▶ Lost ◀──┘
//! ```
//! A change is repeated with the same nonce until its outcome is certain and is never given up before: an earlier
//! attempt may take effect late, and then has the same effect. At most one attempt can, since each expects the
//! record before it.
//!
//! An answer that comes when its question was given up, or has been asked again, is an answer all the same: a store that
//! always takes longer than `Times::arbiter` delays a change of role, and does not prevent it. Only that nothing is
//! known is no news then.

use crate::action::{ArbiterOperation, ArbiterReply, RequestId};
use crate::config::Mutation;
use crate::resolution::{Resolution, Seen, Step, resolve};
use crate::shared::Shared;
use crate::time::Instant;
use crate::types::Record;

/// Proof that the arbiter's record is the one that this node wrote: only the arbiter's answer makes one (I8).
#[derive(Debug)]
pub(crate) struct Won(Record);

impl Won {
    pub(crate) fn record(&self) -> Record {
        self.0
    }
}

/// One question to the arbiter, asked until it is answered.
#[derive(Debug)]
enum Question {
    Asked { request: RequestId, until: Instant },
    Pausing { until: Instant },
}

impl Question {
    fn until(&self) -> Instant {
        match self {
            Self::Asked { until, .. } | Self::Pausing { until } => *until,
        }
    }

    fn ask(shared: &mut Shared, operation: ArbiterOperation) -> Self {
        let request = shared.ask_arbiter(operation);
        Self::Asked {
            request,
            until: shared.now.after(shared.config.times.arbiter),
        }
    }

    /// Asks for the first time; `first` says under which name.
    fn begin(shared: &mut Shared, operation: ArbiterOperation) -> (RequestId, Self) {
        let first = shared.next_request();
        (first, Self::ask(shared, operation))
    }

    fn pause(shared: &mut Shared, tries: &mut u32) -> Self {
        let pause = shared.backoff(*tries);
        *tries = tries.saturating_add(1);
        Self::Pausing {
            until: shared.now.after(pause),
        }
    }

    fn is(&self, asked: RequestId) -> bool {
        matches!(self, Self::Asked { request, .. } if *request == asked)
    }
}

/// The record, asked for until someone is content with it.
#[derive(Debug)]
pub(crate) struct Inquiry {
    /// Requests count up, and a core asks for one thing at a time: what was asked since then was asked by this.
    first: RequestId,
    question: Question,
    tries: u32,
}

/// What an inquiry found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Record(Option<Record>),
    Unavailable,
}

impl Inquiry {
    pub(crate) fn start(shared: &mut Shared) -> Self {
        let (first, question) = Question::begin(shared, ArbiterOperation::Read);
        Self {
            first,
            question,
            tries: 0,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.question.until()
    }

    /// The answer, if this reply is one to this question, in time or late.
    pub(crate) fn reply(
        &self,
        shared: &mut Shared,
        request: RequestId,
        reply: ArbiterReply,
    ) -> Option<Answer> {
        let late = !self.question.is(request);
        if request < self.first || late && shared.mutated(Mutation::DropLateAnswer) {
            return None;
        }
        Some(match reply {
            ArbiterReply::Unavailable if late => return None,
            ArbiterReply::Current(record) | ArbiterReply::Refused(record) => {
                shared.arbiter_reachable = true;
                Answer::Record(record)
            }
            ArbiterReply::Unavailable => {
                shared.arbiter_reachable = false;
                Answer::Unavailable
            }
        })
    }

    /// Asks again, but not at once.
    pub(crate) fn ask_later(&mut self, shared: &mut Shared) {
        self.question = Question::pause(shared, &mut self.tries);
    }

    /// When a pause ends the caller may decide that the question is moot: `None` if it is not yet over.
    pub(crate) fn pause_is_over(&self, shared: &Shared) -> bool {
        matches!(self.question, Question::Pausing { until } if until <= shared.now)
    }

    /// Whether the next question waits for a pause to end.
    pub(crate) fn is_pausing(&self) -> bool {
        matches!(self.question, Question::Pausing { .. })
    }

    pub(crate) fn timeout(&mut self, shared: &mut Shared) {
        match self.question {
            Question::Pausing { until } if until <= shared.now => {
                self.question = Question::ask(shared, ArbiterOperation::Read);
            }
            Question::Asked { until, .. } if until <= shared.now => {
                shared.arbiter_reachable = false;
                self.ask_later(shared);
            }
            Question::Pausing { .. } | Question::Asked { .. } => {}
        }
    }
}

/// A change of the record, from the first attempt until its outcome is certain.
#[derive(Debug)]
pub(crate) struct Change {
    /// As an inquiry's.
    first: RequestId,
    expected: Option<Record>,
    new: Record,
    step: Step,
    question: Question,
    tries: u32,
}

/// The outcome of a change.
#[derive(Debug)]
pub(crate) enum Outcome {
    Won(Won),
    Lost(Record),
}

impl Change {
    /// Sends the first attempt.
    pub(crate) fn start(shared: &mut Shared, expected: Option<Record>, new: Record) -> Self {
        shared.invariant(
            expected.is_none_or(|before| before.epoch < new.epoch),
            "I1: each change of the record raises its epoch",
        );
        let operation = ArbiterOperation::Swap { expected, new };
        let (first, question) = Question::begin(shared, operation);
        Self {
            first,
            expected,
            new,
            step: Step::Swap,
            question,
            tries: 0,
        }
    }

    /// The record that this change writes.
    pub(crate) fn target(&self) -> Record {
        self.new
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.question.until()
    }

    /// The outcome, as soon as a reply makes it certain.
    pub(crate) fn reply(
        &mut self,
        shared: &mut Shared,
        request: RequestId,
        reply: ArbiterReply,
    ) -> Option<Outcome> {
        let late = !self.question.is(request);
        if request < self.first || late && shared.mutated(Mutation::DropLateAnswer) {
            return None;
        }
        let record = match reply {
            ArbiterReply::Current(record) | ArbiterReply::Refused(record) => Some(record),
            ArbiterReply::Unavailable if late => return None,
            ArbiterReply::Unavailable => None,
        };
        shared.arbiter_reachable = record.is_some();
        let seen = self.classify(shared, record);
        if late && seen == Seen::Expected && self.step == Step::Swap {
            // The record as it was before the attempt that is on its way now.
            return None;
        }
        let (resolution, why) = resolve(self.step, seen);
        shared.decide(why);
        match resolution {
            Resolution::Won => Some(Outcome::Won(Won(self.new))),
            Resolution::Lost if shared.mutated(Mutation::IgnoreLostSwap) => {
                Some(Outcome::Won(Won(self.new)))
            }
            Resolution::Lost => record.flatten().map(Outcome::Lost),
            Resolution::SwapAgain => {
                self.swap(shared);
                None
            }
            Resolution::SwapLater => {
                self.question = Question::pause(shared, &mut self.tries);
                None
            }
            Resolution::ReadBack => self.doubt(shared),
        }
    }

    pub(crate) fn timeout(&mut self, shared: &mut Shared) -> Option<Outcome> {
        if self.question.until() > shared.now {
            return None;
        }
        if matches!(self.question, Question::Asked { .. }) {
            shared.arbiter_reachable = false;
            return self.doubt(shared);
        }
        match self.step {
            Step::Swap => self.swap(shared),
            Step::ReadBack => self.question = Question::ask(shared, ArbiterOperation::Read),
        }
        None
    }

    /// Nothing is known: nothing is concluded either, and the record is read back after a pause.
    fn doubt(&mut self, shared: &mut Shared) -> Option<Outcome> {
        if shared.mutated(Mutation::IgnoreArbiterUnreachable) {
            return Some(Outcome::Won(Won(self.new)));
        }
        if shared.mutated(Mutation::LostReplyIsLoss) {
            return Some(Outcome::Lost(self.expected.unwrap_or(self.new)));
        }
        self.step = Step::ReadBack;
        self.question = Question::pause(shared, &mut self.tries);
        None
    }

    fn swap(&mut self, shared: &mut Shared) {
        self.step = Step::Swap;
        let operation = ArbiterOperation::Swap {
            expected: self.expected,
            new: self.new,
        };
        self.question = Question::ask(shared, operation);
    }

    /// A store that shows an older record than one it has shown before, none where there was one, or another
    /// machine's, is broken: such an answer is no answer.
    fn classify(&self, shared: &Shared, record: Option<Option<Record>>) -> Seen {
        let changes = |record: &Record| match &self.expected {
            Some(before) => shared.displaces(record, before),
            None => record.machine == self.new.machine,
        };
        match record {
            None => Seen::Unknown,
            Some(record) if record == Some(self.new) => Seen::Mine,
            Some(record) if record == self.expected => Seen::Expected,
            Some(Some(record)) if changes(&record) => Seen::Changed,
            Some(_) => Seen::Unknown,
        }
    }
}
