//! The directory arbiter under races between threads and between processes.

use node::arbiter::{
    ArbiterStore, DIRECTORY_FILES_MAX, DirectoryArbiter, SwapResult, init_store, recover, show,
    what_is_given_up,
};
use replication::{Epoch, MachineId, Mode, NodeId, Nonce, Record};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const MACHINE: MachineId = MachineId(0xfeed);
/// Tells a copy of this test binary that it is a racer, and where.
const RACER_ROOT: &str = "FUTAGO_TEST_ARBITER_RACER";

pub(crate) fn record(epoch: u64, owner: u128, nonce: u128) -> Record {
    Record {
        machine: MACHINE,
        epoch: Epoch(epoch),
        mode: Mode::Solo,
        owner: NodeId(owner),
        nonce: Nonce(nonce),
    }
}

/// A store of its own, and the arbiter in it.
pub(crate) fn store() -> (tempfile::TempDir, DirectoryArbiter) {
    let root = tempfile::tempdir().unwrap();
    init_store(root.path()).unwrap();
    let store = DirectoryArbiter::open(root.path(), MACHINE).unwrap();
    (root, store)
}

/// Swaps until epoch `last` is in force; returns the epochs won.
fn race(root: &Path, owner: u128, last: u64) -> Vec<u64> {
    let mut store = DirectoryArbiter::open(root, MACHINE).unwrap();
    let mut won = Vec::new();
    let mut current = store.read().unwrap();
    loop {
        let next = current.map_or(1, |record| record.epoch.0 + 1);
        if next > last {
            return won;
        }
        let attempt = record(next, owner, node::names::random_u128().unwrap());
        current = match store.swap(current, attempt).unwrap() {
            SwapResult::Done => {
                won.push(next);
                store.catch_up();
                Some(attempt)
            }
            SwapResult::Refused(current) => current,
        };
    }
}

/// Each epoch up to `last` has exactly one winner.
fn check_one_winner_each(won: impl Iterator<Item = (u128, u64)>, last: u64) {
    let mut winners = BTreeMap::new();
    for (owner, epoch) in won {
        assert_eq!(
            winners.insert(epoch, owner),
            None,
            "epoch {epoch} has two owners"
        );
    }
    assert_eq!(
        winners.keys().copied().collect::<Vec<_>>(),
        (1..=last).collect::<Vec<_>>()
    );
}

#[test]
fn racing_threads_have_one_winner_per_epoch() {
    let root = store().0;
    let last = 60;
    let won = std::thread::scope(|scope| {
        let racers: Vec<_> = (1..=6u128)
            .map(|owner| {
                let root = root.path();
                scope.spawn(move || (owner, race(root, owner, last)))
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect::<Vec<_>>()
    });
    check_one_winner_each(
        won.iter()
            .flat_map(|(owner, epochs)| epochs.iter().map(|&epoch| (*owner, epoch))),
        last,
    );
    let files = fs::read_dir(root.path().join(node::names::hex(MACHINE.0)))
        .unwrap()
        .count();
    assert!(files < 40, "{files} files are left: pruning does not work");
}

/// Not a test of its own: what the racing processes of the next test run.
#[test]
fn racer_process() {
    if let Ok(root) = std::env::var(RACER_ROOT) {
        let won = race(Path::new(&root), u128::from(std::process::id()), 40);
        let won: Vec<_> = won.iter().map(u64::to_string).collect();
        println!("\nwon: {}", won.join(" "));
    }
}

#[test]
fn racing_processes_have_one_winner_per_epoch() {
    let root = store().0;
    let racers: Vec<_> = (0..4)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "arbiter::racer_process", "--nocapture"])
                .env(RACER_ROOT, root.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut won = Vec::new();
    for racer in racers {
        let owner = u128::from(racer.id());
        let output = racer.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("won: "));
        won.extend(
            line.expect("the racer says what it won")
                .split_whitespace()
                .map(|epoch| (owner, epoch.parse().unwrap())),
        );
    }
    check_one_winner_each(won.into_iter(), 40);
}

#[test]
fn a_repeated_swap_finds_its_own_nonce() {
    let (_root, mut store) = store();
    assert_eq!(store.read().unwrap(), None);
    let first = record(1, 1, 11);
    assert_eq!(store.swap(None, first).unwrap(), SwapResult::Done);
    assert_eq!(store.swap(None, first).unwrap(), SwapResult::Done);
    assert_eq!(
        store.swap(None, record(1, 2, 22)).unwrap(),
        SwapResult::Refused(Some(first))
    );
    assert_eq!(store.read().unwrap(), Some(first));
    assert!(
        store.swap(Some(first), record(3, 1, 12)).is_err(),
        "an epoch was skipped"
    );
}

