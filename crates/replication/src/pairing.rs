//! The table of decisions on the way from a lone primary to a pair.

/// How far the way from a lone primary to a pair has been gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// State moves, the log streams, outputs leave freely.
    Copying,
    /// The sync point is chosen; outputs after it are held.
    Closing,
}

/// The inputs of the pairing decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) suspected: bool,
    pub(crate) ready: bool,
    pub(crate) near: bool,
    pub(crate) reached: bool,
}

/// What a lone primary does next for its new backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    Wait,
    /// Choose the sync point, and hold outputs after it.
    Close,
    /// Ask the arbiter for `Pair`.
    Arm,
    /// Give the backup up; nothing is held for it any more.
    Drop,
}

struct Row {
    name: &'static str,
    stage: &'static [Stage],
    suspected: &'static [bool],
    ready: &'static [bool],
    near: &'static [bool],
    reached: &'static [bool],
    verdict: Pairing,
}

const ANY: &[bool] = &[false, true];
const NO: &[bool] = &[false];
const YES: &[bool] = &[true];

const TABLE: &[Row] = &[
    Row {
        name: "the backup is gone before the arbiter was asked: stay alone",
        stage: &[Stage::Copying, Stage::Closing],
        suspected: YES,
        ready: ANY,
        near: ANY,
        reached: ANY,
        verdict: Pairing::Drop,
    },
    Row {
        name: "state is on its way",
        stage: &[Stage::Copying, Stage::Closing],
        suspected: NO,
        ready: NO,
        near: ANY,
        reached: ANY,
        verdict: Pairing::Wait,
    },
    Row {
        name: "state is there, the log is still far behind",
        stage: &[Stage::Copying],
        suspected: NO,
        ready: YES,
        near: NO,
        reached: ANY,
        verdict: Pairing::Wait,
    },
    Row {
        name: "state is there and the log is near its end",
        stage: &[Stage::Copying],
        suspected: NO,
        ready: YES,
        near: YES,
        reached: ANY,
        verdict: Pairing::Close,
    },
    Row {
        name: "outputs are held, the backup does not hold the log up to the sync point yet",
        stage: &[Stage::Closing],
        suspected: NO,
        ready: YES,
        near: ANY,
        reached: NO,
        verdict: Pairing::Wait,
    },
    Row {
        name: "the backup holds all state up to the sync point",
        stage: &[Stage::Closing],
        suspected: NO,
        ready: YES,
        near: ANY,
        reached: YES,
        verdict: Pairing::Arm,
    },
];

impl Row {
    fn matches(&self, progress: Progress) -> bool {
        self.stage.contains(&progress.stage)
            && self.suspected.contains(&progress.suspected)
            && self.ready.contains(&progress.ready)
            && self.near.contains(&progress.near)
            && self.reached.contains(&progress.reached)
    }
}

/// The decision, and the name of its row.
pub(crate) fn pairing(progress: Progress) -> (Pairing, &'static str) {
    let row = TABLE.iter().find(|row| row.matches(progress));
    let row = row.expect("a test proves that every input has its row");
    (row.verdict, row.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_progress_has_exactly_one_row() {
        for bits in 0..32u8 {
            let bit = |n: u8| bits >> n & 1 == 1;
            let progress = Progress {
                stage: if bit(0) {
                    Stage::Copying
                } else {
                    Stage::Closing
                },
                suspected: bit(1),
                ready: bit(2),
                near: bit(3),
                reached: bit(4),
            };
            let rows: Vec<_> = TABLE.iter().filter(|row| row.matches(progress)).collect();
            let names: Vec<_> = rows.iter().map(|row| row.name).collect();
            assert_eq!(rows.len(), 1, "{progress:?}: {names:?}");
            if pairing(progress).0 == Pairing::Arm {
                assert!(progress.ready && progress.reached && !progress.suspected);
                assert_eq!(progress.stage, Stage::Closing, "I6: outputs are held first");
            }
        }
    }
}
