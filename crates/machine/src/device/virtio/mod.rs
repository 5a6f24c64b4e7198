//! Virtio devices behind the MMIO transport (virtio 1.2, section 4.2.2, without the legacy interface): one
//! [`Virtio`] a slot. A driver that breaks the rules finds `DEVICE_NEEDS_RESET` in the status register.

pub mod console;
pub mod entropy;
mod io;
pub mod net;
pub mod queue;
pub mod turn;

use serde::{Deserialize, Serialize};

use self::console::Console;
use self::entropy::Entropy;
use self::io::{Io, feature};
use self::net::Net;
use self::queue::{Queue, QueueError};
use self::turn::{TURN_PAUSE_TICKS, Turn};
use super::BadState;
use crate::Width;
use crate::config::{BoardConfig, VIRTIO_SLOTS};

pub use self::io::Surroundings;
pub use self::net::FRAME_BYTES;

const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// The vendor that QEMU gives.
const VENDOR: u32 = 0x554d_4551;

/// Status bits (section 2.1).
mod status {
    pub(super) const DRIVER_OK: u8 = 4;
    pub(super) const FEATURES_OK: u8 = 8;
    pub(super) const NEEDS_RESET: u8 = 64;
    /// Those that a driver may set.
    pub(super) const DRIVER: u8 = 0x8f;
}

const INTERRUPT_USED: u8 = 1;
const INTERRUPT_CONFIG: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Device {
    Empty,
    Net(Net),
    Entropy(Entropy),
    Console(Console),
}

impl Device {
    fn id(&self) -> u32 {
        match self {
            Device::Empty => 0,
            Device::Net(_) => 1,
            Device::Console(_) => 3,
            Device::Entropy(_) => 4,
        }
    }

    fn queues(&self) -> usize {
        match self {
            Device::Empty => 0,
            Device::Entropy(_) => 1,
            Device::Net(_) | Device::Console(_) => 2,
        }
    }

    fn queue_size_max(&self) -> u16 {
        match self {
            Device::Empty => 0,
            Device::Net(_) => 256,
            Device::Entropy(_) | Device::Console(_) => 64,
        }
    }

    fn features(&self) -> u64 {
        let common = feature::VERSION_1 | feature::EVENT_IDX | feature::INDIRECT_DESC;
        match self {
            Device::Empty => 0,
            Device::Net(_) => common | net::FEATURES,
            Device::Entropy(_) | Device::Console(_) => common,
        }
    }

    /// Byte `offset` of the configuration space.
    fn config(&self, offset: u64) -> u8 {
        match self {
            Device::Net(net) => net.config(offset),
            // The console's size is unknown and its only field is not offered.
            Device::Empty | Device::Entropy(_) | Device::Console(_) => 0,
        }
    }

    fn reset(&mut self) {
        match self {
            Device::Empty | Device::Entropy(_) => {}
            Device::Net(net) => net.reset(),
            Device::Console(console) => console.reset(),
        }
    }

    /// Serves queue `index` and says whether the driver wants an interrupt.
    fn serve(
        &mut self,
        index: usize,
        queue: &mut Queue,
        io: &mut Io<'_>,
    ) -> Result<bool, QueueError> {
        match (self, index) {
            (Device::Net(net), 0) => net.deliver(queue, io),
            (Device::Net(net), _) => net.transmit(queue, io),
            (Device::Console(console), 0) => console.deliver(queue, io),
            (Device::Console(console), _) => console.transmit(queue, io),
            (Device::Entropy(entropy), _) => entropy.fill(queue, io),
            (Device::Empty, _) => Ok(false),
        }
    }

    fn check(&self) -> Result<(), BadState> {
        match self {
            Device::Empty | Device::Entropy(_) => Ok(()),
            Device::Net(net) => net.check(),
            Device::Console(console) => console.check(),
        }
    }

    /// Whether two devices are the same part of a board, whatever their state.
    fn same_part(&self, other: &Device) -> bool {
        match (self, other) {
            (Device::Net(one), Device::Net(two)) => one.same_part(two),
            _ => self.id() == other.id(),
        }
    }
}

/// One slot: the transport's registers and the device behind them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Virtio {
    device: Device,
    status: u8,
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    queue_select: u32,
    queues: Vec<Queue>,
    interrupt: u8,
    /// Queues, a bit each, that a turn left a rest of.
    rests: u8,
    /// The guest clock at their next turn.
    next_turn: Option<u64>,
}

/// The slots of a board out of reset.
pub fn slots(config: &BoardConfig) -> Vec<Virtio> {
    let nets = (0..).zip(&config.net);
    let mut devices: Vec<_> = nets
        .map(|(index, config)| Device::Net(Net::new(index, config.mac)))
        .collect();
    if config.entropy {
        devices.push(Device::Entropy(Entropy::default()));
    }
    if config.console {
        devices.push(Device::Console(Console::default()));
    }
    devices.resize(VIRTIO_SLOTS, Device::Empty);
    devices.into_iter().map(Virtio::new).collect()
}

