//! What is on its way to the backup: which entries were sent, when, and which of them are known to have arrived.
//! From that it decides what to send next: what is lost, and only that, before what is new; never more than the
//! backup has room for, nor than the path holds.

use crate::config::{Config, Mutation};
use crate::message::{BEYOND_MAX, ENTRY_EXTRA_BYTES, Room};
use crate::path::Path;
use crate::time::{Duration, Instant};
use crate::types::{Epoch, LogIndex};
use crate::window::Window;
use bytes::Bytes;
use std::collections::VecDeque;

/// What travels by stream is resent by the channel itself. Should it not come all the same, it is sent again after so
/// many times the wait for a datagram, and not before [`STREAM_SILENT_MIN`].
const STREAM_SILENT_TIMES: u64 = 8;
const STREAM_SILENT_MIN: Duration = Duration::from_s(1);
/// Within what may be under way at once, acknowledgements are asked for so often.
const ACKNOWLEDGEMENTS_A_FLIGHT: u64 = 4;
/// How long the mutated primary waits before it sends everything again.
const MUTANT: Duration = Duration::from_ms(50);

/// The entries sent and not acknowledged, in spans as they were sent.
#[derive(Debug)]
pub(crate) struct Flight {
    /// The last entry acknowledged: spans begin after it.
    base: LogIndex,
    spans: VecDeque<Span>,
    spans_bytes: u64,
    /// Bytes of spans that fly.
    flying_bytes: u64,
    /// Spans that are lost.
    lost: usize,
    path: Path,
    /// What the backup takes after `base`; none before its first word.
    room: Option<Room>,
    /// The newest stamp given, and the newest that came back.
    stamp: u64,
    echoed: u64,
    /// What has arrived is known up to here.
    known_to: LogIndex,
    /// Waits in vain, and when the last ended.
    tries: u32,
    probed: Instant,
    /// An output waits for entries up to here.
    urgent_to: LogIndex,
    /// Stamp of the last message that asks for an acknowledgement at once, and what was sent since.
    asked: u64,
    unasked_bytes: u64,
    due: Option<Instant>,
    /// Entries sent again because they were lost, since the stream began.
    resent: u64,
}

#[derive(Debug)]
struct Span {
    last: LogIndex,
    bytes: u64,
    stamp: u64,
    fate: Fate,
    /// It travels by stream.
    large: bool,
    /// It was sent more than once, because it was lost.
    again: bool,
    /// It was said once more within the next one.
    repeated: bool,
}

impl Span {
    /// Whether what arrived is what was sent again. Where the backup had it before that was sent, it was only late: the
    /// first to come was taken for lost because a host was busy, and says nothing of the link.
    fn was_lost(&self, echo: u64) -> bool {
        self.again && self.stamp <= echo
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Flying,
    Arrived,
    Lost,
}

/// The contents of `Message::Acknowledge`.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledgement {
    pub(crate) epoch: Epoch,
    pub(crate) held: LogIndex,
    pub(crate) replayed: LogIndex,
    pub(crate) ready: bool,
    pub(crate) room: Room,
    pub(crate) beyond: Vec<(LogIndex, LogIndex)>,
    pub(crate) echo: u64,
    pub(crate) echo_age: Duration,
}

/// Entries to be sent in one message.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) first: LogIndex,
    pub(crate) entries: Vec<Bytes>,
    pub(crate) urgent: bool,
    pub(crate) stamp: u64,
}

impl Flight {
    /// A stream whose first entry has index `from`.
    pub(crate) fn new(from: LogIndex, now: Instant) -> Self {
        Self {
            base: from.previous(),
            spans: VecDeque::new(),
            spans_bytes: 0,
            flying_bytes: 0,
            lost: 0,
            path: Path::new(now),
            room: None,
            stamp: 0,
            echoed: 0,
            known_to: LogIndex(0),
            tries: 0,
            probed: now,
            urgent_to: LogIndex(0),
            asked: 0,
            unasked_bytes: 0,
            due: None,
            resent: 0,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn flying_bytes(&self) -> u64 {
        self.flying_bytes
    }

    pub(crate) fn resent(&self) -> u64 {
        self.resent
    }

    /// What the backup can take, as it said last.
    pub(crate) fn room(&self) -> Room {
        self.room.unwrap_or_default()
    }

    /// Whether the backup can take one more entry of so many bytes.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        let fits = |room: Room| bytes <= room.bytes && room.entries > 0;
        self.room.is_some_and(fits)
    }

    /// The channel is another one: whatever was on its way is gone, and the path may be another, too.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.spans.clear();
        (self.spans_bytes, self.flying_bytes, self.lost) = (0, 0, 0);
        (self.path, self.tries, self.due) = (Path::new(now), 0, None);
    }

