//! What a core is configured with: who it is, its times and its bounds.

use crate::time::Duration;
use crate::types::{MachineId, NodeId};

/// Configuration of a `Core`. `Config::new` gives defaults for two hosts on one network.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The machine that is replicated.
    pub machine: MachineId,
    /// This node; never used by an earlier process.
    pub node: NodeId,
    /// Where nonces and jitter come from. Real nodes take it from the operating system's random source.
    pub seed: u64,
    /// Of this process alone: the names of its transfers come from it, and cannot be guessed without it.
    pub secret: [u8; 32],
    /// When to speak, and when to suspect.
    pub times: Times,
    /// How much may wait.
    pub bounds: Bounds,
    /// What becomes of a backup that cannot keep up.
    pub slow_backup: SlowBackup,
    /// Breaks one invariant on purpose.
    #[cfg(feature = "mutations")]
    pub mutation: Option<Mutation>,
}

/// What becomes of the backup of a pair that cannot keep up with its primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowBackup {
    /// The machine becomes as slow as the backup.
    Brake,
    /// The machine goes on alone, and tries again later.
    Drop,
}

/// Times.
#[derive(Clone, Debug)]
pub struct Times {
    /// A node that has said nothing to its peer for so long says that it lives.
    pub heartbeat: Duration,
    /// The primary of a pair suspects a backup that is silent for so long. Shorter than `suspect_primary`:
    /// when only the link between the two fails, it is better that the machine stays where it is.
    pub suspect_backup: Duration,
    /// A backup suspects a primary that is silent for so long.
    pub suspect_primary: Duration,
    /// Both suspect so late while state is transferred, since the bulk may delay the signs of life.
    pub suspect_in_transfer: Duration,
    /// A backup whose channel broke is suspected after so long, unless it comes back; a primary later, by as much
    /// as `suspect_primary` exceeds `suspect_backup`.
    pub suspect_disconnected: Duration,
    /// A state transfer that has made no progress for so long is given up, however far it is.
    pub transfer_stall: Duration,
    /// An owner that holds its outputs back, so that a pair can be formed, waits for the backup so long at most.
    pub closing_max: Duration,
    /// A backup acknowledges after at most so long what is not urgent. It does so earlier when it has replayed
    /// something: one acknowledgement then says both.
    pub acknowledge: Duration,
    /// Acknowledgements that only say what was replayed are at least so far apart.
    pub acknowledge_pause: Duration,
    /// A backup that misses entries says at most so often what has come.
    pub acknowledge_gap: Duration,
    /// A node that wants to join asks so often.
    pub join: Duration,
    /// After a state transfer to a host that came to nothing, the next one waits for so long; doubled each time.
    pub rejoin_min: Duration,
    /// Longest wait before the next transfer to a host.
    pub rejoin_max: Duration,
    /// Snapshots may make the guest stand still for so long in each `pauses_window`, whoever asks for them. One that
    /// takes longer by itself is the only one in that time.
    pub pauses_max: Duration,
    /// The time over which the guest's pauses are added up.
    pub pauses_window: Duration,
    /// A request to the arbiter that is not answered for so long counts as unavailable.
    pub arbiter: Duration,
    /// A node that the record names reads it about so often although nothing seems wrong: an operator may have decided
    /// otherwise, and a store that is not there is better known before it is needed.
    pub look: Duration,
    /// First pause before the arbiter is asked again; doubled each time, with jitter.
    pub backoff_min: Duration,
    /// Longest pause before the arbiter is asked again.
    pub backoff_max: Duration,
    /// The primary begins to brake when the backup's replay is so far behind in time.
    pub lag_target: Duration,
    /// The primary brakes as hard as it does for time alone when the backup's replay is so far behind.
    pub lag_max: Duration,
    /// The primary of a pair stands still when the backup's replay is so far behind.
    pub lag_stop: Duration,
    /// A backup is slow when it is so far behind in time,
    pub slow_lag: Duration,
    /// although the primary brakes so hard (in thousandths),
    pub slow_brake: u16,
    /// for so long.
    pub slow: Duration,
    /// A backup of a pair to which nothing has come for so long, although something waits, is given up whatever it says: its
    /// link takes only what is small.
    pub stall: Duration,
}

