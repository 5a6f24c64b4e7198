//! Address translation: the caches that are part of the architecture ([`Tlb`]), and the page walk.

mod context;
mod fast;
mod slots;
mod tlb;
mod walk;

pub use context::Context;
pub use fast::{ENTRIES, FAST_FETCHES, FAST_LOADS, FAST_STORES, Fast};
pub use tlb::Tlb;

use crate::hart::csr::status;
use crate::hart::{Access, Cause, Hart, Mode};

/// The fault that a failed access ends in: of the page, or of what is behind it.
pub(crate) fn page_fault(access: Access) -> Cause {
    match access {
        Access::Fetch => Cause::FetchPage,
        Access::Load => Cause::LoadPage,
        Access::Store => Cause::StorePage,
    }
}

/// The fault of an access to a physical address that nothing answers at, or that is protected.
pub(crate) fn access_fault(access: Access) -> Cause {
    match access {
        Access::Fetch => Cause::FetchAccess,
        Access::Load => Cause::LoadAccess,
        Access::Store => Cause::StoreAccess,
    }
}

impl Hart {
    /// The mode in which loads and stores act.
    #[inline]
    pub(crate) fn data_mode(&self) -> Mode {
        if self.csr.mstatus & status::MPRV == 0 {
            return self.mode;
        }
        Mode::from_bits((self.csr.mstatus & status::MPP) >> status::MPP_SHIFT)
            .expect("MPP never holds the reserved mode")
    }

    /// What translations must be tagged with to be used for fetches now.
    #[inline]
    pub fn fetch_context(&self) -> Context {
        Context::new(self.mode, self.csr.satp)
    }

    /// What translations must be tagged with to be used for loads and stores now.
    #[inline]
    pub fn data_context(&self) -> Context {
        Context::new(self.data_mode(), self.csr.satp)
    }

    /// Whether loads and stores act in S-mode and may touch user pages.
    #[inline]
    pub(crate) fn may_touch_user(&self) -> bool {
        self.csr.mstatus & status::SUM != 0 && self.data_mode() == Mode::Supervisor
    }
}

#[cfg(test)]
mod tests;
