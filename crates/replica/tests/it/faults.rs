//! An engine that panics on both sides of a pair, at the same instruction, while there is much to do.

use crate::guest::{MS, boot_with, config, engine};
use crate::pair::{Primary, replay, restored_with, settle};
use machine::{Board, Cpu, Engine, Position};
use replica::{Command, Executor, ExecutorConfig, Report};
use replication::LogIndex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Panics before the instruction at a position that the test chooses later.
struct Fragile {
    inner: Box<dyn Engine>,
    at: Arc<AtomicU64>,
}

impl Fragile {
    fn boxed(at: &Arc<AtomicU64>) -> Box<dyn Engine> {
        Box::new(Self {
            inner: engine(),
            at: Arc::clone(at),
        })
    }
}

impl Engine for Fragile {
    fn run(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position) {
        let at = self.at.load(Ordering::Relaxed);
        if cpu.hart.position.0 > at || limit.0 <= at {
            return self.inner.run(cpu, board, limit);
        }
        self.inner.run(cpu, board, Position(at));
        assert!(
            cpu.attention || cpu.hart.position.0 != at,
            "a test asked for it"
        );
    }
}

#[test]
fn neither_side_dies_of_an_instruction_at_which_both_engines_panic() {
    let at = Arc::new(AtomicU64::new(u64::MAX));
    let config = ExecutorConfig {
        recorder: config(),
        ..ExecutorConfig::default()
    };
    let mut executor = Executor::new(
        Some(boot_with(Fragile::boxed(&at))),
        Box::new(engine),
        config,
    );
    executor.handle(0, Command::Run).unwrap();
    let mut primary = Primary::new(executor, 1, 0);
    primary.type_in("b");
    primary.run(20);
    let (state, next) = primary.snapshot();
    let from = next.0 as usize - 1;
    let source = Arc::clone(&at);
    let mut backup = restored_with(&state, next, Box::new(move || Fragile::boxed(&source)));
    at.store(
        primary.executor.status().position.0 + 300_000,
        Ordering::Relaxed,
    );
    for typed in ["cd", "ef", "g"] {
        primary.type_in(typed);
        primary.run(20);
    }
    assert_eq!(primary.executor.status().engine_faults, 1);
    assert_eq!(
        primary.executor.first_fault().map(|fault| fault.position.0),
        Some(at.load(Ordering::Relaxed))
    );

    let entries = &primary.log[from..];
    replay(&mut backup, primary.now, next, entries);
    let all = next.0 + entries.len() as u64 - 1;
    let reports = settle(&mut backup);
    let ends = |report: &Report| matches!(report, Report::Replayed { index, .. } if index.0 == all);
    assert!(
        reports.iter().any(ends),
        "the digests agree: {:?}",
        reports.last()
    );
    assert_eq!(backup.status().engine_faults, 1);
    assert_eq!(backup.first_fault(), primary.executor.first_fault());

    // It can take over.
    let next = LogIndex(primary.next);
    backup
        .handle(primary.now, Command::GoLive { next })
        .unwrap();
    let mut second = Primary::new(backup, next.0, primary.now + 100 * MS);
    second.type_in("yz");
    second.run(20);
    assert_eq!(second.said(), "yz");
    assert_eq!(second.executor.status().engine_faults, 1);
}
