//! What to do about a suspected peer once the arbiter's record has been read: the two takeover tables. Suspicion
//! proves nothing; the record is read first, so that a node that merely slept hears its peer in the meantime, and
//! one that is a zombie learns of it.

use crate::arbitration::Answer;
use crate::shared::Shared;
use crate::transfer::Cause;
use crate::types::{Epoch, MachineId, Mode, NodeId, Record};

/// The verdict of either table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The peer spoke meanwhile: nothing happened.
    Withdraw,
    /// Ask the arbiter for SOLO.
    Change,
    /// Nothing can be concluded, or not yet: read again later.
    Wait,
    /// Another node is the machine.
    Lose,
    /// This backup is none any more.
    Leave,
    /// The machine is switched off.
    Off,
}

/// What an owner in a pair sees in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerView {
    /// The record as it wrote it.
    Mine,
    /// A later record, or another of the same epoch.
    Changed,
    /// No answer, or none that can be believed.
    Unknown,
}

impl OwnerView {
    pub(crate) fn of(shared: &Shared, mine: Record, answer: Answer) -> Self {
        match answer {
            Answer::Record(Some(record)) if record == mine => Self::Mine,
            Answer::Record(Some(record)) if shared.displaces(&record, &mine) => Self::Changed,
            Answer::Record(_) | Answer::Unavailable => Self::Unknown,
        }
    }
}

struct OwnerRow {
    name: &'static str,
    view: &'static [OwnerView],
    cause: &'static [Option<Cause>],
    verdict: Verdict,
}

const ANY_CAUSE: &[Option<Cause>] = &[None, Some(Cause::Silent), Some(Cause::Certain)];

const OWNER: &[OwnerRow] = &[
    OwnerRow {
        name: "the record was changed by another: this node is a zombie",
        view: &[OwnerView::Changed],
        cause: ANY_CAUSE,
        verdict: Verdict::Lose,
    },
    OwnerRow {
        name: "without the arbiter nobody changes role",
        view: &[OwnerView::Unknown],
        cause: ANY_CAUSE,
        verdict: Verdict::Wait,
    },
    OwnerRow {
        name: "the backup spoke meanwhile",
        view: &[OwnerView::Mine],
        cause: &[None],
        verdict: Verdict::Withdraw,
    },
    OwnerRow {
        name: "the backup is silent, or useless: go on alone",
        view: &[OwnerView::Mine],
        cause: &[Some(Cause::Silent), Some(Cause::Certain)],
        verdict: Verdict::Change,
    },
];

/// What the owner of a pair does about its backup, and the name of the row that says so.
pub(crate) fn owner(view: OwnerView, cause: Option<Cause>) -> (Verdict, &'static str) {
    let row = OWNER
        .iter()
        .find(|row| row.view.contains(&view) && row.cause.contains(&cause));
    let row = row.expect("a test proves that every input has its row");
    (row.verdict, row.name)
}

/// What a backup sees in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackupView {
    /// PAIR: its primary, protected by this node.
    PairWithMe,
    /// SOLO: its primary, still in the epoch in which the transfer began.
    PrimaryAlone,
    /// Anything later that names an owner: its primary without it, another pair, another owner.
    Others,
    /// DOWN.
    Down,
    /// No answer, or none that can be believed.
    Unknown,
}

impl BackupView {
    pub(crate) fn of(me: Allegiance, answer: Answer) -> Self {
        let record = match answer {
            Answer::Record(Some(record)) => record,
            Answer::Record(None) | Answer::Unavailable => return Self::Unknown,
        };
        if record.machine != me.machine || record.epoch < me.begun_in {
            return Self::Unknown;
        }
        let mine = record.owner == me.primary;
        match record.mode {
            Mode::Pair { backup } if mine && backup == me.node => Self::PairWithMe,
            Mode::Solo if mine && record.epoch == me.begun_in => Self::PrimaryAlone,
            Mode::Down => Self::Down,
            Mode::Solo | Mode::Pair { .. } => Self::Others,
        }
    }
}

/// Who a backup is, and whose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allegiance {
    pub(crate) machine: MachineId,
    pub(crate) node: NodeId,
    pub(crate) primary: NodeId,
    /// The primary's epoch at the start of the state transfer. The next can only be this backup's PAIR.
    pub(crate) begun_in: Epoch,
}

/// The other inputs of a backup's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fitness {
    /// The primary spoke since it was suspected.
    pub(crate) heard: bool,
    /// The state was restored whole and its digest agreed. (The log held is contiguous by construction, and a
    /// backup that diverged has halted.)
    pub(crate) complete: bool,
    /// Everything held, hence everything acknowledged, is replayed, and no digest in it disagreed.
    pub(crate) drained: bool,
}

