//! The program as a process that does not outlive its test.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Nothing that is waited for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Held by tests that boot whole guests: two at once would be too slow for each other.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static GUESTS: Mutex<()> = Mutex::new(());
    // A test that failed has nothing to leave behind.
    GUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `futago` with arguments.
pub(crate) fn futago(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_futago"));
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// A command by way of other programs that start it, and become it.
pub(crate) fn by_way_of(before: &[&str], command: &Command) -> Command {
    let mut words = before.iter().map(OsStr::new);
    let program = words.next().unwrap_or(command.get_program());
    let mut started = Command::new(program);
    started.args(words);
    if !before.is_empty() {
        started.arg(command.get_program());
    }
    started
        .args(command.get_args())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    started
}

/// `futago` in the background, with what it says in files.
pub(crate) struct Process {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    pub(crate) fn start(arguments: &[&str], directory: &Path) -> Self {
        let name = arguments[0];
        let (out, err) = (
            directory.join(format!("{name}.out")),
            directory.join(format!("{name}.err")),
        );
        let child = futago(arguments)
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        Self { child, out, err }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.out).unwrap()).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap()
    }

    /// Waits for a condition, as long as the process lives.
    pub(crate) fn wait_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "it ended before {what}: {}{}",
                self.out(),
                self.err()
            );
            assert!(
                begun.elapsed() < PATIENCE,
                "too long until {what}: {}{}",
                self.out(),
                self.err()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and how it ends.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self);
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "it does not end: {}",
                self.err()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
