//! The primary's side of a backup: one stream, from the snapshot that it starts from to the day it ends.

use crate::config::Mutation;
use crate::flight::{Acknowledgement, Batch, Flight};
use crate::message::Message;
use crate::pacing::Refusal;
use crate::pairing::{Progress, Stage};
use crate::shared::Shared;
use crate::sharing::Sharing;
use crate::slow::{BRAKE_FOR_JOINER_MAX, Pace};
use crate::time::{Duration, Instant};
use crate::types::{Epoch, HostId, LogIndex, NodeId, TransferId};
use crate::window::Window;
use bytes::Bytes;

/// On a link that loses messages, so many signs of life are given in the time of one.
const HEARTBEATS_WHERE_LOSSY: u64 = 3;
/// A transfer has got further when so many more bytes of its state were sent.
const PROGRESS_BYTES_MIN: u64 = 64 << 10;

/// A backup, and the log that streams to it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) peer: NodeId,
    pub(crate) host: HostId,
    pub(crate) transfer: TransferId,
    /// The `Join` that this answers.
    pub(crate) attempt: u64,
    pub(crate) window: Window,
    pub(crate) flight: Flight,
    /// The state was restored and its digest agreed.
    pub(crate) ready: bool,
    /// The newest epoch that the backup has answered in.
    pub(crate) answered_in: Epoch,
    /// The record said so once: it has caught up before.
    pub(crate) protects: bool,
    /// The epoch under which the stream began: older ones say nothing about it.
    begun_in: Epoch,
    begun: Instant,
    /// When the transfer last got further, the bytes of the state that were sent then, and the last entry replayed.
    progressed: Instant,
    progress_bytes: u64,
    /// The smallest lag since the state was there, in time and in entries, and when either last became smaller.
    least_lag: (Duration, u64),
    nearer: Instant,
    pub(crate) pace: Pace,
    sharing: Sharing,
    /// When the log last came to the backup, or nothing waited that it had room for.
    moved: Instant,
    /// Since when outputs are held back for it.
    pub(crate) closing: Option<Instant>,
    first: LogIndex,
    heard: Instant,
    sent: Instant,
    answered: bool,
    disconnected: Option<Instant>,
    finished: Option<Refusal>,
}

/// What an owner says of itself in each message of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) epoch: Epoch,
    pub(crate) released: LogIndex,
    pub(crate) paired: bool,
}

/// Why a backup is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is silent, or its channel is gone: it may come back.
    Silent,
    /// It diverged, left, fell too far behind, or claims that this primary is superseded.
    Certain,
}

impl Stream {
    /// Begins the stream of a snapshot that was just taken.
    pub(crate) fn begin(
        shared: &mut Shared,
        (peer, host, transfer, attempt): (NodeId, HostId, TransferId, u64),
        epoch: Epoch,
        first: LogIndex,
    ) -> Self {
        let stream = Self {
            peer,
            host,
            transfer,
            attempt,
            window: Window::new(first),
            flight: Flight::new(first, shared.now),
            ready: false,
            answered_in: Epoch(0),
            protects: false,
            begun_in: epoch,
            begun: shared.now,
            progressed: shared.now,
            progress_bytes: 0,
            least_lag: (Duration::MAX, u64::MAX),
            nearer: shared.now,
            pace: Pace::default(),
            sharing: Sharing::new(shared.now),
            moved: shared.now,
            closing: None,
            first,
            heard: shared.now,
            sent: shared.now,
            answered: false,
            disconnected: None,
            finished: None,
        };
        stream.send_start(shared);
        stream
    }

    fn send_start(&self, shared: &mut Shared) {
        let message = Message::TransferStart {
            epoch: self.begun_in,
            transfer: self.transfer,
            attempt: self.attempt,
            from: self.first,
        };
        shared.send(self.peer, message);
    }

    /// The backup asks again: it may not have heard the answer.
    pub(crate) fn answer_again(&mut self, shared: &mut Shared) {
        self.heard = shared.now;
        if !self.answered {
            self.send_start(shared);
        }
    }

    /// Takes in new entries and sends them.
    pub(crate) fn append(
        &mut self,
        shared: &mut Shared,
        owner: Owner,
        entries: &[Bytes],
        marked: bool,
    ) {
        self.window.push(shared.now, entries, &shared.config.bounds);
        if marked {
            self.flight.urge(self.window.last());
        }
        self.send(shared, owner);
    }

    /// Sends what is lost and what is new, as far as the backup and the path have room for it.
    fn send(&mut self, shared: &mut Shared, owner: Owner) {
        if self.disconnected.is_some() {
            return;
        }
        while let Some(batch) = self.flight.next(shared.now, &self.window, &shared.config) {
            self.sent = shared.now;
            let Batch {
                first,
                entries,
                urgent,
                stamp,
            } = batch;
            let message = Message::Append {
                epoch: owner.epoch,
                transfer: self.transfer,
                first,
                entries,
                released: owner.released,
                urgent,
                stamp,
            };
            if !self.ready {
                self.sharing.log_sent(message.entry_bytes());
            }
            shared.send(self.peer, message);
        }
    }

