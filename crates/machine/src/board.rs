//! What harts share: memory and every device at its address, the interrupt lines, and the guest clock.
//!
//! The devices are a closed set. Addresses are those of QEMU's `virt` board; a load or store anywhere else
//! is an access fault. Time is the guest clock, which comes as `now` with each call and never goes back.

mod map;
mod state;

pub use self::state::{BoardState, RestoreError};

pub(crate) use self::state::RequestState;

pub(crate) use self::map::{ROM_BASE, ROM_BYTES_MAX};

use crate::clock::GuestClock;
use crate::config::{BoardConfig, BoardError};
use crate::device::clint::Clint;
use crate::device::htif::{self, Htif};
use crate::device::plic::{Plic, Target};
use crate::device::requester::Requester;
use crate::device::rtc::Rtc;
use crate::device::stop::StopRequest;
use crate::device::test;
use crate::device::uart::Uart;
use crate::device::virtio::{self, Surroundings, Virtio};
use crate::digest::Digester;
use crate::ram::{AccessFault, PageSet, RAM_BASE, Ram};
use crate::request::{Completion, REQUEST_BYTES_MAX, Request, Requests, Task};
use crate::{GuestAddr, Input, Output, Position, Width};
use map::{Window, decode};

/// The interrupt lines into the hart, as bits of `mip`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines(u64);

impl Lines {
    /// Machine software interrupt.
    pub(crate) const MSIP: u64 = 1 << 3;
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
    /// No such request is pending.
    #[error("request {0} is completed, which is not pending")]
    NoSuchRequest(u64),
    /// A completion that brings too much.
    #[error("a completion of {0} bytes is not possible: the most is {REQUEST_BYTES_MAX}")]
    CompletionSize(usize),
    /// Not for a device.
    #[error("this input is not for a device")]
    NotForDevice,
}

/// So many console bytes do not wait for a frame to be taken with.
const CONSOLE_BATCH_BYTES: usize = 64 * 1024;

/// Once the turns of a tick have cost so much, in units of [`crate::Cpu::charge`], no other device has one: the last may
/// cost twice what a turn does.
const TICK_COST_MAX: u64 = 1 << 18;

const UART_IRQ: u32 = 10;
const RTC_IRQ: u32 = 11;
const REQUESTER_IRQ: u32 = 12;
/// Interrupt source of virtio slot 0; the others follow.
const VIRTIO_IRQ: u32 = 1;

/// The memory of a board, whose size may come from anyone.
pub(crate) fn memory_of(config: &BoardConfig) -> Result<Ram, BoardError> {
    let beyond = BoardError::MemoryBeyondHost(config.memory_bytes);
    let len = usize::try_from(config.memory_bytes).map_err(|_| beyond)?;
    Ram::try_new(len).ok_or(beyond)
}

/// All of the computer but its harts.
pub struct Board {
    config: BoardConfig,
    /// Guest memory.
    pub ram: Ram,
    /// Which pages of memory a digest has yet to see.
    pub(crate) digester: Digester,
    /// The guest clock.
    pub clock: GuestClock,
    /// Calls from S-mode are answered by the built-in SBI.
    pub(crate) built_in_firmware: bool,
    rom: Vec<u8>,
    clint: Clint,
    plic: Plic,
    rtc: Rtc,
    uart: Uart,
    virtio: Vec<Virtio>,
    htif: Option<Htif>,
    /// Only where a test has added it.
    requester: Option<Requester>,
    requests: Requests,
    outputs: Vec<Output>,
    stop: Option<StopRequest>,
    /// What turns at queues have cost, for [`Board::take_cost`].
    cost: u64,
}

impl Board {
    /// A board out of reset, with memory that is all zeros.
    ///
    /// # Errors
    /// Such a board cannot be built, or not by this host.
    pub fn new(config: &BoardConfig) -> Result<Board, BoardError> {
        config.check()?;
        Ok(Board::with_memory(config, memory_of(config)?))
    }

    fn with_memory(config: &BoardConfig, mut ram: Ram) -> Board {
        Board {
            config: config.clone(),
            digester: Digester::new(&mut ram),
            ram,
            clock: GuestClock::default(),
            built_in_firmware: false,
            rom: Vec::new(),
            clint: Clint::default(),
            plic: Plic::default(),
            rtc: Rtc::default(),
            uart: Uart::default(),
            virtio: virtio::slots(config),
            htif: None,
            requester: None,
            requests: Requests::default(),
            outputs: Vec::new(),
            stop: None,
            cost: 0,
        }
    }

    /// What it consists of.
    pub fn config(&self) -> &BoardConfig {
        &self.config
    }

    /// The pages of memory that were written since a digest last looked at them.
    pub fn written_since_digest(&self) -> &PageSet {
        self.digester.written(&self.ram)
    }

