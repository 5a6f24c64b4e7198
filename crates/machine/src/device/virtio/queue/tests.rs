//! Tests of the queue alone; those with a driver are in the tests of the devices.

use super::*;
use crate::ram::RAM_BASE;

const TABLE: u64 = RAM_BASE;
const AVAILABLE: u64 = RAM_BASE + 0x1000;
const USED: u64 = RAM_BASE + 0x2000;

fn queue(size: u16) -> (Queue, Ram) {
    let mut queue = Queue {
        size,
        descriptors: TABLE,
        available: AVAILABLE,
        used: USED,
        ..Queue::default()
    };
    queue.start().unwrap();
    (queue, Ram::new(1 << 16))
}

fn put(ram: &mut Ram, addr: u64, value: u16) {
    ram.write(GuestAddr(addr), &value.to_le_bytes()).unwrap();
}

#[test]
fn indexes_wrap() {
    let (mut queue, mut ram) = queue(2);
    for round in 0..=u16::MAX {
        put(&mut ram, AVAILABLE + 2, round.wrapping_add(1));
        assert_eq!(queue.waiting(&ram), Ok(1));
        queue.take(1);
        queue.give_back(&mut ram, 1, 5).unwrap();
        assert_eq!(queue.publish(&mut ram, false), Ok(true));
        assert_eq!(half(&ram, USED + 2), Ok(round.wrapping_add(1)));
    }
    assert_eq!(queue.publish(&mut ram, false), Ok(false), "nothing new");
}

#[test]
fn interrupts_are_suppressed_as_asked() {
    let (mut queue, mut ram) = queue(4);
    put(&mut ram, AVAILABLE, AVAIL_NO_INTERRUPT);
    queue.give_back(&mut ram, 0, 0).unwrap();
    assert_eq!(queue.publish(&mut ram, false), Ok(false));
    // The event index 2 is passed by the third chain, whether alone or in a batch.
    put(&mut ram, AVAILABLE + 4 + 8, 2);
    queue.give_back(&mut ram, 0, 0).unwrap();
    assert_eq!(queue.publish(&mut ram, true), Ok(false));
    queue.give_back(&mut ram, 0, 0).unwrap();
    queue.give_back(&mut ram, 0, 0).unwrap();
    assert_eq!(queue.publish(&mut ram, true), Ok(true));
    queue.give_back(&mut ram, 0, 0).unwrap();
    assert_eq!(queue.publish(&mut ram, true), Ok(false));
}

#[test]
fn misaligned_or_empty_queues_do_not_start() {
    for (size, descriptors, available, used) in [
        (0, TABLE, AVAILABLE, USED),
        (4, TABLE + 8, AVAILABLE, USED),
        (4, TABLE, AVAILABLE + 1, USED),
        (4, TABLE, AVAILABLE, USED + 2),
    ] {
        let mut queue = Queue {
            size,
            descriptors,
            available,
            used,
            ..Queue::default()
        };
        assert_eq!(queue.start(), Err(QueueError::Descriptor));
    }
}

#[test]
fn addresses_that_wrap_are_outside() {
    let (mut queue, mut ram) = queue(4);
    queue.available = u64::MAX - 1;
    assert_eq!(queue.waiting(&ram), Err(QueueError::Outside));
    queue.used = u64::MAX - 3;
    assert_eq!(queue.give_back(&mut ram, 0, 0), Err(QueueError::Outside));
    queue.available = AVAILABLE;
    queue.descriptors = u64::MAX - 15;
    put(&mut ram, AVAILABLE + 4, 1);
    assert_eq!(queue.pop(&ram), Err(QueueError::Outside));
}
