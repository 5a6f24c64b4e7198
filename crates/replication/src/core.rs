//! The core: one role at a time, and the door to it.
//!
//! ```text
//!            Start                  won
//!   Out ──────────▶ Starting ───────────────▶ Primary ──── lost, powered off ──▶ Halted
//!    │ ◀── owned ──────┘                         ▲
//!    │       Join            state         suspects         won │
//!    └──────────▶ Joining ─────────▶ Backup ─────────▶ TakingOver ──── lost ───▶ Halted
//!                    ▲ ◀─ not whole ───┘ └── diverged, dismissed, powered off ─▶ Halted
//! ```

use crate::action::{Action, ArbiterReply, HaltReason, Local};
use crate::backup::Backup;
use crate::config::{Config, Mutation};
use crate::joining::{Joining, Starting};
use crate::message::Message;
use crate::primary::Primary;
use crate::shared::Shared;
use crate::takeover::Takeover;
use crate::testimony::{DOUBT, DOUBT_OUTSIDE};
use crate::time::{Duration, Instant};
use crate::turn::Next;
use crate::types::{NodeId, Record};

/// The replication protocol of one node. It does no I/O: hand it what happens, then perform what it asks for.
#[derive(Debug)]
pub struct Core {
    pub(crate) shared: Shared,
    pub(crate) role: Role,
}

/// What a node is, with the data that only this role has.
#[derive(Debug)]
pub(crate) enum Role {
    /// No part of the machine, and not asked to be.
    Out,
    Starting(Starting),
    Joining(Joining),
    Backup(Backup),
    TakingOver(Takeover),
    Primary(Box<Primary>),
    /// Nothing matters any more.
    Halted(HaltReason),
}