struct BackupRow {
    name: &'static str,
    view: &'static [BackupView],
    heard: &'static [bool],
    complete: &'static [bool],
    drained: &'static [bool],
    verdict: Verdict,
}

const ANY: &[bool] = &[false, true];
const NO: &[bool] = &[false];
const YES: &[bool] = &[true];

const BACKUP: &[BackupRow] = &[
    BackupRow {
        name: "the machine is switched off",
        view: &[BackupView::Down],
        heard: ANY,
        complete: ANY,
        drained: ANY,
        verdict: Verdict::Off,
    },
    BackupRow {
        name: "the record names others: this backup was dismissed",
        view: &[BackupView::Others],
        heard: ANY,
        complete: ANY,
        drained: ANY,
        verdict: Verdict::Leave,
    },
    BackupRow {
        name: "the primary spoke meanwhile",
        view: &[
            BackupView::PairWithMe,
            BackupView::PrimaryAlone,
            BackupView::Unknown,
        ],
        heard: YES,
        complete: ANY,
        drained: ANY,
        verdict: Verdict::Withdraw,
    },
    BackupRow {
        name: "without the arbiter nobody changes role",
        view: &[BackupView::Unknown],
        heard: NO,
        complete: ANY,
        drained: ANY,
        verdict: Verdict::Wait,
    },
    BackupRow {
        name: "the primary is alone and may have said what this backup does not hold; PAIR may still come, by a late swap",
        view: &[BackupView::PrimaryAlone],
        heard: NO,
        complete: ANY,
        drained: ANY,
        verdict: Verdict::Wait,
    },
    BackupRow {
        name: "an incomplete backup never takes over",
        view: &[BackupView::PairWithMe],
        heard: NO,
        complete: NO,
        drained: ANY,
        verdict: Verdict::Wait,
    },
    BackupRow {
        name: "replay what is held first: its digests may still disagree",
        view: &[BackupView::PairWithMe],
        heard: NO,
        complete: YES,
        drained: NO,
        verdict: Verdict::Wait,
    },
    BackupRow {
        name: "take over",
        view: &[BackupView::PairWithMe],
        heard: NO,
        complete: YES,
        drained: YES,
        verdict: Verdict::Change,
    },
];

impl BackupRow {
    fn matches(&self, view: BackupView, fitness: Fitness) -> bool {
        self.view.contains(&view)
            && self.heard.contains(&fitness.heard)
            && self.complete.contains(&fitness.complete)
            && self.drained.contains(&fitness.drained)
    }
}

/// What a backup does about its primary, and the name of the row that says so.
pub(crate) fn backup(view: BackupView, fitness: Fitness) -> (Verdict, &'static str) {
    let row = BACKUP.iter().find(|row| row.matches(view, fitness));
    let row = row.expect("a test proves that every input has its row");
    (row.verdict, row.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_of_an_owner_has_exactly_one_row() {
        for view in [OwnerView::Mine, OwnerView::Changed, OwnerView::Unknown] {
            for cause in ANY_CAUSE {
                let rows: Vec<_> = OWNER
                    .iter()
                    .filter(|row| row.view.contains(&view) && row.cause.contains(cause))
                    .map(|row| row.name)
                    .collect();
                assert_eq!(rows.len(), 1, "{view:?}, {cause:?}: {rows:?}");
            }
        }
    }

    #[test]
    fn every_view_of_a_backup_has_exactly_one_row() {
        let views = [
            BackupView::PairWithMe,
            BackupView::PrimaryAlone,
            BackupView::Others,
            BackupView::Down,
            BackupView::Unknown,
        ];
        for view in views {
            for bits in 0..8u8 {
                let fitness = Fitness {
                    heard: bits & 1 != 0,
                    complete: bits & 2 != 0,
                    drained: bits & 4 != 0,
                };
                let rows: Vec<_> = BACKUP
                    .iter()
                    .filter(|row| row.matches(view, fitness))
                    .map(|row| row.name)
                    .collect();
                assert_eq!(rows.len(), 1, "{view:?}, {fitness:?}: {rows:?}");
                let takes_over = backup(view, fitness).0 == Verdict::Change;
                let may = view == BackupView::PairWithMe
                    && !fitness.heard
                    && fitness.complete
                    && fitness.drained;
                assert_eq!(takes_over, may, "I7: {view:?}, {fitness:?}");
            }
        }
    }
}
