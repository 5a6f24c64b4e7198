//! Panics of engines, helpers and devices: each is a bug, and none may be the end of the machine, of which another replica
//! would execute the same (docs/machine.md, "Faults").

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Position;
use crate::board::Board;
use crate::cpu::Cpu;
use crate::engine::step;
use crate::fault::Fault;
use crate::hart::Cause;

/// Of what a panic said, so much is kept.
const MESSAGE_CHARS_MAX: usize = 500;

/// More turns of devices than can be due at a time.
const TURNS_MAX: usize = 16;

/// To unwind, and to say why.
const FAULT_COST: u64 = 16 << 10;

/// Where it cannot be known when a timer is due, it is looked at again after so many ticks: a millisecond.
const LOOK_AGAIN_TICKS: u64 = 10_000;

impl Cpu {
    /// Does something that may have a bug. If it panics, that is noted, and what it did until then stays done: on every
    /// replica the same, if it is a function of the state.
    pub(crate) fn contain<T>(&mut self, work: impl FnOnce(&mut Cpu) -> T) -> Option<T> {
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
    pub(crate) fn go_on(&mut self, board: &mut Board) {
        for _ in 0..TURNS_MAX {
            if self.contain(|cpu| board.go_on(cpu.now(board))).is_some() {
                return;
            }
            board.settle();
        }
    }

    /// Does something once more if it panics the first time: what only this engine makes panic does not the second time.
    fn twice<T>(&mut self, mut work: impl FnMut(&mut Cpu) -> T) -> Option<T> {
        self.contain(&mut work).or_else(|| self.contain(&mut work))
    }

    /// Looks at interrupt lines and timers. Returns the position up to which they cannot change by themselves: after the
    /// present one. If it panics, none is up, and they are looked at again after the next attempt: on every replica, since nobody
    /// runs beyond a position at which they may change. What was seen before would not do: it is in no snapshot, and others may have
    /// looked in between.
    pub(crate) fn refresh(&mut self, board: &mut Board) -> Option<Position> {
        let change = self.twice(|cpu| {
            if cpu.rig.looks {
                cpu.rig.look_at_mark(&cpu.hart);
            }
            cpu.look_at_lines(board)
        });
        change.unwrap_or_else(|| {
            (self.hart.lines, self.hart.timer_due) = (0, false);
            Some(Position(self.hart.position.0 + 1))
        })
    }

    /// The tick at which a timer next changes an interrupt line, of which a hart that waits would have to be told.
    pub(crate) fn look_for_timer(&mut self, board: &mut Board) -> Option<u64> {
        let deadline = self.twice(|cpu| {
            if cpu.rig.looks {
                cpu.rig.look_at_mark(&cpu.hart);
            }
            cpu.look_at_lines(board);
            cpu.timer_deadline(board)
        });
        deadline.unwrap_or_else(|| self.now(board).checked_add(LOOK_AGAIN_TICKS))
    }

    /// Enters the handler of an interrupt. If it panics, the interrupt stays due, and `false` is returned: the next
    /// attempt comes before it, on every replica.
    pub(crate) fn take_interrupt(&mut self, bit: u64) -> bool {
        let before = self.hart.clone();
        for _ in 0..2 {
            let entered = self.contain(|cpu| {
                cpu.hart.take_interrupt(bit);
                if cpu.rig.interrupts {
                    cpu.rig.look_at_mark(&cpu.hart);
                }
                cpu.mode_changed();
            });
            if entered.is_some() {
                return true;
            }
            self.hart = before.clone();
            // What is fast differs between engines: from here on it is the same.
            self.tlb.slow_all();
            self.contain(Cpu::mode_changed);
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
        self.charge(FAULT_COST);
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
    pub(crate) fn once_more(&mut self, board: &mut Board, begun: bool) {
        let tried = !begun && self.contain(|cpu| step(cpu, board)).is_some();
        if !tried && self.contain(|cpu| step(cpu, board)).is_none() {
            self.hart.raise(Cause::IllegalInstruction, 0);
            self.take_exception(board, 0);
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
