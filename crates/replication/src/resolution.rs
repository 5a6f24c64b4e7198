//! The table by which an answer to a change of the record is judged.

/// What was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Swap,
    ReadBack,
}

/// What the answer says about the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is what this node wrote.
    Mine,
    /// It is what it was.
    Expected,
    /// Another has changed it.
    Changed,
    /// No answer, or none that can be believed.
    Unknown,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    Won,
    Lost,
    SwapAgain,
    SwapLater,
    ReadBack,
}

/// One row of the table by which an answer to a change is judged.
struct Row {
    name: &'static str,
    step: &'static [Step],
    seen: &'static [Seen],
    verdict: Resolution,
}

const EITHER: &[Step] = &[Step::Swap, Step::ReadBack];

const TABLE: &[Row] = &[
    Row {
        name: "the record carries this change's nonce: it took effect, whatever was heard before",
        step: EITHER,
        seen: &[Seen::Mine],
        verdict: Resolution::Won,
    },
    Row {
        name: "another changed the record: no attempt of this change can take effect any more",
        step: EITHER,
        seen: &[Seen::Changed],
        verdict: Resolution::Lost,
    },
    Row {
        name: "the store refused although the record is as expected: try again, not at once",
        step: &[Step::Swap],
        seen: &[Seen::Expected],
        verdict: Resolution::SwapLater,
    },
    Row {
        name: "read back and unchanged: the attempt is lost or late, and the same one does no harm",
        step: &[Step::ReadBack],
        seen: &[Seen::Expected],
        verdict: Resolution::SwapAgain,
    },
    Row {
        name: "nothing is known: read back before concluding anything",
        step: EITHER,
        seen: &[Seen::Unknown],
        verdict: Resolution::ReadBack,
    },
];

/// What follows from an answer, and the name of the row that says so.
pub(crate) fn resolve(step: Step, seen: Seen) -> (Resolution, &'static str) {
    let row = TABLE
        .iter()
        .find(|row| row.step.contains(&step) && row.seen.contains(&seen));
    let row = row.expect("a test proves that every input has its row");
    (row.verdict, row.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_to_a_change_has_exactly_one_row() {
        for step in [Step::Swap, Step::ReadBack] {
            for seen in [Seen::Mine, Seen::Expected, Seen::Changed, Seen::Unknown] {
                let rows: Vec<_> = TABLE
                    .iter()
                    .filter(|row| row.step.contains(&step) && row.seen.contains(&seen))
                    .map(|row| row.name)
                    .collect();
                assert_eq!(rows.len(), 1, "{step:?}, {seen:?}: {rows:?}");
                let won = resolve(step, seen).0 == Resolution::Won;
                assert_eq!(won, seen == Seen::Mine, "I8: only one's own nonce wins");
            }
        }
    }
}
