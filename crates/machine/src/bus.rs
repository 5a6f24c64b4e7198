//! The bus: memory and every device of the board at its address, and the interrupt lines between them.
//!
//! The devices are a closed set. Addresses are those of QEMU's `virt` board; a load or store anywhere else
//! is an access fault. Time is the guest clock, which comes as `now` with each call and never goes back.

use serde::{Deserialize, Serialize};

use crate::board::{Board, BoardError};
use crate::device::clint::Clint;
use crate::device::htif::{self, Htif};
use crate::device::plic::{Plic, Target};
use crate::device::rtc::Rtc;
use crate::device::test::{self, StopRequest};
use crate::device::uart::Uart;
use crate::device::virtio::{self, Surroundings, Virtio};
use crate::device::{BadState, virtio::SLOTS};
use crate::ram::{RAM_BASE, Ram};
use crate::{GuestAddr, Input, Output, Position, Width};

/// Nothing answers at that physical address, or not with that width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory or device answers at this physical address")]
pub struct AccessFault;

/// The interrupt lines into the hart, as bits of `mip`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines(u64);

impl Lines {
    /// Machine software interrupt.
    pub const MSIP: u64 = 1 << 3;
    /// Machine timer interrupt.
    pub const MTIP: u64 = 1 << 7;
    /// Supervisor external interrupt.
    pub const SEIP: u64 = 1 << 9;
    /// Machine external interrupt.
    pub const MEIP: u64 = 1 << 11;

    /// The raised lines, at their places in `mip`.
    pub fn mip(self) -> u64 {
        self.0
    }

    fn with(self, line: u64, raised: bool) -> Lines {
        Lines(self.0 | if raised { line } else { 0 })
    }
}

/// An input that this machine cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// No such network device.
    #[error("a frame is for network device {0}, which this machine does not have")]
    NoSuchDevice(u8),
    /// A frame shorter or longer than Ethernet (or segmentation offload) allows.
    #[error("a frame of {0} bytes is not possible: 14 to 65550 are")]
    FrameSize(usize),
    /// Too many typed bytes at once.
    #[error("{0} bytes typed at once are too many: 65536 are possible")]
    ConsoleSize(usize),
    /// Not for a device.
    #[error("this input is not for a device")]
    NotForDevice,
}

/// The state of all devices, without memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusState {
    version: u16,
    rom: Vec<u8>,
    clint: Clint,
    plic: Plic,
    rtc: Rtc,
    uart: Uart,
    pub(crate) virtio: Vec<Virtio>,
    htif: Option<Htif>,
}

/// Version of [`BusState`].
const STATE_VERSION: u16 = 3;

/// Why saved state cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// From another version of this program.
    #[error("the device state has version {0}, and this program understands version 3")]
    Version(u16),
    /// The board is impossible.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The memory is not of the board's size.
    #[error("the memory has {0} bytes, which is not what the board says")]
    Memory(u64),
    /// A device's state is impossible.
    #[error(transparent)]
    Device(#[from] BadState),
}

pub(crate) const ROM_BASE: u64 = 0x1000;
/// Largest boot ROM, in bytes.
pub(crate) const ROM_BYTES_MAX: usize = 0xf000;

/// So many console bytes do not wait for a frame to be taken with.
const CONSOLE_BATCH_BYTES: usize = 64 * 1024;

/// Once the turns of a tick have cost so much, in units of [`crate::Core::spend`], no other device has one: the last may
/// cost twice what a turn does.
const TICK_EFFORT_MAX: u64 = 1 << 18;

/// Start address, size and device: the memory map. Sizes are those that answer on QEMU's board.
const MAP: [(u64, u64, Region); 6] = [
    (ROM_BASE, ROM_BYTES_MAX as u64, Region::Rom),
    (0x10_0000, 0x1000, Region::Test),
    (0x10_1000, 0x24, Region::Rtc),
    (0x200_0000, 0xc000, Region::Clint),
    (0xc00_0000, 0x60_0000, Region::Plic),
    (0x1000_0000, 8, Region::Uart),
];
const VIRTIO_BASE: u64 = 0x1000_1000;
const VIRTIO_STRIDE: u64 = 0x1000;
const VIRTIO_BYTES: u64 = 0x200;

