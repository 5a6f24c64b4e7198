//! Two harts, the log between them, and a failover, on virtual time.

use crate::guest::{MS, boot, console, engine};
use bytes::Bytes;
use machine::{Input, Output};
use replica::{Advice, EngineSource, Hart, HartCommand, HartConfig, HartError, HartReport};
use replication::{LogIndex, TransferId};

const TRANSFER: TransferId = TransferId(3);
/// Positions that the virtual hosts execute per millisecond.
const SPEED: u64 = 50_000;

/// A primary's hart, what it appended and what it said.
pub(crate) struct Primary {
    pub(crate) hart: Hart,
    pub(crate) now: u64,
    pub(crate) next: u64,
    pub(crate) log: Vec<Bytes>,
    outputs: Vec<(LogIndex, Vec<Output>)>,
    other: Vec<HartReport>,
}

impl Primary {
    pub(crate) fn new(hart: Hart, next: u64, now: u64) -> Self {
        Self {
            hart,
            now,
            next,
            log: Vec::new(),
            outputs: Vec::new(),
            other: Vec::new(),
        }
    }

    fn started() -> Self {
        let mut hart = Hart::new(Some(boot()), Box::new(engine), HartConfig::default());
        hart.handle(0, HartCommand::Run { next: LogIndex(1) })
            .unwrap();
        Self::new(hart, 1, 0)
    }

    fn command(&mut self, command: HartCommand) {
        self.hart.handle(self.now, command).unwrap();
        self.drain();
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.command(HartCommand::Input(Input::Console(text.into())));
    }

    fn drain(&mut self) {
        while let Some(report) = self.hart.poll_report() {
            match report {
                HartReport::Appended { entries, outputs } => {
                    let outputs = outputs.into_iter();
                    self.outputs.extend(outputs.map(|(number, outputs)| {
                        (LogIndex(self.next + u64::from(number)), outputs)
                    }));
                    self.next += entries.len() as u64;
                    self.log.extend(entries);
                }
                other => self.other.push(other),
            }
        }
    }

    /// Runs for so long. Says for how much of that time the guest executed, in ticks.
    pub(crate) fn run(&mut self, milliseconds: u64) -> u64 {
        let end = self.now + milliseconds * MS;
        let mut busy = 0;
        while self.now < end {
            let before = self.hart.status().position.0;
            let advice = self.hart.step(self.now, SPEED / 2);
            let ran = (self.hart.status().position.0).saturating_sub(before) * MS / SPEED;
            self.drain();
            busy += ran;
            self.now += ran + 20;
            if let Advice::Wait { until } = advice {
                self.now = self.now.max(until.unwrap_or(end).min(end));
            }
        }
        busy
    }

    pub(crate) fn said(&self) -> String {
        console(self.outputs.iter().flat_map(|(_, outputs)| outputs))
    }

