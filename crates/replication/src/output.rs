//! The output rule: which outputs may leave.

use crate::config::Mutation;
use crate::shared::Shared;
use crate::types::LogIndex;
use std::collections::VecDeque;

/// The marks whose outputs have not left yet, and the rule by which they may.
#[derive(Debug)]
pub(crate) struct Outputs {
    marks: VecDeque<LogIndex>,
    released: LogIndex,
    rule: Rule,
}

/// By which rule outputs leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The record says `Solo`, and no change to it is in doubt: everything may leave.
    Free,
    /// Outputs after the sync point leave only when the backup has acknowledged their mark.
    Acknowledged {
        /// The last entry before which nothing is held.
        sync: LogIndex,
    },
}

impl Outputs {
    /// Of an owner whose outputs up to `released` have left, or are said again on going live.
    pub(crate) fn new(released: LogIndex) -> Self {
        Self {
            marks: VecDeque::new(),
            released,
            rule: Rule::Free,
        }
    }

    pub(crate) fn add(&mut self, mark: LogIndex) {
        self.marks.push_back(mark);
    }

    pub(crate) fn held(&self) -> usize {
        self.marks.len()
    }

    pub(crate) fn released(&self) -> LogIndex {
        self.released
    }

    pub(crate) fn rule(&self) -> Rule {
        self.rule
    }

    pub(crate) fn set_rule(&mut self, rule: Rule) {
        self.rule = rule;
    }

    /// Takes the marks that may leave by the rule, the backup having acknowledged up to `acknowledged`; returns the
    /// last of them.
    pub(crate) fn release(&mut self, shared: &Shared, acknowledged: LogIndex) -> Option<LogIndex> {
        let free = match self.rule {
            Rule::Free => LogIndex(u64::MAX),
            Rule::Acknowledged { .. } if shared.mutated(Mutation::ReleaseWithoutAcknowledge) => {
                LogIndex(u64::MAX)
            }
            Rule::Acknowledged { sync } => acknowledged.max(sync),
        };
        let mut last = None;
        while let Some(mark) = self.marks.front().copied().filter(|mark| *mark <= free) {
            self.marks.pop_front();
            last = Some(mark);
        }
        if let Some(mark) = last {
            self.released = mark;
        }
        last
    }
}
