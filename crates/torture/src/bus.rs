//! A guest that means harm to the devices: its bytes are accesses, inputs, ring contents and firmware calls, on a
//! whole board.

use super::{Bytes, DEVICES_BYTES_MAX, OUTPUT_BYTES_MAX, board};
use machine::boot::sbi;
use machine::ram::RAM_BASE;
use machine::{Board, GuestAddr, Input, Lines, Output, Width};

/// Accesses go to the start of one of these, most often to virtio, where the surface is largest.
const REGIONS: [u64; 8] = [
    0x1000_1000,
    0x1000_2000,
    0x1000_3000,
    0x1000_0000,
    0x200_0000,
    0xc00_0000,
    0x10_1000,
    0xfff0_0000,
];
/// The part of memory in which rings and buffers lie, small so that they overlap.
const WINDOW_BYTES: u64 = 0x4000;

/// Fields as this guest draws them.
impl Bytes<'_> {
    /// A number that is often small, and often near a limit.
    fn number(&mut self) -> u64 {
        let kind = self.byte();
        let low = u64::from(self.half());
        match kind % 8 {
            0..=3 => low % 32,
            4 => low,
            5 => RAM_BASE + low % WINDOW_BYTES,
            6 => u64::MAX - low,
            _ => low << 48 | low << 32 | u64::from(self.half()) << 16,
        }
    }

    fn width(&mut self) -> Width {
        match self.byte() % 8 {
            0 => Width::Byte,
            1 => Width::Half,
            2 => Width::Double,
            _ => Width::Word,
        }
    }

    fn register(&mut self, width: Width) -> GuestAddr {
        let region = REGIONS[usize::from(self.byte()) % REGIONS.len()];
        let offset = u64::from(self.half()) & 0x3fff;
        GuestAddr((region + offset) & !(width.bytes() - 1))
    }
}

/// A queue that the guest has set up.
#[derive(Clone, Copy)]
struct Queue {
    slot: u64,
    index: u64,
    size: u16,
    descriptors: u64,
    available: u64,
}

/// Sets a queue up as a driver does, so that what follows reaches the rings.
fn set_up_queue(bus: &mut Board, bytes: &mut Bytes<'_>, now: u64) -> Queue {
    let slot = u64::from(bytes.byte() % 3);
    let queue = u64::from(bytes.byte() % 2);
    let size = 1 << (bytes.byte() % 8);
    let features = u64::from(bytes.half()) << 15;
    let place = |bytes: &mut Bytes<'_>| RAM_BASE + u64::from(bytes.half() & !15) % WINDOW_BYTES;
    let (descriptors, available, used) = (place(bytes), place(bytes), place(bytes));
    let mut store = |offset, value| {
        let addr = GuestAddr(0x1000_1000 + slot * 0x1000 + offset);
        bus.store(addr, Width::Word, value, now)
            .expect("the register of a virtio slot takes any word");
    };
    if features & 0x8000 != 0 {
        store(0x70, 0);
    }
    store(0x70, 3);
    store(0x24, 0);
    store(0x20, features & 0x3000_8020);
    store(0x24, 1);
    store(0x20, 1);
    store(0x70, 11);
    store(0x30, queue);
    store(0x38, size);
    store(0x80, descriptors);
    store(0x90, available);
    store(0xa0, used);
    store(0x44, 1);
    store(0x70, 15);
    Queue {
        slot,
        index: queue,
        size: size as u16,
        descriptors,
        available,
    }
}

/// Offers a chain as a driver does, and notifies.
fn offer(bus: &mut Board, queue: Queue, bytes: &mut Bytes<'_>, now: u64) {
    let write = queue.slot == 1 || queue.index == 0;
    let count = 1 + u16::from(bytes.byte() % 3).min(queue.size - 1);
    for number in 0..count {
        let flags = u16::from(number + 1 < count) | u16::from(write) << 1;
        let descriptor = u128::from(RAM_BASE + u64::from(bytes.half()) % WINDOW_BYTES)
            | u128::from(1 + bytes.half() % 2048) << 64
            | u128::from(flags) << 96
            | u128::from(number + 1) << 112;
        let at = GuestAddr(queue.descriptors + u64::from(number) * 16);
        bus.ram
            .write(at, &descriptor.to_le_bytes())
            .expect("the window and what follows it lie in memory");
    }
    let index = GuestAddr(queue.available + 2);
    let next = bus.load(index, Width::Half, now);
    let next = next.expect("the window and what follows it lie in memory") + 1;
    let _ = bus.store(index, Width::Half, next, now);
    notify(bus, queue.slot, queue.index, now);
}

fn notify(bus: &mut Board, slot: u64, queue: u64, now: u64) {
    let addr = GuestAddr(0x1000_1050 + slot * 0x1000);
    bus.store(addr, Width::Word, queue, now)
        .expect("the register of a virtio slot takes any word");
}

fn write_memory(bus: &mut Board, bytes: &mut Bytes<'_>) {
    let addr = GuestAddr(RAM_BASE + u64::from(bytes.half()) % WINDOW_BYTES);
    match bytes.byte() % 4 {
        // A descriptor.
        0 => {
            let at = GuestAddr(addr.0 & !15);
            let (buffer, len, flags) = (bytes.number(), bytes.number() as u32, bytes.byte() % 8);
            let next = u16::from(bytes.byte() % 32);
            let fields = [
                &buffer.to_le_bytes()[..],
                &len.to_le_bytes(),
                &[flags, 0],
                &next.to_le_bytes(),
            ];
            bus.ram.write(at, &fields.concat())
        }
        // Any number.
        1 => bus.ram.write(addr, &bytes.number().to_le_bytes()),
        // An index.
        _ => (bus.ram).write(GuestAddr(addr.0 & !1), &[bytes.byte() % 16, 0]),
    }
    .expect("the window lies in memory");
}