    /// An output waits for entries up to `index`.
    pub(crate) fn urge(&mut self, index: LogIndex) {
        self.urgent_to = self.urgent_to.max(index);
    }

    /// A stamp for a message that is sent now.
    pub(crate) fn stamp(&mut self, now: Instant) -> u64 {
        self.stamp = now.0.max(self.stamp + 1);
        self.stamp
    }

    /// Takes in an acknowledgement that `window` has taken in.
    pub(crate) fn acknowledge(&mut self, now: Instant, config: &Config, said: &Acknowledgement) {
        if said.echo > self.echoed && said.echo <= self.stamp {
            let trip = now.since(Instant(said.echo)) - said.echo_age;
            self.path.measured(now, trip);
            (self.echoed, self.tries) = (said.echo, 0);
        }
        if said.held < self.base {
            return;
        }
        self.room = match self.room {
            // Of two that say the same of `held`, the one with more room is newer.
            Some(room) if said.held == self.base => Some(Room {
                bytes: room.bytes.max(said.room.bytes),
                entries: room.entries.max(said.room.entries),
            }),
            _ => Some(said.room),
        };
        let mut delivered = 0;
        while let Some(span) = self.spans.pop_front_if(|span| span.last <= said.held) {
            self.spans_bytes -= span.bytes;
            delivered += self.leave(&span, said.echo);
        }
        self.base = said.held;
        if said.echo >= self.echoed {
            self.known_to = match said.beyond.last() {
                // There may be more, of which there was no room to speak.
                Some((_, last)) if said.beyond.len() >= BEYOND_MAX => *last,
                _ => LogIndex(u64::MAX),
            };
        }
        delivered += self.mark(&said.beyond, said.echo);
        self.path.delivered(now, delivered);
        self.look(now, config);
    }

    /// A span is known to have arrived, by a word that answers the message with stamp `echo`: its bytes, if that is new.
    fn leave(&mut self, span: &Span, echo: u64) -> u64 {
        match span.fate {
            Fate::Arrived => return 0,
            Fate::Flying => self.flying_bytes -= span.bytes,
            Fate::Lost => self.lost -= 1,
        }
        self.path.arrived(span.was_lost(echo));
        span.bytes
    }

    /// Marks the spans within `ranges` as arrived; the bytes of those for which that is new.
    fn mark(&mut self, ranges: &[(LogIndex, LogIndex)], echo: u64) -> u64 {
        let mut delivered = 0;
        let mut ranges = ranges.iter().peekable();
        let mut first = self.base.next();
        for at in 0..self.spans.len() {
            let last = self.spans[at].last;
            while ranges.next_if(|(_, end)| *end < last).is_some() {}
            let Some((begin, _)) = ranges.peek() else {
                break;
            };
            if *begin <= first && self.spans[at].fate != Fate::Arrived {
                let span = &mut self.spans[at];
                match span.fate {
                    Fate::Lost => self.lost -= 1,
                    _ => self.flying_bytes -= span.bytes,
                }
                span.fate = Fate::Arrived;
                self.path.arrived(span.was_lost(echo));
                delivered += span.bytes;
            }
            first = last.next();
        }
        delivered
    }

    /// Finds out what is lost by now, and when to look again.
    fn look(&mut self, now: Instant, config: &Config) {
        let oldest = self.spans.front().map(|span| span.stamp);
        if config.mutated(Mutation::ResendWholeWindow)
            && oldest.is_some_and(|stamp| Instant(stamp).after(MUTANT) <= now)
        {
            self.lose_all();
        }
        self.lose(now);
        let overtaken = (self.spans.iter()).filter(|span| self.is_overtaken(span));
        let overtaken = overtaken.map(|span| self.lost_at(span)).min();
        self.due = overtaken.into_iter().chain(self.silent_at(config)).min();
    }

    /// When a span that was overtaken counts as lost.
    fn lost_at(&self, span: &Span) -> Instant {
        Instant(span.stamp).after(match span.large {
            true => self.stream_silent(0),
            false => self.path.overtaken(),
        })
    }

    /// What went by stream and has not come for so long is sent again.
    fn stream_silent(&self, tries: u32) -> Duration {
        (self.path.silent(tries) * STREAM_SILENT_TIMES).max(STREAM_SILENT_MIN)
    }

