//! Physical memory protection (manual, volume II, "Physical Memory Protection"): 16 entries, granularity of
//! 4 bytes.

use super::csr::{Csrs, PMP_ENTRIES};
use super::mode::Mode;

pub(super) const READ: u8 = 1;
pub(super) const WRITE: u8 = 2;
const EXECUTE: u8 = 4;
pub(super) const ADDRESS_MODE: u8 = 3 << 3;
pub(super) const TOR: u8 = 1 << 3;
pub(super) const LOCKED: u8 = 1 << 7;

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Fetches an instruction.
    Fetch,
    /// Loads.
    Load,
    /// Stores, or does both.
    Store,
}

/// An entry that is on: the bytes from `first` to `last`, and its configuration.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u64,
    last: u64,
    config: u8,
}

/// The protection entries, in the form in which they are checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pmp {
    ranges: Vec<Range>,
}

impl Pmp {
    pub(super) fn new(csr: &Csrs) -> Pmp {
        let mut ranges = Vec::new();
        for index in 0..PMP_ENTRIES {
            let config = csr.pmpcfg[index];
            let addr = csr.pmpaddr[index];
            let (first, last) = match config & ADDRESS_MODE {
                0 => continue,
                TOR => {
                    let first = if index == 0 {
                        0
                    } else {
                        csr.pmpaddr[index - 1]
                    };
                    if first >= addr {
                        continue;
                    }
                    (first << 2, (addr << 2) - 1)
                }
                0x10 => (addr << 2, (addr << 2) + 3),
                _ => {
                    let size = (addr ^ (addr + 1)) << 2 | 3;
                    let first = (addr << 2) & !size;
                    (first, first | size)
                }
            };
            ranges.push(Range {
                first,
                last,
                config,
            });
        }
        Pmp { ranges }
    }

    /// Whether `mode` may do `access` to `len` bytes at physical `addr`, of which the last exists.
    pub(crate) fn allows(&self, mode: Mode, access: Access, addr: u64, len: u64) -> bool {
        let last = addr.saturating_add(len - 1);
        for range in &self.ranges {
            if range.last < addr || last < range.first {
                continue;
            }
            let whole = range.first <= addr && last <= range.last;
            return whole && permits(range.config, mode, access);
        }
        mode == Mode::Machine
    }

    /// Whether all bytes of the page at `page` get the same answer from [`Pmp::allows`].
    pub(crate) fn is_uniform(&self, page: u64) -> bool {
        let last = page | 0xfff;
        for range in &self.ranges {
            if range.last < page || last < range.first {
                continue;
            }
            return range.first <= page && last <= range.last;
        }
        true
    }
}

fn permits(config: u8, mode: Mode, access: Access) -> bool {
    if mode == Mode::Machine && config & LOCKED == 0 {
        return true;
    }
    let bit = match access {
        Access::Fetch => EXECUTE,
        Access::Load => READ,
        Access::Store => WRITE,
    };
    config & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pmp(entries: &[(u8, u64)]) -> Pmp {
        let mut csr = Csrs::default();
        for (index, &(config, addr)) in entries.iter().enumerate() {
            csr.pmpcfg[index] = config;
            csr.pmpaddr[index] = addr;
        }
        Pmp::new(&csr)
    }

    #[test]
    fn kinds_of_ranges() {
        let user = |pmp: &Pmp, addr, len| pmp.allows(Mode::User, Access::Load, addr, len);
        // NA4, NAPOT of 8 bytes, top of range.
        let some = pmp(&[
            (0x11, 0x1000 >> 2),
            (0x19, 0x2000 >> 2),
            (0, 0x3000 >> 2),
            (9, 0x3008 >> 2),
        ]);
        assert!(user(&some, 0x1000, 4) && !user(&some, 0x1000, 8) && !user(&some, 0x1004, 1));
        assert!(user(&some, 0x2000, 8) && !user(&some, 0x2008, 1));
        assert!(user(&some, 0x3000, 8) && !user(&some, 0x3004, 8) && !user(&some, 0x2fff, 1));
        assert!(!some.is_uniform(0x1000) && some.is_uniform(0x4000));
        assert!(some.allows(Mode::Machine, Access::Store, 0x1000, 4));
        assert!(
            !some.allows(Mode::Machine, Access::Store, 0x1000, 8),
            "partly matched"
        );
        let all = pmp(&[(0x1f, (1 << 54) - 1)]);
        assert!(user(&all, u64::MAX >> 8, 1) && all.is_uniform(0x8000_0000));
    }

    #[test]
    fn priority_and_lock() {
        let both = pmp(&[(0x91, 0x1000 >> 2), (0x1f, (1 << 54) - 1)]);
        assert!(
            !both.allows(Mode::Machine, Access::Store, 0x1000, 4),
            "locked binds M-mode"
        );
        assert!(both.allows(Mode::User, Access::Store, 0x1004, 4));
        assert!(!Pmp::default().allows(Mode::User, Access::Load, 0, 1));
        assert!(Pmp::default().allows(Mode::Machine, Access::Load, 0, 1));
    }
}
