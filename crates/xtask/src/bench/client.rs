//! A client that adds one as fast as replies come, on one connection, believes nobody, and times everything.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const REQUEST: &[u8] = b"INCR siege\r\n";
/// A reply that takes longer than this will not come any more.
const REPLY_MAX: Duration = Duration::from_secs(60);

/// What a client has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Replies.
    pub(super) operations: u64,
    /// Increments that were acknowledged and then forgotten.
    pub(super) lost: u64,
    /// Increments that were done, or told, more than once.
    pub(super) repeated: u64,
    /// Connections that broke, and what broke the last one.
    pub(super) broken: u64,
    pub(super) error: Option<String>,
    /// The number in the last reply, and when it came.
    last: u64,
    replied: Option<Instant>,
    /// Longest time between two replies since the last look.
    silence: Duration,
}

impl Seen {
    fn take(&mut self, number: u64, now: Instant) {
        let expected = self.last + 1;
        if number == self.last {
            self.repeated += 1;
        } else if number < expected {
            self.lost += expected - number;
        } else {
            self.repeated += number - expected;
        }
        self.operations += 1;
        self.last = number;
        if let Some(before) = self.replied.replace(now) {
            self.silence = self.silence.max(now - before);
        }
    }
}

/// A thread with one TCP connection.
pub(super) struct Client {
    seen: Arc<Mutex<Seen>>,
    connection: TcpStream,
    thread: JoinHandle<()>,
}

impl Client {
    /// Connects, and begins; the counter starts at none.
    pub(super) fn start(server: SocketAddr) -> Result<Self> {
        let context = || format!("cannot connect to the guest's redis at {server}");
        let connection = TcpStream::connect(server).with_context(context)?;
        connection.set_nodelay(true).with_context(context)?;
        connection
            .set_read_timeout(Some(REPLY_MAX))
            .with_context(context)?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let stream = connection.try_clone().with_context(context)?;
        let thread = std::thread::Builder::new()
            .name("client".to_owned())
            .spawn(move || {
                if let Err(error) = work(stream, &shared) {
                    let mut seen = lock(&shared);
                    seen.broken += 1;
                    seen.error = Some(format!("{error:#}"));
                }
            })?;
        Ok(Self {
            seen,
            connection,
            thread,
        })
    }

    /// What it has seen so far.
    pub(super) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// The longest silence since the last look, one that still lasts included; begins a new look.
    pub(super) fn take_silence(&self) -> Duration {
        let mut seen = lock(&self.seen);
        let still = seen.replied.map_or(Duration::ZERO, |then| then.elapsed());
        std::mem::take(&mut seen.silence).max(still)
    }

    /// Ends the connection in good order.
    pub(super) fn finish(self) -> Seen {
        // The reply on its way then meets the end of the stream, which `work` knows from a broken one.
        let _ = self.connection.shutdown(Shutdown::Write);
        // A client that panicked has not seen what it should have: its counts show that.
        let _ = self.thread.join();
        lock(&self.seen).clone()
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    // Nothing within can panic half-way through a change.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(mut stream: TcpStream, seen: &Mutex<Seen>) -> Result<()> {
    let mut replies = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        match stream.write_all(REQUEST) {
            // Our own end of it was closed.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            sent => sent.context("a request could not be sent")?,
        }
        line.clear();
        if replies.read_line(&mut line).context("no reply came")? == 0 {
            bail!("the connection was closed");
        }
        let number = line.strip_prefix(':').map(str::trim_end);
        let number = number
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("redis answered {line:?} instead of a number"))?;
        lock(seen).take(number, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_once_is_neither_forgotten_nor_told_again() {
        for (replies, lost, repeated) in [
            (&[1, 2, 3][..], 0, 0),
            (&[1, 2, 2, 3], 0, 1),
            (&[1, 2, 3, 2, 3], 2, 0),
            (&[1, 2, 4], 0, 1),
        ] {
            let mut seen = Seen::default();
            for &number in replies {
                seen.take(number, Instant::now());
            }
            assert_eq!((seen.lost, seen.repeated), (lost, repeated), "{replies:?}");
        }
    }
}
