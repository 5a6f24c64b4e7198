//! What our processes may still do once they are up: a guest that takes one over through a bug of ours finds a process
//! that can open no file, reach no network and start no program beyond what its work needs.
//!
//! Three layers, from the kernel, without privileges: `no_new_privs`, always; Landlock, for files and TCP (`files.rs`); and
//! seccomp, for system calls (`calls.rs`), where the thread that runs a protected guest is held strictest. A call that is
//! not allowed fails with EPERM and does not end the process: what a guest could provoke would otherwise take down the
//! machine, on both hosts at the same instruction, and an attacker gains no more by an error than by an end.

mod calls;
mod files;
mod kind;
mod lack;

pub use files::Place;
pub use kind::Kind;

use anyhow::Context;
use std::fmt;
use tracing::warn;

/// A sandbox that is being built, in two steps: threads that begin between them are in both.
#[derive(Debug)]
pub struct Sandbox {
    kind: Kind,
    enabled: bool,
    missing: Vec<String>,
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
