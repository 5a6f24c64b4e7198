//! Panics of engines, helpers and devices: each is a bug, and none may be the end of the machine, of which another replica
//! would execute the same (ARCHITECTURE.md, "Faults").

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Position;
use crate::core::Core;
use crate::engine::step;
use crate::hart::Cause;

/// Of what a panic said, so much is kept.
const MESSAGE_CHARS_MAX: usize = 500;

/// More turns of devices than can be due at a time.
const TURNS_MAX: usize = 16;

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
    /// An instruction was begun and not ended.
    interrupted: bool,
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

    pub(crate) fn take_interrupted(&mut self) -> bool {
        std::mem::take(&mut self.interrupted)
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
    /// How often.
    pub times: u32,
}

impl Rig {
    /// Asked only where an instruction has failed, so that it costs nothing.
    #[cold]
    pub(crate) fn look_at(&mut self, csr: Option<u16>, address: Option<u64>) {
        let hit = csr.is_some() && self.csr == csr || address.is_some() && self.address == address;
        if hit && self.times > 0 {
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

    /// For engines that cannot unwind from where they execute an instruction: notes what it ended in. The hart must be as it
    /// was before the instruction, and the engine must return.
    #[cold]
    pub fn interrupted(&mut self, panic: &(dyn Any + Send)) {
        self.note_fault(panic);
        self.faults.interrupted = true;
        self.attention = true;
    }

    fn note_fault(&mut self, panic: &(dyn Any + Send)) {
        self.faults.count += 1;
        let (position, pc) = (self.hart.position, self.hart.pc);
        self.faults.first.get_or_insert_with(|| Fault {
            position,
            pc,
            message: message(panic),
        });
    }

    /// Executes the instruction that was interrupted once more, by what all engines share. If that panics too, the
    /// instruction is an illegal one.
    #[cold]
    pub(crate) fn once_more(&mut self) {
        if self.contain(step).is_none() {
            self.hart.raise(Cause::IllegalInstruction, 0);
            self.take_exception(0);
        }
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
