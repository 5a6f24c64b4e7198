//! A tiny virtio driver for tests: it sets a device up through the bus and works its queues.

use super::io::feature;
use crate::board::Board;
use crate::config::BoardConfig;
use crate::ram::RAM_BASE;
use crate::{GuestAddr, Lines, Width};

const SIZE: u16 = 8;

/// A buffer that the driver offers: where it is, how long, and whether the device may write it.
pub(super) type Piece = (u64, u32, bool);

pub(super) struct Driver {
    pub(super) board: Board,
    base: u64,
    size: u16,
    pub(super) event_index: bool,
    /// The guest clock.
    pub(super) now: u64,
    available: [u16; 2],
    seen_used: [u16; 2],
}

impl Driver {
    /// Drives the device in `slot` with these features beside VERSION_1.
    pub(super) fn new(config: &BoardConfig, slot: u64, features: u64) -> Driver {
        let mut driver = Driver {
            board: Board::new(config).unwrap(),
            base: 0,
            size: SIZE,
            now: 0,
            event_index: features & feature::EVENT_IDX != 0,
            available: [0; 2],
            seen_used: [0; 2],
        };
        driver.turn_to(slot);
        driver.start(features);
        driver
    }

    /// Drives the device in another slot from now on, with the same queues.
    pub(super) fn turn_to(&mut self, slot: u64) {
        self.base = 0x1000_1000 + slot * 0x1000;
    }

    /// Starts again with queues of this size, at most 64.
    pub(super) fn resize(&mut self, size: u16, features: u64) {
        self.size = size;
        self.start(features);
    }

    pub(super) fn start(&mut self, features: u64) {
        (self.available, self.seen_used) = ([0; 2], [0; 2]);
        self.write(0x70, 0);
        self.write(0x70, 3);
        let features = features | feature::VERSION_1;
        for half in 0..2 {
            self.write(0x24, half);
            self.write(0x20, (features >> (32 * half)) as u32);
        }
        self.write(0x70, 11);
        assert_eq!(self.read(0x70), 11, "the features are accepted");
        for queue in 0..2 {
            self.write(0x30, queue);
            if self.read(0x34) == 0 {
                continue;
            }
            let bytes = [0; 0x3000];
            let addr = self.table(u64::from(queue));
            self.board.ram.write(GuestAddr(addr), &bytes).unwrap();
            self.write(0x38, u32::from(self.size));
            self.write(0x80, addr as u32);
            self.write(0x90, addr as u32 + 0x1000);
            self.write(0xa0, addr as u32 + 0x2000);
            self.write(0x44, 1);
        }
        self.write(0x70, 15);
    }

    pub(super) fn table(&self, queue: u64) -> u64 {
        RAM_BASE + 0x1_0000 + queue * 0x4000
    }

    pub(super) fn read(&mut self, offset: u64) -> u32 {
        let addr = GuestAddr(self.base + offset);
        self.board.load(addr, Width::Word, self.now).unwrap() as u32
    }

    pub(super) fn write(&mut self, offset: u64, value: u32) {
        let addr = GuestAddr(self.base + offset);
        (self
            .board
            .store(addr, Width::Word, u64::from(value), self.now))
        .unwrap();
    }

    pub(super) fn half(&self, addr: u64) -> u16 {
        let mut bytes = [0; 2];
        self.board.ram.read(GuestAddr(addr), &mut bytes).unwrap();
        u16::from_le_bytes(bytes)
    }

    pub(super) fn put(&mut self, addr: u64, bytes: &[u8]) {
        self.board.ram.write(GuestAddr(addr), bytes).unwrap();
    }

    pub(super) fn get(&self, addr: u64, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.board.ram.read(GuestAddr(addr), &mut bytes).unwrap();
        bytes
    }

    pub(super) fn descriptor(&mut self, at: u64, addr: u64, len: u32, flags: u16, next: u16) {
        let (addr, len) = (addr.to_le_bytes(), len.to_le_bytes());
        let bytes = [&addr[..], &len, &flags.to_le_bytes(), &next.to_le_bytes()].concat();
        self.put(at, &bytes);
    }

    /// Makes a chain available whose descriptors start at number `head`, and says whether to notify.
    pub(super) fn offer(&mut self, queue: u64, head: u16, pieces: &[Piece]) -> bool {
        for (number, (addr, len, write)) in (head..).zip(pieces) {
            let more = usize::from(number - head) + 1 < pieces.len();
            let flags = u16::from(more) | u16::from(*write) << 1;
            let at = self.table(queue) + u64::from(number) * 16;
            self.descriptor(at, *addr, *len, flags, number + 1);
        }
        self.offer_head(queue, head)
    }

    /// The same for descriptors that are already written.
    pub(super) fn offer_head(&mut self, queue: u64, head: u16) -> bool {
        let ring = self.table(queue) + 0x1000;
        let index = self.available[queue as usize];
        self.put(
            ring + 4 + u64::from(index % self.size) * 2,
            &head.to_le_bytes(),
        );
        let next = index.wrapping_add(1);
        self.available[queue as usize] = next;
        self.put(ring + 2, &next.to_le_bytes());
        let event = self.half(self.table(queue) + 0x2000 + 4 + 8 * u64::from(self.size));
        !self.event_index || event == index
    }

    pub(super) fn notify(&mut self, queue: u32) {
        self.write(0x50, queue);
    }

    /// Chains given back since the last call: number and bytes written.
    pub(super) fn used(&mut self, queue: u64) -> Vec<(u32, u32)> {
        let ring = self.table(queue) + 0x2000;
        let mut used = Vec::new();
        let seen = self.seen_used[queue as usize];
        let mut index = seen;
        while index != self.half(ring + 2) {
            let bytes = self.get(ring + 4 + u64::from(index % self.size) * 8, 8);
            let word = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
            used.push((word(0), word(4)));
            index = index.wrapping_add(1);
        }
        self.seen_used[queue as usize] = index;
        used
    }

    /// Asks for an interrupt when the used index passes `index`.
    pub(super) fn set_used_event(&mut self, queue: u64, index: u16) {
        let addr = self.table(queue) + 0x1000 + 4 + 2 * u64::from(self.size);
        self.put(addr, &index.to_le_bytes());
    }

    /// Whether the device interrupts, by its register; acknowledges it.
    pub(super) fn interrupted(&mut self) -> u32 {
        let bits = self.read(0x60);
        self.write(0x64, bits);
        assert_eq!(self.read(0x60), 0);
        bits
    }

    /// Lets this device's interrupt through the PLIC, as the only one.
    pub(super) fn enable_in_plic(&mut self, irq: u32) {
        let board = &mut self.board;
        let mut store = |addr, value| board.store(GuestAddr(addr), Width::Word, value, 0).unwrap();
        store(0xc00_0000 + u64::from(irq) * 4, 1);
        store(0xc00_2080, 1 << irq);
    }

    pub(super) fn external_interrupt(&mut self) -> bool {
        self.board.lines(0).mip() & Lines::SEIP != 0
    }
}