    /// Does what is due: looks for what is lost, and says that the primary lives.
    pub(crate) fn on_timeout(&mut self, shared: &mut Shared, owner: Owner) {
        self.flight.on_time(shared.now, &shared.config);
        self.send(shared, owner);
        if self.heartbeat_at(shared) <= shared.now {
            self.heartbeat(shared, owner, self.flight.path().is_lossy());
        }
    }

    /// Says that the primary lives, and, if `urgent`, wants to hear from the backup at once.
    pub(crate) fn heartbeat(&mut self, shared: &mut Shared, owner: Owner, urgent: bool) {
        self.sent = shared.now;
        let stamp = self.flight.stamp(shared.now);
        let message = Message::Heartbeat {
            epoch: owner.epoch,
            transfer: self.transfer,
            last: self.window.last(),
            released: owner.released,
            paired: owner.paired,
            urgent,
            stamp,
        };
        shared.send(self.peer, message);
    }

    /// Whether a message of this stream, said under `epoch`, is the backup's.
    pub(crate) fn is_from(&self, from: NodeId, transfer: TransferId) -> bool {
        self.peer == from && self.transfer == transfer
    }

    /// Takes in an acknowledgement; `now_owner` bounds the epochs that it may have been said under.
    pub(crate) fn acknowledge(
        &mut self,
        shared: &mut Shared,
        owner: Owner,
        said: &Acknowledgement,
    ) {
        if said.epoch < self.begun_in || said.epoch > owner.epoch {
            return;
        }
        if self.is_quiet(shared) {
            // What did not come while nothing was heard either says nothing about what the path takes.
            self.moved = shared.now;
        }
        self.heard = shared.now;
        self.answered = true;
        self.answered_in = self.answered_in.max(said.epoch);
        let (held_before, replayed_before) = (self.window.acknowledged(), self.window.replayed());
        if !self.window.acknowledge(said.held, said.replayed) {
            return;
        }
        let replays = said.replayed > replayed_before;
        if said.held > held_before {
            self.moved = shared.now;
        }
        if replays || said.ready {
            self.progressed = shared.now;
        }
        self.ready |= said.ready;
        self.flight.acknowledge(shared.now, &shared.config, said);
        self.send(shared, owner);
    }

    /// So much of the state was sent, out of `total`. Little steps are none: a peer that takes a few bytes now and then would hold the
    /// place of one that could be a backup.
    pub(crate) fn sent_bytes(&mut self, now: Instant, bytes: u64, total: u64) {
        self.sharing.state_sent(now, bytes, total);
        if bytes >= self.progress_bytes.saturating_add(PROGRESS_BYTES_MIN) {
            self.progress_bytes = bytes;
            self.progressed = now;
        }
    }

    /// Gives it up for what time shows: no progress, outputs held back in vain, or a lag that does not shrink.
    pub(crate) fn judge(&mut self, shared: &mut Shared) {
        let (now, times) = (shared.now, &shared.config.times);
        if !self.ready && self.stalls_at(shared) <= now {
            self.finish(Refusal::Stalled);
        }
        let waited = |since: Instant| now.since(since) >= times.closing_max;
        let lag = self.lag(now);
        let (least, least_entries) = self.least_lag;
        let entries = self.window.unreplayed();
        // Where the log is dense, fewer entries may be left although they are older.
        if !self.ready || lag < least || entries < least_entries {
            self.nearer = now;
        }
        if self.ready {
            self.least_lag = (lag.min(least), entries.min(least_entries));
        }
        let long = now.since(self.nearer) >= times.slow;
        let catches_up = self.protects || lag <= times.lag_max || !long;
        // Only the path is judged by this. One that has no room, or does not replay, is slow, and a matter of policy.
        let waits = self.window.first_bytes();
        let waits = waits.is_some_and(|bytes| self.flight.has_room_for(bytes));
        if !self.ready || !waits {
            self.moved = now;
        }
        let stands = now.since(self.moved) >= times.stall;
        let policy = shared.config.slow_backup;
        let slow = self.pace.gives_up(policy) && !shared.mutated(Mutation::KeepSlowBackup);
        if slow || stands || !catches_up || self.closing.is_some_and(waited) {
            self.finish(Refusal::TooSlow);
        }
    }

    /// How far the backup's replay is behind, beyond what the path to it takes anyway.
    pub(crate) fn lag(&self, now: Instant) -> Duration {
        let trip = self.flight.path().trip_usual();
        self.window.lag(now) - trip
    }

