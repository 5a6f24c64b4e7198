//! Panics of engines, helpers and devices: each is a bug, and none may be the end of the machine, of which another replica
//! would execute the same (ARCHITECTURE.md, "Faults").

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Position;
use crate::core::Core;
use crate::engine::step;
use crate::hart::{Cause, Hart};

/// Of what a panic said, so much is kept.
const MESSAGE_CHARS_MAX: usize = 500;

/// More turns of devices than can be due at a time.
const TURNS_MAX: usize = 16;

/// To unwind, and to say why.
const FAULT_EFFORT: u64 = 16 << 10;

/// Where it cannot be known when a timer is due, it is looked at again after so many ticks: a millisecond.
const LOOK_AGAIN_TICKS: u64 = 10_000;

/// A panic that was contained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where the machine was.
    pub position: Position,
    /// The address of the instruction that was executed, or was to be.
    pub pc: u64,
    /// What the panic said.
    pub message: String,
}

/// What is known of the panics that were contained: no part of the machine's state.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    count: u64,
    first: Option<Fault>,
    /// What panics now, or what has, is an instruction that was begun and not ended, not the engine itself.
    pub(crate) begun: bool,
}

impl Faults {
    /// How many there were since the machine was made here.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first of them.
    pub fn first(&self) -> Option<&Fault> {
        self.first.as_ref()
    }

    pub(crate) fn take_begun(&mut self) -> bool {
        std::mem::take(&mut self.begun)
    }
}

/// For tests: what panics, and how often, in code that both engines share. No guest and no configuration can set it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Rig {
    /// An access to this CSR, which must not exist.
    pub csr: Option<u16>,
    /// A load or store at this address, where nothing may be.
    pub address: Option<u64>,
    /// A look at lines and timers, or the entry of an interrupt's handler, while x31 is [`Rig::MARK`].
    pub looks: bool,
    /// The same.
    pub interrupts: bool,
    /// How often.
    pub times: u32,
}

impl Rig {
    /// What a guest has in x31 while this is to happen.
    pub const MARK: u64 = 0x51b;

    /// Asked only where an instruction has failed, so that it costs nothing.
    #[cold]
    pub(crate) fn look_at(&mut self, csr: Option<u16>, address: Option<u64>) {
        let hit = csr.is_some() && self.csr == csr || address.is_some() && self.address == address;
        if hit && self.times > 0 {
            self.times -= 1;
            panic!("a test asked for it");
        }
    }

    #[cold]
    fn look_at_mark(&mut self, hart: &Hart) {
        if hart.x[31] == Rig::MARK && self.times > 0 {
            self.times -= 1;
            panic!("a test asked for it");
        }
    }
}

impl Core {
    /// Does something that may have a bug. If it panics, that is noted, and what it did until then stays done: on every
    /// replica the same, if it is a function of the state.
    pub(crate) fn contain<T>(&mut self, work: impl FnOnce(&mut Core) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.note_fault(&*panic);
                None
            }
        }
    }

    /// Lets devices go on, where they have left something. A turn that panics is over; those of other devices are yet to come.
    #[inline]
    pub(crate) fn go_on(&mut self) {
        for _ in 0..TURNS_MAX {
            if self.contain(|core| core.bus.go_on(core.now())).is_some() {
                return;
            }
            self.bus.settle();
        }
    }

    /// Does something once more if it panics the first time: what only this engine makes panic does not the second time.
    fn twice<T>(&mut self, work: fn(&mut Core) -> T) -> Option<T> {
        self.contain(work).or_else(|| self.contain(work))
    }

    /// Looks at interrupt lines and timers. Returns the position up to which they cannot change by themselves: after the
    /// present one. If it panics, none is up, and they are looked at again after the next attempt: on every replica, since nobody
    /// runs beyond a position at which they may change. What was seen before would not do: it is in no snapshot, and others may have
    /// looked in between.
    pub(crate) fn refresh(&mut self) -> Option<Position> {
        let change = self.twice(|core| {
            if core.rig.looks {
                core.rig.look_at_mark(&core.hart);
            }
            core.look_at_lines()
        });
        change.unwrap_or_else(|| {
            (self.hart.lines, self.hart.timer_due) = (0, false);
            Some(Position(self.hart.position.0 + 1))
        })
    }

    /// The tick at which a timer next changes an interrupt line, of which a hart that waits would have to be told.
    pub(crate) fn look_for_timer(&mut self) -> Option<u64> {
        let deadline = self.twice(|core| {
            if core.rig.looks {
                core.rig.look_at_mark(&core.hart);
            }
            core.look_at_lines();
            core.timer_deadline()
        });
        deadline.unwrap_or_else(|| self.now().checked_add(LOOK_AGAIN_TICKS))
    }

    /// Enters the handler of an interrupt. If it panics, the interrupt stays due, and `false` is returned: the next
    /// attempt comes before it, on every replica.
    pub(crate) fn take_interrupt(&mut self, bit: u64) -> bool {
        let before = self.hart.clone();
        for _ in 0..2 {
            let entered = self.contain(|core| {
                core.hart.take_interrupt(bit);
                if core.rig.interrupts {
                    core.rig.look_at_mark(&core.hart);
                }
                core.mode_changed();
            });
            if entered.is_some() {
                return true;
            }
            self.hart = before.clone();
            // What is fast differs between engines: from here on it is the same.
            self.tlb.slow_all();
            self.contain(Core::mode_changed);
        }
        false
    }

    /// For engines that cannot unwind from where they execute an instruction: notes what it ended in. The hart must be as it
    /// was before the instruction, and the engine must return.
    #[cold]
    pub fn interrupted(&mut self, panic: &(dyn Any + Send)) {
        self.note_fault(panic);
        self.faults.begun = true;
        self.attention = true;
    }

    fn note_fault(&mut self, panic: &(dyn Any + Send)) {
        self.faults.count += 1;
        self.spend(FAULT_EFFORT);
        let (position, pc) = (self.hart.position, self.hart.pc);
        self.faults.first.get_or_insert_with(|| Fault {
            position,
            pc,
            message: message(panic),
        });
    }

    /// Executes the instruction that a panic interrupted, by what all engines share. Each is tried twice in all, since a
    /// first attempt may have done something already: a panic of the engine itself, before `begun`, was none. If the
    /// second panics, too, the instruction is an illegal one.
    #[cold]
    pub(crate) fn once_more(&mut self, begun: bool) {
        let tried = !begun && self.contain(step).is_some();
        if !tried && self.contain(step).is_none() {
            self.hart.raise(Cause::IllegalInstruction, 0);
            self.take_exception(0);
        }
        self.faults.begun = false;
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let said = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(said), _) => said,
        (_, Some(said)) => said.as_str(),
        _ => "nothing that can be shown",
    };
    said.chars().take(MESSAGE_CHARS_MAX).collect()
}
