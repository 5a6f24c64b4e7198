//! UNIX sockets to listen on: made for their user alone, and accepted from for as long as the process lives.

use crate::new_files;
use anyhow::{Context, bail};
use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tracing::{info, warn};

/// Connections that may wait to be accepted.
const BACKLOG_MAX: i32 = 128;
/// The first pause after a connection could not be accepted; each further one is twice as long,
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// up to this.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Who may connect, by the socket file's permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The process's user.
    User,
    /// Its group, too.
    Group,
}

/// A socket that is listened on; its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
    backoff: Backoff,
}

impl Listener {
    /// Binds a UNIX socket; one that nobody listens on any more is replaced.
    pub(crate) fn bind(path: &Path, access: Access) -> anyhow::Result<Self> {
        replace_dead(path)?;
        let listener = bind(path, access).map_err(|error| cannot_listen(path, error))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            backoff: Backoff::default(),
        })
    }

    /// The next connection. What the host cannot give now (descriptors, memory) is asked for again after a pause.
    pub(crate) async fn accept(&mut self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.backoff.succeeded(&self.path);
                    return stream;
                }
                Err(error) => tokio::time::sleep(self.backoff.failed(&self.path, &error)).await,
            }
        }
    }

    /// How often a connection could not be accepted.
    pub(crate) fn failures(&self) -> u64 {
        self.backoff.failures
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// How long to wait after failures; says once that they began, and that they are over.
#[derive(Debug, Default)]
struct Backoff {
    failures: u64,
    pause: Option<Duration>,
}

impl Backoff {
    fn failed(&mut self, path: &Path, error: &io::Error) -> Duration {
        self.failures += 1;
        let pause = match self.pause {
            Some(pause) => (pause * 2).min(PAUSE_MAX),
            None => {
                warn!(
                    "no connection can be accepted on {} for now ({error}): this is tried again",
                    path.display()
                );
                PAUSE_MIN
            }
        };
        self.pause = Some(pause);
        pause
    }

    fn succeeded(&mut self, path: &Path) {
        if self.pause.take().is_some() {
            info!("connections are accepted again on {}", path.display());
        }
    }
}

/// What to do about a socket that cannot be made.
fn advice(path: &Path, error: &io::Error) -> &'static str {
    let exists = || fs::symlink_metadata(path).ok();
    match error.kind() {
        ErrorKind::AddrInUse if exists().is_some_and(|found| !found.file_type().is_socket()) => {
            "what has this name is no socket, and is kept: choose another name"
        }
        ErrorKind::AddrInUse => "somebody has just taken it",
        ErrorKind::InvalidFilename => {
            "a socket's path has at most 107 bytes: choose another, or a relative one"
        }
        ErrorKind::NotFound => "its directory must exist",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "its directory must be writable by this process's user"
        }
        _ => "see what the host says of it",
    }
}

fn replace_dead(path: &Path) -> anyhow::Result<()> {
    if is_dead(path)? {
        fs::remove_file(path)
            .with_context(|| format!("cannot replace the dead socket {}", path.display()))?;
    }
    Ok(())
}

/// Whether there is a socket that nobody listens on any more.
fn is_dead(path: &Path) -> anyhow::Result<bool> {
    if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        return Ok(false);
    }
    match std::os::unix::net::UnixStream::connect(path) {
        // Its queue of connections may be full: somebody listens all the same.
        Ok(_) => bail!(
            "{} is in use by another process: stop it, or choose another socket",
            path.display()
        ),
        Err(error) => Ok(error.kind() == ErrorKind::ConnectionRefused),
    }
}

/// Looks whether [`Listener::bind`] would succeed, and makes nothing.
pub(crate) fn look(path: &Path) -> anyhow::Result<()> {
    let made = if is_dead(path)? {
        new_files::can_be_made(path)
    } else if fs::symlink_metadata(path).is_ok() {
        Err(ErrorKind::AddrInUse.into())
    } else {
        SocketAddrUnix::new(path)
            .map_err(|_| ErrorKind::InvalidFilename.into())
            .and_then(|_| new_files::can_be_made(path))
    };
    made.map_err(|error| cannot_listen(path, error))
}

fn cannot_listen(path: &Path, error: io::Error) -> anyhow::Error {
    let advice = advice(path, &error);
    anyhow::Error::new(error).context(format!("cannot listen on {}: {advice}", path.display()))
}

fn bind(path: &Path, access: Access) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    let mode = match access {
        Access::User => Mode::RUSR | Mode::WUSR,
        Access::Group => Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP,
    };
    // The file gets the unbound socket's mode, so that there is no moment in which others could connect.
    fchmod(&socket, mode)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    if access == Access::Group {
        // Here the process's mask has taken something away; nobody connects before there is a listener.
        rustix::fs::chmod(path, mode)?;
    }
    rustix::net::listen(&socket, BACKLOG_MAX)?;
    UnixListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[tokio::test]
    async fn the_sockets_file_is_for_those_who_may() {
        let directory = tempfile::tempdir().unwrap();
        for (access, expected) in [(Access::User, 0o600), (Access::Group, 0o660)] {
            let path = directory.path().join(format!("{access:?}"));
            let mut listener = Listener::bind(&path, access).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, expected);
            let error = Listener::bind(&path, access).unwrap_err();
            assert!(error.to_string().contains("in use by another process"));
            let (_client, _server) = tokio::join!(
                async { UnixStream::connect(&path).await.unwrap() },
                listener.accept()
            );
            drop(listener);
            assert!(!path.exists());
        }
    }

    #[test]
    fn failures_are_paused_after_longer_and_longer_up_to_a_ceiling() {
        let mut backoff = Backoff::default();
        let path = Path::new("s");
        let error = io::Error::from_raw_os_error(24);
        assert_eq!(backoff.failed(path, &error), PAUSE_MIN);
        assert_eq!(backoff.failed(path, &error), PAUSE_MIN * 2);
        for _ in 0..20 {
            backoff.failed(path, &error);
        }
        assert_eq!(backoff.failed(path, &error), PAUSE_MAX);
        backoff.succeeded(path);
        assert_eq!(backoff.failed(path, &error), PAUSE_MIN);
        assert_eq!(backoff.failures, 24);
    }
}
