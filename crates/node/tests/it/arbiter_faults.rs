//! A store whose filesystem fails at each of its calls, before it takes effect or after, with each error that a network
//! filesystem gives; or does not answer at all. Whatever happens, an epoch has one owner, and the change comes through
//! once the store is well again.

use crate::arbiter::{MACHINE, record, store};
use node::arbiter::{
    ArbiterAnswer, ArbiterStore, ArbiterWorker, DirectoryArbiter, Files, HostFiles, SwapResult,
};
use replication::{ArbiterOperation, ArbiterReply, Record, RequestId};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ERRORS: [Errno; 6] = [
    Errno::STALE,
    Errno::IO,
    Errno::NOSPC,
    Errno::ACCESS,
    Errno::TIMEDOUT,
    Errno::DQUOT,
];
/// A hang guard; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a call of the filesystem fails.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Which call, counted from 0.
    call: u32,
    error: Errno,
    /// It takes effect, and fails all the same.
    late: bool,
}

/// The host's files with one call that fails, and a count of all.
#[derive(Debug)]
struct FailingFiles {
    plan: Option<Plan>,
    calls: Arc<AtomicU32>,
    syncs: Arc<AtomicU32>,
    /// Before the first link, somebody else makes so many epochs in this directory.
    overtaken: Option<(PathBuf, u64)>,
}

impl FailingFiles {
    fn new(plan: Option<Plan>) -> Self {
        Self {
            plan,
            calls: Arc::default(),
            syncs: Arc::default(),
            overtaken: None,
        }
    }

    fn call<T>(&mut self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        match self.plan {
            Some(plan) if plan.call == number => {
                if plan.late {
                    call()?;
                }
                Err(plan.error.into())
            }
            _ => call(),
        }
    }
}

impl Files for FailingFiles {
    fn open_root(&mut self, path: &Path) -> io::Result<OwnedFd> {
        self.call(|| HostFiles.open_root(path))
    }
    fn open_directory(&mut self, at: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        self.call(|| HostFiles.open_directory(at, name))
    }
    fn read(&mut self, at: &OwnedFd, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.call(|| HostFiles.read(at, name, bytes_max))
    }
    fn list(&mut self, at: &OwnedFd) -> io::Result<Vec<String>> {
        self.call(|| HostFiles.list(at))
    }
    fn create(&mut self, at: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        // A disk that fills up takes half of a file.
        let next = self.calls.load(Ordering::Relaxed);
        let half = self
            .plan
            .is_some_and(|plan| plan.call == next && plan.error == Errno::NOSPC);
        self.call(|| HostFiles.create(at, name, if half { &bytes[..40] } else { bytes }))
    }
    fn link(&mut self, at: &OwnedFd, from: &str, to: &str) -> io::Result<()> {
        if let Some((root, epochs)) = self.overtaken.take() {
            advance(&mut DirectoryArbiter::open(&root, MACHINE).unwrap(), epochs);
        }
        self.call(|| HostFiles.link(at, from, to))
    }
    fn remove(&mut self, at: &OwnedFd, name: &str) -> io::Result<()> {
        self.call(|| HostFiles.remove(at, name))
    }
    fn make_directory(&mut self, at: &OwnedFd, name: &str) -> io::Result<()> {
        self.call(|| HostFiles.make_directory(at, name))
    }
    fn sync(&mut self, at: &OwnedFd) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.call(|| HostFiles.sync(at))
    }
}

/// The host's files on a filesystem that may become read-only: what would be new is refused, but a file's creation is answered
/// by the one that is there, as Linux does.
#[derive(Debug)]
struct ReadOnly(Arc<AtomicBool>);

impl ReadOnly {
    fn change<T>(&self, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Errno::ROFS.into());
        }
        change()
    }
}

