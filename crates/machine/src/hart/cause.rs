//! Causes of exceptions (manual, volume II, "Machine Cause Register").

use serde::{Deserialize, Serialize};

/// Why an instruction trapped, by its number in `mcause`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Cause {
    /// Nothing to fetch at the address.
    FetchAccess = 1,
    /// Not an instruction, or not here.
    #[default]
    IllegalInstruction = 2,
    /// EBREAK.
    Breakpoint = 3,
    /// Misaligned LR.
    LoadMisaligned = 4,
    /// Nothing to load from at the address.
    LoadAccess = 5,
    /// Misaligned SC or AMO.
    StoreMisaligned = 6,
    /// Nothing to store to at the address.
    StoreAccess = 7,
    /// ECALL in U-mode.
    CallFromUser = 8,
    /// ECALL in S-mode.
    CallFromSupervisor = 9,
    /// ECALL in M-mode.
    CallFromMachine = 11,
    /// The page may not be executed.
    FetchPage = 12,
    /// The page may not be loaded from.
    LoadPage = 13,
    /// The page may not be stored to.
    StorePage = 15,
}

/// An exception: cause and the value for `mtval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// Why.
    pub cause: Cause,
    /// Faulting address, or 0. For an illegal instruction the engine fills in its bits.
    pub value: u64,
}
