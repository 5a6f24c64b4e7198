//! Clients that keep a redis in the guest busy, and hold it to its word: each counts up a key of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

/// Clients that wait for each reply before they ask again.
const ASKERS: usize = 2;
/// One more sends so many requests at a time,
const BATCH: u64 = 16;
/// and so often.
const BATCH_EVERY: Duration = Duration::from_millis(20);
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The clients at work.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    heard: Mutex<Heard>,
}

/// What clients heard since the last look.
#[derive(Default)]
pub(super) struct Heard {
    /// Requests that were answered.
    pub(super) operations: u64,
    /// Milliseconds that each waited who asks one thing at a time.
    pub(super) waits_ms: Vec<f64>,
    /// Requests whose effect was gone when the next was answered, since the start.
    pub(super) lost: u64,
}

impl Load {
    pub(super) fn start(redis: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let mut clients = Vec::new();
        for number in 0..=ASKERS {
            let shared = Arc::clone(&shared);
            let batch = if number == ASKERS { BATCH } else { 1 };
            clients.push(thread::spawn(move || {
                shared.ask(redis, &format!("link{number}"), batch)
            }));
        }
        Self { shared, clients }
    }

    /// What was heard since this was asked before.
    pub(super) fn take(&self) -> Heard {
        let mut heard = self.shared.heard();
        let lost = heard.lost;
        let taken = std::mem::take(&mut *heard);
        heard.lost = lost;
        taken
    }

    /// Ends the clients; fails if one of them failed.
    pub(super) fn stop(self) -> Result<()> {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        Ok(())
    }
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, redis: SocketAddr, key: &str, batch: u64) -> Result<()> {
        let mut connection =
            TcpStream::connect_timeout(&redis, ANSWER_MAX).context("cannot reach redis")?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(ANSWER_MAX))?;
        let mut answers = BufReader::new(connection.try_clone()?);
        let request = format!("INCR {key}\r\n").repeat(batch as usize);
        let mut last = None;
        while !self.over.load(Ordering::Relaxed) {
            let begin = Instant::now();
            connection.write_all(request.as_bytes())?;
            let mut lost = 0;
            for _ in 0..batch {
                let mut answer = String::new();
                (answers.read_line(&mut answer)).context("a request was not answered")?;
                let value = answer
                    .strip_prefix(':')
                    .and_then(|value| value.trim().parse().ok());
                let value: u64 = value.with_context(|| format!("redis said {answer:?}"))?;
                let wanted = last.map_or(value, |last: u64| last + 1);
                ensure!(value <= wanted, "redis counted a request twice");
                lost += wanted - value;
                last = Some(value);
            }
            let waited = begin.elapsed();
            let mut heard = self.heard();
            heard.operations += batch;
            heard.lost += lost;
            if batch == 1 {
                heard.waits_ms.push(waited.as_secs_f64() * 1e3);
            }
            drop(heard);
            if batch > 1 {
                thread::sleep(BATCH_EVERY.saturating_sub(waited));
            }
        }
        Ok(())
    }
}