impl Times {
    /// What is wrong with these times, as a sentence, if anything is.
    pub fn problem(&self) -> Option<&'static str> {
        let beats = self.heartbeat * 2;
        if self.heartbeat.is_zero() || self.join.is_zero() || self.look.is_zero() {
            Some("heartbeat, join and look times must be above zero")
        } else if beats > self.suspect_backup || beats > self.suspect_primary {
            Some("a peer must be silent for at least two heartbeats before it is suspected")
        } else if self.suspect_backup > self.suspect_primary {
            Some("the primary must suspect its backup no later than the backup the primary")
        } else if self.acknowledge.max(self.acknowledge_pause) > self.heartbeat {
            Some("an acknowledgement may be delayed by at most a heartbeat")
        } else if self.rejoin_min.is_zero() || self.rejoin_min > self.rejoin_max {
            Some(
                "the first wait before another transfer must be above zero, and no longer than the longest",
            )
        } else if self.lag_target >= self.lag_max || self.lag_max >= self.lag_stop {
            Some(
                "the lag aimed at must be below the largest lag, and that below the lag that stops the guest",
            )
        } else {
            None
        }
    }
}

/// What a datagram takes of entries, unless configured otherwise: with all headers it fits the smallest packet that QUIC
/// starts with (1,200 bytes).
pub const DATAGRAM_BYTES_MAX: u64 = 1_050;

/// Bounds on what may wait.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Entries that are sent and not acknowledged: full stop here; at twice as many the backup is dismissed.
    pub window_entries_max: u64,
    /// Bytes that are sent and not acknowledged: full stop here; at twice as many the backup is dismissed.
    pub window_bytes_max: u64,
    /// Entries that the backup holds and has not replayed: the primary stands still here; at twice as many the
    /// backup takes no more.
    pub unreplayed_entries_max: u64,
    /// Bytes that the backup holds and has not replayed: the primary stands still here, and the backup takes no more.
    pub unreplayed_bytes_max: u64,
    /// Bytes of entries that are under way: never more, however fast the link.
    pub flight_bytes_max: u64,
    /// Bytes of entries in one datagram, unless one entry alone is larger and travels by stream.
    pub datagram_bytes_max: u64,
    /// Output marks that wait for an acknowledgement: the primary stands still here.
    pub held_marks_max: u64,
    /// Bytes of entries in one `Append` by stream, unless one entry alone is larger.
    pub append_bytes_max: u64,
    /// A transfer ends when no more entries than this are unacknowledged: outputs are held from there on.
    pub pair_unacknowledged_max: u64,
    /// A transfer ends when no more entries than this are not yet replayed.
    pub pair_unreplayed_max: u64,
    /// Nodes that asked to join and wait for their turn.
    pub candidates_max: usize,
}

