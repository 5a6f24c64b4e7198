//! Two executors, the log between them, and a failover, on virtual time.

use crate::guest::{MS, boot, console, engine};
use bytes::Bytes;
use machine::{Input, Output};
use replica::{Advice, Command, CommandError, EngineSource, Executor, ExecutorConfig, Report};
use replication::{LogIndex, TransferId};

const TRANSFER: TransferId = TransferId(3);
/// Positions that the virtual hosts execute per millisecond.
const SPEED: u64 = 50_000;

/// A primary's executor, what it appended and what it said.
pub(crate) struct Primary {
    pub(crate) executor: Executor,
    pub(crate) now: u64,
    pub(crate) next: u64,
    pub(crate) log: Vec<Bytes>,
    outputs: Vec<(LogIndex, Vec<Output>)>,
    other: Vec<Report>,
}

impl Primary {
    pub(crate) fn new(executor: Executor, next: u64, now: u64) -> Self {
        Self {
            executor,
            now,
            next,
            log: Vec::new(),
            outputs: Vec::new(),
            other: Vec::new(),
        }
    }

    fn started() -> Self {
        let mut executor = Executor::new(Some(boot()), Box::new(engine), ExecutorConfig::default());
        executor.handle(0, Command::Run).unwrap();
        Self::new(executor, 1, 0)
    }

    fn command(&mut self, command: Command) {
        self.executor.handle(self.now, command).unwrap();
        self.drain();
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.command(Command::Input(Input::Console(text.into())));
    }

