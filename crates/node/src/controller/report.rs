//! What is measured for people: rates, pauses, compared digests; and the status made of it.

use super::Controller;
use super::peers::place;
use crate::certificate;
use crate::log::STORY;
use crate::names::{hex, short};
use crate::status::{Dropped, Mode, NodeStatus, TakeoverParts};
use crate::transport::TransferProgress;
use replication::{Flag, NodeId, Record, Refused, RoleStatus, Status, TransferStatus};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::info;

/// Peers that are gone and whose names are still known.
const GONE_MAX: usize = 16;
/// Rates are taken over about this long.
const RATE_OVER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Gauges {
    started: Instant,
    /// Who is connected, and their names.
    connected: BTreeMap<NodeId, String>,
    /// Entries of `node.peers`, and their addresses, where nobody answers.
    pub(super) unanswered: BTreeMap<String, Vec<SocketAddr>>,
    /// Those with whom there is no connection because one of the two refuses the other, and why.
    pub(super) refused: BTreeMap<String, (SocketAddr, String)>,
    /// Those whose names have no address, and why.
    pub(super) unknown: BTreeMap<String, String>,
    /// Who was, latest last.
    gone: VecDeque<(NodeId, String)>,
    /// Looks at the bytes sent so far, oldest first.
    samples: VecDeque<(Instant, u64)>,
    snapshot_asked: Option<Instant>,
    snapshot_pause: Duration,
    /// Since when this node goes live, and how long it took until the guest did something new.
    live_since: Option<Instant>,
    live_after: Option<Duration>,
}

impl Gauges {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            connected: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            refused: BTreeMap::new(),
            unknown: BTreeMap::new(),
            gone: VecDeque::new(),
            samples: VecDeque::from([(now, 0)]),
            snapshot_asked: None,
            snapshot_pause: Duration::ZERO,
            live_since: None,
            live_after: None,
        }
    }

    pub(super) fn connected(&mut self, peer: NodeId, name: &str) {
        self.connected.insert(peer, name.to_owned());
    }

    /// The name of a peer that is connected, or was lately.
    pub(super) fn name(&self, peer: NodeId) -> &str {
        let gone = || self.gone.iter().rfind(|(gone, _)| *gone == peer);
        let name = self.connected.get(&peer);
        name.or_else(|| Some(&gone()?.1)).map_or("", String::as_str)
    }

    /// Somebody is there.
    pub(super) fn heard_at(&mut self, address: SocketAddr) {
        self.unanswered
            .retain(|_, addresses| !addresses.contains(&address));
    }

    /// There is a connection.
    pub(super) fn agreed_at(&mut self, address: SocketAddr) {
        self.refused.retain(|_, (refused, _)| *refused != address);
    }

    /// Where nobody answers, for people.
    pub(super) fn unanswered(&self) -> Vec<String> {
        let places = self.unanswered.iter();
        places
            .map(|(written, addresses)| place(written, addresses))
            .collect()
    }

    pub(super) fn disconnected(&mut self, peer: NodeId) {
        if let Some(name) = self.connected.remove(&peer) {
            self.gone.push_back((peer, name));
            if self.gone.len() > GONE_MAX {
                self.gone.pop_front();
            }
        }
    }

    /// Who must wait to join (on that node itself: for whom), why, and for how much longer. Nobody, once the time of one that is
    /// gone is over, or a process of the same node is `paired`.
    pub(super) fn waiting(
        &self,
        refused: Refused,
        now: replication::Instant,
        paired: Option<NodeId>,
    ) -> Option<String> {
        let name = self.name(refused.peer);
        let wait = refused.until.since(now);
        let is_over = wait.is_zero() && !self.connected.contains_key(&refused.peer);
        if is_over || paired.is_some_and(|peer| self.name(peer) == name) {
            return None;
        }
        let next = if wait.is_zero() {
            "it may try again now".to_owned()
        } else {
            format!("next try in {:.1} s", wait.us() as f64 / 1e6)
        };
        let name = if name.is_empty() {
            short(refused.peer.0)
        } else {
            name.to_owned()
        };
        Some(format!("{name}: {}; {next}", refused.why))
    }

    /// Whether another process of the node of `gone` is connected.
    pub(super) fn is_succeeded(&self, gone: NodeId) -> bool {
        let mut connected = self.connected.iter();
        connected.any(|(peer, name)| *peer != gone && gone.is_process_of(name))
    }

    /// The name of a peer that is connected, other than the process `gone`, whose connection is not given up yet.
    pub(super) fn connected_beside(&self, gone: Option<NodeId>) -> Option<&str> {
        let mut connected = self.connected.iter();
        let (_, name) = connected.find(|(peer, _)| Some(**peer) != gone)?;
        Some(name)
    }

    /// Whether any peer is.
    pub(super) fn is_connected(&self) -> bool {
        !self.connected.is_empty()
    }

    pub(super) fn sample(&mut self, now: Instant, bytes_sent: u64) {
        self.samples.push_back((now, bytes_sent));
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= RATE_OVER)
        {
            self.samples.pop_front();
        }
    }

    fn bits_per_second(&self) -> u64 {
        let (Some((from, first)), Some((to, last))) = (self.samples.front(), self.samples.back())
        else {
            return 0;
        };
        let seconds = to.duration_since(*from).as_secs_f64();
        if seconds > 0.0 {
            ((last - first) as f64 * 8.0 / seconds) as u64
        } else {
            0
        }
    }

    pub(super) fn snapshot_asked(&mut self) {
        self.snapshot_asked = Some(Instant::now());
    }

    /// How long the guest stood still: no longer than from the wish to the answer.
    pub(super) fn snapshot_taken(&mut self) -> Duration {
        if let Some(asked) = self.snapshot_asked.take() {
            self.snapshot_pause = asked.elapsed();
        }
        self.snapshot_pause
    }

    pub(super) fn goes_live(&mut self) {
        self.live_since = Some(Instant::now());
        self.live_after = None;
    }

    /// The guest did something of its own; how long that took, if it is the first thing since this node went live.
    pub(super) fn lives(&mut self) -> Option<Duration> {
        let since = self.live_since.take()?;
        self.live_after = Some(since.elapsed());
        self.live_after
    }
}

fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// A peer reads another store than this node, which goes on all the same.
fn two_copies(claimed: Record, owner: &str) -> String {
    format!(
        "a peer has seen epoch {}, of {owner}, in a store of the same identity: there are two copies of it",
        claimed.epoch.0
    )
}

impl Controller {
    /// The guest did something new: after a takeover, says how long each part of it took.
    pub(super) fn on_life(&mut self) {
        if self.gauges.lives().is_some()
            && let Some(parts) = self.takeover()
        {
            info!(target: STORY, "the guest goes on, {parts}");
        }
    }

    fn takeover(&self) -> Option<TakeoverParts> {
        let times = self.replica.status().takeover?;
        Some(TakeoverParts {
            detected_ms: milliseconds(times.detected.us()),
            drained_ms: milliseconds(times.drained.us()),
            swapped_ms: milliseconds(times.swapped.us()),
            live_ms: self
                .gauges
                .live_after
                .map_or(0.0, |time| time.as_secs_f64() * 1000.0),
        })
    }

    /// How far the state is that moves to a backup.
    pub(super) fn transferring(&self, core: &Status) -> Option<Arc<TransferProgress>> {
        match (core.role == RoleStatus::Primary, core.transfer) {
            (true, TransferStatus::Idle) | (_, TransferStatus::Complete(_)) => None,
            (true, _) => self.sending.clone(),
            (false, _) => self.transport.receiving(),
        }
    }