impl Core {
    /// A node that is no part of the machine yet: it waits for `Local::Start` or `Local::Join`.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            shared: Shared::new(config, now),
            role: Role::Out,
        }
    }

    /// Takes in a message from another node.
    pub fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        self.notice_stall(now);
        self.advance_clock(now);
        if !message.is_possible() {
            return;
        }
        if let Message::Known { record } = message {
            self.hear(from, record);
            return;
        }
        let shared = &mut self.shared;
        let next = match &mut self.role {
            Role::Out | Role::Starting(_) | Role::Halted(_) => Next::Stay,
            Role::Joining(joining) => joining.on_message(shared, from, &message),
            Role::Backup(backup) => backup.on_message(shared, from, message),
            Role::TakingOver(takeover) => takeover.on_message(shared, from, &message),
            Role::Primary(primary) => primary.on_message(shared, from, &message),
        };
        self.turn(next);
    }

    /// Takes in an event on the node itself.
    pub fn handle_local(&mut self, now: Instant, local: Local) {
        self.notice_stall(now);
        self.advance_clock(now);
        match local {
            Local::Connected { peer, host } => {
                self.shared.connected.insert(peer, host);
                self.say_known(peer);
            }
            Local::Disconnected { peer } => {
                self.shared.connected.remove(&peer);
                self.shared.testimony.forget(peer);
            }
            Local::Arbiter {
                reply: ArbiterReply::Current(record) | ArbiterReply::Refused(record),
                ..
            } => self.see(record),
            Local::Room { bytes } => self.shared.room_bytes = bytes,
            Local::Needs { bytes } => self.shared.needs_bytes = bytes,
            _ => {}
        }
        let shared = &mut self.shared;
        let next = match &mut self.role {
            Role::Halted(_) => Next::Stay,
            Role::Out => match local {
                Local::Start => Next::Start,
                Local::Join => Next::Join,
                _ => Next::Stay,
            },
            Role::Starting(starting) => starting.on_local(shared, &local),
            Role::Joining(joining) => joining.on_local(shared, &local),
            Role::Backup(backup) => backup.on_local(shared, &local),
            Role::TakingOver(takeover) => takeover.on_local(shared, &local),
            Role::Primary(primary) => primary.on_local(shared, local),
        };
        self.turn(next);
        self.weigh();
    }

    /// Does what is due at `now`; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.notice_stall(now);
        self.advance_clock(now);
        let shared = &mut self.shared;
        let next = match &mut self.role {
            Role::Out | Role::Halted(_) => Next::Stay,
            Role::Starting(starting) => starting.on_timeout(shared),
            Role::Joining(joining) => joining.on_timeout(shared),
            Role::Backup(backup) => backup.on_timeout(shared),
            Role::TakingOver(takeover) => takeover.on_timeout(shared),
            Role::Primary(primary) => primary.on_timeout(shared),
        };
        self.turn(next);
        self.weigh();
    }

    /// Whether the machine goes on should this node end: it is not the primary, or the record names a backup that nobody
    /// doubts. [`Local::Leave`] ends it only then, and a backup only once it is agreed upon.
    pub fn may_leave(&self) -> bool {
        match &self.role {
            Role::Primary(primary) => primary.may_leave(&self.shared),
            Role::TakingOver(_) => false,
            _ => true,
        }
    }

    /// The next thing to do, in order. To be drained after each `handle_…`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.shared.next_action()
    }

    /// When to call `handle_timeout` next, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let doubt = self.shared.testimony.deadline(self.shared.now);
        let due = match &self.role {
            Role::Out | Role::Halted(_) => return None,
            Role::Starting(starting) => Some(starting.deadline()),
            Role::Joining(joining) => Some(joining.deadline()),
            Role::Backup(backup) => Some(backup.deadline(&self.shared)),
            Role::TakingOver(takeover) => Some(takeover.deadline()),
            Role::Primary(primary) => primary.deadline(&self.shared),
        };
        due.into_iter().chain(doubt).min()
    }

    /// The store has shown a record; peers are told of one that is new.
    fn see(&mut self, record: Option<Record>) {
        if self.shared.testimony.show(self.shared.now, record) {
            let peers: Vec<_> = self.shared.connected.keys().copied().collect();
            peers.into_iter().for_each(|peer| self.say_known(peer));
        } else {
            self.insist();
        }
    }

    /// A protected owner goes on. One of a later epoch, which is alone, must be told so again: what it has heard of an earlier one
    /// might come from a zombie that has not read the record yet.
    fn insist(&mut self) {
        let Role::Primary(primary) = &self.role else {
            return;
        };
        // A zombie whose store still shows it an old record has no backup that answers it.
        if !primary.may_leave(&self.shared) {
            return;
        }
        let proofs = self.shared.testimony.proofs(self.shared.now, DOUBT);
        let owners = proofs.filter(|(peer, record)| record.owner == *peer);
        let owners: Vec<_> = owners.map(|(peer, _)| peer).collect();
        owners.into_iter().for_each(|owner| self.say_known(owner));
    }

    fn say_known(&mut self, to: NodeId) {
        if !matches!(self.role, Role::Halted(_)) {
            let record = self.shared.testimony.shown();
            self.shared.send(to, Message::Known { record });
        }
    }

    /// A peer says what its store has shown.
    fn hear(&mut self, from: NodeId, record: Option<Record>) {
        let now = self.shared.now;
        let is_ours = |record: &Record| record.machine == self.shared.config.machine;
        if self.shared.mutated(Mutation::IgnoreTestimony) {
            return;
        }
        if let Some(record) = record.filter(is_ours)
            && self.shared.connected.contains_key(&from)
        {
            self.shared.testimony.hear(now, from, record);
            self.weigh();
        }
    }

    /// Ends if it is proven that this node reads another store than its peers, and it is for this node to go.
    fn weigh(&mut self) {
        let testimony = &self.shared.testimony;
        let doubt = match &self.role {
            Role::Starting(_) | Role::Joining(_) => DOUBT_OUTSIDE,
            _ => DOUBT,
        };
        let mut proofs = testimony.proofs(self.shared.now, doubt);
        let proof = match &self.role {
            Role::Out | Role::Halted(_) | Role::TakingOver(_) => None,
            // Whoever else says so may read the wrong one, or lie.
            Role::Starting(_) | Role::Joining(_) => proofs.find(|(peer, record)| {
                record.owner == *peer || self.shared.mutated(Mutation::EndOnAnyWord)
            }),
            Role::Backup(backup) => proofs.find(|(peer, _)| *peer == backup.primary),
            // An owner gives way to nobody but another owner, who says so itself.
            Role::Primary(primary) => proofs
                .find(|(peer, record)| record.owner == *peer && primary.yields_to(record))
                .or_else(|| testimony.insisting().filter(|_| primary.is_alone())),
        };
        let claimed = proof.map(|(_, record)| record);
        drop(proofs);
        if let Some(claimed) = claimed {
            let shown = self.shared.testimony.shown();
            self.turn(Next::Halt(HaltReason::OtherStore { shown, claimed }));
        }
    }

    /// The caller's clock is monotonic; should it step back all the same, time stands still here.
    fn advance_clock(&mut self, now: Instant) {
        self.shared.now = self.shared.now.max(now);
    }

    /// A node whose timeout is long over, whatever it comes to first, was itself paused, or starved. What its peer said
    /// meanwhile still waits to be handled: the peer's silence until now proves nothing.
    fn notice_stall(&mut self, now: Instant) {
        let late = self
            .poll_timeout()
            .map_or(Duration::ZERO, |due| now.since(due));
        if late > self.shared.config.times.suspect_backup / 2 {
            self.advance_clock(now);
            match &mut self.role {
                Role::Backup(backup) => backup.forgive(&self.shared),
                Role::Primary(primary) => primary.forgive(&self.shared),
                _ => {}
            }
        }
    }

    fn turn(&mut self, next: Next) {
        let shared = &mut self.shared;
        match next {
            Next::Stay => {}
            Next::StandAside => self.role = Role::Out,
            Next::Start => self.role = Role::Starting(Starting::begin(shared)),
            Next::Join => self.role = Role::Joining(Joining::begin(shared)),
            Next::JoinAgain { attempts } => {
                self.role = Role::Joining(Joining::again(shared, attempts));
            }
            Next::Follow(stream) => self.role = Role::Backup(Backup::begin(shared, stream)),
            Next::TakeOver(attempt) => {
                self.role = Role::TakingOver(Takeover::start(shared, &attempt));
            }
            Next::Lead(won) => self.role = Role::Primary(Box::new(Primary::first(shared, &won))),
            Next::Succeed(succession) => {
                let (primary, next) = Primary::after_takeover(shared, &succession);
                self.role = Role::Primary(Box::new(primary));
                self.turn(next);
            }
            Next::Halt(reason) => {
                self.shared.halt(reason.clone());
                self.role = Role::Halted(reason);
            }
        }
    }
}
