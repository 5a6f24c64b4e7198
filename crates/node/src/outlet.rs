//! A way out of this process that makes nobody wait: what is written is put into a bounded buffer, and a thread of the
//! outlet's own carries it to a file, a pipe or a terminal, which may be slow, or never read.
//!
//! Where the buffer is full, what is newly said is dropped and counted. Once that has begun it goes on until half of the
//! buffer is free: one gap instead of many, and whoever reads slowly has all up to there.
//!
//! What cannot be written (a full disk) waits in the same way, and is tried again until it can be. Only a reader that is
//! gone does not come back.

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
/// What could not be written is tried again after so long.
const RETRY: Duration = Duration::from_millis(500);
/// That it cannot be written is told so often at most.
const FAILURE_TOLD_EVERY: Duration = Duration::from_secs(60);
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
        /// Why nothing could be written meanwhile, unless it was only slow.
        why: Option<ErrorKind>,
    },
    /// Nothing can be written now. It is tried again.
    Fails(ErrorKind),
    /// Nothing can be written any more.
    Broken(ErrorKind),
}

/// Called with the outlet's name for each [`Gap`]; what it returns is written at that place.
pub type Tell = fn(&str, Gap) -> Option<String>;

/// The outlet. Its clones are the same one.
#[derive(Clone, Debug)]
pub struct Outlet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    name: String,
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
    /// The last error, until something is written again.
    failing: Option<ErrorKind>,
    /// An error during the present gap.
    why: Option<ErrorKind>,
    /// The first error that something was lost to.
    lost_to: Option<ErrorKind>,
    /// When it was last told that nothing can be written.
    told: Option<Instant>,
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
    /// Starts a thread that writes to `out`. `name` says to people what that is.
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
            name: name.to_owned(),
            tell,
        });
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("outlet".to_owned())
            .spawn(move || theirs.work(out))?;
        Ok(Self { shared })
    }

    /// Takes bytes to be written, all or none of them. Never waits for a reader.
    pub fn write(&self, bytes: &[u8]) {
        let mut state = self.shared.lock();
        if state.ended || bytes.is_empty() {
            return;
        }
        if !state.dropping && state.held() + bytes.len() > WAITING_BYTES_MAX {
            state.dropping = true;
            self.shared.tell(&mut state, Gap::Begins);
        }
        if state.dropping {
            state.drop_piece(bytes.len());
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
                state.close();
                break;
            }
            state = (self.shared.changed.wait_timeout(state, wait))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        self.shared.end_gap(&mut state);
        state.all_dropped()
    }

    /// The error that something was lost to, if it was not for a reader's slowness alone.
    pub fn lost_to(&self) -> Option<ErrorKind> {
        self.shared.lock().lost_to
    }
}

impl State {
    fn held(&self) -> usize {
        self.waiting.len() + self.leaving
    }

    fn drop_piece(&mut self, length: usize) {
        self.gap.bytes += length as u64;
        self.gap.pieces += 1;
        self.why = self.why.or(self.failing);
        self.lost_to = self.lost_to.or(self.failing);
    }

    /// Nothing more leaves: what waits is lost, and what is written from here on.
    fn close(&mut self) {
        if self.held() > 0 {
            self.drop_piece(self.held());
        }
        self.waiting = VecDeque::new();
        self.leaving = 0;
        self.closed = true;
        self.dropping = true;
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
        if let Some(words) = (self.tell)(&self.name, gap)
            && !state.closed
        {
            state.waiting.extend(words.as_bytes());
        }
    }

    fn end_gap(&self, state: &mut State) {
        state.dropping = state.closed;
        let why = state.why.take();
        let gap = std::mem::take(&mut state.gap);
        if gap != Dropped::default() {
            state.dropped.bytes += gap.bytes;
            state.dropped.pieces += gap.pieces;
            let Dropped { bytes, pieces } = gap;
            self.tell(state, Gap::Ends { bytes, pieces, why });
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
            while state.leaving > 0 {
                let (begin, last) = (length - state.leaving, state.ended);
                drop(state);
                let written = write_some(&mut out, &piece[begin..]);
                state = self.lock();
                if state.closed {
                    return;
                }
                match written {
                    Ok(written) => {
                        state.leaving -= written;
                        state.left += written as u64;
                        state.failing = None;
                    }
                    Err(error) => state = self.failed(state, error, last),
                }
            }
            if state.dropping && !state.closed && state.held() <= WAITING_BYTES_MAX / 2 {
                self.end_gap(&mut state);
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits until it is worth to try again, or closes the outlet.
    fn failed<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        error: ErrorKind,
        last: bool,
    ) -> MutexGuard<'a, State> {
        state.failing = Some(error);
        if error == ErrorKind::BrokenPipe || last {
            state.close();
            self.tell(&mut state, Gap::Broken(error));
            return state;
        }
        let now = Instant::now();
        if (state.told).is_none_or(|told| now.duration_since(told) >= FAILURE_TOLD_EVERY) {
            state.told = Some(now);
            self.tell(&mut state, Gap::Fails(error));
        }
        (self.changed)
            .wait_timeout_while(state, RETRY, |state| !state.ended && !state.closed)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

/// Writes at least one byte. Waits as long as it takes, also for what others have set to be non-blocking.
fn write_some(out: &mut (impl Write + AsFd), bytes: &[u8]) -> Result<usize, ErrorKind> {
    loop {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero),
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut wanted = [PollFd::new(out, PollFlags::OUT)];
                // An error here is one of the next write, too.
                let _ = poll(&mut wanted, None);
            }
            Err(error) => return Err(error.kind()),
        }
    }
}

#[cfg(test)]
mod tests;
