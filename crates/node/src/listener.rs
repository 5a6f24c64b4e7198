//! UNIX sockets to listen on: made for their user alone, and accepted from for as long as the process lives.

use crate::new_files;
use anyhow::{Context, bail};
use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tracing::{info, warn};

/// Connections that may wait to be accepted.
const BACKLOG_MAX: i32 = 128;
/// While nobody connects, it is looked so often whether the socket's file is still there.
const LOOK: Duration = Duration::from_secs(2);
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

/// A socket that is listened on; its file is removed when this is dropped, and made again when somebody else has removed it.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
    access: Access,
    /// Which file it is.
    file: FileId,
    /// Why its file, which is gone, cannot be made again, if that was said.
    lost: Option<String>,
    backoff: Backoff,
}

/// A file, whatever it is called: its device and number.
type FileId = (u64, u64);

fn file_at(path: &Path) -> io::Result<FileId> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Listener {
    /// Binds a UNIX socket; one that nobody listens on any more is replaced.
    pub(crate) fn bind(path: &Path, access: Access) -> anyhow::Result<Self> {
        replace_dead(path)?;
        let bound = bind(path, access).and_then(|listener| Ok((listener, file_at(path)?)));
        let (listener, file) = bound.map_err(|error| cannot_listen(path, error))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            access,
            file,
            lost: None,
            backoff: Backoff::default(),
        })
    }

    /// The next connection. What the host cannot give now (descriptors, memory) is asked for again after a pause.
    pub(crate) async fn accept(&mut self) -> UnixStream {
        loop {
            match timeout(LOOK, self.listener.accept()).await {
                Ok(Ok((stream, _))) => {
                    self.backoff.succeeded(&self.path);
                    return stream;
                }
                Ok(Err(error)) => tokio::time::sleep(self.backoff.failed(&self.path, &error)).await,
                // Nobody comes to a socket that has no name any more.
                Err(_) => self.keep_name(),
            }
        }
    }

    /// Makes the socket's file again where it is gone. What others have put there is left alone.
    fn keep_name(&mut self) {
        let lost = match file_at(&self.path) {
            Ok(found) if found == self.file => {
                self.lost = None;
                return;
            }
            Ok(_) => "something else has its name: remove that".to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match bind(&self.path, self.access)
                    .and_then(|listener| Ok((listener, file_at(&self.path)?)))
                {
                    Ok((listener, file)) => {
                        (self.listener, self.file, self.lost) = (listener, file, None);
                        warn!(
                            "the socket {} was removed, and is made again",
                            self.path.display()
                        );
                        return;
                    }
                    Err(error) => format!("it cannot be made again ({error})"),
                }
            }
            Err(error) => format!("it cannot be looked at ({error})"),
        };
        if self.lost.as_ref() != Some(&lost) {
            warn!(
                "the socket {} is gone, so that nobody can connect, and {lost}; this is tried again",
                self.path.display()
            );
            self.lost = Some(lost);
        }
    }

    /// How often a connection could not be accepted.
    pub(crate) fn failures(&self) -> u64 {
        self.backoff.failures
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if file_at(&self.path).is_ok_and(|found| found == self.file) {
            let _ = fs::remove_file(&self.path);
        }
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

    #[tokio::test]
    async fn a_socket_that_was_removed_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let mut listener = Listener::bind(&path, Access::Group).unwrap();
        fs::remove_file(&path).unwrap();
        let connect = async {
            loop {
                if let Ok(stream) = UnixStream::connect(&path).await {
                    return stream;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (_client, _server) = tokio::join!(connect, listener.accept());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        // Another's file is neither replaced nor removed.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        listener.keep_name();
        assert!(listener.lost.is_some());
        drop(listener);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
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