    fn stalls_at(&self, shared: &Shared) -> Instant {
        let times = &shared.config.times;
        if shared.mutated(Mutation::TransferByAge) {
            return self.begun.after(times.transfer_stall);
        }
        self.progressed.after(times.transfer_stall)
    }

    /// The backup said that it is no use any more.
    pub(crate) fn finish(&mut self, why: Refusal) {
        self.finished.get_or_insert(why);
    }

    pub(crate) fn disconnected(&mut self, shared: &Shared) {
        self.disconnected.get_or_insert(shared.now);
    }

    pub(crate) fn connected(&mut self, shared: &mut Shared, owner: Owner) {
        self.disconnected = None;
        self.flight.restart(shared.now);
        self.send(shared, owner);
        self.heartbeat(shared, owner, true);
    }

    /// The node itself stood still: the silence of its peer until now proves nothing.
    pub(crate) fn forgive(&mut self, shared: &Shared) {
        self.heard = shared.now;
        self.progressed = shared.now;
        self.nearer = shared.now;
        self.moved = shared.now;
        self.pace.forgive();
        if let Some(closing) = &mut self.closing {
            *closing = shared.now;
        }
        if let Some(disconnected) = &mut self.disconnected {
            *disconnected = shared.now;
        }
    }

    /// When this backup will have to be suspected, if it says nothing.
    pub(crate) fn suspect_at(&self, shared: &Shared) -> Instant {
        let times = &shared.config.times;
        let silence = if self.ready {
            times.suspect_backup
        } else {
            times.suspect_in_transfer
        };
        let mut at = self.heard.after(silence);
        if !self.ready {
            at = at.min(self.stalls_at(shared));
        }
        if let Some(disconnected) = self.disconnected {
            at = at.min(disconnected.after(times.suspect_disconnected));
        }
        at
    }

    pub(crate) fn cause(&self, shared: &Shared) -> Option<Cause> {
        if self.failure().is_some() {
            Some(Cause::Certain)
        } else if self.suspect_at(shared) <= shared.now {
            Some(Cause::Silent)
        } else {
            None
        }
    }

    /// Why this backup is certainly of no use any more, if it is so.
    pub(crate) fn failure(&self) -> Option<Refusal> {
        let too_slow = self.window.overflowed().then_some(Refusal::TooSlow);
        self.finished.or(too_slow)
    }

    /// When something of the primary's own is due. Where the link loses messages, signs of life are more, so that no
    /// run of losses looks like a death.
    pub(crate) fn due(&self, shared: &Shared) -> Instant {
        let flight = match self.disconnected {
            Some(_) => None,
            None => self.flight.deadline(),
        };
        let beat = self.heartbeat_at(shared);
        flight.map_or(beat, |due| due.min(beat))
    }

    fn heartbeat_at(&self, shared: &Shared) -> Instant {
        let times = match self.flight.path().is_lossy() {
            true => HEARTBEATS_WHERE_LOSSY,
            false => 1,
        };
        self.sent.after(shared.config.times.heartbeat / times)
    }

    /// Whether a backup that is ready would be suspected now.
    fn is_quiet(&self, shared: &Shared) -> bool {
        !self.answered || self.heard.after(shared.config.times.suspect_backup) <= shared.now
    }

    /// How hard to brake for this backup, in thousandths.
    pub(crate) fn brake(&self, shared: &Shared) -> u16 {
        let restoring = !self.ready;
        let (trip, share) = match restoring && self.is_quiet(shared) {
            // Perhaps it is gone: the guest is not slowed down for it.
            true => (Duration::MAX, 0),
            false if self.sharing.is_in_vain() && shared.mutated(Mutation::BrakeInVain) => {
                (Duration::ZERO, BRAKE_FOR_JOINER_MAX)
            }
            false => (self.flight.path().trip_usual(), self.sharing.brake()),
        };
        let brake = (self.window).brake(shared.now, &shared.config, restoring, trip);
        match restoring {
            true => brake.max(share),
            false => brake,
        }
    }

    /// What the pairing table asks about this stream; `sync` is the point chosen, if any.
    pub(crate) fn progress(&self, shared: &Shared, sync: Option<LogIndex>) -> Progress {
        let bounds = &shared.config.bounds;
        Progress {
            stage: match sync {
                None => Stage::Copying,
                Some(_) => Stage::Closing,
            },
            suspected: self.cause(shared).is_some(),
            ready: self.ready,
            near: self.window.unacknowledged() <= bounds.pair_unacknowledged_max
                && self.window.unreplayed() <= bounds.pair_unreplayed_max
                && self.lag(shared.now) <= shared.config.times.lag_max,
            reached: sync.is_some_and(|sync| self.window.acknowledged() >= sync),
        }
    }
}
