//! What joiners may cost the guest: a host whose transfers come to nothing waits longer each time, and the pauses for
//! snapshots, for whomever they are taken, are bounded. A joiner without room for the state costs no pause at all.

use crate::config::Times;
use crate::time::{Duration, Instant};
use crate::types::{HostId, NodeId, TransferId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Hosts that are remembered. Of more, the one that may come back first is forgotten; the bound on pauses holds all the same.
const HOSTS_MAX: usize = 16;
/// Snapshots in the time over which pauses are added up, however short each was.
const PAUSES_MAX: usize = 64;

/// Why a node that asks to join is not sent the state now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It has too little memory.
    NoRoom {
        /// Bytes that the state needs at the joiner.
        needs_bytes: u64,
        /// Bytes that the joiner says it has.
        room_bytes: u64,
    },
    /// It could not use the state that it was sent.
    StateUnusable,
    /// It fell silent, or its channel broke, before it was a backup.
    Vanished,
    /// Its transfer made no progress for too long.
    Stalled,
    /// It fell too far behind.
    TooSlow,
    /// Its state differed.
    Diverged,
    /// The guest has stood still often enough for joiners.
    PausesSpent,
}

/// A node that asked to join and was told to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The node; where this is the joiner's own status, the primary that said so.
    pub peer: NodeId,
    /// Why.
    pub why: Refusal,
    /// When it may expect something else.
    pub until: Instant,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom {
                needs_bytes,
                room_bytes,
            } => write!(
                f,
                "the machine needs {} MiB of memory there, and {} MiB are free",
                needs_bytes.div_ceil(1 << 20),
                room_bytes >> 20
            ),
            Self::StateUnusable => f.write_str("it could not use the state that it was sent"),
            Self::Vanished => f.write_str("it vanished before it was a backup"),
            Self::Stalled => f.write_str("the transfer of the state to it made no progress"),
            Self::TooSlow => f.write_str("it fell too far behind"),
            Self::Diverged => f.write_str("its state differed from the primary's"),
            Self::PausesSpent => f.write_str("the guest has paused often enough for joiners"),
        }
    }
}

/// What is remembered of a host.
#[derive(Clone, Copy, Debug)]
struct Host {
    /// Transfers in a row that came to nothing.
    failures: u32,
    /// Why the last one did.
    cause: Refusal,
    /// When it may be tried again.
    until: Instant,
    /// When it last became a backup.
    paired: Option<Instant>,
    /// What the node's log was told last.
    told: Option<Refusal>,
}

/// The memory of failures and pauses of one primary.
#[derive(Debug, Default)]
pub(crate) struct Pacing {
    hosts: BTreeMap<HostId, Host>,
    /// The snapshot that was asked for and is not taken yet.
    asked: Option<(TransferId, Instant)>,
    /// When snapshots were taken, and for how long the guest stood still for each.
    pauses: VecDeque<(Instant, Duration)>,
}

impl Pacing {
    /// Whether the state may be sent to this host now, or why not, and for how long.
    pub(crate) fn judge(
        &self,
        now: Instant,
        times: &Times,
        host: HostId,
        room: (u64, u64),
    ) -> Result<(), (Refusal, Duration)> {
        let (needs_bytes, room_bytes) = room;
        if needs_bytes > room_bytes {
            let why = Refusal::NoRoom {
                needs_bytes,
                room_bytes,
            };
            return Err((why, times.join));
        }
        if let Some(host) = self.hosts.get(&host).filter(|host| host.until > now) {
            return Err((host.cause, host.until.since(now)));
        }
        match self.spent_for(now, times) {
            Duration::ZERO => Ok(()),
            wait => Err((Refusal::PausesSpent, wait)),
        }
    }

    /// For how long no snapshot may be taken: none if one may be taken now.
    fn spent_for(&self, now: Instant, times: &Times) -> Duration {
        if self.asked.is_some() {
            return times.join;
        }
        let is_recent = |(at, _): &&(Instant, Duration)| now.since(*at) < times.pauses_window;
        let recent: Vec<_> = self.pauses.iter().filter(is_recent).collect();
        // The next is taken to be as long as the last.
        let next = recent.last().map_or(Duration::ZERO, |(_, took)| *took);
        let is_enough = |rest: &[&(Instant, Duration)]| {
            let sum = next + rest.iter().map(|(_, took)| *took).sum();
            rest.is_empty() || sum <= times.pauses_max && rest.len() < PAUSES_MAX
        };
        let gone = (0..=recent.len()).find(|gone| is_enough(&recent[*gone..]));
        match gone.and_then(|gone| gone.checked_sub(1)) {
            None => Duration::ZERO,
            Some(last) => recent[last].0.after(times.pauses_window).since(now),
        }
    }

    /// A snapshot is asked for.
    pub(crate) fn asked(&mut self, now: Instant, transfer: TransferId) {
        self.asked = Some((transfer, now));
    }

    /// A snapshot was taken, whether anybody still wants it or not.
    pub(crate) fn taken(&mut self, now: Instant, times: &Times, transfer: TransferId) {
        let Some((_, asked)) = self.asked.take_if(|(asked, _)| *asked == transfer) else {
            return;
        };
        let old = |at: Instant| now.since(at) >= times.pauses_window;
        while self.pauses.front().is_some_and(|(at, _)| old(*at)) || self.pauses.len() >= PAUSES_MAX
        {
            self.pauses.pop_front();
        }
        self.pauses.push_back((now, now.since(asked)));
    }

