//! What our processes may still do once they are up: a guest that takes one over through a bug of ours finds a process
//! that can open no file, reach no network and start no program beyond what its work needs.
//!
//! Three layers, from the kernel, without privileges: `no_new_privs`, always; Landlock, for files and TCP (`files.rs`); and
//! seccomp, for system calls (`calls.rs`), where the thread that runs a protected guest is held strictest. A call that is
//! not allowed fails with EPERM and does not end the process: what a guest could provoke would otherwise take down the
//! machine, on both hosts at the same instruction, and an attacker gains no more by an error than by an end.

mod calls;
mod files;

pub use files::Place;

use anyhow::{Context, anyhow};
use std::error::Error;
use std::fmt;
use std::io;
use tracing::warn;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One host's side of a protected machine.
    Node,
    /// One machine alone: `futago run`, `record`, `replay`.
    Machine,
    /// One whose network is a socket that may have to be connected anew.
    MachineWithNetwork,
    /// `futago switch`.
    Switch,
}

/// A sandbox that is being built, in two steps: threads that begin between them are in both.
#[derive(Debug)]
pub struct Sandbox {
    kind: Kind,
    enabled: bool,
    missing: Vec<String>,
}

/// Why a part of a sandbox is not there.
#[derive(Debug)]
enum Lack {
    /// The kernel cannot do it, which is no reason to end.
    Kernel(String),
    /// It can, and yet something went wrong.
    Failure(String),
}

impl Lack {
    /// What an error means for `what` was to be limited.
    fn of(what: &str, error: &(dyn Error + 'static)) -> Self {
        let said = format!("{what} are not limited ({error})");
        let mut cause = Some(error);
        while let Some(error) = cause {
            let number = error.downcast_ref().and_then(io::Error::raw_os_error);
            // What a kernel says that lacks the call, or a container's filter that keeps it back.
            if let Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL | libc::EPERM) = number {
                return Self::Kernel(said);
            }
            cause = error.source();
        }
        Self::Failure(said)
    }

    /// The sentence about what the kernel lacks; all else is an error.
    fn tolerate(self) -> anyhow::Result<String> {
        match self {
            Self::Kernel(missing) => Ok(missing),
            Self::Failure(why) => Err(anyhow!(
                "this process cannot be confined: {why}; give it what it lacks, or run it with `--no-sandbox`"
            )),
        }
    }
}

/// How much of a sandbox there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// All of it.
    Full,
    /// The kernel lacks this.
    Partial(String),
    /// Its user does not want it.
    Off,
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Partial(missing) => write!(f, "partial: {missing}"),
            Self::Off => f.write_str("off"),
        }
    }
}

impl Sandbox {
    /// Gives up new privileges, in any case; `enabled` says whether anything else will be given up.
    ///
    /// # Errors
    /// The kernel refuses, which none does that Rust's library runs on.
    pub fn new(kind: Kind, enabled: bool) -> anyhow::Result<Self> {
        rustix::thread::set_no_new_privs(true)
            .context("the kernel does not let this process give up privileges")?;
        Ok(Self {
            kind,
            enabled,
            missing: Vec::new(),
        })
    }

    /// From here on, this thread and those that it starts open files in `places` only, and no TCP connection.
    ///
    /// # Errors
    /// The kernel could do it, and yet it failed.
    pub fn limit_files(&mut self, places: &[Place]) -> anyhow::Result<()> {
        if self.enabled
            && let Err(lack) = files::limit(places)
        {
            self.missing.push(lack.tolerate()?);
        }
        Ok(())
    }

    /// From here on, all threads of this process make only the system calls that its kind needs. Says how much of a
    /// sandbox there is, and logs what is missing.
    ///
    /// # Errors
    /// The kernel could do it, and yet it failed.
    pub fn limit_calls(mut self) -> anyhow::Result<Confinement> {
        if !self.enabled {
            return Ok(Confinement::Off);
        }
        if let Err(lack) = calls::limit_process(self.kind) {
            self.missing.push(lack.tolerate()?);
        }
        if self.missing.is_empty() {
            return Ok(Confinement::Full);
        }
        let missing = self.missing.join("; ");
        warn!("this process is less confined than it could be: {missing}");
        Ok(Confinement::Partial(missing))
    }
}

/// From here on, this thread makes only the system calls that executing a guest needs: none that opens a file or a socket,
/// and none that starts a thread or a program. Logs what the kernel lacks for it.
///
/// # Errors
/// The kernel could do it, and yet it failed.
pub fn confine_hart_thread() -> anyhow::Result<()> {
    if let Err(lack) = calls::limit_hart() {
        let missing = lack.tolerate()?;
        warn!("the hart's thread is less confined than it could be: {missing}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_lacks_is_tolerated() {
        let lack = |number| Lack::of("files", &io::Error::from_raw_os_error(number));
        for number in [libc::ENOSYS, libc::EOPNOTSUPP, libc::EPERM] {
            assert!(lack(number).tolerate().unwrap().contains("not limited"));
        }
        for number in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::E2BIG] {
            let error = lack(number).tolerate().unwrap_err().to_string();
            assert!(error.contains("--no-sandbox"), "{error}");
        }
        let deep = seccompiler::Error::Seccomp(io::Error::from_raw_os_error(libc::ENOSYS));
        assert!(matches!(Lack::of("calls", &deep), Lack::Kernel(_)));
        let other = seccompiler::Error::ThreadSync(7);
        assert!(matches!(Lack::of("calls", &other), Lack::Failure(_)));
    }
}
