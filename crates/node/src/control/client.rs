//! The asking side of a control socket. Whoever listens there, it costs a bounded time and memory, and one sentence says what
//! is wrong.

use super::request::{Answer, Request};
use anyhow::{Context, anyhow, bail};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::Pid;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use thiserror::Error;

/// A node answers within this time, or is stopped or stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// An answer is one line of at most so many bytes; that to `status` has some thousand.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why a node gave no answer, in a sentence.
#[derive(Debug, Error)]
pub enum NoAnswer {
    /// Nobody listens at its socket.
    #[error("{0}")]
    NotRunning(String),
    /// It is there, and says nothing.
    #[error("{0}")]
    Mute(String),
}

/// Asks the node at `socket`, and returns its answer with what else it may say.
pub(super) fn ask(
    socket: &Path,
    request: Request,
) -> anyhow::Result<(Answer, BufReader<UnixStream>)> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    let unheard = |error: io::Error| explain(socket, error, None);
    let mut stream = connect_within(socket, ANSWER_WITHIN).map_err(unheard)?;
    let process = socket_peercred(&stream).ok().map(|peer| peer.pid);
    let failed = |error: io::Error| explain(socket, error, process);
    let mut line = serde_json::to_string(&request).context("a request is plain values")?;
    line.push('\n');
    // A node that turns its client away does not hear it, but has answered.
    let asked = stream.write_all(line.as_bytes());
    let mut stream = BufReader::new(stream);
    let line = read_line(&mut stream, deadline).map_err(failed)?;
    if line.is_empty() {
        asked.map_err(failed)?;
        bail!(
            "the node at {} closed the connection without an answer: it is ending, or something else listens there",
            socket.display()
        );
    }
    let answer: Answer = serde_json::from_slice(&line).with_context(|| {
        format!(
            "what listens at {} gives no answer of a node",
            socket.display()
        )
    })?;
    if let Some(error) = answer.error {
        bail!("the node refuses: {error}");
    }
    Ok((answer, stream))
}

/// Connects. Somebody who is stopped takes as many connections as wait for him to, and then keeps others waiting.
fn connect_within(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// The first line, up to the end of its time, of its room, or of the connection.
fn read_line(stream: &mut BufReader<UnixStream>, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.get_ref().set_read_timeout(Some(left))?;
        let piece = match stream.fill_buf() {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // It went away with our request unread, and said nothing before.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        };
        let end = piece.iter().position(|&byte| byte == b'\n');
        let length = end.map_or(piece.len(), |end| end + 1);
        if line.len() + length > ANSWER_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        line.extend(&piece[..length]);
        stream.consume(length);
    }
    Ok(line)
}

/// Whether a process is stopped, by a signal or a debugger.
fn is_stopped(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    // Its name, which may hold anything, ends at the last parenthesis.
    let state = stat.ok().and_then(|stat| {
        let (_, rest) = stat.rsplit_once(')')?;
        rest.trim_start().chars().next()
    });
    matches!(state, Some('T' | 't'))
}

/// What an error on the way to an answer of `process` means, and what to do.
fn explain(path: &Path, error: io::Error, process: Option<Pid>) -> anyhow::Error {
    let socket = path.display();
    let not_running = |words: String| anyhow::Error::new(NoAnswer::NotRunning(words));
    match error.kind() {
        ErrorKind::PermissionDenied => anyhow!(
            "this user may not use the control socket {socket}: ask as the node's user or as root, or look only, at its `node.control_look`"
        ),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            let why = match process.filter(|process| is_stopped(*process)) {
                Some(process) => format!(
                    "its process {process} is stopped; `kill -CONT {process}` lets it go on"
                ),
                None => "is its process stopped, or its host overloaded?".to_owned(),
            };
            anyhow::Error::new(NoAnswer::Mute(format!(
                "the node at {socket} does not answer within {} s: {why}",
                ANSWER_WITHIN.as_secs()
            )))
        }
        ErrorKind::FileTooLarge => anyhow!(
            "what listens at {socket} is no node: its answer does not end within {ANSWER_BYTES_MAX} bytes"
        ),
        ErrorKind::ConnectionRefused
            if !fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) =>
        {
            anyhow!(
                "no node answers at {socket}: it is no socket; give the one that the node's `node.control` names"
            )
        }
        ErrorKind::ConnectionRefused => not_running(format!(
            "no node answers at {socket}: nobody listens there any more; is `futago node` running?"
        )),
        ErrorKind::NotFound => not_running(format!(
            "no node answers at {socket}; is `futago node` running with this control socket? {error}"
        )),
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => {
            anyhow!("{socket} is no control socket: a socket's path has at most 107 bytes")
        }
        _ => anyhow::Error::new(error).context(format!(
            "no node answers at {socket}; is `futago node` running with this control socket?"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// What is said of somebody who listens and does `what` with the first connection.
    fn said_of(what: impl FnOnce(UnixListener) + Send + 'static) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let other = std::thread::spawn(move || what(listener));
        let error = ask(&path, Request::Status).unwrap_err();
        // Whoever writes without end finds that nobody reads any more.
        other.join().unwrap();
        format!("{error:#}")
    }

    #[test]
    fn whoever_listens_is_named_for_what_it_is() {
        let accept = |listener: UnixListener| listener.accept().unwrap().0;
        for (said, expected) in [
            (
                said_of(move |listener| {
                    let mut stream = accept(listener);
                    while stream.write_all(&[b'x'; 4096]).is_ok() {}
                }),
                "does not end within 1048576 bytes",
            ),
            (
                said_of(move |listener| drop(accept(listener))),
                "without an answer",
            ),
            (
                said_of(move |listener| accept(listener).write_all(b"hello\n").unwrap()),
                "no answer of a node",
            ),
            (
                said_of(move |listener| {
                    let mut stream = accept(listener);
                    while stream.write_all(b"x").is_ok() {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }),
                "does not answer within 2 s",
            ),
        ] {
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_node_that_is_stopped_keeps_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 4).unwrap();
        let mute = format!("{:#}", ask(&path, Request::Stop).unwrap_err());
        assert!(mute.contains("does not answer within 2 s"), "{mute}");
        // The queue of connections is full at some time; those in it are not even accepted.
        let mut queue = Vec::new();
        let full = loop {
            match connect_within(&path, Duration::from_millis(1)) {
                Ok(stream) => queue.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        let mute = format!("{:#}", ask(&path, Request::Stop).unwrap_err());
        assert!(mute.contains("does not answer within 2 s"), "{mute}");
    }

    #[test]
    fn where_nobody_listens_it_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        drop(UnixListener::bind(path("dead")).unwrap());
        fs::write(path("file"), "").unwrap();
        for (name, expected) in [
            ("dead", "nobody listens there"),
            ("file", "it is no socket"),
            ("none", "No such file"),
        ] {
            let said = format!("{:#}", ask(&path(name), Request::Status).unwrap_err());
            assert!(
                said.contains("no node answers") && said.contains(expected),
                "{said}"
            );
        }
        let denied = explain(&path("dead"), ErrorKind::PermissionDenied.into(), None).to_string();
        assert!(denied.contains("as the node's user or as root"), "{denied}");
    }
}
