//! What an engine executes on: hart, translation caches, bus and clock, and everything that happens off the
//! straight path of instructions.

use isa::CsrAccess;

use crate::Width;
use crate::boot::sbi::{self, Effect};
use crate::clock::GuestClock;
use crate::fault::{Faults, Rig};
use crate::hart::{Access, Cause, Effects, Hart, NO_RESERVATION, Trapped};
use crate::mmu::{Tlb, access_fault};
use crate::watch::Watch;
use crate::{Bus, GuestAddr, Position};

/// Number of the `time` CSR.
const TIME: u16 = 0xc01;
const PAGE: u64 = 4096;

/// A run whose end is its caller's to choose ends when it, with all that was done since the run before, has cost so much beside
/// plain instructions, in units of [`Core::spend`]: about a millisecond.
pub const RUN_EFFORT_MAX: u64 = 1 << 20;
/// A trap, an interrupt, or a look at what wants attention.
pub(crate) const EVENT_EFFORT: u64 = 64;
/// An access that no fast entry serves.
pub(crate) const ACCESS_EFFORT: u64 = 32;
/// A walk through page tables.
pub(crate) const WALK_EFFORT: u64 = 128;

/// The computer without the engine that runs it.
pub struct Core {
    /// Registers.
    pub hart: Hart,
    /// Cached translations.
    pub tlb: Tlb,
    /// Memory and devices.
    pub bus: Bus,
    /// The guest clock.
    pub clock: GuestClock,
    /// The engine must return before the next instruction: an interrupt may be due, a timer was set, the
    /// hart waits, a device was touched, or code was overwritten.
    pub attention: bool,
    /// What was done since the last run ended has cost so much beside plain instructions.
    pub(crate) effort: u64,
    /// All before.
    pub(crate) spent: u64,
    /// Calls from S-mode are answered by the built-in SBI.
    pub(crate) built_in_firmware: bool,
    /// For people only.
    pub(crate) watch: Watch,
    pub(crate) faults: Faults,
    /// For tests.
    #[doc(hidden)]
    pub rig: Rig,
}

impl Core {
    pub(crate) fn new(hart: Hart, bus: Bus, clock: GuestClock, built_in_firmware: bool) -> Core {
        let mut core = Core {
            hart,
            tlb: Tlb::new(&bus.ram),
            bus,
            clock,
            attention: false,
            effort: 0,
            spent: 0,
            built_in_firmware,
            watch: Watch::default(),
            faults: Faults::default(),
            rig: Rig::default(),
        };
        core.mode_changed();
        core
    }

    /// Notes that the hart stood still for something that a plain instruction does not do: a unit is about a nanosecond
    /// of the host. What a guest makes the host do in a few positions would else hold up whoever waits for a run to end.
    #[inline]
    pub fn spend(&mut self, units: u64) {
        self.effort += units;
        self.attention |= self.effort >= RUN_EFFORT_MAX;
    }

    /// Adds what devices have cost.
    pub(crate) fn take_devices_effort(&mut self) {
        self.effort += self.bus.take_effort();
    }

    /// Whoever waits for the hart has had a chance.
    pub(crate) fn rest(&mut self) {
        self.spent += std::mem::take(&mut self.effort);
    }

    /// Forgets what SFENCE.VMA with these operands orders to forget.
    pub(crate) fn fence(&mut self, address: Option<u64>, space: Option<u64>) {
        self.tlb.fence(address, space);
        let effort = self.tlb.take_effort();
        self.spend(effort);
    }

    /// Guest time in ticks.
    #[inline]
    pub fn now(&self) -> u64 {
        self.clock.time(self.hart.position)
    }

    /// Looks at interrupt lines and timers. Returns the position up to which they cannot change by
    /// themselves: after the present one.
    pub(crate) fn look_at_lines(&mut self) -> Option<Position> {
        let now = self.now();
        let lines = self.bus.lines(now).mip();
        let csr = &self.hart.csr;
        self.hart.timer_due = csr.supervisor_timer() && self.bus.time(now) >= csr.stimecmp;
        self.hart.lines = lines;
        let position = self.clock.position_of(self.timer_deadline()?)?;
        Some(position.max(Position(self.hart.position.0 + 1)))
    }

    /// The tick at which a timer next changes an interrupt line. Valid after [`Core::look_at_lines`].
    pub(crate) fn timer_deadline(&self) -> Option<u64> {
        let now = self.now();
        let csr = &self.hart.csr;
        let supervisor = if csr.supervisor_timer() && !self.hart.timer_due {
            self.bus.tick_of(now, csr.stimecmp)
        } else {
            None
        };
        let deadlines = [supervisor, self.bus.deadline(now)];
        deadlines.into_iter().flatten().min()
    }

