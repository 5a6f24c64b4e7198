//! What a backup holds, and what follows from that alone.

use super::arrivals::Arrivals;
use crate::action::{Action, HaltReason};
use crate::arbitration::Inquiry;
use crate::config::Mutation;
use crate::look;
use crate::message::{LeaveReason, Message, Room};
use crate::shared::Shared;
use crate::time::Instant;
use crate::turn::{Following, Next};
use crate::types::{Epoch, LogIndex, NodeId, TransferId};
use bytes::Bytes;
use std::collections::VecDeque;

/// A backup, from the start of its state transfer until it leaves, or tries to take over.
#[derive(Debug)]
pub(crate) struct Backup {
    pub(crate) primary: NodeId,
    pub(crate) transfer: TransferId,
    /// The newest epoch that the primary has told.
    pub(crate) epoch: Epoch,
    /// Whether the primary says that the record is PAIR: for the status only.
    pub(crate) paired: bool,
    /// The primary's epoch at the start of the transfer.
    pub(super) begun_in: Epoch,
    pub(super) attempt: u64,
    pub(super) state: State,
    /// Last entry held.
    pub(crate) held: LogIndex,
    pub(crate) replayed: LogIndex,
    /// Outputs up to here have left the primary.
    pub(crate) released: LogIndex,
    /// Sizes of the entries that are held and not replayed.
    pub(super) unreplayed: VecDeque<u32>,
    pub(super) unreplayed_bytes: u64,
    pub(super) powered_off: bool,
    /// It was told to leave, and goes when its primary says that the machine needs it no more.
    pub(super) leaving: bool,
    pub(super) heard: Instant,
    pub(super) sent: Instant,
    pub(super) disconnected: Option<Instant>,
    pub(super) acknowledge_at: Option<Instant>,
    /// The last entry that the primary has spoken of.
    pub(crate) announced: LogIndex,
    /// Entries that came although others before them are missing.
    pub(super) early: Arrivals,
    /// The newest stamp of the primary's, and when it came.
    pub(super) echo: (u64, Instant),
    /// The record is being read: because the primary is suspected, or only to look.
    pub(super) inquiry: Option<Inquiry>,
    /// Since when the primary is suspected.
    pub(super) suspected: Option<Instant>,
    /// When to look at the record next.
    pub(super) look_at: Instant,
}

/// Whether the state is there.
#[derive(Debug)]
pub(super) enum State {
    /// On its way; the log that follows it waits here.
    Receiving { waiting: Vec<Bytes> },
    /// Restored; the hart replays, and no digest was compared yet.
    Verifying,
    /// A digest agreed.
    Following,
}

impl Backup {
    /// Follows a primary from the state that it is about to send.
    pub(crate) fn begin(shared: &mut Shared, stream: Following) -> Self {
        let Following {
            primary,
            transfer,
            epoch,
            attempt,
            first,
        } = stream;
        shared.act(Action::ReceiveState {
            from: primary,
            transfer,
            next: first,
        });
        let mut backup = Self {
            primary,
            transfer,
            epoch,
            paired: false,
            begun_in: epoch,
            attempt,
            state: State::Receiving {
                waiting: Vec::new(),
            },
            held: first.previous(),
            replayed: first.previous(),
            released: LogIndex(0),
            unreplayed: VecDeque::new(),
            unreplayed_bytes: 0,
            powered_off: false,
            leaving: false,
            heard: shared.now,
            sent: shared.now,
            disconnected: None,
            acknowledge_at: None,
            announced: first.previous(),
            early: Arrivals::default(),
            echo: (0, shared.now),
            inquiry: None,
            suspected: None,
            look_at: look::next(shared),
        };
        backup.acknowledge(shared);
        backup
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Following)
    }

    /// Entries held and not replayed.
    pub(crate) fn unreplayed(&self) -> usize {
        self.unreplayed.len()
    }

    pub(super) fn is_restored(&self) -> bool {
        !matches!(self.state, State::Receiving { .. })
    }

    /// Bytes of entries that wait to be replayed, or for others before them.
    pub(crate) fn buffered_bytes(&self) -> u64 {
        self.unreplayed_bytes + self.early.bytes()
    }

    /// What there is room for after the last entry held.
    pub(super) fn room(&self, shared: &Shared) -> Room {
        let bounds = &shared.config.bounds;
        let entries = self.unreplayed.len() as u64;
        Room {
            bytes: (bounds.unreplayed_bytes_max).saturating_sub(self.unreplayed_bytes),
            entries: (bounds.unreplayed_entries_max.saturating_mul(2)).saturating_sub(entries),
        }
    }

    pub(super) fn acknowledge(&mut self, shared: &mut Shared) {
        self.acknowledge_at = None;
        self.sent = shared.now;
        let held = match shared.mutated(Mutation::AcknowledgeAhead) {
            true => self.held.max(self.announced),
            false => self.held,
        };
        let (echo, heard) = self.echo;
        let message = Message::Acknowledge {
            epoch: self.epoch,
            transfer: self.transfer,
            held,
            replayed: self.replayed,
            ready: self.is_ready(),
            room: self.room(shared),
            beyond: self.early.ranges(),
            echo,
            echo_age: shared.now.since(heard),
        };
        shared.send(self.primary, message);
    }

    /// Why it ends when it is needed no more.
    pub(super) fn dismissed(&self) -> HaltReason {
        match self.leaving {
            true => HaltReason::Left,
            false => HaltReason::Dismissed,
        }
    }

    pub(super) fn leave(&self, shared: &mut Shared, reason: LeaveReason) {
        let transfer = Some(self.transfer);
        shared.send(self.primary, Message::Leave { transfer, reason });
    }

    /// Forgets a state that is not whole, and asks to join anew.
    pub(super) fn start_over(&self, shared: &mut Shared) -> Next {
        shared.act(Action::AbandonTransfer {
            transfer: self.transfer,
        });
        Next::JoinAgain {
            attempts: self.attempt,
        }
    }
}
