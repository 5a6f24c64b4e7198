//! What a status looks like to whoever reads it.

use super::*;
use crate::status::TakeoverParts;

/// What a pair's primary says of itself.
fn primary() -> NodeStatus {
    NodeStatus {
        protected: true,
        mode: Mode::Protected,
        since: "2026-11-26T13:40:10Z".to_owned(),
        node: "a".to_owned(),
        machine: "demo".to_owned(),
        engine: "translator".to_owned(),
        role: "primary".to_owned(),
        epoch: 2,
        flag: Some(0),
        peer: Some("1b4f0e98".to_owned()),
        peer_name: Some("b".to_owned()),
        peer_connected: true,
        peer_round_trip_us: Some(210),
        log_index: 90,
        acknowledged: 90,
        replayed: 88,
        lag_entries: 2,
        lag_ms: 1.5,
        log_bits_per_second: 12_000,
        outputs_gated: true,
        snapshot_pause_ms: 3.25,
        certificate_days_left: 700,
        arbiter_reachable: true,
        network_connected: true,
        network_ready: Some(true),
        memory_ready: true,
        sandbox: "full".to_owned(),
        uptime_s: 63.0,
        ..NodeStatus::default()
    }
}

fn alone() -> NodeStatus {
    NodeStatus {
        protected: false,
        mode: Mode::Alone,
        unprotected_for_s: Some(3725.0),
        reason: Some("no other node is connected: start b".to_owned()),
        flag: Some(1),
        peer: None,
        peer_name: None,
        peer_connected: false,
        peer_round_trip_us: None,
        acknowledged: 0,
        outputs_gated: false,
        log_bits_per_second: 0,
        snapshot_pause_ms: 0.0,
        ..primary()
    }
}

#[test]
fn a_status_survives_json() {
    for status in [primary(), alone()] {
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<NodeStatus>(&json).unwrap(), status);
    }
    let json = serde_json::to_string(&alone()).unwrap();
    assert!(
        json.starts_with(r#"{"protected":false,"mode":"alone","since":"2026-"#),
        "{json}"
    );
}

#[test]
fn the_first_line_answers_the_one_question() {
    assert_eq!(
        primary().to_string(),
        "\
protected   yes, by b, since 2026-11-26T13:40:10Z
node        a, up for 1 min 3 s
machine     demo, executed by the translator
role        primary, epoch 2
peer        b, connected, round trip 210 µs
log         90 entries, of which b holds 90 and has replayed 88; 12 kbit/s
lag         b is behind by 2 entries, 1.5 ms
outputs     each waits until b has the log up to it; none waits now
network     connected
guest stood 3.2 ms, when a state was last taken for a backup
store       answers
sandbox     full
"
    );
    assert_eq!(
        alone().to_string(),
        "\
protected   NO (alone), for 1 h 2 min: no other node is connected: start b
node        a, up for 1 min 3 s
machine     demo, executed by the translator
role        primary, epoch 2
log         90 entries so far, of which nobody has a copy
outputs     leave at once
network     connected
store       answers
sandbox     full
"
    );
}

#[test]
fn what_has_not_happened_is_not_shown() {
    let started = NodeStatus {
        role: "starting".to_owned(),
        mode: Mode::Starting,
        certificate_days_left: 700,
        arbiter_reachable: true,
        ..NodeStatus::default()
    };
    for status in [started, alone(), primary()] {
        let text = status.to_string();
        for word in [
            "MiB",
            "digest",
            "comparisons",
            "flag",
            "brake",
            "acknowledged",
            "warning",
            "takeover",
        ] {
            assert!(!text.contains(word), "`{word}` in:\n{text}");
        }
    }
}

#[test]
fn whatever_is_shown_fits_80_columns() {
    let status = NodeStatus {
        protected: false,
        mode: Mode::Unsure,
        unprotected_for_s: Some(200_000.0),
        reason: Some("b and this node are a pair, but neither could go on alone now, since the arbiter's store does not answer: cannot use the arbiter directory /srv/futago/arbiter; is it mounted?".to_owned()),
        transfer_bytes: 3 << 20,
        transfer_bytes_total: 9 << 20,
        digests_compared: 12,
        engine_faults: 3,
        refused_peers: 2,
        certificate_days_left: 0,
        throttle: 251,
        backup_slow: true,
        join_refused: Some("c: it vanished before it was a backup; next try in 1.5 s".to_owned()),
        takeover: Some(TakeoverParts { detected_ms: 300.0, drained_ms: 2.0, swapped_ms: 8.0, live_ms: 0.5 }),
        arbiter_problem: Some("x".repeat(30)),
        arbiter_reachable: false,
        store_away_s: Some(75.0),
        memory_ready: false,
        memory_free_bytes: Some(7 << 20),
        network_ready: Some(false),
        network_problem: Some("the switch is stopped".to_owned()),
        dropped: Dropped { console_pieces: 1, ..Dropped::default() },
        ..primary()
    };
    let text = status.to_string();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for words in [
        "NO (unsure), for 2 days 7 h: b and this node are a pair",
        "3 of 9 MiB have moved",
        "the guest is slowed by 25.1%",
        "store       AWAY for 1 min 15 s, so that nobody can take over,",
        "network     NOT connected: the switch is stopped",
        "has 7 MiB of memory left",
        "warning     3 faults of the engine",
        "certificate ends within a day",
    ] {
        assert!(text.contains(words), "`{words}` not in:\n{text}");
    }
}

#[test]
fn a_backup_says_what_it_has_compared() {
    let backup = NodeStatus {
        role: "backup".to_owned(),
        digests_compared: 12,
        log_index: 1,
        ..primary()
    };
    let text = backup.to_string();
    for words in [
        "protected   yes: this node is the backup of b, since 2026-",
        "log         1 entry, of which this node holds 90",
        "state       comparisons with b's: 12, none of which differed",
    ] {
        assert!(text.contains(words), "`{words}` not in:\n{text}");
    }
    // After a takeover nothing is compared.
    let digests_compared = 12;
    let alone = NodeStatus {
        digests_compared,
        ..alone()
    };
    assert!(!alone.to_string().contains("comparisons"), "{alone}");
}