    /// To be called after the mode, `mstatus` or `satp` changed.
    pub fn mode_changed(&mut self) {
        self.context_changed();
        self.attention |= self.hart.due_interrupt().is_some();
    }

    #[inline]
    fn context_changed(&mut self) {
        self.tlb.enter(
            self.hart.fetch_context(),
            self.hart.data_context(),
            self.hart.may_touch_user(),
        );
    }

    /// Completes an instruction that returned [`Trapped`]: enters the handler, or answers the call. Counts
    /// the attempt, which does not retire. `bits` are those of the instruction, if it was fetched.
    #[cold]
    pub fn take_exception(&mut self, bits: u32) {
        if self.hart.exception.cause == Cause::IllegalInstruction {
            self.hart.exception.value = bits.into();
            self.watch.see(bits, self.hart.pc, self.hart.mode);
        }
        let call = self.hart.exception.cause == Cause::CallFromSupervisor;
        if call && self.built_in_firmware {
            self.answer_call();
        } else {
            self.hart.take_exception();
            self.mode_changed();
        }
        self.hart.position.0 += 1;
        self.hart.csr.note_not_retired();
        self.spend(EVENT_EFFORT);
    }

    fn answer_call(&mut self) {
        let x = &self.hart.x;
        let reply = sbi::call(
            &mut self.bus,
            sbi::Call {
                extension: x[17],
                function: x[16],
                args: [x[10], x[11], x[12], x[13], x[14], x[15]],
            },
        );
        self.hart.x[10] = reply.a0;
        if let Some(a1) = reply.a1 {
            self.hart.x[11] = a1;
        }
        self.hart.pc = self.hart.pc.wrapping_add(4);
        // As after any trap and return.
        self.hart.reservation = NO_RESERVATION;
        self.attention = true;
        match reply.effect {
            None | Some(Effect::FenceInstruction) => {}
            Some(Effect::SetTimer(time)) => self.hart.csr.stimecmp = time,
            Some(Effect::SoftwareInterrupt) => self.hart.csr.mip |= crate::hart::csr::SSIP,
            Some(Effect::Suspend) => self.hart.waiting = true,
            Some(Effect::StopHart) => {
                self.hart.csr.mie = 0;
                self.hart.waiting = true;
            }
            Some(Effect::FenceAddresses { start, size, asid }) => {
                self.fence_range(start, size, asid.map(u64::from));
            }
        }
    }

    fn fence_range(&mut self, start: u64, size: u64, space: Option<u64>) {
        let pages = size.div_ceil(PAGE);
        if size == 0 || pages > 64 {
            self.fence(None, space);
            return;
        }
        self.tlb
            .fence_range(start, start.saturating_add(size - 1), space);
        let effort = self.tlb.take_effort();
        self.spend(effort);
    }

    /// A CSR instruction: the old value (of no meaning if it was not to be read).
    pub fn access_csr(
        &mut self,
        number: u16,
        access: CsrAccess,
        operand: u64,
    ) -> Result<u64, Trapped> {
        match self.hart.access_often_used(number, access, operand) {
            Some((old, effects)) => {
                if effects != Effects::default() {
                    self.follow(effects);
                }
                Ok(old)
            }
            None => self.access_other_csr(number, access, operand),
        }
    }

    #[inline(never)]
    fn access_other_csr(
        &mut self,
        number: u16,
        access: CsrAccess,
        operand: u64,
    ) -> Result<u64, Trapped> {
        let time = if number == TIME {
            self.bus.time(self.now())
        } else {
            0
        };
        let (old, effects) = match self.hart.access_other(number, access, operand, time) {
            Ok(done) => done,
            Err(trapped) => {
                self.rig.look_at(Some(number), None);
                return Err(trapped);
            }
        };
        if effects != Effects::default() {
            self.follow(effects);
        }
        Ok(old)
    }

    #[inline(never)]
    fn follow(&mut self, effects: Effects) {
        if effects.has(Effects::USER_PAGES) {
            self.tlb.allow_user_pages(self.hart.may_touch_user());
        }
        if effects.has(Effects::CONTEXT) {
            self.context_changed();
        }
        if effects.has(Effects::INTERRUPTS) {
            self.attention |= self.hart.due_interrupt().is_some();
        }
        if effects.has(Effects::FLUSH) {
            self.tlb.flush();
        }
        if effects.has(Effects::FLUSH_LOADS) {
            self.tlb.flush_loads();
        }
        if effects.has(Effects::FLUSH) || effects.has(Effects::FLUSH_LOADS) {
            let effort = self.tlb.take_effort();
            self.spend(effort);
        }
        self.attention |= effects.has(Effects::TIMER);
    }