#[test]
fn a_process_that_slept_through_pruning_cannot_win_an_old_epoch() {
    let (root, mut store) = store();
    let mut current = None;
    for epoch in 1..=50 {
        let next = record(epoch, 1, u128::from(epoch));
        assert_eq!(store.swap(current, next).unwrap(), SwapResult::Done);
        store.catch_up();
        current = Some(next);
    }
    // What a process does that looked long ago and only now comes to its link.
    let directory = root.path().join(node::names::hex(MACHINE.0));
    let zombie = record(6, 666, 666);
    let late = directory.join("tmp-late");
    fs::write(&late, node::arbiter::render_record(&zombie)).unwrap();
    fs::hard_link(&late, directory.join("epoch-00000000000000000006")).unwrap();
    assert_eq!(store.read().unwrap(), current);
    let old = record(5, 1, 5);
    assert_eq!(
        store.swap(Some(old), zombie).unwrap(),
        SwapResult::Refused(current)
    );
}

#[test]
fn leftovers_of_crashed_processes_do_no_harm() {
    let (root, mut store) = store();
    let first = record(1, 1, 11);
    store.swap(None, first).unwrap();
    let directory = root.path().join(node::names::hex(MACHINE.0));
    let leftover = directory.join(format!("tmp-{:020}-dead", 2));
    fs::write(&leftover, "half a rec").unwrap();
    assert_eq!(store.read().unwrap(), Some(first));
    let mut current = first;
    for epoch in 2..=20 {
        let next = record(epoch, 1, u128::from(epoch));
        assert_eq!(store.swap(Some(current), next).unwrap(), SwapResult::Done);
        store.catch_up();
        current = next;
    }
    assert!(!leftover.exists(), "the old temporary file was not pruned");
}

#[test]
fn what_cannot_be_trusted_is_an_error_and_not_an_answer() {
    let message = |error: anyhow::Error| format!("{error:#}");
    let (root, mut store) = store();
    let missing = root.path().join("not-mounted");
    let error = DirectoryArbiter::open(&missing, MACHINE).unwrap_err();
    assert!(message(error).contains("check that it is mounted"));

    let first = record(1, 1, 11);
    store.swap(None, first).unwrap();
    let directory = root.path().join(node::names::hex(MACHINE.0));
    let path = directory.join("epoch-00000000000000000001");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..40]).unwrap();
    assert!(message(store.read().unwrap_err()).contains("is no arbiter record"));
    assert!(store.swap(Some(first), record(2, 1, 12)).is_err());
    fs::write(&path, text.replace("futago-arbiter 1", "futago-arbiter 2")).unwrap();
    assert!(message(store.read().unwrap_err()).contains("another format or version"));
    fs::write(&path, text).unwrap();
    fs::write(
        directory.join("epoch-00000000000000000009"),
        node::arbiter::render_record(&record(9, 1, 1)),
    )
    .unwrap();
    assert!(message(store.read().unwrap_err()).contains("removed by hand"));
}

#[test]
fn a_damaged_newest_record_is_given_up_by_an_operator_alone() {
    let (root, mut store) = store();
    let machine = node::names::machine_id("m");
    let mut named = DirectoryArbiter::open(root.path(), machine).unwrap();
    let of = |record: Record| Record { machine, ..record };
    let (first, second) = (of(record(1, 1, 11)), of(record(2, 2, 12)));
    named.swap(None, first).unwrap();
    named.swap(Some(first), second).unwrap();
    let path = root.path().join(node::names::hex(machine.0));
    fs::write(path.join("epoch-00000000000000000002"), "").unwrap();
    assert!(named.read().is_err());
    let view = show(root.path(), "m").unwrap();
    assert_eq!((view.epoch, view.mode), (2, "damaged"));
    assert!(what_is_given_up(&view).contains("cannot be made out"));
    let view = recover(root.path(), "m", 0).unwrap();
    assert_eq!((view.epoch, view.mode), (3, "down"));
    let down = named.read().unwrap().unwrap();
    assert_eq!(down.epoch, Epoch(3));
    // Whoever took itself for the owner of the damaged epoch has lost.
    let late = named.swap(Some(second), of(record(3, 2, 13))).unwrap();
    assert_eq!(late, SwapResult::Refused(Some(down)));
    let next = of(record(4, 1, 14));
    assert_eq!(named.swap(Some(down), next).unwrap(), SwapResult::Done);
    assert_eq!(
        store.read().unwrap(),
        None,
        "other machines' records are their own"
    );
}

#[test]
fn a_directory_that_fills_up_with_foreign_files_is_refused() {
    let (root, mut store) = store();
    store.swap(None, record(1, 1, 11)).unwrap();
    let directory = root.path().join(node::names::hex(MACHINE.0));
    for number in 0..=DIRECTORY_FILES_MAX {
        fs::write(directory.join(format!("junk-{number}")), "").unwrap();
    }
    let error = format!("{:#}", store.read().unwrap_err());
    assert!(error.contains("too many files"), "{error}");
}
