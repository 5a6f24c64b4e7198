//! What peers have seen of the record, beside what this node's own store shows. Nodes tell each other the newest record that
//! they know when a channel opens and whenever it changes; so two copies of one store, each with an owner of its own, do not
//! stay unnoticed once their nodes can talk.
//!
//! Proof is a record that this node's store goes on not to show, although it has been asked: another one of the same epoch, since
//! in one store that was not set back only one swap into an epoch succeeds, or one of a later epoch. A store may be slow to show
//! what another host wrote, so that the latter takes longer.

use crate::time::{Duration, Instant};
use crate::types::{NodeId, Record};
use std::collections::BTreeMap;

/// A store has so long to show what a peer has seen in it,
pub(crate) const DOUBT: Duration = Duration::from_s(10);
/// where this node has no part of the machine yet, and loses nothing by an end, or where the epoch is the same: whoever was displaced
/// in a store that was set back reads that first, and goes.
pub(crate) const DOUBT_OUTSIDE: Duration = Duration::from_s(3);
/// Answers of the store that do not show it, at least: one may have been under way.
const ANSWERS_MIN: u32 = 2;

/// What one peer has seen.
#[derive(Clone, Copy, Debug)]
struct Claim {
    /// The newest.
    record: Record,
    /// The oldest that the store has not shown yet: a record that changes all the time is no excuse for it.
    first: Record,
    /// When that was heard, and how often the store has answered without showing it since.
    heard: Instant,
    answers: u32,
}

/// What an owner of an earlier epoch says.
#[derive(Clone, Copy, Debug)]
struct Earlier {
    record: Record,
    /// When that was heard first.
    heard: Instant,
    /// It was said again after all the time that the peer had to read of a later one.
    insists: bool,
}

/// The newest record that this node's store has shown, and those that its peers have seen.
#[derive(Debug, Default)]
pub(crate) struct Testimony {
    shown: Option<Record>,
    /// Of connected peers: those that are newer than `shown`, or beside it.
    claims: BTreeMap<NodeId, Claim>,
    /// Connected peers that say to be the protected owner of an earlier epoch.
    earlier: BTreeMap<NodeId, Earlier>,
    doubted: bool,
}

impl Testimony {
    /// The newest record that the store has shown.
    pub(crate) fn shown(&self) -> Option<Record> {
        self.shown
    }

    /// The store has shown this record, or that there is none; says whether that is news.
    pub(crate) fn show(&mut self, now: Instant, record: Option<Record>) -> bool {
        let news = record.is_some_and(|record| is_beside(self.shown, record));
        if news {
            self.shown = record;
        }
        let shown = self.shown;
        for claim in self.claims.values_mut() {
            claim.answers = claim.answers.saturating_add(1);
            if !is_beside(shown, claim.first) {
                (claim.first, claim.heard, claim.answers) = (claim.record, now, 0);
            }
        }
        self.claims
            .retain(|_, claim| is_beside(shown, claim.record));
        news
    }

    /// A connected peer has seen this record.
    pub(crate) fn hear(&mut self, now: Instant, from: NodeId, record: Record) {
        if !is_beside(self.shown, record) {
            self.claims.remove(&from);
            if self.shown != Some(record) && record.owner == from && record.backup().is_some() {
                self.hear_earlier(now, from, record);
            }
            return;
        }
        self.earlier.remove(&from);
        let claim = self.claims.entry(from).or_insert(Claim {
            record,
            first: record,
            heard: now,
            answers: 0,
        });
        if claim.record.epoch < record.epoch {
            claim.record = record;
        }
    }

    fn hear_earlier(&mut self, now: Instant, from: NodeId, record: Record) {
        let first = Earlier {
            record,
            heard: now,
            insists: false,
        };
        let told = self.earlier.entry(from).or_insert(first);
        if told.record != record {
            *told = first;
        }
        told.insists |= told.heard.after(DOUBT) <= now;
    }

    /// A peer that goes on to be the owner of an earlier epoch, protected, although it has had time to read of this one.
    pub(crate) fn insisting(&self) -> Option<(NodeId, Record)> {
        let mut all = self.earlier.iter();
        let found = all.find(|(_, told)| told.insists);
        found.map(|(peer, told)| (*peer, told.record))
    }

    /// The channel to a peer is gone, and its word with it.
    pub(crate) fn forget(&mut self, peer: NodeId) {
        self.claims.remove(&peer);
        self.earlier.remove(&peer);
    }

    /// Whether some peer has seen what the store does not show: nobody starts the machine then.
    pub(crate) fn is_doubted(&self) -> bool {
        !self.claims.is_empty()
    }

    /// Whether that has not been said yet.
    pub(crate) fn is_new_doubt(&mut self) -> bool {
        !std::mem::replace(&mut self.doubted, true)
    }

