//! A busy machine over every kind of link: it is protected soon, and stays so, and little is sent twice.

use sim::{Link, Options, simulate_link};

/// Virtual clusters over each link.
const SEEDS: u64 = 4;

fn check(link: Link) {
    for seed in 0..SEEDS {
        let outcome = simulate_link(seed, link, &Options::default());
        if let Err(violation) = outcome.verdict {
            panic!("{link:?}, {violation}");
        }
        assert_eq!(outcome.counts.takeovers, 0, "{link:?}, seed {seed}");
    }
}

#[test]
fn a_busy_machine_is_protected_over_every_link_of_the_table() {
    for round_trip_us in [200, 1_000, 10_000, 40_000, 100_000] {
        for loss_per_mille in [0, 1, 10, 50, 100] {
            for reorders in [false, true] {
                check(Link {
                    round_trip_us,
                    loss_per_mille,
                    reorders,
                    bytes_per_second: 0,
                });
            }
        }
    }
}

#[test]
fn a_slow_line_slows_the_machine_down_and_no_more() {
    for bytes_per_second in [1_250_000, 125_000, 60_000] {
        check(Link {
            round_trip_us: 10_000,
            loss_per_mille: 0,
            reorders: false,
            bytes_per_second,
        });
    }
}
