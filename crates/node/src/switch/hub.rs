//! What a switch is made of, between two awaits of its tasks.

use super::fair::FairQueue;
use super::frame::take_frame;
use super::secret::SwitchSecret;
use super::table::{Kind, SwitchCounters, Table};
use bytes::BytesMut;
use replication::PortId;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Instant;
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// After so many frames, or bytes, of one port it is another's turn.
const TURN_FRAMES_MAX: usize = 64;
const TURN_BYTES_MAX: usize = 128 << 10;
/// The uplink is not read while so much of what it sent waits for one port: passt sends as fast as it is read, and again what
/// was dropped.
const BEHIND_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Port {
    pub(super) stream: Rc<UnixStream>,
    queue: FairQueue,
    pub(super) wake: Rc<Notify>,
    /// Something that waited for it was written.
    pub(super) written: Rc<Notify>,
    /// Frames of its own for which others had no room.
    pub(super) overflowed: u64,
}

impl Port {
    /// Hands to the kernel what it takes now.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let result = self.queue.write(&self.stream);
        self.written.notify_waiters();
        result
    }
}

/// What came of a turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// There may be more to forward.
    pub(super) has_more: bool,
    /// A port that takes less than this one sends.
    pub(super) behind: Option<PortId>,
}

/// A port, for the task that serves it.
pub(super) struct Opened {
    pub(super) id: PortId,
    pub(super) stream: Rc<UnixStream>,
    pub(super) wake: Rc<Notify>,
}

/// The switch's state; its tasks run on one thread and borrow it between two awaits only.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) table: Table,
    pub(super) ports: BTreeMap<PortId, Port>,
    next: u64,
}

impl Hub {
    pub(super) fn new(secret: &SwitchSecret) -> Self {
        Self {
            table: Table::new(secret),
            ports: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn open(&mut self, kind: Kind, stream: UnixStream, queue: FairQueue) -> Opened {
        self.next += 1;
        let id = PortId(self.next);
        let (stream, wake) = (Rc::new(stream), Rc::new(Notify::new()));
        let port = Port {
            stream: Rc::clone(&stream),
            queue,
            wake: Rc::clone(&wake),
            written: Rc::default(),
            overflowed: 0,
        };
        self.ports.insert(id, port);
        self.table.open(id, kind);
        wake.notify_one();
        Opened { id, stream, wake }
    }

    pub(super) fn close(&mut self, id: PortId) {
        self.table.close(Instant::now(), id);
        self.ports.remove(&id);
    }

    /// Forwards the frames of what `from` has sent, one turn of them.
    pub(super) fn receive(
        &mut self,
        from: PortId,
        received: &mut BytesMut,
    ) -> anyhow::Result<Turn> {
        let now = Instant::now();
        let mut turn = Turn::default();
        let mut touched = Vec::new();
        let (mut frames, mut bytes) = (0, 0);
        while let Some(frame) = take_frame(received)? {
            let ports = &mut self.ports;
            let mut overflowed = 0;
            self.table.receive(now, from, &frame, |target, frame| {
                if let Some(port) = ports.get_mut(&target) {
                    if !port.queue.push(from, frame) {
                        overflowed += 1;
                    }
                    if !touched.contains(&target) {
                        touched.push(target);
                    }
                }
            });
            self.table.counters.overflowed += overflowed;
            if let Some(port) = self.ports.get_mut(&from) {
                port.overflowed += overflowed;
            }
            (frames, bytes) = (frames + 1, bytes + frame.len());
            if frames >= TURN_FRAMES_MAX || bytes >= TURN_BYTES_MAX {
                turn.has_more = true;
                break;
            }
        }
        for id in touched {
            if let Some(port) = self.ports.get_mut(&id) {
                // An error shows again, to the task that owns the port.
                let _ = port.write();
                if !port.queue.is_empty() {
                    port.wake.notify_one();
                }
            }
            if self.is_behind(id, from) {
                turn.behind = Some(id);
            }
        }
        Ok(turn)
    }

    /// Whether too much of what `from` sent waits for a port.
    pub(super) fn is_behind(&self, port: PortId, from: PortId) -> bool {
        let port = self.ports.get(&port);
        port.is_some_and(|port| port.queue.waiting_from(from) > BEHIND_BYTES)
    }

    /// The port whose frames most often found no room, and how often.
    pub(super) fn loudest(&self) -> (u64, u64) {
        let ports = self.ports.iter().map(|(id, port)| (port.overflowed, id.0));
        let (overflowed, id) = ports.max().unwrap_or_default();
        (id, overflowed)
    }

    pub(super) fn counters(&self) -> SwitchCounters {
        self.table.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::frame::put_frame;

    #[tokio::test]
    async fn a_port_that_floods_gives_up_its_turn() {
        let directory = tempfile::tempdir().unwrap();
        let secret = SwitchSecret::load_or_create(&directory.path().join("s")).unwrap();
        let mut hub = Hub::new(&secret);
        let mut peers = Vec::new();
        let mut open = |hub: &mut Hub| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            peers.push(theirs);
            hub.open(Kind::Station([0; 16]), ours, FairQueue::default())
                .id
        };
        let flood = open(&mut hub);
        for _ in 0..2 {
            open(&mut hub);
        }
        let frames = |len, count| {
            let mut frame = vec![0xff; len];
            frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
            let mut frames = BytesMut::new();
            (0..count).for_each(|_| put_frame(&mut frames, &frame));
            frames
        };
        for (len, frames_a_turn) in [(60, TURN_FRAMES_MAX), (65_000, 3)] {
            let mut received = frames(len, 1_000);
            // Two others hear each of them, or have no room.
            let done = |hub: &Hub| hub.counters().forwarded;
            let before = done(&hub);
            let turn = hub.receive(flood, &mut received).unwrap();
            assert!(turn.has_more);
            assert_eq!(done(&hub) - before, frames_a_turn as u64);
        }
        let mut received = frames(65_000, 1_000);
        while hub.receive(flood, &mut received).unwrap().has_more {}
        assert!(hub.ports[&flood].overflowed > 0);
        assert_eq!(hub.loudest().0, flood.0, "who floods is known");
    }
}