    /// Records that prove that peers read another store than this node, which has had `doubt` to show them; and who has
    /// seen them.
    pub(crate) fn proofs(
        &self,
        now: Instant,
        doubt: Duration,
    ) -> impl Iterator<Item = (NodeId, Record)> {
        let proven = move |claim: &Claim| {
            let same_epoch = self
                .shown
                .is_some_and(|shown| shown.epoch == claim.first.epoch);
            let doubt = match same_epoch {
                true => doubt.min(DOUBT_OUTSIDE),
                false => doubt,
            };
            claim.heard.after(doubt) <= now && claim.answers >= ANSWERS_MIN
        };
        let claims = self.claims.iter();
        claims.filter_map(move |(peer, claim)| proven(claim).then_some((*peer, claim.record)))
    }

    /// When a claim may have become a proof.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let both = |claim: &Claim| [DOUBT_OUTSIDE, DOUBT].map(|doubt| claim.heard.after(doubt));
        let due = self.claims.values().flat_map(both);
        due.filter(|due| *due > now).min()
    }

    /// How much is remembered.
    pub(crate) fn footprint(&self) -> usize {
        self.claims.len().max(self.earlier.len())
    }
}

/// Whether a store that shows `shown` cannot have shown `claimed` before.
fn is_beside(shown: Option<Record>, claimed: Record) -> bool {
    shown.is_none_or(|shown| {
        claimed.epoch > shown.epoch || claimed.epoch == shown.epoch && claimed != shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Epoch, MachineId, Mode, Nonce};

    fn record(epoch: u64, nonce: u128) -> Record {
        Record {
            machine: MachineId(1),
            epoch: Epoch(epoch),
            mode: Mode::Solo,
            owner: NodeId(nonce),
            nonce: Nonce(nonce),
        }
    }

    #[test]
    fn another_record_of_the_same_epoch_is_a_proof_when_the_store_does_not_come_to_show_it() {
        let mut testimony = Testimony::default();
        testimony.show(Instant(0), Some(record(3, 1)));
        testimony.hear(Instant(0), NodeId(9), record(3, 1));
        testimony.hear(Instant(0), NodeId(8), record(2, 7));
        assert!(!testimony.is_doubted());
        testimony.hear(Instant(0), NodeId(9), record(3, 2));
        let late = Instant(0).after(DOUBT_OUTSIDE);
        assert!(
            !testimony.show(Instant(0), Some(record(3, 1)))
                && !testimony.show(Instant(0), Some(record(3, 1)))
        );
        assert_eq!(testimony.proofs(Instant(0), DOUBT).count(), 0);
        let proofs: Vec<_> = testimony.proofs(late, DOUBT).collect();
        assert_eq!(proofs, [(NodeId(9), record(3, 2))]);
        testimony.forget(NodeId(9));
        assert!(!testimony.is_doubted());
    }

    #[test]
    fn a_store_that_was_set_back_and_recovered_shows_another_record_of_the_same_epoch() {
        let mut testimony = Testimony::default();
        testimony.show(Instant(0), Some(record(3, 1)));
        testimony.hear(Instant(0), NodeId(9), record(3, 2));
        assert!(testimony.show(Instant(0), Some(record(3, 2))), "it is news");
        assert!(!testimony.is_doubted());
        testimony.hear(Instant(0), NodeId(9), record(3, 1));
        assert!(testimony.is_doubted(), "a peer has not seen it yet");
    }

    #[test]
    fn a_later_record_is_a_proof_when_the_store_goes_on_not_to_show_it() {
        let mut testimony = Testimony::default();
        let late = Instant(0).after(DOUBT);
        testimony.show(Instant(0), Some(record(3, 1)));
        testimony.hear(Instant(0), NodeId(9), record(5, 2));
        testimony.hear(Instant(1), NodeId(9), record(5, 2));
        assert_eq!(
            testimony.deadline(Instant(0).after(DOUBT_OUTSIDE)),
            Some(late)
        );
        assert_eq!(
            testimony.proofs(late, DOUBT).count(),
            0,
            "the store said nothing"
        );
        testimony.show(Instant(0), Some(record(3, 1)));
        testimony.show(Instant(0), Some(record(3, 1)));
        assert_eq!(testimony.proofs(Instant(DOUBT.us() - 1), DOUBT).count(), 0);
        assert_eq!(testimony.proofs(late, DOUBT).count(), 1);
        assert!(testimony.show(late, Some(record(5, 2))), "it was only slow");
        assert!(!testimony.is_doubted());
    }

    #[test]
    fn a_record_that_changes_all_the_time_is_a_proof_no_later() {
        let mut testimony = Testimony::default();
        testimony.show(Instant(0), Some(record(3, 1)));
        let step = DOUBT / 5;
        for change in 0..=5 {
            let now = Instant(0).after(step * change);
            testimony.hear(now, NodeId(9), record(4 + change, 2));
            testimony.show(now, Some(record(3, 1)));
            let proven = testimony.proofs(now, DOUBT).next();
            assert_eq!(proven.is_some(), change == 5);
        }
        // A store that follows, late, has not been asked for long what it does not show now.
        let mut testimony = Testimony::default();
        for change in 0..20 {
            let now = Instant(0).after(step * change);
            testimony.hear(now, NodeId(9), record(9 + change, 2));
            testimony.show(now, Some(record(6 + change, 2)));
            assert_eq!(testimony.proofs(now, DOUBT).count(), 0);
            assert!(testimony.is_doubted());
        }
    }
}