    pub(super) fn status(&mut self) -> NodeStatus {
        self.look_at_health();
        let core = self.replica.status();
        let executor = self.executor.status();
        let counters = self.transport.counters();
        let progress = self.transferring(&core);
        let mut dropped = Dropped {
            outputs: self.replica.outputs_dropped(),
            console_file_bytes: self.console.bytes_dropped(),
            log_lines: crate::log::lines_dropped(),
            ..Dropped::default()
        };
        self.network.add_dropped(&mut dropped);
        self.control_counters.add_to(&mut dropped);
        NodeStatus {
            protected: self.health.mode == Mode::Protected,
            mode: self.health.mode,
            since: self.health.since(),
            unprotected_for_s: (self.health.unprotected_for()).map(|time| time.as_secs_f64()),
            reason: self.reason(&core),
            node: self.config.node.name.clone(),
            node_id: hex(self.node.0),
            machine: self.config.machine.name.clone(),
            engine: self.engine.to_string(),
            role: role_name(&core.role).to_owned(),
            epoch: core.epoch.0,
            flag: match core.flag {
                Flag::Pair => Some(0),
                Flag::Solo => Some(1),
                Flag::Unknown => None,
            },
            peer: core.peer.map(|peer| short(peer.0)),
            peer_name: core.peer.map(|peer| self.who(peer)),
            peer_connected: core
                .peer
                .is_some_and(|peer| self.gauges.connected.contains_key(&peer)),
            peer_round_trip_us: core
                .peer
                .and_then(|peer| self.transport.round_trip(peer))
                .and_then(|time| u64::try_from(time.as_micros()).ok()),
            log_index: core.last.0,
            acknowledged: core.acknowledged.0,
            replayed: core.replayed.0,
            lag_entries: if core.peer.is_some() {
                core.last.since(core.replayed)
            } else {
                0
            },
            lag_positions: executor.horizon.0.saturating_sub(executor.position.0),
            lag_ms: core.lag.us() as f64 / 1000.0,
            log_round_trip_us: core.flow.round_trip.us(),
            log_lossy: core.flow.lossy,
            log_waiting_bytes: core.flow.waiting_bytes + core.flow.buffered_bytes,
            log_entries_resent: core.flow.resent,
            backup_room_bytes: core.flow.room.bytes,
            position: executor.position.0,
            log_bits_per_second: self.gauges.bits_per_second(),
            log_bytes_sent: counters.bytes_sent,
            wire_bytes_sent: counters.wire_bytes_sent,
            outputs_held: core.outputs_held as u64,
            outputs_gated: core.outputs_gated,
            digests_compared: executor.digests_compared,
            transfer: transfer_name(core.transfer).to_owned(),
            transfer_bytes: progress
                .as_ref()
                .map_or(0, |progress| progress.bytes_done()),
            transfer_bytes_total: progress
                .as_ref()
                .map_or(0, |progress| progress.bytes_total()),
            snapshot_pause_ms: self.gauges.snapshot_pause.as_secs_f64() * 1000.0,
            join_refused: core.join_refused.and_then(|refused| {
                let paired = core.peer.filter(|_| core.flag == Flag::Pair);
                self.gauges.waiting(refused, self.now(), paired)
            }),
            certificate_days_left: certificate::days_left(
                self.transport.certificate_ends(),
                SystemTime::now(),
            ),
            refused_peers: counters.refused,
            refusals_untold: self.refusals.left_out(),
            strangers_dropped: counters.strangers_dropped,
            handshakes_dropped: counters.handshakes_dropped,
            throttle: core.brake,
            backup_slow: core.backup_slow,
            arbiter_reachable: !self.store_is_away(&core),
            arbiter_problem: self.standing.problem.clone().or(core
                .beside
                .map(|claimed| two_copies(claimed, &self.who(claimed.owner)))),
            arbiter_passed_over: self.arbiter.passed_over(),
            takeover: self.takeover(),
            suspects: core.suspects,
            network_connected: self.network.is_connected(),
            network_ready: self.network.is_ready(),
            network_problem: self.network.problem().map(str::to_owned),
            memory_ready: self.memory_missing().is_none(),
            memory_free_bytes: Some(self.room.free_bytes()).filter(|free| *free != u64::MAX),
            store_away_s: self.standing.away_for().map(|time| time.as_secs_f64()),
            unanswered: self.gauges.unanswered(),
            unknown: self.gauges.unknown.keys().cloned().collect(),
            inputs_dropped: executor.inputs_dropped,
            dropped,
            console_file_rotated_bytes: self.console.bytes_rotated_away(),
            sandbox: self.sandbox.to_string(),
            engine_faults: executor.engine_faults,
            uptime_s: self.gauges.started.elapsed().as_secs_f64(),
        }
    }
}

fn role_name(role: &RoleStatus) -> &'static str {
    match role {
        RoleStatus::Out => "out",
        RoleStatus::Starting => "starting",
        RoleStatus::Joining => "joining",
        RoleStatus::Backup => "backup",
        RoleStatus::TakingOver => "taking over",
        RoleStatus::Primary => "primary",
        RoleStatus::Halted(_) => "halted",
    }
}

fn transfer_name(transfer: TransferStatus) -> &'static str {
    match transfer {
        TransferStatus::Idle => "idle",
        TransferStatus::Snapshotting(_) => "snapshotting",
        TransferStatus::Copying(_) => "copying",
        TransferStatus::Closing(_) => "closing",
        TransferStatus::Arming(_) => "arming",
        TransferStatus::Complete(_) => "complete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use replication::{Instant as Now, Refusal};

    #[test]
    fn who_must_wait_is_named_as_long_as_it_must() {
        let mut gauges = Gauges::new(Instant::now());
        let refused = Refused {
            peer: NodeId(1 << 96),
            why: Refusal::Vanished,
            until: Now(2_500_000),
        };
        let waiting = |gauges: &Gauges, now, paired| gauges.waiting(refused, Now(now), paired);
        gauges.connected(refused.peer, "b");
        gauges.disconnected(refused.peer);
        let said = waiting(&gauges, 1_000_000, None).unwrap();
        assert!(
            said.starts_with("b: ") && said.ends_with("next try in 1.5 s"),
            "{said}"
        );
        // Its next process has a new identity.
        gauges.connected(NodeId(2), "b");
        gauges.connected(NodeId(3), "c");
        assert_eq!(waiting(&gauges, 1_000_000, Some(NodeId(2))), None);
        assert!(waiting(&gauges, 1_000_000, Some(NodeId(3))).is_some());
        assert_eq!(waiting(&gauges, 2_500_000, None), None);
        gauges.connected(refused.peer, "b");
        let said = waiting(&gauges, 2_500_000, None).unwrap();
        assert!(said.ends_with("it may try again now"), "{said}");
        for peer in 10..100 {
            gauges.connected(NodeId(peer), "d");
            gauges.disconnected(NodeId(peer));
        }
        assert_eq!(gauges.gone.len(), GONE_MAX);
    }
}