impl Config {
    /// Defaults for the node `node` of `machine`.
    pub fn new(machine: MachineId, node: NodeId, seed: u64) -> Self {
        Self {
            machine,
            node,
            seed,
            secret: [0; 32],
            times: Times::default(),
            bounds: Bounds::default(),
            slow_backup: SlowBackup::Drop,
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }

    /// Whether the node is broken on purpose in this way.
    pub(crate) fn mutated(&self, mutation: Mutation) -> bool {
        mutated!(self, mutation)
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_ms(50),
            suspect_backup: Duration::from_ms(200),
            suspect_primary: Duration::from_ms(250),
            suspect_in_transfer: Duration::from_s(2),
            suspect_disconnected: Duration::from_ms(50),
            transfer_stall: Duration::from_s(60),
            closing_max: Duration::from_s(1),
            acknowledge: Duration::from_ms(20),
            acknowledge_pause: Duration::from_ms(5),
            acknowledge_gap: Duration::from_ms(1),
            join: Duration::from_ms(100),
            rejoin_min: Duration::from_ms(500),
            rejoin_max: Duration::from_s(60),
            pauses_max: Duration::from_s(3),
            pauses_window: Duration::from_s(60),
            arbiter: Duration::from_s(2),
            look: Duration::from_ms(1500),
            backoff_min: Duration::from_ms(20),
            backoff_max: Duration::from_s(1),
            lag_target: Duration::from_ms(75),
            lag_max: Duration::from_ms(300),
            lag_stop: Duration::from_s(5),
            slow_lag: Duration::from_ms(250),
            slow_brake: 800,
            slow: Duration::from_s(10),
            stall: Duration::from_s(3),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            window_entries_max: 1 << 18,
            window_bytes_max: 64 << 20,
            unreplayed_entries_max: 1 << 18,
            unreplayed_bytes_max: 128 << 20,
            held_marks_max: 1 << 16,
            flight_bytes_max: 8 << 20,
            datagram_bytes_max: DATAGRAM_BYTES_MAX,
            append_bytes_max: 64 << 10,
            pair_unacknowledged_max: 1 << 10,
            pair_unreplayed_max: 1 << 14,
            candidates_max: 8,
        }
    }
}

/// One way to break the protocol on purpose, so that a simulator can show that its checkers see it. Run-time
/// assertions are off in a core that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutations"), allow(unreachable_pub, dead_code))]
pub enum Mutation {
    /// I1: a change of the record keeps its epoch.
    ReuseEpoch,
    /// I2: outputs leave in a pair without acknowledgement.
    ReleaseWithoutAcknowledge,
    /// I2: an acknowledgement of an earlier epoch, from whomever, counts for all that was sent since.
    AcceptOlderEpochAcknowledge,
    /// I2: the primary lets everything out as soon as it suspects its backup, before the arbiter agrees.
    ReleaseOnSuspicion,
    /// I3: the backup goes live without replaying what it has acknowledged.
    SkipDrain,
    /// I4: the backup goes on acknowledging while it takes over.
    AcknowledgeAfterTakeover,
    /// I4: the backup acknowledges entries that it does not hold.
    AcknowledgeAhead,
    /// I5: outputs of a new owner carry the epoch before.
    StampOlderEpoch,
    /// I6: the record says `Pair` before the primary holds outputs back.
    PairBeforeHolding,
    /// I7: a backup counts as ready before any digest of its state was compared.
    ReadyBeforeDigest,
    /// I7: a backup whose state is not restored takes over.
    TakeOverIncomplete,
    /// I7: a backup that diverged goes on, and takes over.
    TakeOverDiverged,
    /// I8: no answer from the arbiter counts as consent.
    IgnoreArbiterUnreachable,
    /// I9: a lost swap counts as won.
    IgnoreLostSwap,
    /// I9: a primary that lost lets out what it holds before it halts.
    ReleaseOnLoss,
    /// A joiner that fails is tried again at once, however long the guest stood still for it (pauses).
    JoinWithoutPacing,
    /// A joiner may stop the guest of an owner that is alone (pauses).
    StopForJoiner,
    /// A guest is slowed for a state that does not move, for as long as it is tried (pauses).
    BrakeInVain,
    /// A backup that cannot keep up is kept, whatever the policy (slow).
    KeepSlowBackup,
    /// Nodes that wait for their turn to join are neither few nor different (memory).
    PileUpCandidates,
    /// A state transfer is given up for its age (transfer).
    TransferByAge,
    /// A lost reply to a swap counts as a lost swap: the winner kills itself (liveness).
    LostReplyIsLoss,
    /// What has not come in time makes the primary send all that is not acknowledged once more (bandwidth).
    ResendWholeWindow,
    /// The primary sends whatever it has, however full its backup says that it is (credit).
    IgnoreCredit,
    /// An answer of the arbiter that comes after `Times::arbiter` is not heard (liveness).
    DropLateAnswer,
    /// Nobody reads the record unless it suspects its peer (I9).
    NeverLook,
    /// An owner takes no notice of another record of its own epoch (I9).
    IgnoreSameEpoch,
    /// An operator who gives up an owner that is about to be protected ends the pair (ends).
    GiveUpPair,
    /// A backup that is told to leave does not ask whether the machine can do without it (leave).
    LeaveUnasked,
    /// A primary may end although its backup may be on its way out (leave).
    EndInDoubt,
    /// What peers have seen of the record is not heard, so that two copies of a store stay unnoticed (copies).
    IgnoreTestimony,
    /// A node that waits ends for a record that any peer says to have seen (who).
    EndOnAnyWord,
    /// A certificate for a node of another machine is good enough (who).
    AdmitOtherMachine,
    /// A certificate that has ended makes connections (who).
    AdmitExpired,
    /// A certificate that was withdrawn makes connections (who).
    AdmitWithdrawn,
    /// A connection outlives the withdrawal of its certificate (who).
    KeepWithdrawn,
    /// Any node of the machine may pair, whether or not the configuration names it (who).
    AdmitUnnamed,
    /// A node may call itself by another name than its certificate (who).
    AdmitOtherName,
    /// A node may take the identity of another one's process (who).
    AdmitOtherIdentity,
    /// Nodes that are configured otherwise may pair (who).
    AdmitDifferent,
    /// A switch takes a claim as it is (switch).
    ClaimWithoutProof,
    /// A proof that was made on another port is good enough (switch).
    ClaimOverAnyNonce,
    /// A machine may claim the address of another one (switch).
    TakeAnyAddress,
    /// A port may say frames from whatever address (switch).
    SpeakFromAnyAddress,
    /// Two nodes may speak for a machine in one epoch at a switch (switch).
    ShareEpoch,
    /// I5: a switch takes older epochs, too.
    Unfenced,
}

