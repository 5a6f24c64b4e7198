//! Requests: what a machine asks its host, how it ends, and who asks again.

use crate::guest::{MS, assemble, config, console, engine, state};
use eventlog::{Entry, Event, Recorder, RecorderState, ReplayState, Replayer};
use machine::{
    BoardConfig, Boot, Completion, Firmware, Input, Machine, Output, Request, Snapshot, Task,
};
use std::collections::VecDeque;

/// Rounds of two questions in `asks.S`.
const ROUNDS: usize = 30;
/// More than any host takes for all of them.
const STEPS_MAX: usize = 10_000;

fn boot() -> Machine {
    let config = BoardConfig {
        memory_bytes: 16 << 20,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(assemble("asks")),
        ..Boot::default()
    };
    let mut machine = Machine::boot(&config, &boot, engine()).unwrap();
    machine.add_requester();
    machine
}

/// A host that carries requests out: later, out of order, and in its own way.
struct Host {
    recorder: Recorder,
    now: u64,
    /// What it mixes into its answers, which hence cannot be guessed.
    salt: u8,
    waiting: Vec<(u64, Request)>,
    /// The numbers of all requests that it was given.
    given: Vec<u64>,
    inputs: VecDeque<Input>,
    entries: Vec<Vec<u8>>,
    said: Vec<Output>,
    refused: u32,
}

impl Host {
    fn new(recorder: Recorder, now: u64, salt: u8) -> Self {
        Self {
            recorder,
            now,
            salt,
            waiting: Vec::new(),
            given: Vec::new(),
            inputs: VecDeque::new(),
            entries: Vec::new(),
            said: Vec::new(),
            refused: 0,
        }
    }

    fn answer(&self, request: &Request) -> Completion {
        let Task::Answer(question) = &request.task;
        Completion {
            id: request.id,
            result: question.iter().rev().map(|byte| byte ^ self.salt).collect(),
        }
    }

    /// One step, and about a millisecond. Says whether there are more to come.
    fn step(&mut self) -> bool {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.waiting = later;
        for (_, request) in due {
            self.inputs
                .push_back(Input::Completion(self.answer(&request)));
        }
        let step = self.recorder.step(now, &mut self.inputs, 20_000);
        self.entries.extend(step.entries);
        self.said
            .extend(step.outputs.into_iter().flat_map(|(_, outputs)| outputs));
        self.refused += step.refused;
        for request in step.requests {
            self.given.push(request.id.0);
            // The second of a pair is ready before the first.
            let delay = [2, 5][request.id.0 as usize % 2] * MS;
            self.waiting.push((now + delay, request));
        }
        self.now += MS;
        step.state != RecorderState::PoweredOff
    }

    /// Goes on until the guest switches itself off.
    fn finish(&mut self) {
        for _ in 0..STEPS_MAX {
            if !self.step() {
                return;
            }
        }
        panic!("the guest waits for an answer that does not come");
    }

    fn said(&self) -> String {
        console(self.said.iter())
    }
}

/// Follows a log. Returns the replayer, what it said, and the numbers of what it asked.
fn replay(machine: Machine, entries: &[Vec<u8>], stride: u64) -> (Replayer, String, Vec<u64>) {
    let mut replayer = Replayer::new(machine);
    for entry in entries {
        replayer.push(entry, 0).unwrap();
    }
    let (mut said, mut asked) = (Vec::new(), Vec::new());
    loop {
        let step = replayer.step(stride);
        said.extend(step.outputs.into_iter().flat_map(|(_, outputs)| outputs));
        asked.extend(step.requests.into_iter().map(|request| request.id.0));
        match step.state {
            ReplayState::Running => {}
            ReplayState::NeedsLog | ReplayState::PoweredOff => break,
            other => panic!("{other:?}"),
        }
    }
    (replayer, console(said.iter()), asked)
}

/// The numbers of the requests that a log says are completed, in its order.
fn completed(entries: &[Vec<u8>]) -> Vec<u64> {
    let decoded = entries.iter().map(|entry| Entry::decode(entry).unwrap());
    decoded
        .filter_map(|entry| match entry.event {
            Event::Input(Input::Completion(completion)) => Some(completion.id.0),
            _ => None,
        })
        .collect()
}