/// A restored machine is the saved one.
fn save_and_restore(mut bus: Board, now: u64) -> Board {
    let (state, lines) = (bus.save(now), bus.lines(now));
    let devices = bus.device_states(now);
    let mut restored = Board::restore(&board(), bus.ram, state.clone())
        .expect("what was saved on this board can be restored on it");
    assert_eq!(restored.lines(now), lines, "no interrupt edge is replayed");
    assert_eq!(restored.save(now), state);
    assert_eq!(restored.device_states(now), devices);
    assert_bounded(&devices);
    restored
}

/// What a guest made the devices keep has a limit.
fn assert_bounded(devices: &[(String, Vec<u8>)]) {
    let kept: usize = devices.iter().map(|(_, state)| state.len()).sum();
    assert!(kept <= DEVICES_BYTES_MAX, "the devices keep {kept} bytes");
}

/// So has what they say at one access.
fn bounded_outputs(bus: &mut Board) -> usize {
    let outputs = bus.take_outputs();
    let said = outputs.iter().map(|output| match output {
        Output::Frame { frame, .. } => frame.len(),
        Output::Console(bytes) => bytes.len(),
    });
    let said: usize = said.sum();
    assert!(said <= OUTPUT_BYTES_MAX, "one access said {said} bytes");
    outputs.len()
}

fn input(bytes: &mut Bytes<'_>) -> Input {
    let len = usize::from(bytes.half() % 3000);
    let fill = bytes.byte();
    match bytes.byte() % 8 {
        0 => Input::Seed([fill; 32]),
        1 => Input::Console(vec![fill; len]),
        device => Input::Frame {
            device: u8::from(device == 2),
            frame: vec![fill; len],
        },
    }
}

/// How far into the devices a guest came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Outputs: frames, and batches of console bytes.
    pub outputs: usize,
    /// Times that an external interrupt was seen.
    pub interrupts: usize,
}

/// Runs the guest whose deeds `data` spells, one after the other until it ends.
///
/// # Panics
/// If a promise of the bus is broken: that is what it looks for.
pub fn run(data: &[u8]) -> Reached {
    run_watched(data, &mut |_| {})
}

/// The same; `watch` is called after each single stop of a machine, and with `false` after what is there to check it.
///
/// # Panics
/// As [`run`].
pub fn run_watched(data: &[u8], watch: &mut dyn FnMut(bool)) -> Reached {
    let mut reached = Reached::default();
    let mut bytes = Bytes(data);
    let mut bus = Board::new(&board()).expect("the board is possible");
    let mut now = 0u64;
    let mut queue = None;
    // Every source may interrupt, so that its line can be seen.
    for offset in (4..48).step_by(4).chain([0x2080]) {
        bus.store(GuestAddr(0xc00_0000 + offset), Width::Word, u64::MAX, now)
            .expect("the PLIC takes any word");
    }
    watch(false);
    while !bytes.0.is_empty() {
        match bytes.byte() % 17 {
            0..=3 => write_memory(&mut bus, &mut bytes),
            4 => queue = Some(set_up_queue(&mut bus, &mut bytes, now)),
            5 => {
                if let Some(queue) = queue {
                    offer(&mut bus, queue, &mut bytes, now);
                }
            }
            6 | 7 => {
                let (slot, queue) = (bytes.byte() % 3, bytes.byte() % 3);
                notify(&mut bus, u64::from(slot), u64::from(queue), now);
            }
            8 | 9 => {
                let width = bytes.width();
                let addr = bytes.register(width);
                // A fault is an answer like any other.
                let _ = bus.load(addr, width, now);
            }
            10 | 11 => {
                let width = bytes.width();
                let addr = bytes.register(width);
                let _ = bus.store(addr, width, bytes.number(), now);
            }
            12 => match bus.deadline(now).filter(|_| bytes.byte() & 1 == 0) {
                Some(tick) => now = tick,
                None => now = now.saturating_add(bytes.number()),
            },
            13 => {
                let input = input(&mut bytes);
                let before = bus.save(now);
                watch(false);
                if bus.apply(&input, now).is_err() {
                    assert_eq!(bus.save(now), before, "a refused input changes nothing");
                }
            }
            14 => {
                let extensions = [0x10, 0x5449_4d45, 0x73_5049, 0x5246_4e43, 0x4442_434e, 2];
                let call = sbi::Call {
                    extension: extensions[usize::from(bytes.byte()) % extensions.len()],
                    function: bytes.number(),
                    args: std::array::from_fn(|_| bytes.number()),
                };
                sbi::call(&mut bus, call);
            }
            15 => {
                bus = save_and_restore(bus, now);
                watch(false);
            }
            // Much at once: nobody reads as fast as that.
            _ => {
                let input = input(&mut bytes);
                for _ in 0..bytes.half() % 600 {
                    let _ = bus.apply(&input, now);
                    watch(true);
                }
            }
        }
        bus.go_on(now);
        watch(true);
        let lines = bus.lines(now);
        assert_eq!(bus.lines(now), lines, "looking changes nothing");
        assert!(bus.deadline(now).is_none_or(|tick| tick > now));
        reached.outputs += bounded_outputs(&mut bus);
        watch(false);
        reached.interrupts += usize::from(lines.mip() & (Lines::SEIP | Lines::MEIP) != 0);
    }
    assert_bounded(&bus.device_states(now));
    reached
}
