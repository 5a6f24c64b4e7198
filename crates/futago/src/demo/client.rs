//! The one client of the story: it adds one as fast as replies come, and believes nobody.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const REQUEST: &[u8] = b"INCR futago\r\n";
/// A reply that takes longer than this will not come any more.
const REPLY_MAX: Duration = Duration::from_secs(60);

/// What the client has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Replies, and the number in the last one.
    pub(crate) operations: u64,
    pub(crate) last: u64,
    /// Increments that were acknowledged and then forgotten.
    pub(crate) lost: u64,
    /// Increments that were done more than once, or told more than once.
    pub(crate) repeated: u64,
    /// Connections that broke.
    pub(crate) broken: u64,
    /// What broke it.
    pub(crate) error: Option<String>,
    /// When the last reply came.
    replied: Option<Instant>,
    /// Longest time between two replies since [`Client::watch_gap`].
    gap: Duration,
}

impl Seen {
    /// Judges one reply.
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
            self.gap = self.gap.max(now - before);
        }
    }

    /// Whether anything happened that must not.
    pub(crate) fn is_wronged(&self) -> bool {
        self.lost + self.repeated + self.broken > 0
    }
}

/// A thread with one TCP connection.
pub(crate) struct Client {
    seen: Arc<Mutex<Seen>>,
    connection: TcpStream,
    thread: JoinHandle<()>,
}

impl Client {
    /// Connects, and begins.
    pub(crate) fn start(server: SocketAddr) -> Result<Self> {
        let context = || format!("cannot connect to the guest's redis at {server}");
        let connection = TcpStream::connect(server).with_context(context)?;
        connection.set_nodelay(true).with_context(context)?;
        connection
            .set_read_timeout(Some(REPLY_MAX))
            .with_context(context)?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, stream) = (
            Arc::clone(&seen),
            connection.try_clone().with_context(context)?,
        );
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
    pub(crate) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// From now on, looks for the longest time between two replies; the first of them may have come already.
    pub(crate) fn watch_gap(&self) {
        lock(&self.seen).gap = Duration::ZERO;
    }

    /// The longest time between two replies since [`Client::watch_gap`].
    pub(crate) fn gap(&self) -> Duration {
        lock(&self.seen).gap
    }

    /// Ends the connection in good order.
    pub(crate) fn finish(self) -> Seen {
        // The reply on its way then meets the end of the stream, which `work` knows from a broken one.
        let _ = self.connection.shutdown(std::net::Shutdown::Write);
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
            // Our own end of it was closed: the story is over.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            sent => sent.context("a request could not be sent")?,
        }
        line.clear();
        let length = replies.read_line(&mut line).context("no reply came")?;
        if length == 0 {
            bail!("the connection was closed");
        }
        let number = line
            .strip_prefix(':')
            .and_then(|number| number.trim_end().parse().ok());
        let number =
            number.with_context(|| format!("redis answered {line:?} instead of a number"))?;
        lock(seen).take(number, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(replies: &[u64], lost: u64, repeated: u64) {
        let mut seen = Seen::default();
        for &number in replies {
            seen.take(number, Instant::now());
        }
        assert_eq!((seen.lost, seen.repeated), (lost, repeated), "{replies:?}");
        assert_eq!(seen.is_wronged(), lost + repeated > 0);
    }

    #[test]
    fn whoever_was_told_11_must_not_be_told_10_nor_11_again() {
        check(&[1, 2, 3], 0, 0);
        check(&[1, 2, 2, 3], 0, 1);
        check(&[1, 2, 3, 2, 3], 2, 0);
        check(&[1, 2, 4], 0, 1);
    }
}