    /// Loads from memory or a device, zero-extended.
    ///
    /// # Errors
    /// Nothing answers there, or not with that width.
    pub fn load(&mut self, addr: GuestAddr, width: Width, now: u64) -> Result<u64, AccessFault> {
        if addr.0 >= RAM_BASE {
            let mut bytes = [0; 8];
            self.ram.read(addr, &mut bytes[..width.bytes() as usize])?;
            return Ok(u64::from_le_bytes(bytes));
        }
        let (window, offset) = self.find(addr, width)?;
        self.advance(now);
        let value = match (window, width) {
            (Window::Rom, _) => {
                let mut value = 0;
                for index in (0..width.bytes()).rev() {
                    let byte = self.rom.get((offset + index) as usize).copied();
                    value = value << 8 | u64::from(byte.unwrap_or(0));
                }
                value
            }
            (Window::Test, Width::Half | Width::Word) => 0,
            (Window::Rtc, Width::Word) => u64::from(self.rtc.load(offset, now)),
            (Window::Rtc, Width::Double) => {
                let low = self.rtc.load(offset, now);
                u64::from(self.rtc.load(offset + 4, now)) << 32 | u64::from(low)
            }
            (Window::Clint, Width::Word | Width::Double) => self.clint.load(offset, width, now),
            (Window::Plic, Width::Word) => u64::from(self.plic.load(offset)),
            // Its registers are bytes, whatever the width that a driver takes.
            (Window::Uart, _) => u64::from(self.uart.load(offset)),
            (Window::Virtio(slot), _) => self.virtio[slot].load(offset, width),
            (Window::Requester, Width::Double) => {
                (self.requester.as_ref()).map_or(0, |requester| requester.load(offset))
            }
            _ => return Err(AccessFault),
        };
        self.settle();
        Ok(value)
    }

    /// The device at an address, if the board has it.
    fn find(&self, addr: GuestAddr, width: Width) -> Result<(Window, u64), AccessFault> {
        match decode(addr, width)? {
            (Window::Requester, _) if self.requester.is_none() => Err(AccessFault),
            found => Ok(found),
        }
    }