    /// What was overtaken, and is late even so, is lost.
    fn lose(&mut self, now: Instant) {
        for at in 0..self.spans.len() {
            let span = &self.spans[at];
            if self.is_overtaken(span) && self.lost_at(span) <= now {
                let span = &mut self.spans[at];
                span.fate = Fate::Lost;
                self.flying_bytes -= span.bytes;
                self.lost += 1;
                self.path.lost(span.bytes);
            }
        }
    }

    /// Whether a span flies, although something sent later is known to have arrived.
    fn is_overtaken(&self, span: &Span) -> bool {
        span.fate == Fate::Flying && span.stamp < self.echoed && span.last <= self.known_to
    }

    /// What the mutated primary does.
    fn lose_all(&mut self) {
        for span in &mut self.spans {
            if span.fate == Fate::Flying {
                span.fate = Fate::Lost;
                self.flying_bytes -= span.bytes;
                self.lost += 1;
            }
        }
    }

    /// When the oldest span that flies is sent again, if nothing at all is heard.
    fn silent_at(&self, config: &Config) -> Option<Instant> {
        let span = self.spans.iter().find(|span| span.fate == Fate::Flying)?;
        let mut wait = self.path.silent(self.tries);
        if span.large {
            wait = self.stream_silent(self.tries);
        } else if self.asked < span.stamp {
            // The backup takes its time.
            wait += config.times.acknowledge;
        }
        Some(Instant(span.stamp).max(self.probed).after(wait))
    }

