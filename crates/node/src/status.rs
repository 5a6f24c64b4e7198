//! What `futago status` shows: the node's view of itself, as plain values for JSON; `text` says it to people.

mod text;

use serde::{Deserialize, Serialize};
use std::fmt;
pub(crate) use text::span;

/// So many days before a certificate ends, its node warns.
pub const CERTIFICATE_DAYS_WARN: i64 = 30;

/// How long a certificate is still good, in words that follow it.
pub fn days_left(days: i64) -> String {
    match days {
        ..0 => "has expired, so that no new connection will be made".to_owned(),
        0 => "ends within a day".to_owned(),
        1 => "ends in 1 day".to_owned(),
        _ => format!("ends in {days} days"),
    }
}

/// Whether the machine would survive the loss of a host, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The node has yet to learn who is the machine.
    #[default]
    Starting,
    /// It waits to become the machine's backup, or is being made it.
    Joining,
    /// It is one of the two that protect the machine: either goes on without the other.
    Protected,
    /// It is the machine, and nobody protects it.
    Alone,
    /// It is one of two, but a loss of the other now would stop the machine, or is being found out.
    Unsure,
    /// It is a backup that goes on in its primary's place.
    TakingOver,
    /// It has no part of the machine any more.
    Ended,
}

/// A node's view of itself. Identities are hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Whether the machine goes on if either of its two hosts is lost now.
    #[serde(default)]
    pub protected: bool,
    /// The same with its shades.
    #[serde(default)]
    pub mode: Mode,
    /// Since when the mode is this one: RFC 3339, UTC.
    #[serde(default)]
    pub since: String,
    /// For how long the machine has not been protected, as far as this node knows; none while it is.
    #[serde(default)]
    pub unprotected_for_s: Option<f64>,
    /// Why it is not, as a sentence; none while it is.
    #[serde(default)]
    pub reason: Option<String>,
    /// Name of the node.
    pub node: String,
    /// Identity of this process among nodes.
    pub node_id: String,
    /// Name of the machine.
    pub machine: String,
    /// What executes the guest here: `translator` or `interpreter`.
    pub engine: String,
    /// `out`, `starting`, `joining`, `backup`, `taking over`, `primary` or `halted`.
    pub role: String,
    /// Newest epoch known.
    pub epoch: u64,
    /// The memo's flag as this node knows it: 0 paired, 1 alone, none unknown.
    pub flag: Option<u8>,
    /// Identity of the other replica.
    pub peer: Option<String>,
    /// Its node's name, which stays the same when its process is another.
    #[serde(default)]
    pub peer_name: Option<String>,
    /// Whether a connection to it is open.
    pub peer_connected: bool,
    /// Round trip to it, in microseconds.
    pub peer_round_trip_us: Option<u64>,
    /// Last log index known.
    pub log_index: u64,
    /// Last log index that the backup has acknowledged.
    pub acknowledged: u64,
    /// Last log index that the backup has replayed.
    pub replayed: u64,
    /// Entries that the backup has yet to replay.
    pub lag_entries: u64,
    /// Positions that this node's hart is behind the log (backup only).
    pub lag_positions: u64,
    /// How long the oldest entry that is not replayed has waited, in milliseconds (primary only).
    pub lag_ms: f64,
    /// Round trip of the log without the backup's own delay, in microseconds (primary only).
    pub log_round_trip_us: u64,
    /// Whether the link loses so much that signs of life are more, and datagrams say things twice (primary only).
    pub log_lossy: bool,
    /// Bytes of log that wait for an acknowledgement (primary), or to be replayed (backup).
    pub log_waiting_bytes: u64,
    /// Entries that were sent again because the link lost them (primary only).
    pub log_entries_resent: u64,
    /// Bytes of log that the backup can take, as it said last; 0: it is full (primary only).
    pub backup_room_bytes: u64,
    /// Where the hart is.
    pub position: u64,
    /// Bits a second sent to peers, over the last second.
    pub log_bits_per_second: u64,
    /// Bytes of messages sent to peers since the start, before QUIC's framing and without states.
    pub log_bytes_sent: u64,
    /// Bytes sent to peers on the wire since the start: with states, acknowledgements and all headers from IPv4 up.
    pub wire_bytes_sent: u64,
    /// Output marks that wait to leave.
    pub outputs_held: u64,
    /// Whether outputs leave only when acknowledged.
    pub outputs_gated: bool,
    /// Digests that this node has compared with its primary's, all equal.
    pub digests_compared: u64,
    /// A state transfer under way: `idle`, `snapshotting`, `copying`, `closing`, `arming`, `complete`.
    pub transfer: String,
    /// Bytes of it that have been copied.
    pub transfer_bytes: u64,
    /// Bytes of it in all.
    pub transfer_bytes_total: u64,
    /// How long the guest stood still for the last snapshot, in milliseconds.
    pub snapshot_pause_ms: f64,
    /// Who asked to join and must wait, why, and for how long; on the joiner, by whom it is told so.
    #[serde(default)]
    pub join_refused: Option<String>,
    /// Whole days until this node's certificate ends; below 0 once it has.
    pub certificate_days_left: i64,
    /// Peers turned away since the start.
    pub refused_peers: u64,
    /// Of those, lines that were left out of the log: the same reason again, or too many in a minute.
    #[serde(default)]
    pub refusals_untold: u64,
    /// Datagrams of strangers that were dropped unseen, since there were too many.
    #[serde(default)]
    pub strangers_dropped: u64,
    /// Handshakes for which there was no place.
    #[serde(default)]
    pub handshakes_dropped: u64,
    /// How hard the hart brakes, in thousandths.
    pub throttle: u16,
    /// Whether the backup has long been too slow for the primary, which brakes for it (primary only).
    #[serde(default)]
    pub backup_slow: bool,
    /// Whether the arbiter answered the last request.
    pub arbiter_reachable: bool,
    /// Why it did not.
    pub arbiter_problem: Option<String>,
    /// Requests that lost their place before a store that was busy, to newer ones.
    pub arbiter_passed_over: u64,
    /// How long each part of the takeover took by which this node became the primary, if it did so that way.
    pub takeover: Option<TakeoverParts>,
    /// Whether the peer is suspected.
    pub suspects: bool,
    /// Whether the network is connected (primary only).
    pub network_connected: bool,
    /// Whether the guest has a network or, on a node that is not the machine, would have one if it became it; none where the
    /// machine is to have no network.
    #[serde(default)]
    pub network_ready: Option<bool>,
    /// Why not.
    #[serde(default)]
    pub network_problem: Option<String>,
    /// Whether the host has the memory left that the guest may still write to.
    #[serde(default)]
    pub memory_ready: bool,
    /// Memory that this process could still take, in bytes; none where the host does not say.
    #[serde(default)]
    pub memory_free_bytes: Option<u64>,
    /// For how long the arbiter's store has been away.
    #[serde(default)]
    pub store_away_s: Option<f64>,
    /// Addresses of `node.peers` at which nobody answers.
    #[serde(default)]
    pub unanswered: Vec<String>,
    /// Those whose host's name has no address.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// Inputs from outside for which there was no room.
    pub inputs_dropped: u64,
    /// What else went nowhere, by queue.
    #[serde(default)]
    pub dropped: Dropped,
    /// Bytes of the console file that gave way to newer ones, as `node.console_size` wants it.
    #[serde(default)]
    pub console_file_rotated_bytes: u64,
    /// Panics of the engine that executes the guest, each of which was contained: the guest went on. Each is a bug.
    #[serde(default)]
    pub engine_faults: u64,
    /// How far the process is confined: `full`, `partial: …` with what the kernel lacks, or `off`.
    #[serde(default)]
    pub sandbox: String,
    /// Seconds since the node started.
    pub uptime_s: f64,
}

