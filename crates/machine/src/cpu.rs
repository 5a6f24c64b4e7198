//! What one hart owns: registers, cached translations, and how far its run has come. What harts share is the
//! [`Board`], which whatever needs both is lent beside it.

mod csr;
mod exception;
mod memory;

use crate::board::Board;
use crate::fault::{Faults, Rig};
use crate::hart::{Effects, Hart};
use crate::mmu::Tlb;
use crate::watch::Watch;
use crate::{Position, Ram};

/// A run whose end is its caller's to choose ends when it, with all that was done since the run before, has cost so much beside
/// plain instructions, in units of [`Cpu::charge`]: about a millisecond.
pub const RUN_COST_MAX: u64 = 1 << 20;
/// A trap, an interrupt, or a look at what wants attention.
pub(crate) const EVENT_COST: u64 = 64;
/// An access that no fast entry serves.
pub(crate) const ACCESS_COST: u64 = 32;
/// A walk through page tables.
pub(crate) const WALK_COST: u64 = 128;

/// One hart with all that belongs to it alone: what an engine executes instructions on.
pub struct Cpu {
    /// Registers.
    pub hart: Hart,
    /// Cached translations.
    pub tlb: Tlb,
    /// The engine must return before the next instruction: an interrupt may be due, a timer was set, the
    /// hart waits, a device was touched, or code was overwritten.
    pub attention: bool,
    /// What was done since the last run ended has cost so much beside plain instructions.
    pub(crate) cost: u64,
    /// All before.
    pub(crate) cost_before: u64,
    /// For people only.
    pub(crate) watch: Watch,
    pub(crate) faults: Faults,
    /// For tests.
    #[doc(hidden)]
    pub rig: Rig,
}

impl Cpu {
    pub(crate) fn new(hart: Hart, ram: &Ram) -> Cpu {
        let mut cpu = Cpu {
            hart,
            tlb: Tlb::new(ram),
            attention: false,
            cost: 0,
            cost_before: 0,
            watch: Watch::default(),
            faults: Faults::default(),
            rig: Rig::default(),
        };
        cpu.mode_changed();
        cpu
    }

    /// Notes that the hart stood still for something that a plain instruction does not do: a unit is about a nanosecond
    /// of the host. What a guest makes the host do in a few positions would else hold up whoever waits for a run to end.
    #[inline]
    pub fn charge(&mut self, units: u64) {
        self.cost += units;
        self.attention |= self.cost >= RUN_COST_MAX;
    }

    /// Adds what devices have cost.
    pub(crate) fn take_devices_cost(&mut self, board: &mut Board) {
        self.cost += board.take_cost();
    }

    /// Whoever waits for the hart has had a chance.
    pub(crate) fn rest(&mut self) {
        self.cost_before += std::mem::take(&mut self.cost);
    }

    /// Forgets what SFENCE.VMA with these operands orders to forget.
    pub(crate) fn fence(&mut self, address: Option<u64>, space: Option<u64>) {
        self.tlb.fence(address, space);
        let cost = self.tlb.take_cost();
        self.charge(cost);
    }

    /// Guest time in ticks.
    #[inline]
    pub fn now(&self, board: &Board) -> u64 {
        board.clock.time(self.hart.position)
    }

    /// Looks at interrupt lines and timers. Returns the position up to which they cannot change by
    /// themselves: after the present one.
    pub(crate) fn look_at_lines(&mut self, board: &mut Board) -> Option<Position> {
        let now = self.now(board);
        let lines = board.lines(now).mip();
        let csr = &self.hart.csr;
        self.hart.timer_due = csr.supervisor_timer() && board.time(now) >= csr.stimecmp;
        self.hart.lines = lines;
        let position = board.clock.position_of(self.timer_deadline(board)?)?;
        Some(position.max(Position(self.hart.position.0 + 1)))
    }

    /// The tick at which a timer next changes an interrupt line. Valid after [`Cpu::look_at_lines`].
    pub(crate) fn timer_deadline(&self, board: &Board) -> Option<u64> {
        let now = self.now(board);
        let csr = &self.hart.csr;
        let supervisor = if csr.supervisor_timer() && !self.hart.timer_due {
            board.tick_of(now, csr.stimecmp)
        } else {
            None
        };
        let deadlines = [supervisor, board.deadline(now)];
        deadlines.into_iter().flatten().min()
    }

    /// To be called after the mode, `mstatus` or `satp` changed.
    pub(crate) fn mode_changed(&mut self) {
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
            let cost = self.tlb.take_cost();
            self.charge(cost);
        }
        self.attention |= effects.has(Effects::TIMER);
    }
}