const UART_IRQ: u32 = 10;
const RTC_IRQ: u32 = 11;
/// Interrupt source of virtio slot 0; the others follow.
const VIRTIO_IRQ: u32 = 1;

#[derive(Clone, Copy)]
enum Region {
    Rom,
    Test,
    Rtc,
    Clint,
    Plic,
    Uart,
    Virtio(usize),
}

/// The device at `addr` and the offset in it, if all of the access falls into it, and is aligned where that matters.
fn decode(addr: GuestAddr, width: Width) -> Result<(Region, u64), AccessFault> {
    let GuestAddr(addr) = addr;
    let (base, size, region) = match addr.checked_sub(VIRTIO_BASE) {
        Some(offset) if offset < VIRTIO_STRIDE * SLOTS as u64 => {
            let slot = offset / VIRTIO_STRIDE;
            let base = VIRTIO_BASE + slot * VIRTIO_STRIDE;
            (base, VIRTIO_BYTES, Region::Virtio(slot as usize))
        }
        _ => *(MAP.iter())
            .find(|(base, size, _)| (*base..base + size).contains(&addr))
            .ok_or(AccessFault)?,
    };
    let offset = addr - base;
    let aligned = addr.is_multiple_of(width.bytes()) || matches!(region, Region::Rom);
    if aligned && offset + width.bytes() <= size {
        Ok((region, offset))
    } else {
        Err(AccessFault)
    }
}

/// Memory and devices.
pub struct Bus {
    /// Guest memory.
    pub ram: Ram,
    rom: Vec<u8>,
    clint: Clint,
    plic: Plic,
    rtc: Rtc,
    uart: Uart,
    virtio: Vec<Virtio>,
    htif: Option<Htif>,
    outputs: Vec<Output>,
    stop: Option<StopRequest>,
    /// What turns at queues have cost, for [`Bus::take_effort`].
    effort: u64,
}

impl Bus {
    /// A board out of reset, with memory that is all zeros.
    pub fn new(board: &Board) -> Result<Bus, BoardError> {
        board.check()?;
        Ok(Bus {
            ram: Ram::of(board)?,
            rom: Vec::new(),
            clint: Clint::default(),
            plic: Plic::default(),
            rtc: Rtc::default(),
            uart: Uart::default(),
            virtio: virtio::slots(board),
            htif: None,
            outputs: Vec::new(),
            stop: None,
            effort: 0,
        })
    }

    /// Loads from memory or a device, zero-extended.
    pub fn load(&mut self, addr: GuestAddr, width: Width, now: u64) -> Result<u64, AccessFault> {
        if addr.0 >= RAM_BASE {
            let mut bytes = [0; 8];
            self.ram.read(addr, &mut bytes[..width.bytes() as usize])?;
            return Ok(u64::from_le_bytes(bytes));
        }
        let (region, offset) = decode(addr, width)?;
        self.advance(now);
        let value = match (region, width) {
            (Region::Rom, _) => {
                let mut value = 0;
                for index in (0..width.bytes()).rev() {
                    let byte = self.rom.get((offset + index) as usize).copied();
                    value = value << 8 | u64::from(byte.unwrap_or(0));
                }
                value
            }
            (Region::Test, Width::Half | Width::Word) => 0,
            (Region::Rtc, Width::Word) => u64::from(self.rtc.load(offset, now)),
            (Region::Rtc, Width::Double) => {
                let low = self.rtc.load(offset, now);
                u64::from(self.rtc.load(offset + 4, now)) << 32 | u64::from(low)
            }
            (Region::Clint, Width::Word | Width::Double) => self.clint.load(offset, width, now),
            (Region::Plic, Width::Word) => u64::from(self.plic.load(offset)),
            // Its registers are bytes, whatever the width that a driver takes.
            (Region::Uart, _) => u64::from(self.uart.load(offset)),
            (Region::Virtio(slot), _) => self.virtio[slot].load(offset, width),
            _ => return Err(AccessFault),
        };
        self.settle();
        Ok(value)
    }