fn all() -> Vec<u64> {
    (1..=2 * ROUNDS as u64).collect()
}

#[test]
fn completions_are_replayed_where_they_came() {
    let mut host = Host::new(Recorder::new(boot(), config()), 0, 0x5a);
    host.finish();
    assert_eq!((host.refused, &host.given), (0, &all()));
    let said = host.said();
    assert_eq!(said.len(), ROUNDS + 16, "{said}");
    let mut answered = completed(&host.entries);
    assert!(!answered.is_sorted(), "they come out of order");
    answered.sort_unstable();
    assert_eq!(answered, all());
    let last = state(host.recorder.into_machine());
    for stride in [u64::MAX, 777] {
        let (replayer, repeated, asked) = replay(boot(), &host.entries, stride);
        assert_eq!(repeated, said, "stride {stride}");
        assert_eq!(asked, all(), "a replica with its own copies asks, too");
        assert!(state(replayer.into_machine()) == last, "stride {stride}");
    }
    // Another host's answers lead elsewhere: they are nothing that could be computed.
    let mut other = Host::new(Recorder::new(boot(), config()), 0, 0x5b);
    other.finish();
    assert_ne!(other.said(), said);
}

#[test]
fn what_is_pending_is_in_a_snapshot_and_asked_again() {
    for steps in [1, 8, 9, 10, 11, 12, 40] {
        let mut host = Host::new(Recorder::new(boot(), config()), 0, 1);
        for _ in 0..steps {
            assert!(host.step());
        }
        let pending: Vec<u64> = host
            .waiting
            .iter()
            .map(|(_, request)| request.id.0)
            .collect();
        let (step, snapshot) = host.recorder.snapshot(host.now);
        assert!(step.requests.is_empty());
        let bytes = snapshot.unwrap().to_bytes();
        assert_eq!(
            bytes[8], 3,
            "those that know no requests refuse it by its version"
        );
        let restored = Snapshot::from_bytes(&bytes).unwrap();
        let restored = Machine::restore(&restored, engine()).unwrap();
        // On another host, which answers otherwise: it is asked what is pending, before anything else, and all is answered once.
        let mut next = Host::new(Recorder::new(restored, config()), host.now, 2);
        assert!(next.step());
        let mut asked = next.given.clone();
        asked.truncate(pending.len());
        let mut expected = pending.clone();
        expected.sort_unstable();
        assert_eq!(asked, expected, "after {steps} steps");
        next.finish();
        assert_eq!(next.refused, 0);
        assert_eq!(next.given.last(), all().last());
    }
}

#[test]
fn whoever_goes_live_asks_again_and_late_answers_are_refused() {
    for steps in [2, 9, 11, 12, 13, 40] {
        let mut host = Host::new(Recorder::new(boot(), config()), 0, 1);
        for _ in 0..steps {
            assert!(host.step());
        }
        let (replayer, _, asked) = replay(boot(), &host.entries, 5_000);
        let recorder = replayer
            .into_recorder(config())
            .unwrap_or_else(|_| panic!("entries are left"));
        let mut next = Host::new(recorder, host.now, 2);
        assert!(next.step());
        // Nothing that was asked is lost: it is asked again, in order, before anything new.
        let pending: Vec<u64> = asked
            .into_iter()
            .filter(|id| !completed(&host.entries).contains(id))
            .collect();
        assert_eq!(next.given[..pending.len()], pending, "after {steps} steps");
        next.finish();
        assert_eq!(next.refused, 0);
        // What was answered meanwhile is not pending any more.
        let late = Request {
            id: machine::RequestId(1),
            task: Task::Answer(vec![0; 8]),
        };
        next.inputs.push_back(Input::Completion(next.answer(&late)));
        let machine = next.recorder.into_machine();
        let mut again = Recorder::new(machine, config());
        let step = again.step(next.now, &mut next.inputs, 100);
        assert_eq!((step.refused, step.requests.len()), (1, 0));
        // All of it, before and after, is one log.
        let whole = [host.entries, next.entries].concat();
        let (_, said, _) = replay(boot(), &whole, 3_000);
        assert_eq!(said.len(), ROUNDS + 16);
    }
}

#[test]
fn without_requests_the_bytes_are_what_they_were() {
    let machine = crate::guest::boot();
    assert_eq!(state(machine)[8], 2);
}