    /// Loads `width` at a virtual address, zero-extended, without asking the fast entries.
    #[inline(never)]
    pub fn load(&mut self, address: u64, width: Width) -> Result<u64, Trapped> {
        let len = width.bytes();
        if (address & (PAGE - 1)) + len > PAGE {
            let mut bytes = [0; 8];
            let parts = self.translate_parts(Access::Load, address, len)?;
            for (physical, part) in parts
                .into_iter()
                .zip(split(&mut bytes[..len as usize], address))
            {
                self.bus
                    .ram
                    .read(physical, part)
                    .expect("both parts were found to be memory");
            }
            return Ok(u64::from_le_bytes(bytes));
        }
        let physical = GuestAddr(self.translate(Access::Load, address, len)?);
        if let Some(value) = self.bus.ram.load_width(physical, width) {
            return Ok(value);
        }
        self.attention = true;
        let now = self.now();
        match self.bus.load(physical, width, now) {
            Ok(value) => Ok(value),
            Err(_) => {
                self.rig.look_at(None, Some(address));
                Err(self.hart.raise(Cause::LoadAccess, address))
            }
        }
    }

    /// Stores the low `width` of `value` at a virtual address, without asking the fast entries.
    #[inline(never)]
    pub fn store(&mut self, address: u64, width: Width, value: u64) -> Result<(), Trapped> {
        let len = width.bytes();
        if (address & (PAGE - 1)) + len > PAGE {
            let mut bytes = value.to_le_bytes();
            let parts = self.translate_parts(Access::Store, address, len)?;
            for (physical, part) in parts
                .into_iter()
                .zip(split(&mut bytes[..len as usize], address))
            {
                self.bus
                    .ram
                    .write(physical, part)
                    .expect("both parts were found to be memory");
            }
            self.attention |= self.bus.ram.has_stale();
            return Ok(());
        }
        let physical = GuestAddr(self.translate(Access::Store, address, len)?);
        if self.bus.ram.store_width(physical, width, value).is_some() {
            self.attention |= self.bus.ram.has_stale();
            return Ok(());
        }
        self.attention = true;
        let now = self.now();
        match self.bus.store(physical, width, value, now) {
            Ok(()) => Ok(()),
            Err(_) => {
                self.rig.look_at(None, Some(address));
                Err(self.hart.raise(Cause::StoreAccess, address))
            }
        }
    }

    /// The physical addresses of the two parts of an access that straddles a page border: in memory.
    fn translate_parts(
        &mut self,
        access: Access,
        address: u64,
        len: u64,
    ) -> Result<[GuestAddr; 2], Trapped> {
        let second = (address | (PAGE - 1)).wrapping_add(1);
        let len_of_first = second.wrapping_sub(address);
        let parts = [(address, len_of_first), (second, len - len_of_first)];
        let mut found = [GuestAddr(0); 2];
        for (slot, (address, len)) in found.iter_mut().zip(parts) {
            *slot = GuestAddr(self.translate(access, address, len)?);
            if self.bus.ram.offset_of(*slot, len as usize).is_none() {
                return Err(self.hart.raise(access_fault(access), address));
            }
        }
        Ok(found)
    }

    /// The offset in memory of an aligned atomic access.
    pub(crate) fn translate_atomic(
        &mut self,
        access: Access,
        address: u64,
        width: Width,
    ) -> Result<usize, Trapped> {
        let len = width.bytes();
        if !address.is_multiple_of(len) {
            let cause = match access {
                Access::Store => Cause::StoreMisaligned,
                _ => Cause::LoadMisaligned,
            };
            return Err(self.hart.raise(cause, address));
        }
        let physical = self.translate(access, address, len)?;
        match self.bus.ram.offset_of(GuestAddr(physical), len as usize) {
            Some(offset) => Ok(offset),
            None => Err(self.hart.raise(access_fault(access), address)),
        }
    }

    /// The 16 bits of code at a virtual address: all code is in memory.
    pub fn fetch(&mut self, address: u64) -> Result<u16, Trapped> {
        let physical = self.translate(Access::Fetch, address, 2)?;
        let mut bytes = [0; 2];
        match self.bus.ram.read(GuestAddr(physical), &mut bytes) {
            Ok(()) => Ok(u16::from_le_bytes(bytes)),
            Err(_) => Err(self.hart.raise(Cause::FetchAccess, address)),
        }
    }
}

/// Cuts the bytes of an access at `address` at the page border.
fn split(bytes: &mut [u8], address: u64) -> [&mut [u8]; 2] {
    let first = (PAGE - (address & (PAGE - 1))) as usize;
    let (first, second) = bytes.split_at_mut(first);
    [first, second]
}