impl Files for ReadOnly {
    fn open_root(&mut self, path: &Path) -> io::Result<OwnedFd> {
        HostFiles.open_root(path)
    }
    fn open_directory(&mut self, at: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        HostFiles.open_directory(at, name)
    }
    fn read(&mut self, at: &OwnedFd, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        HostFiles.read(at, name, bytes_max)
    }
    fn list(&mut self, at: &OwnedFd) -> io::Result<Vec<String>> {
        HostFiles.list(at)
    }
    fn create(&mut self, at: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()> {
        if HostFiles.read(at, name, 1).is_ok() {
            return Err(Errno::EXIST.into());
        }
        self.change(|| HostFiles.create(at, name, bytes))
    }
    fn link(&mut self, at: &OwnedFd, from: &str, to: &str) -> io::Result<()> {
        self.change(|| HostFiles.link(at, from, to))
    }
    fn remove(&mut self, at: &OwnedFd, name: &str) -> io::Result<()> {
        self.change(|| HostFiles.remove(at, name))
    }
    fn make_directory(&mut self, at: &OwnedFd, name: &str) -> io::Result<()> {
        self.change(|| HostFiles.make_directory(at, name))
    }
    fn sync(&mut self, at: &OwnedFd) -> io::Result<()> {
        HostFiles.sync(at)
    }
}

#[test]
fn a_store_that_has_become_read_only_is_called_that() {
    let (directory, _) = store();
    let is_read_only = Arc::<AtomicBool>::default();
    let files = Box::new(ReadOnly(Arc::clone(&is_read_only)));
    let mut arbiter = DirectoryArbiter::open_by(files, directory.path(), MACHINE).unwrap();
    let (first, second) = (record(1, 1, 1), record(2, 1, 2));
    assert_eq!(arbiter.swap(None, first).unwrap(), SwapResult::Done);
    arbiter.prepare(second).unwrap();
    is_read_only.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let error = format!("{:#}", arbiter.swap(Some(first), second).unwrap_err());
        assert!(error.contains("Read-only file system"), "{error}");
    }
    is_read_only.store(false, Ordering::Relaxed);
    assert_eq!(arbiter.swap(Some(first), second).unwrap(), SwapResult::Done);
}

/// What the protocol does about a swap: repeats it under its nonce, reading back in between, until it is certain.
fn persist(store: &mut dyn ArbiterStore, expected: Option<Record>, new: Record) -> bool {
    for _ in 0..4 {
        match store.swap(expected, new) {
            Ok(SwapResult::Done) => return true,
            Ok(SwapResult::Refused(current)) if current != expected => return false,
            _ => {}
        }
        match store.read() {
            Ok(current) if current == Some(new) => return true,
            Ok(current) if current != expected => return false,
            _ => {}
        }
    }
    panic!("nothing is certain after four attempts at a store that failed once");
}

/// Makes so many epochs, and clears away what is old; the last record.
fn advance(store: &mut DirectoryArbiter, epochs: u64) -> Option<Record> {
    let mut current = None;
    for epoch in 1..=epochs {
        let next = record(epoch, 1, u128::from(epoch));
        assert_eq!(store.swap(current, next).unwrap(), SwapResult::Done);
        store.catch_up();
        current = Some(next);
    }
    current
}

/// A machine at epoch `epochs`, in a store in which one more swap makes the call of `plan` fail. Says how many calls that
/// swap and its repetitions made.
fn check(plan: Plan, epochs: u64) -> u32 {
    let (root, mut sound) = store();
    let current = advance(&mut sound, epochs);
    // The first two calls are those that open the store.
    let files = FailingFiles::new(Some(Plan {
        call: plan.call + 2,
        ..plan
    }));
    let calls = Arc::clone(&files.calls);
    let mut failing = DirectoryArbiter::open_by(Box::new(files), root.path(), MACHINE).unwrap();
    let new = record(epochs + 1, 2, 77);
    assert!(
        persist(&mut failing, current, new),
        "{plan:?}: nobody else wants it"
    );
    failing.catch_up();
    assert_eq!(sound.read().unwrap(), Some(new), "{plan:?}");
    let other = record(epochs + 1, 3, 88);
    assert_eq!(
        sound.swap(current, other).unwrap(),
        SwapResult::Refused(Some(new)),
        "{plan:?}: two owners"
    );
    calls.load(Ordering::Relaxed) - 2
}

#[test]
fn a_swap_comes_through_whichever_call_fails_and_however() {
    // The first start, a change like any other, and one that makes old epochs be removed.
    for (epochs, errors) in [(0, &ERRORS[..1]), (1, &ERRORS), (16, &ERRORS[..1])] {
        for &error in errors {
            for late in [false, true] {
                let mut call = 0;
                // Until the call that would fail is never reached.
                while check(Plan { call, error, late }, epochs) > call {
                    call += 1;
                }
                assert!(call > 8, "a swap makes more than {call} calls");
            }
        }
    }
}

#[test]
fn who_is_overtaken_by_far_is_refused_though_its_file_was_cleared_away() {
    let (root, mut sound) = store();
    let mut files = FailingFiles::new(None);
    files.overtaken = Some((root.path().to_owned(), 20));
    let mut slow = DirectoryArbiter::open_by(Box::new(files), root.path(), MACHINE).unwrap();
    let refused = slow.swap(None, record(1, 2, 77)).unwrap();
    let current = sound.read().unwrap();
    assert_eq!(refused, SwapResult::Refused(current));
    assert_eq!(current, Some(record(20, 1, 20)));
}

