//! Scenes about rings of virtio devices: full of the most that they hold, or of nonsense; overlapping each other and the
//! code; changed between notifications.

use isa::Op;

use super::{COUNT, DATA, PLAYGROUND, VIRTIO, Writer};
use machine::config::MEMORY_BYTES_MIN;
use machine::ram::RAM_BASE;

/// Buffers of honest rings: as large as the largest frame.
const BUFFER: u64 = PLAYGROUND + 0x10_0000;
const FRAME_BYTES: u64 = 65_562;
/// Where descriptors of an indirect table lie.
const TABLE: u64 = DATA + 0x8_0000;
const TABLE_LEN_MAX: u64 = 1024;

/// A queue of one slot and what is written into it.
#[derive(Clone, Copy)]
pub(super) struct Queue {
    slot: u64,
    index: u64,
    size: u64,
    descriptors: u64,
    available: u64,
    used: u64,
    features: u64,
    /// Full of the most that it can hold; else of nonsense.
    honest: bool,
    indirect: bool,
    len: u64,
}

impl Queue {
    pub(super) fn draw(writer: &mut Writer<'_, '_>, slot: u64) -> Queue {
        let kind = writer.bytes.byte();
        let index = if slot == 1 { 0 } else { u64::from(kind & 1) };
        let honest = kind & 2 != 0;
        let largest = if slot == 0 { 256 } else { 64 };
        let size = match kind >> 2 & 3 {
            0 | 1 => largest,
            2 => 8,
            _ if honest => largest,
            _ => writer.random.integer() & 0x1ff,
        };
        let place = |writer: &mut Writer<'_, '_>, own: u64| {
            if honest || writer.random.one_in(2) {
                return own;
            }
            match writer.random.below(8) {
                // On each other, on the code, at the end of memory, or beyond.
                0..=2 => DATA + 16 * writer.random.below(64) as u64,
                3 => RAM_BASE,
                4 => RAM_BASE + 16 * writer.random.below(256) as u64,
                5 => RAM_BASE + MEMORY_BYTES_MIN - 16 * writer.random.below(64) as u64,
                6 => u64::MAX << 4,
                _ => 16 * writer.random.below(1 << 30) as u64,
            }
        };
        let lens = [FRAME_BYTES, 1 << 20, 72, 13, 1526, 65_536];
        Queue {
            slot,
            index,
            size,
            descriptors: place(writer, DATA),
            available: place(writer, DATA + 0x2000),
            used: place(writer, DATA + 0x4000),
            // Merged buffers, indirect tables, the event index.
            features: u64::from(kind >> 4 & 1) << 15 | 1 << 28 | u64::from(kind >> 5 & 1) << 29,
            honest,
            indirect: kind & 0x40 != 0,
            len: lens[usize::from(writer.bytes.byte()) % lens.len()],
        }
    }

    pub(super) fn base(&self) -> u64 {
        VIRTIO + self.slot * 0x1000
    }

    /// Sets the queue up as a driver does.
    pub(super) fn set_up(&self, writer: &mut Writer<'_, '_>) {
        let registers = [
            (0x70, 0),
            (0x70, 3),
            (0x24, 0),
            (
                0x20,
                self.features & if self.slot == 0 { u64::MAX } else { !(1 << 15) },
            ),
            (0x24, 1),
            (0x20, 1),
            (0x70, 11),
            (0x30, self.index),
            (0x38, self.size),
            (0x80, self.descriptors & 0xffff_ffff),
            (0x84, self.descriptors >> 32),
            (0x90, self.available & 0xffff_ffff),
            (0x94, self.available >> 32),
            (0xa0, self.used & 0xffff_ffff),
            (0xa4, self.used >> 32),
            (0x44, 1),
            (0x70, 15),
        ];
        writer.code.constant(5, self.base());
        for (offset, value) in registers {
            writer.code.constant(6, value);
            writer.code.store(Op::Sw, 6, 5, offset);
        }
    }

    pub(super) fn notify(&self, writer: &mut Writer<'_, '_>) {
        writer.poke(Op::Sw, self.base() + 0x50, self.index);
    }

    /// Whether the device writes to its buffers.
    fn is_written(&self) -> bool {
        self.slot == 1 || self.index == 0
    }

    /// Fills the ring, and says that all of it is available.
    pub(super) fn fill(&self, writer: &mut Writer<'_, '_>) {
        if !self.honest {
            return self.fill_with_nonsense(writer);
        }
        let write = u64::from(self.is_written()) << 1;
        let count = self.size.max(1);
        if self.indirect {
            // One table for all: the most descriptors of a byte each, or a loop.
            let entries = TABLE_LEN_MAX - u64::from(writer.bytes.byte() & 1);
            table(writer, TABLE, entries, (BUFFER, 1 + self.len / 1000), write);
            let (addr, len) = (TABLE, entries * 16);
            loop_of_descriptors(writer, self.descriptors, count, [addr, len | 4 << 32]);
        } else {
            loop_of_descriptors(
                writer,
                self.descriptors,
                count,
                [BUFFER, self.len | write << 32],
            );
        }
        // Heads in order, and the index.
        writer.code.constant(5, self.available + 4);
        writer.code.constant(6, 0);
        writer.code.constant(7, count);
        let again = writer.code.here();
        writer.code.store(Op::Sh, 6, 5, 0);
        writer.code.addi(5, 5, 2);
        writer.code.addi(6, 6, 1);
        writer.code.branch(Op::Bne, 6, 7, again);
        writer.poke(Op::Sh, self.available + 2, count);
    }

