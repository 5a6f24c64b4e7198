//! Address translation: the caches that are part of the architecture ([`Tlb`]), and the page walk.

mod tlb;
mod walk;

pub use tlb::{Array, Context, ENTRIES, Entry, NO_OFFSET, Tlb};

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
    pub fn data_mode(&self) -> Mode {
        if self.csr.mstatus & status::MPRV == 0 {
            return self.mode;
        }
        Mode::from_bits((self.csr.mstatus & status::MPP) >> status::MPP_SHIFT)
            .expect("MPP never holds the reserved mode")
    }

    /// What translations must be tagged with to be used for fetches now.
    pub fn fetch_context(&self) -> Context {
        Context::new(self.mode, self.csr.satp, false)
    }

    /// What translations must be tagged with to be used for loads and stores now.
    pub fn data_context(&self) -> Context {
        Context::new(
            self.data_mode(),
            self.csr.satp,
            self.csr.mstatus & status::SUM != 0,
        )
    }
}
