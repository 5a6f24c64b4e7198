//! The checkers see each way to break the protocol: `cargo test -p sim --features mutations --test mutations`.

#[path = "../src/guest.rs"]
#[expect(
    clippy::disallowed_methods,
    reason = "the guest is compiled before any machine exists"
)]
mod guest;

use replication::Mutation;
use sim::{EngineMutation, Kind, Options, Outcome, StoreMutation, simulate};

/// Seeds that a mutation may need.
const SEEDS_MAX: u64 = 2_000;

/// The invariants that may show a mutation first. Where it is not the one that the mutation is named after, the
/// broken protocol breaks another on the way there.
fn expected(mutation: Mutation) -> &'static [&'static str] {
    match mutation {
        Mutation::ReuseEpoch => &["I1"],
        // What left too early before the record said PAIR breaks I6, what leaves later I2.
        Mutation::ReleaseWithoutAcknowledge | Mutation::PairBeforeHolding => &["I2", "I6"],
        Mutation::ReleaseOnSuspicion => &["I2"],
        // What such an acknowledgement lets out may belong to the time before the pair, and the pair that it makes
        // may be one with a backup that has compared no digest yet. What it says to be held makes room that there is not.
        Mutation::AcceptOlderEpochAcknowledge => &["I2", "I6", "I7", "credit"],
        Mutation::SkipDrain => &["I3"],
        Mutation::AcknowledgeAfterTakeover | Mutation::AcknowledgeAhead => &["I4"],
        Mutation::StampOlderEpoch => &["I5"],
        Mutation::TakeOverIncomplete => &["I6", "I7"],
        Mutation::ReadyBeforeDigest | Mutation::TakeOverDiverged => &["I7"],
        // Who believes in a change that never came may also just wait for ever.
        Mutation::IgnoreArbiterUnreachable => &["I8", "liveness"],
        Mutation::IgnoreLostSwap => &["I8", "I9"],
        Mutation::ReleaseOnLoss => &["I9"],
        Mutation::JoinWithoutPacing | Mutation::StopForJoiner | Mutation::BrakeInVain => {
            &["pauses"]
        }
        Mutation::KeepSlowBackup => &["slow"],
        Mutation::PileUpCandidates => &["memory"],
        Mutation::TransferByAge => &["liveness"],
        Mutation::LostReplyIsLoss => &["liveness"],
        Mutation::ResendWholeWindow => &["bandwidth"],
        Mutation::IgnoreCredit => &["credit"],
        // With a slow store, a change of role never comes, or a zombie never hears that it is one.
        Mutation::DropLateAnswer => &["liveness", "I9"],
        // Nor does a node that waits for a machine learn that it has ended, or an owner that its store is one of two.
        Mutation::NeverLook => &["I9", "liveness", "copies"],
        Mutation::IgnoreSameEpoch => &["I9"],
        Mutation::GiveUpPair => &["ends"],
        Mutation::LeaveUnasked | Mutation::EndInDoubt => &["leave"],
        Mutation::IgnoreTestimony => &["copies"],
        Mutation::EndOnAnyWord
        | Mutation::AdmitOtherMachine
        | Mutation::AdmitExpired
        | Mutation::AdmitWithdrawn
        | Mutation::KeepWithdrawn
        | Mutation::AdmitUnnamed
        | Mutation::AdmitOtherName
        | Mutation::AdmitOtherIdentity
        | Mutation::AdmitDifferent => &["who"],
        Mutation::ClaimWithoutProof
        | Mutation::ClaimOverAnyNonce
        | Mutation::TakeAnyAddress
        | Mutation::SpeakFromAnyAddress
        | Mutation::ShareEpoch => &["switch"],
        Mutation::Unfenced => &["I5"],
    }
}

/// The first of the seeds that shows the break.
fn first_failure(options: &Options) -> Option<Outcome> {
    (0..SEEDS_MAX)
        .map(|seed| simulate(seed, options))
        .find(|outcome| outcome.verdict.is_err())
}

#[test]
fn every_mutation_is_caught() {
    let mut table = vec!["mutation → invariant, seeds needed".to_owned()];
    let mut wrong = Vec::new();
    let mutated = Mutation::ALL.map(|mutation| {
        let mut options = Options::default();
        options.config.mutation = Some(mutation);
        // Seconds are too short for what piles up.
        options.week = mutation == Mutation::PileUpCandidates;
        (format!("{mutation:?}"), options, expected(mutation))
    });
    let forgetful = StoreMutation {
        forgetful_hosts: true,
        ..StoreMutation::default()
    };
    let unsynced = StoreMutation {
        unsynced_reads: true,
        ..StoreMutation::default()
    };
    let stores = [
        // A second machine is started in a store that is not the machine's.
        ("hosts forget the store", forgetful, &["I1"][..]),
        // Somebody speaks by a record that a loss of power takes back.
        ("reads are not synced", unsynced, &["I1", "I8"][..]),
    ];
    let stores = stores.map(|(name, store, expected)| {
        let options = Options {
            store,
            ..Options::default()
        };
        (name.to_owned(), options, expected)
    });
    let all = mutated.into_iter().chain(stores);
    for (name, options, expected) in all {
        match first_failure(&options).map(|outcome| outcome.verdict) {
            Some(Err(violation)) => {
                if !expected.contains(&violation.invariant) {
                    wrong.push(format!("{name}: {violation}"));
                }
                table.push(format!(
                    "{name} → {}, {}",
                    violation.invariant,
                    violation.seed + 1
                ));
            }
            _ => wrong.push(format!("{name}: not caught in {SEEDS_MAX} seeds")),
        }
    }
    let table = table.join("\n");
    assert!(wrong.is_empty(), "{}\n{table}", wrong.join("\n"));
    #[expect(clippy::print_stdout, reason = "for the report, with --nocapture")]
    {
        println!("{table}");
    }
}

/// With real machines, whose engines panic.
#[test]
fn every_way_to_be_wrong_about_a_panic_is_caught() {
    let guest = guest::build().expect("the guest is built");
    let half_done = EngineMutation {
        half_done: true,
        ..EngineMutation::default()
    };
    let uncontained = EngineMutation {
        uncontained: true,
        ..EngineMutation::default()
    };
    for (name, engine, expected) in [
        // One side did it twice, as states or digests show; or both, and their clients see it.
        (
            "panics leave something done",
            half_done,
            &["I7", "determinism", "outside"][..],
        ),
        ("panics are not contained", uncontained, &["assertion"]),
    ] {
        let options = Options {
            machine: Kind::Real(guest.as_slice().into()),
            engine,
            ..Options::default()
        };
        let outcome = first_failure(&options);
        let violation = outcome.and_then(|outcome| outcome.verdict.err());
        let violation = violation.unwrap_or_else(|| panic!("{name}: not caught"));
        assert!(
            expected.contains(&violation.invariant),
            "{name}: {violation}"
        );
        #[expect(clippy::print_stdout, reason = "for the report, with --nocapture")]
        {
            println!("{name} → {}, {}", violation.invariant, violation.seed + 1);
        }
    }
}
