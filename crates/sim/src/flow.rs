//! The judge of the log's flow: however bad the link and however slow the backup, a primary sends again only what is
//! lost, and nothing that its backup has no room for; and neither holds more than its bounds.

use crate::checker::Broken;
use crate::deed::Deed;
use replication::{Bounds, LogIndex, Message, Status, TransferId};
use std::collections::BTreeMap;

/// Bytes may be sent so many times, on average, over whatever link: once, once more with what follows, and again
/// when both are lost, or late beyond all experience.
const TIMES_MAX: u64 = 4;
/// Where the link is merely bad, on average at most so many hundredths of what is new.
const TIMES_PERCENT_MAX: u64 = 250;
/// Bytes that a stream may send beside that, and for each second in which it may have found nobody.
const SLACK_BYTES: u64 = 100_000;
const SLACK_BYTES_PER_SECOND: u64 = 30_000;

/// What is known of every stream.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    streams: BTreeMap<TransferId, Stream>,
}

#[derive(Debug)]
struct Stream {
    begun: u64,
    /// The last entry before the stream.
    base: LogIndex,
    /// Bytes of entries up to each, from the first on.
    bytes_up_to: Vec<u64>,
    sent_bytes: u64,
    /// What the backup has said that it can take: up to this entry, and this many bytes since the stream began.
    room_to: LogIndex,
    room_bytes_to: u64,
    /// The backup has said that it holds all up to here, and waits for more.
    empty_at: LogIndex,
}

impl Stream {
    fn bytes_up_to(&self, index: LogIndex) -> u64 {
        let entries = index.since(self.base) as usize;
        let known = entries.min(self.bytes_up_to.len());
        known
            .checked_sub(1)
            .map_or(0, |last| self.bytes_up_to[last])
    }

    fn unique_bytes(&self) -> u64 {
        self.bytes_up_to.last().copied().unwrap_or_default()
    }
}

fn broken(invariant: &'static str, what: String) -> Result<(), Broken> {
    Err(Broken { invariant, what })
}

impl Flows {
    /// A process acts, at `now`.
    pub(crate) fn acts(&mut self, now: u64, deed: &Deed) -> Result<(), Broken> {
        let Deed::Sends { message, .. } = deed else {
            return Ok(());
        };
        match message {
            Message::TransferStart { transfer, from, .. } => {
                self.streams.entry(*transfer).or_insert(Stream {
                    begun: now,
                    base: from.previous(),
                    bytes_up_to: Vec::new(),
                    sent_bytes: 0,
                    room_to: LogIndex(0),
                    room_bytes_to: 0,
                    empty_at: LogIndex(0),
                });
            }
            Message::Acknowledge {
                transfer,
                held,
                replayed,
                room,
                ..
            } => {
                if let Some(stream) = self.streams.get_mut(transfer) {
                    stream.room_to = stream.room_to.max(held.plus(room.entries));
                    let bytes_to = stream.bytes_up_to(*held).saturating_add(room.bytes);
                    stream.room_bytes_to = stream.room_bytes_to.max(bytes_to);
                    if held == replayed {
                        stream.empty_at = stream.empty_at.max(*held);
                    }
                }
            }
            Message::Append {
                transfer,
                first,
                entries,
                ..
            } => {
                if let Some(stream) = self.streams.get_mut(transfer) {
                    let sizes = entries.iter().map(|entry| entry.len() as u64);
                    return stream.sends(now, *first, sizes.collect());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// On a link that is merely bad, little is sent twice.
    pub(crate) fn judge_strictly(&self) -> Result<(), Broken> {
        for stream in self.streams.values() {
            let (sent, unique) = (stream.sent_bytes, stream.unique_bytes());
            if sent > unique * TIMES_PERCENT_MAX / 100 + SLACK_BYTES {
                return broken(
                    "bandwidth",
                    format!("{sent} bytes were sent for {unique} of log"),
                );
            }
        }
        Ok(())
    }
}

impl Stream {
    fn sends(&mut self, now: u64, first: LogIndex, sizes: Vec<u64>) -> Result<(), Broken> {
        let last = first.previous().plus(sizes.len() as u64);
        let alone = sizes.len() == 1;
        for (index, bytes) in (first.0..).zip(sizes) {
            self.sent_bytes += bytes;
            if index - self.base.0 > self.bytes_up_to.len() as u64 {
                self.bytes_up_to.push(self.unique_bytes() + bytes);
            }
        }
        let has_room = last <= self.room_to && self.bytes_up_to(last) <= self.room_bytes_to;
        let waits_for_one = alone && self.empty_at >= first.previous();
        if !has_room && !waits_for_one {
            return broken(
                "credit",
                format!(
                    "entries {} to {} are sent, and the backup has room only up to {}, and for {} more bytes",
                    first.0,
                    last.0,
                    self.room_to.0,
                    self.room_bytes_to
                        .saturating_sub(self.bytes_up_to(first.previous()))
                ),
            );
        }
        let seconds = (now - self.begun) / 1_000_000;
        let most = self.unique_bytes() * TIMES_MAX + SLACK_BYTES + seconds * SLACK_BYTES_PER_SECOND;
        if self.sent_bytes > most {
            return broken(
                "bandwidth",
                format!(
                    "{} bytes were sent in {seconds} s for {} of log",
                    self.sent_bytes,
                    self.unique_bytes()
                ),
            );
        }
        Ok(())
    }
}

/// What a process holds is within its bounds; `entry_bytes_max` is the largest entry that there can be.
pub(crate) fn judge_memory(
    status: &Status,
    bounds: &Bounds,
    entry_bytes_max: u64,
) -> Result<(), Broken> {
    let flow = &status.flow;
    let waiting_max = bounds.window_bytes_max * 2;
    let buffered_max = bounds.unreplayed_bytes_max + entry_bytes_max;
    let flying_max = bounds.flight_bytes_max.max(entry_bytes_max) + bounds.append_bytes_max;
    let held = [
        ("window", flow.waiting_bytes, waiting_max),
        ("buffer", flow.buffered_bytes, buffered_max),
        ("flight", flow.flying_bytes, flying_max),
    ];
    for (what, bytes, most) in held {
        if bytes > most {
            return broken(
                "memory",
                format!("the {what} holds {bytes} bytes, the bound is {most}"),
            );
        }
    }
    Ok(())
}
