//! What is known of the panics that were contained ([`crate::contain`]), and what lets tests cause some.

use crate::Position;
use crate::hart::Hart;

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
    pub(crate) count: u64,
    pub(crate) first: Option<Fault>,
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
    pub(crate) fn look_at_mark(&mut self, hart: &Hart) {
        if hart.x[31] == Rig::MARK && self.times > 0 {
            self.times -= 1;
            panic!("a test asked for it");
        }
    }
}
