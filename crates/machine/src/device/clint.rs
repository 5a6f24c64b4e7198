//! Core-local interruptor: software interrupt, `mtime` and `mtimecmp` of one hart (SiFive CLINT layout).

use serde::{Deserialize, Serialize};

use crate::Width;

const MSIP: u64 = 0;
const MTIMECMP: u64 = 0x4000;
const MTIME: u64 = 0xbff8;

/// The CLINT's registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clint {
    msip: bool,
    mtimecmp: u64,
    /// `mtime` minus the guest clock: the guest may write `mtime`.
    offset: u64,
}

impl Default for Clint {
    fn default() -> Clint {
        Clint {
            msip: false,
            mtimecmp: u64::MAX,
            offset: 0,
        }
    }
}

impl Clint {
    /// `mtime` at guest clock `now`; the `time` CSR shows the same.
    pub(crate) fn mtime(&self, now: u64) -> u64 {
        now.wrapping_add(self.offset)
    }

    /// Whether the software interrupt is pending.
    pub(crate) fn msip(&self) -> bool {
        self.msip
    }

    /// Whether the timer interrupt is pending.
    pub(crate) fn mtip(&self, now: u64) -> bool {
        self.mtime(now) >= self.mtimecmp
    }

    /// The next tick after `now` at which the timer interrupt changes by itself.
    pub(crate) fn deadline(&self, now: u64) -> Option<u64> {
        let mtime = self.mtime(now);
        if mtime >= self.mtimecmp {
            // It ends where `mtime` wraps, unless it is pending always.
            if self.mtimecmp == 0 {
                return None;
            }
            return now.checked_add((u64::MAX - mtime).checked_add(1)?);
        }
        now.checked_add(self.mtimecmp - mtime)
    }

    /// The first tick at or after `now` at which `mtime` is at least `time`, for `stimecmp`. `None`: never.
    pub(crate) fn tick_of(&self, now: u64, time: u64) -> Option<u64> {
        now.checked_add(time.saturating_sub(self.mtime(now)))
    }

    /// Reads a register; absent ones are 0.
    pub(crate) fn load(&self, offset: u64, width: Width, now: u64) -> u64 {
        let register = match offset & !7 {
            MSIP => u64::from(self.msip),
            MTIMECMP => self.mtimecmp,
            MTIME => self.mtime(now),
            _ => 0,
        };
        match width {
            Width::Double => register,
            _ => (register >> ((offset & 4) * 8)) & 0xffff_ffff,
        }
    }

    /// Writes a register; absent ones ignore it.
    pub(crate) fn store(&mut self, offset: u64, width: Width, value: u64, now: u64) {
        let merge = |old: u64| match (width, offset & 4) {
            (Width::Double, _) => value,
            (_, 0) => (old & !0xffff_ffff) | (value & 0xffff_ffff),
            _ => (old & 0xffff_ffff) | (value << 32),
        };
        match offset & !7 {
            MSIP if offset & 4 == 0 => self.msip = value & 1 != 0,
            MTIMECMP => self.mtimecmp = merge(self.mtimecmp),
            MTIME => self.offset = merge(self.mtime(now)).wrapping_sub(now),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer() {
        let mut clint = Clint::default();
        assert!(!clint.mtip(1000));
        clint.store(MTIMECMP, Width::Double, 500, 0);
        assert!(!clint.mtip(499) && clint.mtip(500));
        assert_eq!(clint.deadline(100), Some(500));
        // Writing mtime moves the deadline on the guest clock.
        clint.store(MTIME, Width::Double, 0, 400);
        assert_eq!(clint.load(MTIME, Width::Double, 410), 10);
        assert_eq!(clint.deadline(400), Some(900));
        assert_eq!(clint.tick_of(400, 20), Some(420));
        assert_eq!(clint.tick_of(450, 20), Some(450));
        clint.store(MTIME + 4, Width::Word, 1, 400);
        assert_eq!(clint.mtime(400), 1 << 32);
        assert_eq!(clint.load(MTIME + 4, Width::Word, 400), 1);
        assert!(clint.mtip(400));
    }

    #[test]
    fn halves_and_software_interrupt() {
        let mut clint = Clint::default();
        clint.store(MTIMECMP, Width::Word, 7, 0);
        clint.store(MTIMECMP + 4, Width::Word, 1, 0);
        assert_eq!(clint.load(MTIMECMP, Width::Double, 0), (1 << 32) | 7);
        clint.store(MSIP, Width::Word, 3, 0);
        assert!(clint.msip());
        assert_eq!(clint.load(MSIP, Width::Word, 0), 1);
        clint.store(4, Width::Word, 0, 0);
        assert!(clint.msip(), "hart 1 does not exist");
    }
}