    /// Stores the low bytes of `value` to memory or a device.
    pub fn store(
        &mut self,
        addr: GuestAddr,
        width: Width,
        value: u64,
        now: u64,
    ) -> Result<(), AccessFault> {
        if addr.0 >= RAM_BASE {
            let bytes = value.to_le_bytes();
            return self.ram.write(addr, &bytes[..width.bytes() as usize]);
        }
        let (region, offset) = decode(addr, width)?;
        self.advance(now);
        match (region, width) {
            (Region::Rom, _) => {}
            (Region::Test, Width::Half | Width::Word) => {
                if offset == 0
                    && let Some(stop) = test::decode(value as u32)
                {
                    self.stop.get_or_insert(stop);
                }
            }
            (Region::Rtc, Width::Word) => self.rtc.store(offset, value as u32, now),
            (Region::Rtc, Width::Double) => {
                self.rtc.store(offset, value as u32, now);
                self.rtc.store(offset + 4, (value >> 32) as u32, now);
            }
            (Region::Clint, Width::Word | Width::Double) => {
                self.clint.store(offset, width, value, now);
            }
            (Region::Plic, Width::Word) => self.plic.store(offset, value as u32),
            (Region::Uart, _) => {
                if let Some(byte) = self.uart.store(offset, value as u8) {
                    self.console_write(&[byte]);
                }
            }
            (Region::Virtio(slot), _) => {
                let around = &mut Surroundings {
                    ram: &mut self.ram,
                    outputs: &mut self.outputs,
                    effort: &mut self.effort,
                    now,
                };
                self.virtio[slot].store(offset, width, value, around);
            }
            _ => return Err(AccessFault),
        }
        self.settle();
        Ok(())
    }

    /// The lines into the hart at guest time `now`. They change only with a load or store outside memory,
    /// with an input, or at [`Bus::deadline`].
    pub fn lines(&mut self, now: u64) -> Lines {
        self.advance(now);
        self.settle();
        Lines::default()
            .with(Lines::MSIP, self.clint.msip())
            .with(Lines::MTIP, self.clint.mtip(now))
            .with(Lines::MEIP, self.plic.raised(Target::Machine))
            .with(Lines::SEIP, self.plic.raised(Target::Supervisor))
    }