/// Says whether this state can have come from that board.
///
/// # Errors
/// It cannot: the error says what is wrong.
pub fn check(config: &BoardConfig, saved: &[Virtio]) -> Result<(), BadState> {
    let bad = |what| BadState {
        device: "the virtio slots",
        what,
    };
    let fresh = slots(config);
    if saved.len() != fresh.len() {
        return Err(bad("their number is wrong"));
    }
    for (saved, fresh) in saved.iter().zip(&fresh) {
        if !saved.device.same_part(&fresh.device) {
            return Err(bad("the devices are not those of the board"));
        }
        let size_max = fresh.device.queue_size_max();
        let impossible = |queue: &Queue| {
            queue.size > size_max
                || (queue.size != 0 && !queue.size.is_power_of_two())
                || (queue.ready && queue.size == 0)
        };
        if saved.queues.len() != fresh.queues.len() || saved.queues.iter().any(impossible) {
            return Err(bad("a queue is impossible"));
        }
        if u32::from(saved.rests) >> saved.queues.len() != 0 {
            return Err(bad("a queue that does not exist has a rest"));
        }
        if saved.driver_features & !fresh.device.features() != 0 && saved.running() {
            return Err(bad("a feature was accepted that was not offered"));
        }
        saved.device.check()?;
    }
    Ok(())
}

/// Replaces one half of an address.
fn set_half(address: &mut u64, high: bool, value: u32) {
    let shift = if high { 32 } else { 0 };
    *address = *address & !(0xffff_ffff << shift) | u64::from(value) << shift;
}

impl Virtio {
    fn new(device: Device) -> Virtio {
        Virtio {
            queues: vec![Queue::default(); device.queues()],
            device,
            status: 0,
            device_features_select: 0,
            driver_features_select: 0,
            driver_features: 0,
            queue_select: 0,
            interrupt: 0,
            rests: 0,
            next_turn: None,
        }
    }

    /// Which network device this is, if it is one.
    pub(crate) fn net_index(&self) -> Option<u8> {
        match &self.device {
            Device::Net(net) => Some(net.index()),
            _ => None,
        }
    }

    /// Level of the interrupt line.
    pub fn line(&self) -> bool {
        self.interrupt != 0
    }

    /// A driver runs the device, and has not broken it.
    fn running(&self) -> bool {
        let bits = status::FEATURES_OK | status::DRIVER_OK;
        self.status & (bits | status::NEEDS_RESET) == bits
    }

    /// A frame of a size in [`FRAME_BYTES`] arrives.
    pub(crate) fn receive_frame(&mut self, frame: &[u8], around: &mut Surroundings<'_>) {
        let running = self.running();
        if let Device::Net(net) = &mut self.device {
            net.receive(frame, running);
            self.serve(0, around);
        }
    }

    /// Whether a frame would be dropped now that need not be lost: the driver runs, and has yet to take those before it.
    pub fn must_wait(&self, frame: &[u8]) -> bool {
        match &self.device {
            Device::Net(net) => self.running() && !net.has_room_for(frame),
            _ => false,
        }
    }

    /// Typed bytes arrive; `false` means that this is no console, or not run by a driver.
    pub(crate) fn receive_console(&mut self, bytes: &[u8], around: &mut Surroundings<'_>) -> bool {
        let running = self.running();
        match &mut self.device {
            Device::Console(console) if running => console.receive(bytes),
            _ => return false,
        }
        self.serve(0, around);
        true
    }

    /// Typed bytes that the guest has yet to read.
    pub fn console_waiting(&self) -> usize {
        match &self.device {
            Device::Console(console) => console.waiting(),
            _ => 0,
        }
    }

    /// New seed for an entropy device.
    pub fn seed(&mut self, seed: &[u8; 32]) {
        if let Device::Entropy(entropy) = &mut self.device {
            entropy.seed(seed);
        }
    }

