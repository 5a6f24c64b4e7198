//! What people are told without asking: one line for each thing that happens to the machine's protection, with names, and
//! what it means. Details are logged where they happen, for those who ask for more.

use super::Controller;
use super::steering::{ONLY_STATE, SIGNALS_WITHIN};
use crate::log::STORY;
use crate::status::Mode;
use replica::Notice;
use replication::{NodeId, Refusal, RoleStatus, Status, TransferStatus};
use std::mem::{Discriminant, discriminant};
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// Doubt that is over sooner is not told.
const DOUBT_MAX: Duration = Duration::from_secs(1);

/// What was told last, of that which is told once.
#[derive(Debug, Default)]
pub(super) struct Story {
    mode: Mode,
    /// Who is being made the backup.
    joiner: Option<NodeId>,
    /// The other half of the pair.
    other: Option<NodeId>,
    was_primary: bool,
    /// Who lets this node wait, and why.
    refused: Option<(NodeId, Discriminant<Refusal>)>,
}

impl Story {
    /// The process that was the other half of the pair last.
    pub(super) fn former(&self) -> Option<NodeId> {
        self.other
    }
}

impl Controller {
    /// Tells what has changed since the last time.
    pub(super) fn tell_story(&mut self, core: &Status) {
        let mode = self.health.mode;
        let is_new = mode != self.story.mode;
        if is_new && (mode != Mode::Unsure || self.health.lasts() >= DOUBT_MAX) {
            self.tell_turn(core, self.story.mode);
            self.story.mode = mode;
        }
        if let Some(peer) = core.peer {
            self.story.other = Some(peer);
        }
        self.story.was_primary = core.role == RoleStatus::Primary;
        let joiner = match (&core.role, core.transfer) {
            (RoleStatus::Primary, TransferStatus::Idle | TransferStatus::Complete(_)) => None,
            (RoleStatus::Primary, _) => core.peer,
            _ => None,
        };
        if let Some(peer) = joiner.filter(|_| joiner != self.story.joiner) {
            info!(target: STORY, "{} joins: it is sent the machine's state, which is not protected until it has it", self.who(peer));
        }
        self.story.joiner = joiner;
        // On a primary, the protocol says when to tell it.
        let refused = core
            .join_refused
            .filter(|_| core.role == RoleStatus::Joining);
        let why = refused.map(|refused| (refused.peer, discriminant(&refused.why)));
        if let Some(refused) = refused.filter(|_| why != self.story.refused) {
            info!(target: STORY, "{} lets this node wait: {}", self.who(refused.peer), refused.why);
        }
        self.story.refused = why;
    }

    fn tell_turn(&mut self, core: &Status, before: Mode) {
        let is_primary = core.role == RoleStatus::Primary;
        let epoch = core.epoch.0;
        let peer = core.peer.map(|peer| self.who(peer)).unwrap_or_default();
        let former = self.story.other.map(|other| self.who(other));
        let former = former.unwrap_or_default();
        let reason = self.reason(core).unwrap_or_default();
        match (self.health.mode, before) {
            (Mode::Protected, Mode::Unsure) => {
                info!(target: STORY, "protected again, with {peer}");
            }
            (Mode::Protected, _) if is_primary => {
                info!(target: STORY, "paired with {peer}: protected (epoch {epoch})");
            }
            (Mode::Protected, _) => {
                info!(target: STORY, "paired with {peer}, whose backup this node is: protected (epoch {epoch})");
            }
            (Mode::Alone, Mode::Protected | Mode::Unsure) if self.story.was_primary => {
                info!(target: STORY, "{former} is gone: alone, not protected (epoch {epoch}); start {}", self.others());
            }
            (Mode::Alone, Mode::Starting) => {
                info!(target: STORY, "this node starts the machine: alone, not protected (epoch {epoch}); {reason}");
            }
            (Mode::Alone, _) => {
                info!(target: STORY, "this node is the machine now, in the place of {former}: alone, not protected (epoch {epoch})");
            }
            // That was told when the state began to come in.
            (Mode::Joining, _) if core.role == RoleStatus::Backup => {}
            (Mode::Joining, _) => info!(target: STORY, "waiting: {reason}"),
            (Mode::Unsure, _) => warn!("not protected: {reason}"),
            (Mode::TakingOver, _) => info!(target: STORY, "{reason}"),
            // Its last word says why.
            (Mode::Ended | Mode::Starting, _) => {}
        }
    }

    /// Tells what the replica wants people to know.
    pub(super) fn tell_notice(&mut self, notice: Notice) {
        match notice {
            // What is tried again and again is told once.
            Notice::Explains { why } if why == self.explained => debug!("{why}"),
            Notice::Explains { why } => {
                self.explained = why;
                info!("{why}");
            }
            Notice::Refuses { peer, why } => {
                let name = self.who(peer);
                warn!("{name} asks to join, and must wait: {why}");
            }
            Notice::SnapshotTaken { bytes } => {
                let pause = self.gauges.snapshot_taken();
                info!(
                    mib = bytes >> 20,
                    pause_ms = pause.as_millis(),
                    "the guest stood still while a snapshot was taken"
                );
            }
            Notice::Restored => info!("the state was restored"),
            Notice::NotRestored(error) => {
                warn!("the state that came in cannot be used: {error}");
            }
            Notice::Verified => info!("the restored state agrees with the primary's digest"),
            Notice::Diverged(divergence) => error!(
                after = divergence.after.0,
                at = divergence.at.0,
                "this backup differs from its primary: {}",
                divergence.what.join("; ")
            ),
            Notice::GoesOn => self.on_life(),
            Notice::PoweredOff => info!("the guest switched itself off"),
            Notice::ResetAsked => {
                warn!(
                    "the guest asked for a reset, which is not supported yet: it is switched off"
                );
            }
            Notice::LeavesIfNotStarted => {
                info!(target: STORY, "told to stop: this node goes unless it has just become the machine, which the store has yet to say");
            }
            Notice::LeavesLater => {
                info!(target: STORY, "told to stop: this backup goes once its primary has gone on alone");
            }
            Notice::Stays => warn!(
                "not stopped: {ONLY_STATE}; a second signal within {} s gives it up",
                SIGNALS_WITHIN.as_secs()
            ),
            Notice::StaysAfterAll => {
                warn!("told to stop, but its primary is gone: {ONLY_STATE}");
            }
        }
    }
}