    fn fill_with_nonsense(&self, writer: &mut Writer<'_, '_>) {
        for number in 0..1 + writer.random.below(12) as u64 {
            let addr = match writer.random.below(6) {
                0..=2 => DATA + writer.random.below(0x6000) as u64,
                3 => RAM_BASE + writer.random.below(0x4000) as u64,
                4 => RAM_BASE + MEMORY_BYTES_MIN - writer.random.below(64) as u64,
                _ => writer.random.integer(),
            };
            let lens = [
                0,
                1,
                12,
                72,
                1526,
                4096,
                65_562,
                1 << 24,
                0x7fff_ffff,
                0xffff_ffff,
            ];
            let len = writer.random.pick(&lens);
            let flags = writer.random.below(8) as u64;
            let next = writer.random.below(16) as u64;
            let at = self.descriptors.wrapping_add(number * 16);
            writer.poke(Op::Sd, at, addr);
            writer.poke(Op::Sd, at + 8, len | flags << 32 | next << 48);
        }
        for entry in 0..8 {
            let head = writer.random.below(16) as u64;
            writer.poke(Op::Sh, self.available.wrapping_add(4 + 2 * entry), head);
        }
        let index = writer
            .random
            .pick(&[1, 2, 8, self.size, self.size + 1, 0xffff]);
        writer.poke(Op::Sh, self.available.wrapping_add(2), index);
    }
}

/// Writes `count` equal descriptors, by a loop.
fn loop_of_descriptors(writer: &mut Writer<'_, '_>, at: u64, count: u64, [low, high]: [u64; 2]) {
    writer.code.constant(5, at);
    writer.code.constant(6, low);
    writer.code.constant(7, high);
    writer.code.constant(28, count);
    let again = writer.code.here();
    writer.code.store(Op::Sd, 6, 5, 0);
    writer.code.store(Op::Sd, 7, 5, 8);
    writer.code.addi(5, 5, 16);
    writer.code.addi(28, 28, -1);
    writer.code.branch(Op::Bne, 28, 0, again);
}

/// Writes a table whose entries lead from one to the next, by a loop; the last ends it.
fn table(writer: &mut Writer<'_, '_>, at: u64, entries: u64, buffer: (u64, u64), write: u64) {
    writer.code.constant(29, 1 << 48);
    writer.code.constant(5, at);
    writer.code.constant(6, buffer.0);
    writer
        .code
        .constant(7, buffer.1 | (write | 1) << 32 | 1 << 48);
    writer.code.constant(28, entries - 1);
    let again = writer.code.here();
    writer.code.store(Op::Sd, 6, 5, 0);
    writer.code.store(Op::Sd, 7, 5, 8);
    writer.code.reg(Op::Add, 7, 7, 29);
    writer.code.addi(5, 5, 16);
    writer.code.addi(28, 28, -1);
    writer.code.branch(Op::Bne, 28, 0, again);
    writer.code.constant(7, buffer.1 | write << 32);
    writer.code.store(Op::Sd, 6, 5, 0);
    writer.code.store(Op::Sd, 7, 5, 8);
}

/// A queue, filled and notified, again and again; what it holds changes in between.
pub(super) fn rings(writer: &mut Writer<'_, '_>) {
    writer.skip_traps(true);
    let slot = u64::from(writer.bytes.byte() % 3);
    let queue = Queue::draw(writer, slot);
    queue.fill(writer);
    queue.set_up(writer);
    let pause = u64::from(writer.bytes.half()) % 4000;
    let times = 2 + u64::from(writer.bytes.byte() % 20);
    let changes: Vec<(u64, u64)> = (0..writer.bytes.byte() % 4)
        .map(|_| {
            let fields = [
                queue.available + 2,
                queue.descriptors + 8,
                queue.used + 2,
                DATA,
            ];
            let at = writer.random.pick(&fields) & !1;
            (at, writer.random.integer() & 0xffff)
        })
        .collect();
    let step = queue.size.max(1);
    writer.repeat(times, |writer| {
        queue.notify(writer);
        for (at, value) in changes {
            writer.poke(Op::Sh, at, value);
        }
        writer.idle_away(1 + pause);
        if queue.honest {
            // All of it once more.
            writer.code.constant(5, queue.available + 2);
            writer.code.imm(Op::Lhu, 6, 5, 0);
            writer.code.constant(7, step);
            writer.code.reg(Op::Add, 6, 6, 7);
            writer.code.store(Op::Sh, 6, 5, 0);
        }
        // The interrupt is acknowledged, or not.
        writer.code.constant(5, queue.base());
        writer.code.store(Op::Sw, COUNT, 5, 0x64);
    });
}