/// What went nowhere since the start, because a queue was full or somebody had no right to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dropped {
    /// Frames by which a guest would speak to the switch, or others to the node.
    pub frames_reserved: u64,
    /// Frames of the guest that the network was too slow for.
    pub frames_sent: u64,
    /// Frames of the network that the node was too slow for.
    pub frames_received: u64,
    /// Output marks of which a backup kept no copy any more: the node was to hold too much.
    pub outputs: u64,
    /// Pieces of the guest's console that an attached client was too slow for.
    pub console_pieces: u64,
    /// Bytes of it that the console file was too slow for, or had no room for.
    pub console_file_bytes: u64,
    /// Lines of this node's log that nobody read in time.
    pub log_lines: u64,
    /// Control clients beyond the number that a socket serves at once.
    pub control_turned_away: u64,
    /// Requests that were not understood, or not allowed.
    pub control_refused: u64,
    /// Control clients that said nothing in time, or did not take their answer.
    pub control_broken: u64,
    /// Times that a control client could not be accepted: the host had no descriptors or memory left.
    pub accept_failures: u64,
}

/// The parts of a takeover, one after the other, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TakeoverParts {
    /// From the last that was heard of the primary until it was suspected.
    pub detected_ms: f64,
    /// Until the record was read, and everything acknowledged was replayed.
    pub drained_ms: f64,
    /// Until the record named this node.
    pub swapped_ms: f64,
    /// Until the guest did something new.
    pub live_ms: f64,
}

impl fmt::Display for TakeoverParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            detected_ms,
            drained_ms,
            swapped_ms,
            live_ms,
        } = self;
        let all = detected_ms + drained_ms + swapped_ms + live_ms;
        write!(
            f,
            "{all:.1} ms after the last sign of life: {detected_ms:.1} detected, {drained_ms:.1} drained, {swapped_ms:.1} swapped"
        )?;
        match *live_ms > 0.0 {
            true => write!(f, ", {live_ms:.1} live"),
            // The guest has yet to do something of its own.
            false => Ok(()),
        }
    }
}