    /// The next tick after `now` at which a line may change by itself, or [`Bus::go_on`] has something to do.
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let timers = [self.clint.deadline(now), self.rtc.deadline()];
        let turns = self.virtio.iter().map(Virtio::deadline);
        timers.into_iter().chain(turns).flatten().min()
    }

    /// Lets devices go on with what they left at an earlier tick. To be called at the very position at which the guest
    /// clock gets to [`Bus::deadline`], for it changes memory; a second call at the same tick does nothing.
    ///
    /// Who has waited longest comes first. Once the turns of this tick have cost enough, the others come at the next.
    pub fn go_on(&mut self, now: u64) {
        let tick = |slot: &Virtio| slot.deadline().filter(|tick| *tick <= now);
        if !self.virtio.iter().any(|slot| tick(slot).is_some()) {
            return;
        }
        let before = self.effort;
        while let Some((_, next)) = (self.virtio.iter().enumerate())
            .filter_map(|(number, slot)| Some((tick(slot)?, number)))
            .min()
        {
            if self.effort - before >= TICK_EFFORT_MAX {
                self.virtio[next].put_off(now);
                continue;
            }
            let around = &mut Surroundings {
                ram: &mut self.ram,
                outputs: &mut self.outputs,
                effort: &mut self.effort,
                now,
            };
            self.virtio[next].go_on(around);
        }
        self.settle();
    }

    /// What the `time` CSR shows: `mtime`, which is the guest clock unless the guest wrote it.
    pub fn time(&self, now: u64) -> u64 {
        self.clint.mtime(now)
    }

    /// The first tick at or after `now` at which [`Bus::time`] is at least `time`: when a timer set to
    /// `time` is due. `None`: never.
    pub fn tick_of(&self, now: u64, time: u64) -> Option<u64> {
        self.clint.tick_of(now, time)
    }

    /// Takes an input for a device: a frame, typed bytes or a seed. An error changes nothing.
    pub fn apply(&mut self, input: &Input, now: u64) -> Result<(), InputError> {
        self.advance(now);
        match input {
            Input::Frame { device, frame } => {
                if !virtio::FRAME_BYTES.contains(&frame.len()) {
                    return Err(InputError::FrameSize(frame.len()));
                }
                let net = (self.virtio.iter_mut()).find(|slot| slot.net_index() == Some(*device));
                let net = net.ok_or(InputError::NoSuchDevice(*device))?;
                let around = &mut Surroundings {
                    ram: &mut self.ram,
                    outputs: &mut self.outputs,
                    effort: &mut self.effort,
                    now,
                };
                net.receive_frame(frame, around);
            }
            Input::Console(bytes) => {
                if bytes.len() > crate::device::uart::BACKLOG_MAX {
                    return Err(InputError::ConsoleSize(bytes.len()));
                }
                self.console_read(bytes, now);
            }
            Input::Seed(seed) => {
                for slot in &mut self.virtio {
                    slot.seed(seed);
                }
            }
            Input::Clock(_) | Input::Synchronize | Input::Reset | Input::PowerOff => {
                return Err(InputError::NotForDevice);
            }
        }
        self.settle();
        Ok(())
    }

    /// What devices have cost since the last call, in units of [`crate::Core::spend`].
    pub(crate) fn take_effort(&mut self) -> u64 {
        std::mem::take(&mut self.effort)
    }

    /// Takes what the guest has said since the last call, in order.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// What the guest has said and nobody has taken.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Whether outputs should be taken now: there is a frame, or many console bytes. One access adds no more than a
    /// device says in a turn, so a caller that looks after each access bounds what waits.
    pub fn output_due(&self) -> bool {
        self.outputs.iter().any(|output| match output {
            Output::Frame { .. } => true,
            Output::Console(bytes) => bytes.len() >= CONSOLE_BATCH_BYTES,
        })
    }

    /// What the guest asked for, if it wants the machine to stop; the first request counts.
    pub fn stop(&self) -> Option<StopRequest> {
        self.stop
    }

    /// Asks for a stop, on behalf of the built-in firmware.
    pub fn request_stop(&mut self, stop: StopRequest) {
        self.stop.get_or_insert(stop);
    }

    /// Sends bytes to the serial console; adjacent ones become one output.
    pub fn console_write(&mut self, bytes: &[u8]) {
        virtio::push_console(&mut self.outputs, bytes);
    }

    /// Takes up to `max` bytes that the guest has not read from the serial port.
    pub fn console_take(&mut self, max: usize) -> Vec<u8> {
        let bytes = self.uart.take(max);
        self.settle();
        bytes
    }

    /// Typed bytes that the guest has yet to read.
    pub(crate) fn console_waiting(&self) -> usize {
        let slots = self.virtio.iter().map(Virtio::console_waiting);
        self.uart.waiting() + slots.sum::<usize>()
    }

    /// Whether an input would be dropped now that need not be lost.
    pub(crate) fn must_wait(&self, input: &Input) -> bool {
        let Input::Frame { device, frame } = input else {
            return false;
        };
        let net = (self.virtio.iter()).find(|slot| slot.net_index() == Some(*device));
        net.is_some_and(|net| net.must_wait(frame))
    }

    /// Typed bytes go to the virtio console if a driver runs it, else to the serial port.
    fn console_read(&mut self, bytes: &[u8], now: u64) {
        let around = &mut Surroundings {
            ram: &mut self.ram,
            outputs: &mut self.outputs,
            effort: &mut self.effort,
            now,
        };
        for slot in &mut self.virtio {
            if slot.receive_console(bytes, around) {
                return;
            }
        }
        self.uart.receive(bytes);
    }

    /// Sets what belongs to the start of the machine.
    pub(crate) fn set_boot(&mut self, rom: Vec<u8>, epoch_ns: u64, seed: &[u8; 32]) {
        assert!(rom.len() <= ROM_BYTES_MAX, "the boot ROM is ours and small");
        self.rom = rom;
        self.rtc = Rtc::new(epoch_ns);
        for slot in &mut self.virtio {
            slot.seed(seed);
        }
    }

    /// Adds the host-target interface, with its words at these addresses.
    pub(crate) fn set_host_words(&mut self, to_host: u64, from_host: Option<u64>) {
        self.htif = Htif::new(&self.ram, to_host, from_host);
    }

    /// The position at which the host-target interface must next be looked at.
    pub(crate) fn host_due(&self) -> Option<Position> {
        self.htif.as_ref().map(Htif::due)
    }

    /// Looks at the host-target interface, if there is one.
    pub(crate) fn look_at_host_words(&mut self, at: Position) {
        let Some(htif) = &mut self.htif else { return };
        let mut said = Vec::new();
        let stop = htif.look(
            at,
            htif::Host {
                ram: &mut self.ram,
                uart: &mut self.uart,
                said: &mut said,
            },
        );
        self.console_write(&said);
        if let Some(stop) = stop {
            self.request_stop(stop);
        }
        self.settle();
    }

    /// The state of the devices at guest time `now`. Outputs and a stop request are no part of it: take them first.
    pub fn save(&mut self, now: u64) -> BusState {
        self.advance(now);
        self.settle();
        BusState {
            version: STATE_VERSION,
            rom: self.rom.clone(),
            clint: self.clint.clone(),
            plic: self.plic.clone(),
            rtc: self.rtc.clone(),
            uart: self.uart.clone(),
            virtio: self.virtio.clone(),
            htif: self.htif.clone(),
        }
    }

    /// A board with this memory and state, exactly as it was saved.
    pub fn restore(board: &Board, ram: Ram, state: BusState) -> Result<Bus, RestoreError> {
        board.check()?;
        if state.version != STATE_VERSION {
            return Err(RestoreError::Version(state.version));
        }
        if ram.len() != board.memory_bytes {
            return Err(RestoreError::Memory(ram.len()));
        }
        if state.rom.len() > ROM_BYTES_MAX {
            return Err(RestoreError::Device(BadState {
                device: "the boot ROM",
                what: "it is too large",
            }));
        }
        state.plic.check()?;
        state.uart.check()?;
        virtio::check(board, &state.virtio)?;
        if let Some(htif) = &state.htif {
            htif.check(&ram)?;
        }
        Ok(Bus {
            ram,
            rom: state.rom,
            clint: state.clint,
            plic: state.plic,
            rtc: state.rtc,
            uart: state.uart,
            virtio: state.virtio,
            htif: state.htif,
            outputs: Vec::new(),
            stop: None,
            effort: 0,
        })
    }

    /// Name and serialised state of each device at guest time `now`, for digests that say which differs.
    pub fn device_states(&mut self, now: u64) -> Vec<(String, Vec<u8>)> {
        fn bytes(state: &impl Serialize) -> Vec<u8> {
            postcard::to_allocvec(state).expect("plain data in memory always serialises")
        }
        self.advance(now);
        self.settle();
        let mut states = vec![
            ("clint".to_owned(), bytes(&self.clint)),
            ("plic".to_owned(), bytes(&self.plic)),
            ("rtc".to_owned(), bytes(&self.rtc)),
            ("uart".to_owned(), bytes(&self.uart)),
        ];
        if let Some(htif) = &self.htif {
            states.push(("htif".to_owned(), bytes(htif)));
        }
        for (slot, device) in self.virtio.iter().enumerate() {
            states.push((format!("virtio{slot}"), bytes(device)));
        }
        states
    }

    /// The virtio slots.
    #[cfg(test)]
    pub(crate) fn virtio_state(&self) -> &[Virtio] {
        &self.virtio
    }

    /// Lets what is due at `now` happen. Called first by whatever looks at or changes a device.
    fn advance(&mut self, now: u64) {
        self.rtc.advance(now);
        // The PLIC sees the alarm even if the access that follows takes it back.
        self.plic.set_line(RTC_IRQ, self.rtc.line());
    }

    /// Carries the devices' lines to the PLIC. Called last by whatever changed a device.
    pub(crate) fn settle(&mut self) {
        self.plic.set_line(UART_IRQ, self.uart.line());
        self.plic.set_line(RTC_IRQ, self.rtc.line());
        for (irq, slot) in (VIRTIO_IRQ..).zip(&self.virtio) {
            self.plic.set_line(irq, slot.line());
        }
    }
}

#[cfg(test)]
mod tests;
