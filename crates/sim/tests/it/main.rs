//! Simulated clusters, as many as a test run affords. More: `cargo xtask sim`.

#[path = "../../src/guest.rs"]
#[expect(
    clippy::disallowed_methods,
    reason = "the guest is compiled before any machine exists"
)]
mod guest;
mod links;

use sim::{Counts, Kind, Options, Violation, simulate};
use std::ops::Range;
use std::sync::OnceLock;

/// Simulates all `seeds`; the first that fails fails the test, and says its seed.
fn check(seeds: Range<u64>, options: &Options) -> Counts {
    let mut counts = Counts::default();
    for seed in seeds {
        let outcome = simulate(seed, options);
        if let Err(violation) = outcome.verdict {
            panic!("{violation}");
        }
        counts += outcome.counts;
    }
    counts
}

#[test]
fn three_hundred_clusters_keep_every_invariant_and_converge() {
    let counts = check(0..300, &Options::default());
    // A fault that does not strike proves nothing.
    assert!(counts.takeovers >= 100, "{counts}");
    assert!(counts.pairings >= 600, "{counts}");
    assert!(counts.divergences >= 50, "{counts}");
    assert!(counts.arbiter_troubles >= 50, "{counts}");
    assert!(counts.pauses >= 100 && counts.cuts >= 100, "{counts}");
    assert!(
        counts.dismissals >= 100 && counts.states_damaged >= 50,
        "{counts}"
    );
    assert!(counts.power_offs >= 20, "{counts}");
    assert!(counts.states_compared >= 100_000, "{counts}");
    assert!(counts.operations >= 100_000, "{counts}");
    assert!(
        counts.turned_away >= 1_000 && counts.sent_away >= 100,
        "{counts}"
    );
    assert!(counts.lies >= 100 && counts.forgeries >= 10_000, "{counts}");
    // The faults leave a survivor; else a lost machine could hide a failure to converge.
    assert_eq!(counts.machines_lost, 0, "{counts}");
}

#[test]
fn a_week_makes_nothing_grow() {
    let options = Options {
        week: true,
        ..Options::default()
    };
    let counts = check(0..8, &options);
    assert!(counts.takeovers >= 8 && counts.pairings >= 80, "{counts}");
    assert!(counts.refusals >= 20, "{counts}");
    assert_eq!(counts.machines_lost, 0, "{counts}");
}

#[test]
fn forty_clusters_of_real_machines_keep_every_invariant_and_converge() {
    let counts = check(0..40, &real());
    assert!(counts.takeovers >= 10, "{counts}");
    assert!(counts.pairings >= 40, "{counts}");
    assert!(counts.divergences >= 1, "{counts}");
    assert!(counts.states_compared >= 1_000, "{counts}");
    assert!(counts.engine_panics >= 1_000, "{counts}");
    assert!(counts.requests >= 1_000, "{counts}");
    assert!(counts.requests_repeated >= 1, "{counts}");
    assert_eq!(counts.machines_lost, 0, "{counts}");
}

#[test]
fn a_seed_repeated_gives_the_same_transcript() {
    for mut options in [Options::default(), real()] {
        options.transcript = true;
        let [one, other] = [(); 2].map(|()| simulate(7, &options));
        assert!(one.transcript.lines().count() > 100);
        assert!(one.transcript == other.transcript, "the transcripts differ");
        assert_ne!(one.transcript, simulate(8, &options).transcript);
    }
}

#[test]
fn a_violation_says_how_to_repeat_it() {
    let violation = Violation {
        invariant: "I2",
        what: "an output leaves".to_owned(),
        seed: 42,
    };
    let said = violation.to_string();
    assert_eq!(
        said,
        "seed 42: I2: an output leaves (repeat it: cargo xtask sim --seed 42)"
    );
}

/// With real machines. The guest is built once, whichever test comes first.
fn real() -> Options {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    let guest = GUEST.get_or_init(|| guest::build().expect("the guest is built"));
    Options {
        machine: Kind::Real(guest.as_slice().into()),
        ..Options::default()
    }
}