    /// Takes a snapshot: its bytes, and the index of the entry after it.
    pub(crate) fn snapshot(&mut self) -> (Bytes, LogIndex) {
        let transfer = TRANSFER;
        self.command(HartCommand::TakeSnapshot { transfer });
        match self.other.pop() {
            Some(HartReport::SnapshotTaken { state, from, .. }) => {
                assert_eq!(from.0 + 1, self.next, "a digest follows");
                (state, from)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn reports(hart: &mut Hart) -> Vec<HartReport> {
    std::iter::from_fn(|| hart.poll_report()).collect()
}

fn restored(state: &Bytes, next: LogIndex) -> Hart {
    restored_with(state, next, Box::new(engine))
}

pub(crate) fn restored_with(state: &Bytes, next: LogIndex, engines: EngineSource) -> Hart {
    let mut hart = Hart::new(None, engines, HartConfig::default());
    let command = HartCommand::Restore {
        transfer: TRANSFER,
        next,
        state: state.clone(),
    };
    hart.handle(0, command).unwrap();
    let reports = reports(&mut hart);
    assert!(matches!(
        reports[..],
        [HartReport::Restored { result: Ok(()), .. }]
    ));
    hart
}

/// Steps a backup until it waits; what it reports.
pub(crate) fn settle(hart: &mut Hart) -> Vec<HartReport> {
    while hart.step(0, 10_000) == Advice::Again {}
    reports(hart)
}

pub(crate) fn replay(hart: &mut Hart, now: u64, first: LogIndex, entries: &[Bytes]) {
    let entries = entries.to_vec();
    let command = HartCommand::Replay { first, entries };
    hart.handle(now, command).unwrap();
}

#[test]
fn a_backup_made_while_the_guest_runs_takes_over_where_the_log_ends() {
    let mut primary = Primary::started();
    primary.type_in("ab");
    primary.run(30);
    let (state, next) = primary.snapshot();
    let mut hart = restored(&state, next);
    // The digest that follows the snapshot is the first thing that the backup checks.
    let (from, before) = (next.0 as usize - 1, primary.outputs.len());
    let mut verified = 0;

    let mut fed = from;
    let mut replayed = Vec::new();
    let mut applied = next.0 - 1;
    for typed in ["cd", "t", "i", "ef", "", "b", "gh"] {
        primary.type_in(typed);
        primary.run(5);
        let first = LogIndex(fed as u64 + 1);
        replay(&mut hart, primary.now, first, &primary.log[fed..]);
        fed = primary.log.len();
        for report in settle(&mut hart) {
            match report {
                HartReport::Replayed { index, outputs } => {
                    applied = index.0;
                    replayed.extend(outputs);
                }
                HartReport::Verified => verified += 1,
                report => panic!("{report:?}"),
            }
        }
    }
    assert_eq!((applied, verified), (fed as u64, 1));
    assert_eq!(replayed, primary.outputs[before..]);

    // It goes live only when the last entries, given late, are applied.
    primary.type_in("x");
    primary.run(5);
    let first = LogIndex(fed as u64 + 1);
    replay(&mut hart, primary.now, first, &primary.log[fed..]);
    let next = LogIndex(primary.next);
    hart.handle(primary.now, HartCommand::GoLive { next })
        .unwrap();
    let mut second = Primary::new(hart, next.0, primary.now + 500 * MS);
    second.run(5);
    assert!(matches!(
        second.other.last(),
        Some(HartReport::Replayed { index, .. }) if index.0 == next.0 - 1
    ));
    second.type_in("yz");
    second.run(20);
    assert_eq!(second.said(), "yz");
    // It can be the source of the next backup.
    let (state, next) = second.snapshot();
    restored(&state, next);
}

#[test]
fn a_backup_that_goes_live_obeys_the_very_next_command_as_a_primary() {
    let mut primary = Primary::started();
    primary.run(5);
    let (state, next) = primary.snapshot();
    let from = next.0 as usize - 1;
    primary.run(5);
    let mut hart = restored(&state, next);
    replay(&mut hart, primary.now, next, &primary.log[from..]);
    settle(&mut hart);
    let next = LogIndex(primary.next);
    hart.handle(primary.now, HartCommand::GoLive { next })
        .unwrap();
    // No step in between: a node that goes live may be asked for a snapshot, or given a frame, at once.
    let mut second = Primary::new(hart, next.0, primary.now);
    second.type_in("yz");
    let (state, next) = second.snapshot();
    restored(&state, next);
    second.run(20);
    assert_eq!(second.said(), "yz");
}

#[test]
fn inputs_that_nobody_answers_are_reported_before_they_are_many() {
    let mut primary = Primary::started();
    primary.type_in("b");
    primary.run(20);
    for turn in 0..100 {
        let rate = primary.hart.machine().unwrap().clock().rate;
        let time = primary.hart.machine().unwrap().time() + turn;
        for _ in 0..10 {
            let clock = Input::Clock(machine::Clock { time, rate });
            primary
                .hart
                .handle(primary.now, HartCommand::Input(clock))
                .unwrap();
        }
        // Host time stands still: no report is due for its age.
        primary.hart.step(primary.now, 1_000);
    }
    let entries: Vec<usize> = reports(&mut primary.hart)
        .iter()
        .map(|report| match report {
            HartReport::Appended { entries, .. } => entries.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(entries.len() >= 10, "{entries:?}");
    assert!(entries.iter().all(|count| *count < 128), "{entries:?}");
}

#[test]
fn what_nobody_waits_for_is_reported_seldom() {
    const SPAN: u64 = 1_500 * MS;
    let mut primary = Primary::started();
    primary.type_in("b");
    primary.run(20);
    let (state, next) = primary.snapshot();
    let begin = primary.now;
    let mut appended = Vec::new();
    while primary.now < begin + SPAN {
        primary.hart.step(primary.now, SPEED / 4);
        // The host is fast and slow in turns: the guest clock must be corrected often.
        let is_slow = (primary.now - begin) / (10 * MS) % 2 == 1;
        primary.now += if is_slow { MS / 2 } else { MS / 4 };
        for report in reports(&mut primary.hart) {
            let HartReport::Appended { entries, .. } = report else {
                panic!("{report:?}");
            };
            appended.push(entries);
        }
    }
    let most = (SPAN / HartConfig::default().recorder.progress_ticks) as usize;
    let entries: Vec<Bytes> = appended.concat();
    assert!(appended.len() <= most, "{} reports", appended.len());
    assert!(entries.len() > 2 * most, "{} entries", entries.len());

    let mut hart = restored(&state, next);
    replay(&mut hart, 0, next, &entries);
    let (mut now, mut count) = (0, 0);
    let last = loop {
        let advice = hart.step(now, SPEED / 4);
        now += MS / 4;
        let reports = reports(&mut hart);
        count += reports.len();
        if advice != Advice::Again {
            break reports.into_iter().last();
        }
    };
    assert!(count as u64 <= now / (20 * MS) + 1, "{count} reports");
    // There is no more to replay: it says so at once.
    let all = next.0 + entries.len() as u64 - 1;
    assert!(matches!(last, Some(HartReport::Replayed { index, .. }) if index.0 == all));
}

#[test]
fn power_off_is_reported_on_both_sides() {
    let mut primary = Primary::started();
    primary.run(1);
    let (state, next) = primary.snapshot();
    let from = primary.log.len();
    primary.type_in("q");
    primary.run(5);
    assert!(matches!(primary.other[..], [HartReport::PoweredOff]));
    let mut hart = restored(&state, next);
    replay(&mut hart, 0, next, &primary.log[from..]);
    let last = settle(&mut hart).pop();
    assert!(matches!(last, Some(HartReport::PoweredOff)), "{last:?}");
}

#[test]
fn a_brake_slows_a_busy_guest() {
    let mut primary = Primary::started();
    primary.type_in("b");
    primary.run(20);
    let free = primary.run(100);
    primary.command(HartCommand::Throttle { brake: 800 });
    let braked = primary.run(100);
    assert!(braked * 4 < free && braked * 8 > free, "{braked} of {free}");
    primary.command(HartCommand::Throttle { brake: 1_000 });
    assert_eq!(primary.run(100), 0);
    primary.command(HartCommand::Throttle { brake: 0 });
    assert!(primary.run(100) * 10 > free * 9);
}

#[test]
fn inputs_are_bounded() {
    let mut primary = Primary::started();
    primary.command(HartCommand::Throttle { brake: 1_000 });
    for _ in 0..2_000 {
        primary.type_in("z");
    }
    assert_eq!(primary.hart.status().inputs_dropped, 2_000 - 1_024);
}

#[test]
fn a_hole_in_the_log_is_a_divergence_and_ends_the_backup() {
    let mut primary = Primary::started();
    primary.run(30);
    let (state, next) = primary.snapshot();
    let from = primary.log.len();
    primary.run(30);
    for wrong in ["first", "bytes", "live"] {
        let mut hart = restored(&state, next);
        let entries = &primary.log[from..];
        match wrong {
            "first" => replay(&mut hart, 0, LogIndex(next.0 + 1), &entries[1..]),
            "bytes" => replay(&mut hart, 0, next, &[Bytes::from_static(b"nonsense")]),
            _ => {
                replay(&mut hart, 0, next, &entries[..1]);
                let next = LogIndex(next.0 + 2);
                hart.handle(0, HartCommand::GoLive { next }).unwrap();
            }
        }
        let last = settle(&mut hart).pop();
        assert!(
            matches!(last, Some(HartReport::Diverged(_))),
            "{wrong}: {last:?}"
        );
        // Nothing wakes it again but a new state.
        let next = LogIndex(primary.next);
        hart.handle(0, HartCommand::GoLive { next }).unwrap();
        assert!(settle(&mut hart).is_empty());
        assert!(hart.machine().is_none());
    }
}

#[test]
fn commands_out_of_place_are_errors_and_bad_states_are_reported() {
    let mut hart = Hart::new(None, Box::new(engine), HartConfig::default());
    let next = LogIndex(1);
    let run = HartCommand::Run { next };
    assert_eq!(hart.handle(0, run), Err(HartError::NothingToRun));
    let live = HartCommand::GoLive { next };
    assert_eq!(hart.handle(0, live), Err(HartError::NoBackup));
    let snapshot = HartCommand::TakeSnapshot { transfer: TRANSFER };
    assert_eq!(hart.handle(0, snapshot), Err(HartError::NoPrimary));
    let restore = HartCommand::Restore {
        transfer: TRANSFER,
        next,
        state: Bytes::from_static(b"no state"),
    };
    assert_eq!(hart.handle(0, restore), Ok(()));
    let last = reports(&mut hart).pop();
    assert!(matches!(
        last,
        Some(HartReport::Restored { result: Err(_), .. })
    ));
    hart.handle(0, HartCommand::Halt).unwrap();
    let run = HartCommand::Run { next };
    assert_eq!(hart.handle(0, run), Ok(()));
    assert!(settle(&mut hart).is_empty());
}