    fn drain(&mut self) {
        while let Some(report) = self.executor.poll_report() {
            match report {
                Report::Appended {
                    first,
                    entries,
                    outputs,
                } => {
                    assert_eq!(first.0, self.next);
                    self.outputs.extend(outputs);
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
            let before = self.executor.status().position.0;
            let advice = self.executor.step(self.now, SPEED / 2);
            let ran = (self.executor.status().position.0).saturating_sub(before) * MS / SPEED;
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
        self.command(Command::TakeSnapshot { transfer });
        match self.other.pop() {
            Some(Report::SnapshotTaken { state, from, .. }) => {
                assert_eq!(from.0 + 1, self.next, "a digest follows");
                (state, from)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn reports(executor: &mut Executor) -> Vec<Report> {
    std::iter::from_fn(|| executor.poll_report()).collect()
}

fn restored(state: &Bytes, next: LogIndex) -> Executor {
    restored_with(state, next, Box::new(engine))
}

pub(crate) fn restored_with(state: &Bytes, next: LogIndex, engines: EngineSource) -> Executor {
    let mut executor = Executor::new(None, engines, ExecutorConfig::default());
    let command = Command::Restore {
        transfer: TRANSFER,
        next,
        state: state.clone(),
    };
    executor.handle(0, command).unwrap();
    let reports = reports(&mut executor);
    assert!(matches!(
        reports[..],
        [Report::Restored { result: Ok(()), .. }]
    ));
    executor
}

/// Steps a backup until it waits; what it reports.
pub(crate) fn settle(executor: &mut Executor) -> Vec<Report> {
    while executor.step(0, 10_000) == Advice::Again {}
    reports(executor)
}

pub(crate) fn replay(executor: &mut Executor, now: u64, first: LogIndex, entries: &[Bytes]) {
    let entries = entries.to_vec();
    let command = Command::Replay { first, entries };
    executor.handle(now, command).unwrap();
}

#[test]
fn a_backup_made_while_the_guest_runs_takes_over_where_the_log_ends() {
    let mut primary = Primary::started();
    primary.type_in("ab");
    primary.run(30);
    let (state, next) = primary.snapshot();
    let mut executor = restored(&state, next);
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
        replay(&mut executor, primary.now, first, &primary.log[fed..]);
        fed = primary.log.len();
        for report in settle(&mut executor) {
            match report {
                Report::Replayed { index, outputs } => {
                    applied = index.0;
                    replayed.extend(outputs);
                }
                Report::Verified => verified += 1,
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
    replay(&mut executor, primary.now, first, &primary.log[fed..]);
    let next = LogIndex(primary.next);
    executor
        .handle(primary.now, Command::GoLive { next })
        .unwrap();
    let mut second = Primary::new(executor, next.0, primary.now + 500 * MS);
    second.run(5);
    assert!(matches!(
        second.other.last(),
        Some(Report::Replayed { index, .. }) if index.0 == next.0 - 1
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
    let mut executor = restored(&state, next);
    replay(&mut executor, primary.now, next, &primary.log[from..]);
    settle(&mut executor);
    let next = LogIndex(primary.next);
    executor
        .handle(primary.now, Command::GoLive { next })
        .unwrap();
    // No step in between: a node that goes live may be asked for a snapshot, or given a frame, at once.
    let mut second = Primary::new(executor, next.0, primary.now);
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
        let rate = primary.executor.machine().unwrap().clock().rate;
        let time = primary.executor.machine().unwrap().time() + turn;
        for _ in 0..10 {
            let clock = Input::Clock(machine::Clock { time, rate });
            primary
                .executor
                .handle(primary.now, Command::Input(clock))
                .unwrap();
        }
        // Host time stands still: no report is due for its age.
        primary.executor.step(primary.now, 1_000);
    }
    let entries: Vec<usize> = reports(&mut primary.executor)
        .iter()
        .map(|report| match report {
            Report::Appended { entries, .. } => entries.len(),
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
        primary.executor.step(primary.now, SPEED / 4);
        // The host is fast and slow in turns: the guest clock must be corrected often.
        let is_slow = (primary.now - begin) / (10 * MS) % 2 == 1;
        primary.now += if is_slow { MS / 2 } else { MS / 4 };
        for report in reports(&mut primary.executor) {
            let Report::Appended { entries, .. } = report else {
                panic!("{report:?}");
            };
            appended.push(entries);
        }
    }
    let most = (SPAN / ExecutorConfig::default().recorder.progress_ticks) as usize;
    let entries: Vec<Bytes> = appended.concat();
    assert!(appended.len() <= most, "{} reports", appended.len());
    assert!(entries.len() > 2 * most, "{} entries", entries.len());

    let mut executor = restored(&state, next);
    replay(&mut executor, 0, next, &entries);
    let (mut now, mut count) = (0, 0);
    let last = loop {
        let advice = executor.step(now, SPEED / 4);
        now += MS / 4;
        let reports = reports(&mut executor);
        count += reports.len();
        if advice != Advice::Again {
            break reports.into_iter().last();
        }
    };
    assert!(count as u64 <= now / (20 * MS) + 1, "{count} reports");
    // There is no more to replay: it says so at once.
    let all = next.0 + entries.len() as u64 - 1;
    assert!(matches!(last, Some(Report::Replayed { index, .. }) if index.0 == all));
}

#[test]
fn power_off_is_reported_on_both_sides() {
    let mut primary = Primary::started();
    primary.run(1);
    let (state, next) = primary.snapshot();
    let from = primary.log.len();
    primary.type_in("q");
    primary.run(5);
    assert!(matches!(primary.other[..], [Report::PoweredOff]));
    let mut executor = restored(&state, next);
    replay(&mut executor, 0, next, &primary.log[from..]);
    let last = settle(&mut executor).pop();
    assert!(matches!(last, Some(Report::PoweredOff)), "{last:?}");
}

#[test]
fn a_record_of_one_machine_is_followed_by_another_from_its_beginning() {
    let mut primary = Primary::started();
    primary.type_in("ab");
    primary.run(30);
    primary.command(Command::Digest);
    let all = LogIndex(primary.next).previous();

    let mut follower = Executor::new(Some(boot()), Box::new(engine), ExecutorConfig::default());
    let next = LogIndex(1);
    follower.handle(0, Command::Follow { next }).unwrap();
    assert_eq!(
        follower.handle(0, Command::Digest),
        Err(CommandError::NotRecording)
    );
    replay(&mut follower, 0, next, &primary.log);
    let mut said = Vec::new();
    let mut last = LogIndex(0);
    for report in settle(&mut follower) {
        match report {
            Report::Replayed { index, outputs } => {
                last = index;
                said.extend(outputs);
            }
            Report::Verified => {}
            report => panic!("{report:?}"),
        }
    }
    assert_eq!((last, said), (all, primary.outputs.clone()));
    let (status, wanted) = (follower.status(), primary.executor.status().position);
    // The last entry is the digest.
    assert_eq!((status.position, status.agreed), (wanted, wanted));
    let machines = [follower, primary.executor].map(Executor::into_machine);
    let mut digests = machines
        .map(|machine| machine.unwrap().digest())
        .into_iter();
    let (one, other) = (digests.next().unwrap(), digests.next().unwrap());
    assert!(one.compare(&other).is_empty());
}

#[test]
fn a_throttle_slows_a_busy_guest() {
    let mut primary = Primary::started();
    primary.type_in("b");
    primary.run(20);
    let free = primary.run(100);
    primary.command(Command::Throttle { per_mille: 800 });
    let slowed = primary.run(100);
    assert!(slowed * 4 < free && slowed * 8 > free, "{slowed} of {free}");
    primary.command(Command::Throttle { per_mille: 1_000 });
    assert_eq!(primary.run(100), 0);
    primary.command(Command::Throttle { per_mille: 0 });
    assert!(primary.run(100) * 10 > free * 9);
}

#[test]
fn inputs_are_bounded() {
    let mut primary = Primary::started();
    primary.command(Command::Throttle { per_mille: 1_000 });
    for _ in 0..2_000 {
        primary.type_in("z");
    }
    assert_eq!(primary.executor.status().inputs_dropped, 2_000 - 1_024);
}

#[test]
fn a_hole_in_the_log_is_a_divergence_and_ends_the_backup() {
    let mut primary = Primary::started();
    primary.run(30);
    let (state, next) = primary.snapshot();
    let from = primary.log.len();
    primary.run(30);
    for wrong in ["first", "bytes", "live"] {
        let mut executor = restored(&state, next);
        let entries = &primary.log[from..];
        match wrong {
            "first" => replay(&mut executor, 0, LogIndex(next.0 + 1), &entries[1..]),
            "bytes" => replay(&mut executor, 0, next, &[Bytes::from_static(b"nonsense")]),
            _ => {
                replay(&mut executor, 0, next, &entries[..1]);
                let next = LogIndex(next.0 + 2);
                executor.handle(0, Command::GoLive { next }).unwrap();
            }
        }
        let last = settle(&mut executor).pop();
        assert!(
            matches!(last, Some(Report::Diverged(_))),
            "{wrong}: {last:?}"
        );
        // Nothing wakes it again but a new state.
        let next = LogIndex(primary.next);
        executor.handle(0, Command::GoLive { next }).unwrap();
        assert!(settle(&mut executor).is_empty());
    }
}

#[test]
fn commands_out_of_place_are_errors_and_bad_states_are_reported() {
    let mut executor = Executor::new(None, Box::new(engine), ExecutorConfig::default());
    let next = LogIndex(1);
    assert_eq!(
        executor.handle(0, Command::Run),
        Err(CommandError::NothingToRun)
    );
    let live = Command::GoLive { next };
    assert_eq!(executor.handle(0, live), Err(CommandError::NotReplaying));
    let snapshot = Command::TakeSnapshot { transfer: TRANSFER };
    assert_eq!(
        executor.handle(0, snapshot),
        Err(CommandError::NotRecording)
    );
    let restore = Command::Restore {
        transfer: TRANSFER,
        next,
        state: Bytes::from_static(b"no state"),
    };
    assert_eq!(executor.handle(0, restore), Ok(()));
    let last = reports(&mut executor).pop();
    assert!(matches!(
        last,
        Some(Report::Restored { result: Err(_), .. })
    ));
    executor.handle(0, Command::Halt).unwrap();
    assert_eq!(executor.handle(0, Command::Run), Ok(()));
    assert!(settle(&mut executor).is_empty());
}