    /// The guest clock at which [`Virtio::go_on`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        self.next_turn
    }

    /// Goes on with what earlier turns left, if it is time.
    pub fn go_on(&mut self, around: &mut Surroundings<'_>) {
        if self.next_turn.is_none_or(|tick| tick > around.now) {
            return;
        }
        self.next_turn = None;
        let rests = std::mem::take(&mut self.rests);
        for index in (0..self.queues.len()).filter(|index| rests >> index & 1 != 0) {
            self.serve(index, around);
        }
    }

    /// Its turn at `now` comes at the next tick. At the end of time there is none.
    pub fn put_off(&mut self, now: u64) {
        self.next_turn = now.checked_add(1);
        if self.next_turn.is_none() {
            self.rests = 0;
        }
    }

    fn has_rest(&self, index: usize) -> bool {
        index < self.queues.len() && self.rests >> index & 1 != 0
    }

    /// A turn for a queue, unless one is to come.
    fn serve(&mut self, index: usize, around: &mut Surroundings<'_>) {
        if !self.running() || self.has_rest(index) {
            return;
        }
        let Some(queue) = self.queues.get_mut(index).filter(|queue| queue.ready) else {
            return;
        };
        let mut io = Io {
            ram: around.ram,
            outputs: around.outputs,
            features: self.driver_features,
            turn: Turn::default(),
        };
        let served = self.device.serve(index, queue, &mut io);
        *around.cost += io.turn.cost();
        // At the end of time there is no next turn.
        if io.turn.left_rest()
            && let Some(tick) = around.now.checked_add(TURN_PAUSE_TICKS)
        {
            self.rests |= 1 << index;
            self.next_turn.get_or_insert(tick);
        }
        match served {
            Ok(true) => self.interrupt |= INTERRUPT_USED,
            Ok(false) => {}
            Err(_) => self.break_off(),
        }
    }

    /// The driver broke the rules: nothing works until it resets the device.
    fn break_off(&mut self) {
        self.status |= status::NEEDS_RESET;
        if self.status & status::DRIVER_OK != 0 {
            self.interrupt |= INTERRUPT_CONFIG;
        }
    }

    fn reset(&mut self) {
        self.device.reset();
        let device = std::mem::replace(&mut self.device, Device::Empty);
        *self = Virtio::new(device);
    }

    /// Reads a register (32 bits) or the configuration space (any width); anything else is 0.
    pub fn load(&mut self, offset: u64, width: Width) -> u64 {
        if let Some(offset) = offset.checked_sub(0x100) {
            let byte = |index| u64::from(self.device.config(offset + index)) << (8 * index);
            return (0..width.bytes()).map(byte).sum();
        }
        if width != Width::Word {
            return 0;
        }
        let queue = self.queues.get(self.queue_select as usize);
        let value = match offset {
            0x000 => MAGIC,
            0x004 => VERSION,
            0x008 => self.device.id(),
            0x00c => VENDOR,
            0x010 => match self.device_features_select {
                0 => self.device.features() as u32,
                1 => (self.device.features() >> 32) as u32,
                _ => 0,
            },
            0x034 if queue.is_some() => u32::from(self.device.queue_size_max()),
            0x044 => u32::from(queue.is_some_and(|queue| queue.ready)),
            0x060 => u32::from(self.interrupt),
            0x070 => u32::from(self.status),
            // No shared memory regions.
            0x0b0..=0x0bc => u32::MAX,
            // The configuration never changes, so its generation is always 0.
            _ => 0,
        };
        u64::from(value)
    }

    /// Writes a register (32 bits); anything else is ignored, as the configuration space is read-only.
    pub fn store(&mut self, offset: u64, width: Width, value: u64, around: &mut Surroundings<'_>) {
        if width != Width::Word || matches!(self.device, Device::Empty) {
            return;
        }
        let value = value as u32;
        match offset {
            0x014 => self.device_features_select = value,
            0x020 => self.accept_features(value),
            0x024 => self.driver_features_select = value,
            0x030 => self.queue_select = value,
            0x050 => self.serve(value as usize, around),
            0x064 => self.interrupt &= !(value as u8),
            0x070 => self.set_status(value as u8, around),
            _ => self.set_up_queue(offset, value),
        }
    }

    fn accept_features(&mut self, value: u32) {
        if self.status & status::FEATURES_OK != 0 {
            return;
        }
        match self.driver_features_select {
            select @ 0..=1 => set_half(&mut self.driver_features, select == 1, value),
            // No feature is offered there.
            _ if value != 0 => self.break_off(),
            _ => {}
        }
    }

    fn set_status(&mut self, value: u8, around: &mut Surroundings<'_>) {
        if value == 0 {
            self.reset();
            return;
        }
        let was_running = self.running();
        let mut new = value & status::DRIVER;
        if self.status & status::FEATURES_OK == 0 {
            let acceptable = self.driver_features & !self.device.features() == 0
                && self.driver_features & feature::VERSION_1 != 0;
            if !acceptable {
                new &= !status::FEATURES_OK;
            }
        }
        self.status = new | self.status & status::NEEDS_RESET;
        if !was_running && self.running() {
            // Some drivers notify before they say that they are ready.
            for index in 0..self.queues.len() {
                self.serve(index, around);
            }
        }
    }

    fn set_up_queue(&mut self, offset: u64, value: u32) {
        let size_max = self.device.queue_size_max();
        let Some(queue) = self.queues.get_mut(self.queue_select as usize) else {
            return;
        };
        if queue.ready {
            // A queue in use can only be given up.
            if offset == 0x044 && value & 1 == 0 {
                *queue = Queue::default();
                self.rests &= !(1 << self.queue_select);
            }
            return;
        }
        match offset {
            0x038 => match u16::try_from(value) {
                Ok(size) if size.is_power_of_two() && size <= size_max => queue.size = size,
                _ => self.break_off(),
            },
            0x044 if value & 1 == 0 => {}
            0x044 => match queue.start() {
                Ok(()) => {}
                Err(_) => self.break_off(),
            },
            0x080 | 0x084 => set_half(&mut queue.descriptors, offset == 0x084, value),
            0x090 | 0x094 => set_half(&mut queue.available, offset == 0x094, value),
            0x0a0 | 0x0a4 => set_half(&mut queue.used, offset == 0x0a4, value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod driver;
#[cfg(test)]
mod tests;
