//! A way out of this process that makes nobody wait: what is written is put into a bounded buffer, and a thread of the
//! outlet's own carries it to a file, a pipe or a terminal, which may be slow, or never read.
//!
//! Where the buffer is full, what is newly said is dropped and counted. Once that has begun it goes on until half of the
//! buffer is free: one gap instead of many, and whoever reads slowly has all up to there.

use rustix::event::{PollFd, PollFlags, poll};
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that may wait for a reader.
pub const WAITING_BYTES_MAX: usize = 4 << 20;
/// The thread writes pieces of this size, so that a slow reader is seen to read.
const PIECE_BYTES: usize = 4096;
/// At the end, a reader that took nothing for so long is taken to be none.
const STUCK: Duration = Duration::from_secs(1);
/// At the end, no reader is waited for any longer.
const FINISH_MAX: Duration = Duration::from_secs(60);

/// What there is to say about an outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// From now on, what is written is dropped.
    Begins,
    /// So much was dropped, and it is over; or the outlet is.
    Ends {
        /// Bytes.
        bytes: u64,
        /// Calls of [`Outlet::write`].
        pieces: u64,
    },
    /// Nothing can be written any more.
    Broken(ErrorKind),
}

/// Called for each [`Gap`]; what it returns is written at that place.
pub type Tell = fn(Gap) -> Option<String>;

/// The outlet. Its clones are the same one.
#[derive(Clone, Debug)]
pub struct Outlet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    tell: Tell,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<u8>,
    /// Bytes in the thread's hands.
    leaving: usize,
    /// Bytes that have left.
    left: u64,
    dropping: bool,
    gap: Dropped,
    /// Without the present gap.
    dropped: Dropped,
    /// Nothing more is written.
    ended: bool,
    /// Nothing more leaves.
    closed: bool,
}

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Bytes.
    pub bytes: u64,
    /// Calls of [`Outlet::write`].
    pub pieces: u64,
}

impl Outlet {
    /// Starts a thread that writes to `out`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new(
        name: &str,
        out: impl Write + AsFd + Send + 'static,
        tell: Tell,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            tell,
        });
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || theirs.work(out))?;
        Ok(Self { shared })
    }

    /// Takes bytes to be written, all or none of them. Never waits for a reader.
    pub fn write(&self, bytes: &[u8]) {
        let mut state = self.shared.lock();
        if state.ended || state.closed || bytes.is_empty() {
            return;
        }
        if !state.dropping && state.held() + bytes.len() > WAITING_BYTES_MAX {
            state.dropping = true;
            self.shared.tell(&mut state, Gap::Begins);
        }
        if state.dropping {
            state.gap.bytes += bytes.len() as u64;
            state.gap.pieces += 1;
            return;
        }
        state.waiting.extend(bytes);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// What was dropped so far.
    pub fn dropped(&self) -> Dropped {
        self.shared.lock().all_dropped()
    }

    /// Waits until all has been written, as long as somebody reads; returns what was dropped in all. Nothing can be
    /// written afterwards.
    pub fn finish(&self) -> Dropped {
        let end = Instant::now() + FINISH_MAX;
        let mut state = self.shared.lock();
        state.ended = true;
        self.shared.changed.notify_all();
        let mut left = state.left;
        let mut stuck = Instant::now() + STUCK;
        while !state.closed && state.held() > 0 {
            if state.left != left {
                left = state.left;
                stuck = Instant::now() + STUCK;
            }
            let wait = stuck.min(end).saturating_duration_since(Instant::now());
            if wait.is_zero() {
                state.gap.bytes += state.held() as u64;
                state.gap.pieces += 1;
                state.closed = true;
                state.waiting.clear();
                break;
            }
            state = (self.shared.changed.wait_timeout(state, wait))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        self.shared.end_gap(&mut state);
        state.all_dropped()
    }
}

impl State {
    fn held(&self) -> usize {
        self.waiting.len() + self.leaving
    }

    fn all_dropped(&self) -> Dropped {
        Dropped {
            bytes: self.dropped.bytes + self.gap.bytes,
            pieces: self.dropped.pieces + self.gap.pieces,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &mut State, gap: Gap) {
        if let Some(words) = (self.tell)(gap) {
            state.waiting.extend(words.as_bytes());
        }
    }

    fn end_gap(&self, state: &mut State) {
        state.dropping = false;
        let gap = std::mem::take(&mut state.gap);
        if gap != Dropped::default() {
            state.dropped.bytes += gap.bytes;
            state.dropped.pieces += gap.pieces;
            let Dropped { bytes, pieces } = gap;
            self.tell(state, Gap::Ends { bytes, pieces });
        }
    }

    fn work(&self, mut out: impl Write + AsFd) {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        loop {
            let mut state = self.lock();
            while state.waiting.is_empty() && !state.ended && !state.closed {
                state = (self.changed.wait(state)).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed || state.waiting.is_empty() {
                return;
            }
            let length = state.waiting.len().min(PIECE_BYTES);
            piece.clear();
            piece.extend(state.waiting.drain(..length));
            state.leaving = length;
            drop(state);
            let written = write_whole(&mut out, &piece);
            let mut state = self.lock();
            state.leaving = 0;
            match written {
                Ok(()) => state.left += length as u64,
                Err(error) => {
                    state.closed = true;
                    state.waiting = VecDeque::new();
                    self.tell(&mut state, Gap::Broken(error));
                }
            }
            if state.dropping && state.held() <= WAITING_BYTES_MAX / 2 {
                self.end_gap(&mut state);
            }
            drop(state);
            self.changed.notify_all();
        }
    }
}

/// Waits as long as it takes, also for what others have set to be non-blocking.
fn write_whole(out: &mut (impl Write + AsFd), mut bytes: &[u8]) -> Result<(), ErrorKind> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut wanted = [PollFd::new(out, PollFlags::OUT)];
                // An error here is one of the next write, too.
                let _ = poll(&mut wanted, None);
            }
            Err(error) => return Err(error.kind()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
