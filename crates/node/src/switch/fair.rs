//! What goes out by one port, from all others: each has a lane, and they leave in turns. Whoever sends more than the port takes
//! waits behind itself, and loses what is its own.

use super::frame::{frame_bytes, put_frame};
use super::port::OutQueue;
use bytes::BytesMut;
use replication::PortId;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use tokio::net::UnixStream;

/// Bytes that may wait for a peer that does not read. A lane may be as long as what it leaves free: with one that floods the
/// others have half of it, with two a third.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// A lane gives up its turn after so many bytes, or one frame.
const TURN_BYTES: usize = 64 << 10;

/// What waits to be written to a socket.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    lanes: BTreeMap<PortId, BytesMut>,
    /// The lanes in which something waits, in the order of their turns.
    turns: VecDeque<PortId>,
    /// Bytes in all lanes.
    waiting: usize,
    /// The frames whose turn it is.
    leaving: OutQueue,
}

impl FairQueue {
    /// Queues a frame that came from this port; `false` if there is no room for more of it.
    pub(super) fn push(&mut self, from: PortId, frame: &[u8]) -> bool {
        if self.turns.is_empty() && self.leaving.len() + frame.len() <= TURN_BYTES {
            return self.leaving.push(frame);
        }
        let own = self.lanes.get(&from).map_or(0, BytesMut::len);
        let free = WAITING_BYTES_MAX.saturating_sub(self.waiting);
        if own + frame.len() > free {
            return false;
        }
        let lane = self.lanes.entry(from).or_default();
        if lane.is_empty() {
            self.turns.push_back(from);
        }
        let before = lane.len();
        put_frame(lane, frame);
        self.waiting += lane.len() - before;
        true
    }

    /// Bytes from this port that wait for their turn.
    pub(super) fn waiting_from(&self, from: PortId) -> usize {
        self.lanes.get(&from).map_or(0, BytesMut::len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leaving.is_empty() && self.turns.is_empty()
    }

    /// Hands everything to the kernel; `WouldBlock` if it does not take it all now.
    pub(super) fn write(&mut self, stream: &UnixStream) -> io::Result<()> {
        while !self.is_empty() {
            if self.leaving.is_empty() {
                self.take_turn();
            }
            self.leaving.write(stream)?;
        }
        Ok(())
    }

    /// The next lane has its turn.
    fn take_turn(&mut self) {
        let Some(from) = self.turns.pop_front() else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&from) else {
            return;
        };
        let mut taken = 0;
        while let Some(next) = frame_bytes(&lane[taken..]) {
            if taken > 0 && taken + next > TURN_BYTES {
                break;
            }
            taken += next;
        }
        self.leaving.push_frames(&lane.split_to(taken));
        self.waiting -= taken;
        if lane.is_empty() {
            self.lanes.remove(&from);
        } else {
            self.turns.push_back(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::frame::take_frame;

    const FLOOD: PortId = PortId(1);
    const OTHERS: [PortId; 3] = [PortId(2), PortId(3), PortId(4)];

    /// Of whom the next frames to leave are, in one turn.
    fn turn(queue: &mut FairQueue) -> Vec<u8> {
        if queue.leaving.is_empty() {
            queue.take_turn();
        }
        let mut bytes = queue.leaving.take();
        let mut from = Vec::new();
        while let Some(frame) = take_frame(&mut bytes).unwrap() {
            from.push(frame[0]);
        }
        assert!(bytes.is_empty(), "whole frames leave");
        from
    }

    fn frame(from: PortId, len: usize) -> Vec<u8> {
        vec![from.0 as u8; len]
    }

    #[test]
    fn whoever_floods_a_port_loses_its_own_frames_only() {
        for len in [60, 1_500, 65_550] {
            let mut queue = FairQueue::default();
            let flood = frame(FLOOD, len);
            let mut sent = 0;
            while queue.push(FLOOD, &flood) {
                sent += len;
            }
            assert!(sent <= WAITING_BYTES_MAX, "{sent}");
            // It goes on, and the others are heard all the same.
            for round in 0..50 {
                for other in OTHERS {
                    assert!(queue.push(other, &frame(other, 1_500)), "round {round}");
                }
                while queue.push(FLOOD, &flood) {}
            }
            // Nobody waits for more than one turn of each.
            let mut heard = [0; OTHERS.len()];
            turn(&mut queue);
            for _ in 0..=OTHERS.len() {
                for from in turn(&mut queue) {
                    if let Some(at) = OTHERS.iter().position(|other| other.0 == u64::from(from)) {
                        heard[at] += 1;
                    }
                }
            }
            assert!(heard.iter().all(|heard| *heard >= 40), "{heard:?}");
            while !queue.is_empty() {
                turn(&mut queue);
            }
            assert_eq!((queue.waiting, queue.lanes.len()), (0, 0));
        }
    }

    #[test]
    fn frames_of_one_port_leave_in_order() {
        let mut queue = FairQueue::default();
        for number in 0..200u8 {
            assert!(queue.push(FLOOD, &vec![number; 2_000]));
        }
        let mut left = Vec::new();
        while !queue.is_empty() {
            left.extend(turn(&mut queue));
        }
        assert_eq!(left, (0..200).collect::<Vec<u8>>());
    }
}
