//! What a machine asks its host, through a failover: whoever goes live is asked again, and no answer is taken twice.

use crate::guest::{MS, assemble, console, engine};
use bytes::Bytes;
use machine::{BoardConfig, Boot, Completion, Firmware, Input, Machine, Output, Request, Task};
use replica::{Advice, Command, Executor, ExecutorConfig, Report};
use replication::{LogIndex, TransferId};

/// Rounds of two questions in `asks.S`, and the digits that it says in the end.
const ROUNDS: usize = 30;
const DIGITS: usize = 16;
const STEPS_MAX: usize = 10_000;
const TRANSFER: TransferId = TransferId(1);

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

/// An executor, and a host that answers two steps after it was asked.
struct Host {
    executor: Executor,
    now: u64,
    salt: u8,
    waiting: Vec<(usize, Request)>,
    asked: Vec<u64>,
    log: Vec<Bytes>,
    said: Vec<Output>,
    off: bool,
    snapshot: Option<(Bytes, LogIndex)>,
    steps: usize,
}

impl Host {
    fn new(machine: Option<Machine>, salt: u8) -> Self {
        Self {
            executor: Executor::new(machine, Box::new(engine), ExecutorConfig::default()),
            now: 0,
            salt,
            waiting: Vec::new(),
            asked: Vec::new(),
            log: Vec::new(),
            said: Vec::new(),
            off: false,
            snapshot: None,
            steps: 0,
        }
    }

    fn command(&mut self, command: Command) {
        self.executor.handle(self.now, command).unwrap();
        self.hear();
    }

    fn hear(&mut self) {
        while let Some(report) = self.executor.poll_report() {
            match report {
                Report::Appended {
                    entries, outputs, ..
                } => {
                    self.log.extend(entries);
                    self.said
                        .extend(outputs.into_iter().flat_map(|(_, said)| said));
                }
                Report::Replayed { outputs, .. } => {
                    self.said
                        .extend(outputs.into_iter().flat_map(|(_, said)| said));
                }
                Report::Requested { requests } => {
                    self.asked
                        .extend(requests.iter().map(|request| request.id.0));
                    let due = self.steps + 2;
                    self.waiting
                        .extend(requests.into_iter().map(|request| (due, request)));
                }
                Report::SnapshotTaken { state, from, .. } => self.snapshot = Some((state, from)),
                Report::PoweredOff => self.off = true,
                Report::Restored { result, .. } => result.unwrap(),
                Report::Verified => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn answer(&mut self, request: &Request) {
        let Task::Answer(question) = &request.task;
        let result = question.iter().map(|byte| byte ^ self.salt).collect();
        let id = request.id;
        self.command(Command::Input(Input::Completion(Completion { id, result })));
    }

    fn step(&mut self) -> Advice {
        self.steps += 1;
        let due = self
            .waiting
            .iter()
            .take_while(|(due, _)| *due <= self.steps);
        let due: Vec<_> = self.waiting.drain(..due.count()).collect();
        for (_, request) in due {
            self.answer(&request);
        }
        let advice = self.executor.step(self.now, 20_000);
        self.hear();
        self.now += MS;
        advice
    }

    fn finish(&mut self) {
        while !self.off {
            assert!(self.steps < STEPS_MAX, "an answer never comes");
            self.step();
        }
    }

    fn text(&self) -> String {
        console(self.said.iter())
    }
}

#[test]
fn whoever_goes_live_is_asked_again() {
    let mut repeated = 0;
    for steps in 20..40 {
        let mut primary = Host::new(Some(boot()), 1);
        primary.command(Command::Run);
        for _ in 0..10 {
            primary.step();
        }
        primary.command(Command::TakeSnapshot { transfer: TRANSFER });
        let (state, next) = primary.snapshot.take().unwrap();
        let said_before = primary.text();
        for _ in 10..steps {
            primary.step();
        }
        let first = next.0 as usize - 1;
        let mut backup = Host::new(None, 2);
        backup.now = primary.now;
        backup.command(Command::Restore {
            transfer: TRANSFER,
            next,
            state,
        });
        backup.command(Command::Replay {
            first: next,
            entries: primary.log[first..].to_vec(),
        });
        while backup.step() == Advice::Again {}
        assert!(backup.asked.is_empty(), "the log tells how it ends");
        let next = LogIndex(primary.log.len() as u64 + 1);
        backup.command(Command::GoLive { next });
        backup.step();
        // An answer of the host that is gone: the machine may have asked, but nobody waits for it here twice.
        let pending: Vec<u64> = primary
            .waiting
            .iter()
            .map(|(_, request)| request.id.0)
            .collect();
        let again = backup
            .asked
            .iter()
            .filter(|id| pending.contains(id))
            .count();
        repeated += again;
        backup.finish();
        let said = said_before + &backup.text();
        assert_eq!(said.len(), ROUNDS + DIGITS, "after {steps} steps: {said}");
        assert_eq!(backup.asked.last(), Some(&(2 * ROUNDS as u64)));
        assert_eq!(backup.executor.status().inputs_dropped, 0);
    }
    assert!(repeated >= 5, "{repeated}");
}
