//! What must follow a write to a CSR, and what follows from which bits.

use super::csr::{self, status};

/// What must follow a CSR write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects(u8);

impl Effects {
    /// Nothing.
    pub(super) const NONE: Effects = Effects(0);
    /// The mode of translation may have changed, or whether S-mode may touch user pages.
    pub const CONTEXT: Effects = Effects(1);
    /// Cached translations for loads are void.
    pub const FLUSH_LOADS: Effects = Effects(2);
    /// All cached translations are void.
    pub const FLUSH: Effects = Effects(4);
    /// Another interrupt may be due.
    pub const INTERRUPTS: Effects = Effects(8);
    /// A timer was set.
    pub const TIMER: Effects = Effects(16);
    /// Whether S-mode may touch user pages has changed, and nothing else of translation.
    pub const USER_PAGES: Effects = Effects(32);

    /// Whether this effect is among them.
    #[inline]
    pub fn has(self, effect: Effects) -> bool {
        self.0 & effect.0 != 0
    }

    #[inline]
    pub(super) fn and(self, other: Effects) -> Effects {
        Effects(self.0 | other.0)
    }
}

/// What follows when these bits of `mstatus` change.
#[inline]
pub(super) fn effects_of_status(changed: u64, new: u64) -> Effects {
    let mut effects = Effects::NONE;
    if changed & new & (status::SIE | status::MIE) != 0 {
        effects = effects.and(Effects::INTERRUPTS);
    }
    if changed & status::SUM != 0 {
        effects = effects.and(Effects::USER_PAGES);
    }
    if changed & (status::MPRV | status::MPP) != 0 {
        effects = effects.and(Effects::CONTEXT);
    }
    if changed & status::MXR != 0 {
        effects = effects.and(Effects::FLUSH_LOADS);
    }
    effects
}

/// What follows when these bits of `satp` change. Who has one address space number for all page tables relies on QEMU, which
/// forgets all translations with each change; who has several, and changes them with the table, does not want it.
pub(super) fn effects_of_satp(changed: u64) -> Effects {
    let same_space = changed & csr::SATP_SPACE == 0;
    if changed & csr::SATP_MODE != 0 || changed & csr::SATP_TABLE != 0 && same_space {
        return Effects::CONTEXT.and(Effects::FLUSH);
    }
    Effects::CONTEXT
}