    /// Stores the low bytes of `value` to memory or a device.
    ///
    /// # Errors
    /// Nothing answers there, or not with that width.
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
        let (window, offset) = self.find(addr, width)?;
        self.advance(now);
        match (window, width) {
            (Window::Rom, _) => {}
            (Window::Test, Width::Half | Width::Word) => {
                if offset == 0
                    && let Some(stop) = test::decode(value as u32)
                {
                    self.stop.get_or_insert(stop);
                }
            }
            (Window::Rtc, Width::Word) => self.rtc.store(offset, value as u32, now),
            (Window::Rtc, Width::Double) => {
                self.rtc.store(offset, value as u32, now);
                self.rtc.store(offset + 4, (value >> 32) as u32, now);
            }
            (Window::Clint, Width::Word | Width::Double) => {
                self.clint.store(offset, width, value, now);
            }
            (Window::Plic, Width::Word) => self.plic.store(offset, value as u32),
            (Window::Uart, _) => {
                if let Some(byte) = self.uart.store(offset, value as u8) {
                    self.console_write(&[byte]);
                }
            }
            (Window::Virtio(slot), _) => {
                let around = &mut Surroundings {
                    ram: &mut self.ram,
                    outputs: &mut self.outputs,
                    cost: &mut self.cost,
                    now,
                };
                self.virtio[slot].store(offset, width, value, around);
            }
            (Window::Requester, Width::Double) => {
                if let Some(requester) = &mut self.requester {
                    requester.store(offset, value, &self.ram, &mut self.requests);
                }
            }
            _ => return Err(AccessFault),
        }
        self.settle();
        Ok(())
    }

    /// The lines into the hart at guest time `now`. They change only with a load or store outside memory,
    /// with an input, or at [`Board::deadline`].
    pub fn lines(&mut self, now: u64) -> Lines {
        self.advance(now);
        self.settle();
        Lines::default()
            .with(Lines::MSIP, self.clint.msip())
            .with(Lines::MTIP, self.clint.mtip(now))
            .with(Lines::MEIP, self.plic.raised(Target::Machine))
            .with(Lines::SEIP, self.plic.raised(Target::Supervisor))
    }

    /// The next tick after `now` at which a line may change by itself, or [`Board::go_on`] has something to do.
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let timers = [self.clint.deadline(now), self.rtc.deadline()];
        let turns = self.virtio.iter().map(Virtio::deadline);
        timers.into_iter().chain(turns).flatten().min()
    }

    /// Lets devices go on with what they left at an earlier tick. To be called at the very position at which the guest
    /// clock gets to [`Board::deadline`], for it changes memory; a second call at the same tick does nothing.
    ///
    /// Who has waited longest comes first. Once the turns of this tick have cost enough, the others come at the next.
    pub fn go_on(&mut self, now: u64) {
        let tick = |slot: &Virtio| slot.deadline().filter(|tick| *tick <= now);
        if !self.virtio.iter().any(|slot| tick(slot).is_some()) {
            return;
        }
        let before = self.cost;
        while let Some((_, next)) = (self.virtio.iter().enumerate())
            .filter_map(|(number, slot)| Some((tick(slot)?, number)))
            .min()
        {
            if self.cost - before >= TICK_COST_MAX {
                self.virtio[next].put_off(now);
                continue;
            }
            let around = &mut Surroundings {
                ram: &mut self.ram,
                outputs: &mut self.outputs,
                cost: &mut self.cost,
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

    /// The first tick at or after `now` at which [`Board::time`] is at least `time`: when a timer set to
    /// `time` is due. `None`: never.
    pub(crate) fn tick_of(&self, now: u64, time: u64) -> Option<u64> {
        self.clint.tick_of(now, time)
    }

    /// Takes an input for a device: a frame, typed bytes, a seed or the end of a request.
    ///
    /// # Errors
    /// This board cannot take it: there is no such device or request, or it is too long.
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
                    cost: &mut self.cost,
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
            Input::Completion(completion) => self.complete(completion)?,
            Input::Clock(_) | Input::Synchronize | Input::Reset | Input::PowerOff => {
                return Err(InputError::NotForDevice);
            }
        }
        self.settle();
        Ok(())
    }

    fn complete(&mut self, completion: &Completion) -> Result<(), InputError> {
        let Completion { id, result } = completion;
        if result.len() > REQUEST_BYTES_MAX {
            return Err(InputError::CompletionSize(result.len()));
        }
        match self.requests.complete(*id) {
            None => return Err(InputError::NoSuchRequest(id.0)),
            Some(Task::Answer(_)) => {
                if let Some(requester) = &mut self.requester {
                    requester.complete(*id, result, &mut self.ram);
                }
            }
        }
        Ok(())
    }

    /// Adds the test device.
    pub(crate) fn add_requester(&mut self) {
        self.requester = Some(Requester::default());
    }

    /// Takes the requests that were made since the last call, in order.
    pub(crate) fn take_requests(&mut self) -> Vec<Request> {
        self.requests.take()
    }

    /// Lets the next call of [`Board::take_requests`] give all that are pending.
    pub(crate) fn repeat_requests(&mut self) {
        self.requests.repeat();
    }

    /// What devices have cost since the last call, in units of [`crate::Cpu::charge`].
    pub(crate) fn take_cost(&mut self) -> u64 {
        std::mem::take(&mut self.cost)
    }

    /// Takes what the guest has said since the last call, in order.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// What the guest has said and nobody has taken.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Whether outputs or requests should be taken now: there is a request, a frame, or many console bytes. One access adds no more than a
    /// device says in a turn, so a caller that looks after each access bounds what waits.
    pub(crate) fn output_due(&self) -> bool {
        self.requests.wait()
            || self.outputs.iter().any(|output| match output {
                Output::Frame { .. } => true,
                Output::Console(bytes) => bytes.len() >= CONSOLE_BATCH_BYTES,
            })
    }

    /// What the guest asked for, if it wants the machine to stop; the first request counts.
    pub fn stop(&self) -> Option<StopRequest> {
        self.stop
    }

    /// Asks for a stop, on behalf of the built-in firmware.
    pub(crate) fn request_stop(&mut self, stop: StopRequest) {
        self.stop.get_or_insert(stop);
    }

    /// Sends bytes to the serial console; adjacent ones become one output.
    pub(crate) fn console_write(&mut self, bytes: &[u8]) {
        Output::push_console(&mut self.outputs, bytes);
    }

    /// Takes up to `max` bytes that the guest has not read from the serial port.
    pub(crate) fn console_take(&mut self, max: usize) -> Vec<u8> {
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
            cost: &mut self.cost,
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
    pub fn set_host_words(&mut self, to_host: u64, from_host: Option<u64>) {
        self.htif = Htif::new(&self.ram, to_host, from_host);
    }

    /// The position at which the host-target interface must next be looked at.
    pub fn host_due(&self) -> Option<Position> {
        self.htif.as_ref().map(Htif::due)
    }

    /// Looks at the host-target interface, if there is one.
    pub fn look_at_host_words(&mut self, at: Position) {
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
        if let Some(requester) = &self.requester {
            self.plic.set_line(REQUESTER_IRQ, requester.line());
        }
        for (irq, slot) in (VIRTIO_IRQ..).zip(&self.virtio) {
            self.plic.set_line(irq, slot.line());
        }
    }
}

#[cfg(test)]
mod tests;