impl Mutation {
    /// All of them, in the order of the invariants that they break.
    #[cfg_attr(not(feature = "mutations"), allow(unreachable_pub, dead_code))]
    pub const ALL: [Self; 46] = [
        Self::ReuseEpoch,
        Self::ReleaseWithoutAcknowledge,
        Self::AcceptOlderEpochAcknowledge,
        Self::ReleaseOnSuspicion,
        Self::SkipDrain,
        Self::AcknowledgeAfterTakeover,
        Self::AcknowledgeAhead,
        Self::StampOlderEpoch,
        Self::PairBeforeHolding,
        Self::ReadyBeforeDigest,
        Self::TakeOverIncomplete,
        Self::TakeOverDiverged,
        Self::IgnoreArbiterUnreachable,
        Self::IgnoreLostSwap,
        Self::ReleaseOnLoss,
        Self::JoinWithoutPacing,
        Self::StopForJoiner,
        Self::BrakeInVain,
        Self::KeepSlowBackup,
        Self::PileUpCandidates,
        Self::TransferByAge,
        Self::LostReplyIsLoss,
        Self::ResendWholeWindow,
        Self::IgnoreCredit,
        Self::DropLateAnswer,
        Self::NeverLook,
        Self::IgnoreSameEpoch,
        Self::GiveUpPair,
        Self::LeaveUnasked,
        Self::EndInDoubt,
        Self::IgnoreTestimony,
        Self::EndOnAnyWord,
        Self::AdmitOtherMachine,
        Self::AdmitExpired,
        Self::AdmitWithdrawn,
        Self::KeepWithdrawn,
        Self::AdmitUnnamed,
        Self::AdmitOtherName,
        Self::AdmitOtherIdentity,
        Self::AdmitDifferent,
        Self::ClaimWithoutProof,
        Self::ClaimOverAnyNonce,
        Self::TakeAnyAddress,
        Self::SpeakFromAnyAddress,
        Self::ShareEpoch,
        Self::Unfenced,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_times_fit_together() {
        assert_eq!(Times::default().problem(), None);
    }
}