#[test]
fn each_error_is_one_sentence_that_names_the_directory() {
    let (root, _) = store();
    for error in ERRORS {
        let plan = Plan {
            call: 2,
            error,
            late: false,
        };
        let files = Box::new(FailingFiles::new(Some(plan)));
        let mut store = DirectoryArbiter::open_by(files, root.path(), MACHINE).unwrap();
        let said = format!("{:#}", store.read().unwrap_err());
        let directory = root.path().display().to_string();
        assert!(said.contains(&directory) && !said.contains('\n'), "{said}");
        assert!(said.contains(&io::Error::from(error).to_string()), "{said}");
        assert_eq!(store.read().unwrap(), None, "the next call is a new chance");
    }
}

#[test]
fn a_prepared_takeover_syncs_once_and_needs_no_room() {
    let (root, mut first) = store();
    let solo = record(1, 1, 11);
    first.swap(None, solo).unwrap();
    let pair = record(2, 1, 12);
    first.swap(Some(solo), pair).unwrap();

    let files = FailingFiles::new(None);
    let syncs = Arc::clone(&files.syncs);
    let mut backup = DirectoryArbiter::open_by(Box::new(files), root.path(), MACHINE).unwrap();
    assert_eq!(backup.read().unwrap(), Some(pair));
    let new = record(3, 2, 13);
    backup.prepare(new).unwrap();
    assert_eq!(first.read().unwrap(), Some(pair), "nothing has changed");
    syncs.store(0, Ordering::Relaxed);
    assert_eq!(backup.read().unwrap(), Some(pair));
    assert_eq!(syncs.load(Ordering::Relaxed), 0, "what is durable stays so");
    assert_eq!(backup.swap(Some(pair), new).unwrap(), SwapResult::Done);
    assert_eq!(syncs.load(Ordering::Relaxed), 1);
    assert_eq!(first.read().unwrap(), Some(new));
    // A swap that was not prepared makes its content durable, too.
    let down = record(4, 2, 14);
    assert_eq!(backup.swap(Some(new), down).unwrap(), SwapResult::Done);
    assert_eq!(syncs.load(Ordering::Relaxed), 3);
    // One whose preparation was cleared away meanwhile as well.
    let again = record(5, 2, 15);
    backup.prepare(again).unwrap();
    let directory = root.path().join(node::names::hex(MACHINE.0));
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("tmp-")
        {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(backup.swap(Some(down), again).unwrap(), SwapResult::Done);
}

/// A store that answers when it is told to.
struct HangingStore {
    inner: DirectoryArbiter,
    go: Receiver<()>,
    served: Arc<Mutex<Vec<&'static str>>>,
}

impl HangingStore {
    fn wait(&self, what: &'static str) {
        // Where nobody is left to say so, it goes on.
        let _ = self.go.recv();
        self.served.lock().unwrap().push(what);
    }
}

impl ArbiterStore for HangingStore {
    fn read(&mut self) -> anyhow::Result<Option<Record>> {
        self.wait("read");
        self.inner.read()
    }
    fn swap(&mut self, expected: Option<Record>, new: Record) -> anyhow::Result<SwapResult> {
        self.wait("swap");
        self.inner.swap(expected, new)
    }
    fn prepare(&mut self, new: Record) -> anyhow::Result<()> {
        self.wait("prepare");
        self.inner.prepare(new)
    }
    fn look_whether_writable(&mut self) -> anyhow::Result<()> {
        self.inner.look_whether_writable()
    }
    fn catch_up(&mut self) {
        self.inner.catch_up();
    }
}

#[test]
fn behind_a_store_that_hangs_one_request_waits_and_its_late_answer_comes() {
    let (_root, inner) = store();
    let (gate, go) = channel();
    let served = Arc::default();
    let hanging = HangingStore {
        inner,
        go,
        served: Arc::clone(&served),
    };
    let (answers, answered) = channel::<ArbiterAnswer>();
    let worker = ArbiterWorker::start(Box::new(hanging), move |answer| {
        answers.send(answer).is_ok()
    })
    .unwrap();
    let new = record(1, 1, 11);
    let swap = ArbiterOperation::Swap {
        expected: None,
        new,
    };
    for request in 1..=1000 {
        let operation = match request {
            500 => swap,
            _ => ArbiterOperation::Read,
        };
        assert!(worker.ask(RequestId(request), operation).is_none());
    }
    assert_eq!(worker.passed_over(), 998);
    for (request, reply) in [
        (1, ArbiterReply::Current(None)),
        (500, ArbiterReply::Current(Some(new))),
    ] {
        gate.send(()).unwrap();
        let answer = answered.recv_timeout(PATIENCE).unwrap();
        assert_eq!((answer.request, answer.reply), (RequestId(request), reply));
    }
    assert_eq!(*served.lock().unwrap(), ["read", "swap"]);
}
