//! The guest's clock on the primary, and the change from replaying to recording.

use crate::guest::{Host, MS, boot, config, state};
use eventlog::{Event, ReplayState, Replayer};
use machine::{Input, TICKS_PER_SECOND};

/// What the guest's clock showed whenever it was told to print it.
fn clocks(console: &str) -> Vec<u64> {
    let lines = console.split('\n').filter(|line| line.len() >= 16);
    lines
        .map(|line| u64::from_str_radix(&line[line.len() - 16..], 16).unwrap())
        .collect()
}

fn assert_on_time(host: &Host, wanted_ms: &[u64]) {
    let shown = clocks(&host.log.console());
    assert_eq!(shown.len(), wanted_ms.len(), "{:?}", host.log.console());
    for (shown, wanted) in shown.into_iter().zip(wanted_ms) {
        let off = shown.abs_diff(wanted * MS);
        assert!(off <= 2 * MS, "{wanted} ms: off by {off} ticks");
    }
}

#[test]
fn the_guest_clock_is_on_time_idle_and_busy_fast_and_slow() {
    for speed in [5_000, 30_000, 200_000] {
        let mut host = Host::new(boot());
        host.speed = speed;
        let typed = [(50, "t"), (99, "tb"), (160, "t"), (195, "ti"), (230, "t")];
        host.run(240, &typed);
        assert_on_time(&host, &[50, 99, 160, 195, 230]);
    }
}

#[test]
fn a_paused_host_is_followed_by_one_jump() {
    for busy in ["i", "b"] {
        let mut host = Host::new(boot());
        host.run(80, &[(1, busy), (70, "t")]);
        host.now += 5 * TICKS_PER_SECOND;
        host.run(100, &[(0, "t"), (40, "t")]);
        assert_on_time(&host, &[70, 5_080, 5_120]);
    }
}

#[test]
fn the_log_of_an_idle_guest_is_quiet() {
    let mut host = Host::new(boot());
    host.run(20, &[]);
    let before = host.log.bytes();
    host.run(10_000, &[]);
    let bits_per_second = (host.log.bytes() - before) * 8 / 10;
    // A hundred timer interrupts a second, each a clock entry.
    assert!(bits_per_second <= 25_000, "{bits_per_second} bit/s");
    assert_eq!(host.log.count(|event| *event == Event::Progress), 0);
}

#[test]
fn the_log_of_a_busy_guest_is_small() {
    let mut host = Host::new(boot());
    host.run(50, &[(1, "b")]);
    let before = host.log.bytes();
    host.run(500, &[]);
    let bits_per_second = (host.log.bytes() - before) * 8 * 2;
    // Of these, 45 kbit/s are digests: fifty a second here, one or two in earnest.
    assert!(bits_per_second <= 400_000, "{bits_per_second} bit/s");
    let clocks = |event: &Event| matches!(event, Event::Input(Input::Clock(_)));
    assert!(host.log.count(clocks) <= 60);
}

fn feed(replayer: &mut Replayer, host: &Host, from: usize, ahead: u64) {
    for entry in &host.log.entries[from..] {
        replayer.push(entry, host.now + ahead).unwrap();
    }
    while replayer.step(100_000).state == ReplayState::Running {}
}

#[test]
fn a_backup_goes_live_where_the_log_ends_and_catches_up_with_the_time() {
    for busy in ["i", "b"] {
        let mut host = Host::new(boot());
        // The clock of the backup's host is an hour ahead.
        let ahead = 3_600 * TICKS_PER_SECOND;
        let mut replayer = Replayer::new(boot());
        let mut fed = 0;
        for millisecond in 0..100 {
            let typed = match millisecond {
                10 => busy,
                40 => "acd",
                60 => "t",
                _ => "",
            };
            host.run(1, &[(0, typed)]);
            feed(&mut replayer, &host, fed, ahead);
            fed = host.log.entries.len();
        }
        let lived = replayer.machine().position();
        let guest = replayer.machine().time();
        // The primary dies here; 300 ms later the backup knows.
        let recorder = replayer.into_recorder(config());
        let recorder = recorder.unwrap_or_else(|_| panic!("entries were left"));
        let mut next = Host::with(recorder, host.now + ahead + 300 * MS);
        next.run(100, &[(0, "t"), (50, "def t")]);
        let first = next.log.decoded()[0].clone();
        assert_eq!(first.position, lived);
        assert!(matches!(first.event, Event::Input(Input::Clock(clock)) if clock.time >= guest));
        assert_on_time(&next, &[400, 450]);
        assert!(next.log.console().contains("def "));
        let step = next.recorder.digest_now(next.now);
        next.log.take(step);
        // All of it, before and after, is one log.
        let whole = [host.log.entries, next.log.entries].concat();
        let mut replayer = Replayer::new(boot());
        for entry in &whole {
            replayer.push(entry, 0).unwrap();
        }
        while replayer.step(u64::MAX).state == ReplayState::Running {}
        assert_eq!(replayer.step(0).state, ReplayState::NeedsLog);
        assert!(state(replayer.into_machine()) == state(next.recorder.into_machine()));
    }
}
