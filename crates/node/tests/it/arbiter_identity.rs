//! Stores that are not the one that a node has seen: empty, another, older. None of them is a first start.

use crate::arbiter::{MACHINE, record, store};
use node::arbiter::{
    ArbiterStore, DirectoryArbiter, GuardedStore, Seen, SeenFile, SeenRole, SwapResult, init_store,
    recover, show,
};
use node::names::hex;
use replication::{Epoch, NodeId};
use std::fs;
use std::path::Path;

/// Exactly what a node does with the store at `root` when it starts, with its memory beside.
fn start(
    root: &Path,
    memory: &Path,
    node: u128,
) -> anyhow::Result<(GuardedStore<DirectoryArbiter>, Option<Seen>)> {
    let store = DirectoryArbiter::open(root, MACHINE)?;
    let at = (root, store.id());
    GuardedStore::new(store, at, (MACHINE, NodeId(node)), SeenFile::new(memory))
}

fn refusal<T>(result: anyhow::Result<T>) -> String {
    match result {
        Ok(_) => panic!("this was not refused"),
        Err(error) => format!("{error:#}"),
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn an_empty_directory_is_no_first_start() {
    let directory = tempfile::tempdir().unwrap();
    let (root, memory) = (
        directory.path().join("arbiter"),
        directory.path().join("a.seen"),
    );
    fs::create_dir(&root).unwrap();
    let said = refusal(start(&root, &memory, 1));
    assert!(said.contains("has no identity"), "{said}");
    assert!(said.contains("futago arbiter init"), "{said}");
    assert!(!memory.exists(), "nothing was seen");
    init_store(&root).unwrap();
    let (mut store, before) = start(&root, &memory, 1).unwrap();
    assert_eq!(before, None);
    assert_eq!(store.read().unwrap(), None, "a first start");
}

#[test]
fn a_store_that_goes_or_changes_while_it_is_used_is_unavailable() {
    let (root, plain) = store();
    drop(plain);
    let memory = root.path().join("a.seen");
    let place = root.path().join("arbiter");
    init_store(&place).unwrap();
    let (mut store, _) = start(&place, &memory, 1).unwrap();
    let first = record(1, 1, 11);
    assert_eq!(store.swap(None, first).unwrap(), SwapResult::Done);
    let hidden = root.path().join("hidden");
    fs::rename(&place, &hidden).unwrap();
    assert!(refusal(store.read()).contains("check that it is mounted"));
    fs::create_dir(&place).unwrap();
    assert!(refusal(store.read()).contains("has no identity"));
    assert!(refusal(store.swap(Some(first), record(2, 1, 12))).contains("has no identity"));
    init_store(&place).unwrap();
    assert!(refusal(store.read()).contains("mount that one again"));
    assert!(refusal(store.swap(None, record(1, 1, 13))).contains("mount that one again"));
    assert_eq!(
        fs::read_dir(&place).unwrap().count(),
        1,
        "nothing was written there"
    );
    fs::remove_dir_all(&place).unwrap();
    fs::rename(&hidden, &place).unwrap();
    assert_eq!(store.read().unwrap(), Some(first));
}

#[test]
fn another_store_is_refused_when_the_node_starts_again() {
    let (root, _) = store();
    let (other, _) = store();
    let memory = root.path().join("a.seen");
    start(root.path(), &memory, 1).unwrap();
    let said = refusal(start(other.path(), &memory, 2));
    assert!(
        said.contains("has seen its machine's record in store"),
        "{said}"
    );
    start(root.path(), &memory, 2).unwrap();
}

#[test]
fn an_older_copy_is_refused_and_recovered_from_only_beyond_what_was_seen() {
    let (root, _) = store();
    let memory = root.path().join("a.seen");
    let place = root.path().join("arbiter");
    init_store(&place).unwrap();
    let (mut store, _) = start(&place, &memory, 1).unwrap();
    let mut current = None;
    let backup = root.path().join("backup");
    for epoch in 1..=7 {
        let next = record(epoch, 1, u128::from(epoch));
        assert_eq!(store.swap(current, next).unwrap(), SwapResult::Done);
        store.catch_up();
        current = Some(next);
        if epoch == 3 {
            copy(&place, &backup);
        }
    }
    fs::remove_dir_all(&place).unwrap();
    fs::rename(&backup, &place).unwrap();
    // While it runs, and after it was started again; by reading, and by changing.
    let (mut again, before) = start(&place, &memory, 2).unwrap();
    let before = before.unwrap();
    assert_eq!((before.epoch, before.role), (Epoch(7), SeenRole::Alone));
    assert_eq!(before.node, NodeId(1));
    for store in [&mut store, &mut again] {
        let said = refusal(store.read());
        assert!(said.contains("shows epoch 3"), "{said}");
        assert!(said.contains("has seen epoch 7"), "{said}");
        assert!(said.contains("--beyond 7"), "{said}");
        assert!(store.swap(None, record(1, 9, 99)).is_err());
    }
    let machine = hex(MACHINE.0);
    let view = recover(&place, &machine, 7).unwrap();
    assert_eq!((view.epoch, view.mode), (8, "down"));
    let down = again.read().unwrap().unwrap();
    assert_eq!(down.epoch, Epoch(8));
    // A machine's directory that is gone as a whole is no first start either.
    fs::remove_dir_all(place.join(&machine)).unwrap();
    assert!(refusal(again.read()).contains("shows epoch 0"));
}

#[test]
fn a_recovery_is_a_swap_to_the_next_epoch() {
    let (root, mut store) = store();
    let machine = hex(MACHINE.0);
    assert_eq!(show(root.path(), &machine).unwrap().mode, "none");
    let said = refusal(recover(root.path(), &machine, 0));
    assert!(said.contains("nothing to recover"), "{said}");
    let first = record(1, 1, 11);
    store.swap(None, first).unwrap();
    let view = show(root.path(), &machine).unwrap();
    assert_eq!((view.epoch, view.mode), (1, "solo"));
    let view = recover(root.path(), &machine, 0).unwrap();
    assert_eq!((view.epoch, view.mode), (2, "down"));
    assert_eq!(show(root.path(), &machine).unwrap(), view);
    // Whoever still lives loses.
    let result = store.swap(Some(first), record(2, 1, 12)).unwrap();
    assert!(matches!(result, SwapResult::Refused(Some(down)) if down.epoch == Epoch(2)));
    let said = refusal(recover(root.path(), &machine, 1 << 40));
    assert!(said.contains("right store"), "{said}");
}

#[test]
fn two_stores_made_on_two_hosts_have_two_identities() {
    let (one, other) = (store(), store());
    assert_ne!(one.1.id(), other.1.id());
}