    /// A transfer to this host came to nothing, or the backup that it made was no use.
    pub(crate) fn failed(&mut self, now: Instant, times: &Times, host: HostId, cause: Refusal) {
        let known = self.remember(now, host, cause);
        let long_ago = |at: Instant| now.since(at) >= times.rejoin_max;
        if known.paired.take().is_some_and(long_ago) {
            known.failures = 0;
        }
        let wait = times.rejoin_min * (1 << known.failures.min(24));
        known.failures = known.failures.saturating_add(1);
        known.cause = cause;
        known.until = now.after(wait.min(times.rejoin_max));
    }

    /// The host is a backup now.
    pub(crate) fn paired(&mut self, now: Instant, host: HostId) {
        if let Some(known) = self.hosts.get_mut(&host) {
            known.paired = Some(now);
            known.told = None;
        }
    }

    /// Whether the node's log should be told of this refusal: of each reason once.
    pub(crate) fn is_news(&mut self, now: Instant, host: HostId, why: Refusal) -> bool {
        let told = &mut self.remember(now, host, why).told;
        let same = |told: &Refusal| std::mem::discriminant(told) == std::mem::discriminant(&why);
        let news = !told.as_ref().is_some_and(same);
        *told = Some(why);
        news
    }

    /// How much is remembered.
    pub(crate) fn footprint(&self) -> usize {
        self.hosts.len() + self.pauses.len()
    }

    fn remember(&mut self, now: Instant, host: HostId, cause: Refusal) -> &mut Host {
        if !self.hosts.contains_key(&host) && self.hosts.len() >= HOSTS_MAX {
            let first = self.hosts.iter().min_by_key(|(_, known)| known.until);
            if let Some(&first) = first.map(|(first, _)| first) {
                self.hosts.remove(&first);
            }
        }
        self.hosts.entry(host).or_insert(Host {
            failures: 0,
            cause,
            until: now,
            paired: None,
            told: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HostId = HostId(1);
    const SECOND: u64 = 1_000_000;

    /// A joiner that asks every 100 ms for `seconds`, and whose transfers all fail 300 ms after they began, each with a
    /// snapshot that takes `pause`: when the snapshots were taken.
    fn fail(seconds: u64, pause: u64, host: impl Fn(u64) -> HostId) -> Vec<u64> {
        let times = Times::default();
        let mut pacing = Pacing::default();
        let (mut now, mut taken) = (0, Vec::new());
        while now < seconds * SECOND {
            let host = host(now);
            if pacing.judge(Instant(now), &times, host, (0, 0)).is_ok() {
                let transfer = TransferId(now.into());
                pacing.asked(Instant(now), transfer);
                now += pause;
                pacing.taken(Instant(now), &times, transfer);
                taken.push(now);
                now += 300_000;
                pacing.failed(Instant(now), &times, host, Refusal::StateUnusable);
            }
            now += 100_000;
        }
        taken
    }

    #[test]
    fn a_host_that_always_fails_is_tried_more_and_more_seldom() {
        let taken = fail(600, 300_000, |_| HOST);
        let first_minute = taken.iter().filter(|at| **at < 60 * SECOND).count();
        assert!(first_minute <= 8, "{taken:?}");
        let waits: Vec<_> = taken.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            waits.is_sorted_by(|one, next| *one <= next + SECOND),
            "{waits:?}"
        );
        let last = waits.last().copied().unwrap_or_default();
        assert!(last <= 61 * SECOND, "there is a ceiling: {waits:?}");
    }

    #[test]
    fn the_guest_s_pauses_are_bounded_whatever_the_joiners_call_themselves() {
        for (pause, most) in [(10_000, PAUSES_MAX), (300_000, 10), (9 * SECOND, 1)] {
            let taken = fail(300, pause, |now| HostId(u128::from(now)));
            for from in &taken {
                let window = from + 60 * SECOND;
                let count = taken
                    .iter()
                    .filter(|at| (*from..window).contains(at))
                    .count();
                assert!(count <= most, "{count} pauses of {pause} us: {taken:?}");
            }
            assert!(taken.len() >= 4, "it goes on: {taken:?}");
        }
    }

    #[test]
    fn a_joiner_without_room_is_refused_and_forgotten_hosts_are_few() {
        let times = Times::default();
        let mut pacing = Pacing::default();
        let (why, _) = pacing
            .judge(Instant(0), &times, HOST, (3 << 20, 1 << 20))
            .unwrap_err();
        assert_eq!(
            why.to_string(),
            "the machine needs 3 MiB of memory there, and 1 MiB are free"
        );
        assert!(pacing.is_news(Instant(0), HOST, why));
        assert!(!pacing.is_news(Instant(0), HOST, why));
        for host in 0..1_000 {
            pacing.failed(
                Instant(host),
                &times,
                HostId(host.into()),
                Refusal::Vanished,
            );
        }
        assert_eq!(pacing.hosts.len(), HOSTS_MAX);
    }

    #[test]
    fn a_backup_that_served_for_long_starts_anew() {
        let times = Times::default();
        let mut pacing = Pacing::default();
        let wait = |pacing: &Pacing, now| match pacing.judge(Instant(now), &times, HOST, (0, 0)) {
            Ok(()) => Duration::ZERO,
            Err((_, wait)) => wait,
        };
        for _ in 0..4 {
            pacing.failed(Instant(0), &times, HOST, Refusal::Vanished);
        }
        assert_eq!(wait(&pacing, 0), times.rejoin_min * 8);
        pacing.paired(Instant(SECOND), HOST);
        pacing.failed(Instant(2 * SECOND), &times, HOST, Refusal::Diverged);
        assert_eq!(
            wait(&pacing, 2 * SECOND),
            times.rejoin_min * 16,
            "at once again"
        );
        pacing.paired(Instant(100 * SECOND), HOST);
        pacing.failed(Instant(900 * SECOND), &times, HOST, Refusal::Diverged);
        assert_eq!(wait(&pacing, 900 * SECOND), times.rejoin_min);
    }
}
