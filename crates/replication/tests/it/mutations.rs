//! The judges can fail: a core that is broken on purpose is caught, in each of its ways.

use crate::chaos;
use replication::Mutation;
use std::panic::{AssertUnwindSafe, catch_unwind};

const SEEDS_MAX: u64 = 2_000;

/// What only a simulation that lasts longer, with harts of different speeds, over links, or with a switch and people who should
/// not be there, can show: `sim` does.
const JUDGED_BY_SIM: [Mutation; 27] = [
    Mutation::PileUpCandidates,
    Mutation::StopForJoiner,
    Mutation::BrakeInVain,
    Mutation::LeaveUnasked,
    Mutation::EndInDoubt,
    Mutation::KeepSlowBackup,
    Mutation::TransferByAge,
    Mutation::ResendWholeWindow,
    Mutation::IgnoreCredit,
    Mutation::IgnoreSameEpoch,
    Mutation::GiveUpPair,
    Mutation::IgnoreTestimony,
    Mutation::EndOnAnyWord,
    Mutation::AdmitOtherMachine,
    Mutation::AdmitExpired,
    Mutation::AdmitWithdrawn,
    Mutation::KeepWithdrawn,
    Mutation::AdmitUnnamed,
    Mutation::AdmitOtherName,
    Mutation::AdmitOtherIdentity,
    Mutation::AdmitDifferent,
    Mutation::ClaimWithoutProof,
    Mutation::ClaimOverAnyNonce,
    Mutation::TakeAnyAddress,
    Mutation::SpeakFromAnyAddress,
    Mutation::ShareEpoch,
    Mutation::Unfenced,
];

#[test]
fn every_mutation_is_caught() {
    let mut survivors = Vec::new();
    let judged = |mutation: &Mutation| !JUDGED_BY_SIM.contains(mutation);
    for mutation in Mutation::ALL.into_iter().filter(judged) {
        let caught = (0..SEEDS_MAX).find(|seed| {
            let adjust = |config: &mut replication::Config| config.mutation = Some(mutation);
            catch_unwind(AssertUnwindSafe(|| chaos::run(*seed, &adjust))).is_err()
        });
        if caught.is_none() {
            survivors.push(mutation);
        }
    }
    assert!(survivors.is_empty(), "not caught: {survivors:?}");
}