    /// When `on_time` is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// What was due has not come.
    pub(crate) fn on_time(&mut self, now: Instant, config: &Config) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.look(now, config);
        if self.silent_at(config).is_some_and(|due| due <= now) {
            // One message asks what has come; the answer tells what else is lost.
            let oldest = self.spans.iter_mut().find(|span| span.fate == Fate::Flying);
            if let Some(span) = oldest {
                span.fate = Fate::Lost;
                self.flying_bytes -= span.bytes;
                self.lost += 1;
            }
            (self.probed, self.tries) = (now, self.tries + 1);
        }
        self.look(now, config);
    }

    /// What to send now, if anything.
    pub(crate) fn next(&mut self, now: Instant, window: &Window, config: &Config) -> Option<Batch> {
        let flight_bytes = self.path.flight_bytes(config.bounds.flight_bytes_max);
        let batch = match self.resend(now, window, flight_bytes) {
            Some(batch) => batch,
            None if self.lost > 0 => return None,
            None => self.send_new(now, window, config, flight_bytes)?,
        };
        if batch.urgent {
            (self.asked, self.unasked_bytes) = (batch.stamp, 0);
        }
        self.due = self.due.into_iter().chain(self.silent_at(config)).min();
        Some(batch)
    }

    fn fits(&self, bytes: u64, flight_bytes: u64) -> bool {
        self.flying_bytes == 0 || self.flying_bytes + bytes <= flight_bytes
    }

    /// The oldest span that is lost.
    fn resend(&mut self, now: Instant, window: &Window, flight_bytes: u64) -> Option<Batch> {
        if self.lost == 0 {
            return None;
        }
        let at = self.spans.iter().position(|span| span.fate == Fate::Lost)?;
        if !self.fits(self.spans[at].bytes, flight_bytes) {
            return None;
        }
        let first = match at {
            0 => self.base.next(),
            _ => self.spans[at - 1].last.next(),
        };
        let stamp = self.stamp(now);
        let span = &mut self.spans[at];
        (span.fate, span.again, span.stamp) = (Fate::Flying, true, stamp);
        self.lost -= 1;
        self.flying_bytes += span.bytes;
        let entries = window.range(first, span.last);
        self.resent += entries.len() as u64;
        Some(Batch {
            first,
            entries,
            urgent: self.lost == 0,
            stamp,
        })
    }

    fn send_new(
        &mut self,
        now: Instant,
        window: &Window,
        config: &Config,
        flight_bytes: u64,
    ) -> Option<Batch> {
        let sent = self.spans.back().map_or(self.base, |span| span.last);
        let mut first = sent.next();
        let mut chunk = window.chunk(first, &config.bounds)?;
        let room = self.room?;
        let entries = sent.since(self.base) + chunk.entries;
        let is_full = self.spans_bytes + chunk.bytes > room.bytes || entries > room.entries;
        if is_full && !config.mutated(Mutation::IgnoreCredit) {
            // Whatever comes fits into an empty buffer, one entry at a time.
            if !self.spans.is_empty() || window.replayed() < window.acknowledged() {
                return None;
            }
            chunk = chunk.one();
        }
        if !self.fits(chunk.bytes, flight_bytes) {
            return None;
        }
        let last = sent.plus(chunk.entries);
        self.unasked_bytes += chunk.bytes;
        let urgent = (first..=last).contains(&self.urgent_to)
            || self.unasked_bytes >= flight_bytes / ACKNOWLEDGEMENTS_A_FLIGHT
            || window.is_filling(&config.bounds);
        if !chunk.large && self.path.wants_repetition() {
            let cost = chunk.bytes + chunk.entries * ENTRY_EXTRA_BYTES;
            first = self.repeat(first, cost, &config.bounds);
        }
        let stamp = self.stamp(now);
        self.spans.push_back(Span {
            last,
            bytes: chunk.bytes,
            stamp,
            fate: Fate::Flying,
            large: chunk.large,
            again: false,
            repeated: false,
        });
        self.spans_bytes += chunk.bytes;
        self.flying_bytes += chunk.bytes;
        Some(Batch {
            first,
            entries: window.range(first, last),
            urgent,
            stamp,
        })
    }

    /// On a link that loses, a datagram says once more what went before it, as far as there is room: a lost one then
    /// costs no round trip. Returns where it begins.
    fn repeat(&mut self, first: LogIndex, cost: u64, bounds: &crate::config::Bounds) -> LogIndex {
        let (mut begin, mut cost) = (first, cost);
        for at in (0..self.spans.len()).rev() {
            let before = match at {
                0 => self.base,
                _ => self.spans[at - 1].last,
            };
            let span = &mut self.spans[at];
            let is_new = span.fate == Fate::Flying && !span.large && !span.repeated;
            let more = span.bytes + span.last.since(before) * ENTRY_EXTRA_BYTES;
            if !is_new || cost + more > bounds.datagram_bytes_max {
                break;
            }
            cost += more;
            span.repeated = true;
            begin = before.next();
        }
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Epoch, MachineId, NodeId};

    const ROUNDS: u64 = 300;
    const TRIP: u64 = 1_000;

    /// A primary that sends an entry every 100 ms; one in ten of them is answered only after `late`, with the stamp of the
    /// message that `answered` chooses: the first that was sent, or the last.
    fn talk(late: u64, answered: impl Fn(u64, u64) -> u64) -> Flight {
        let config = Config::new(MachineId(1), NodeId(1), 1);
        let (mut window, mut flight) = (
            Window::new(LogIndex(1)),
            Flight::new(LogIndex(1), Instant(0)),
        );
        let answer = |flight: &mut Flight, window: &mut Window, now: u64, held: u64, echo: u64| {
            let said = Acknowledgement {
                epoch: Epoch(1),
                held: LogIndex(held),
                replayed: LogIndex(held),
                ready: true,
                echo,
                echo_age: Duration::ZERO,
                beyond: Vec::new(),
                room: Room {
                    bytes: 1 << 20,
                    entries: 1 << 10,
                },
            };
            window.acknowledge(LogIndex(held), LogIndex(held));
            flight.acknowledge(Instant(now), &config, &said);
        };
        answer(&mut flight, &mut window, 0, 0, 0);
        for round in 1..=ROUNDS {
            let now = round * 100_000;
            window.push(
                Instant(now),
                &[Bytes::from_static(b"entry")],
                &config.bounds,
            );
            let first = flight.next(Instant(now), &window, &config).expect("room");
            let wait = if round % 10 == 0 { late } else { TRIP };
            let mut last = first.stamp;
            while let Some(due) = flight.deadline().filter(|due| due.0 < now + wait) {
                flight.on_time(due, &config);
                last = flight
                    .next(due, &window, &config)
                    .map_or(last, |batch| batch.stamp);
            }
            let echo = answered(first.stamp, last);
            answer(&mut flight, &mut window, now + wait, round, echo);
        }
        flight
    }

    #[test]
    fn what_was_only_late_does_not_make_the_link_one_that_loses() {
        let late = talk(60_000, |first, _| first);
        assert!(late.resent() >= ROUNDS / 10, "{}", late.resent());
        assert!(!late.path().is_lossy());
        let lost = talk(60_000, |_, last| last);
        assert!(lost.resent() >= ROUNDS / 10, "{}", lost.resent());
        assert!(lost.path().is_lossy());
        assert_eq!(talk(TRIP, |first, _| first).resent(), 0);
    }
}
