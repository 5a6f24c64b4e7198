//! What translations are tagged with besides the page: the kind of mode and the address space.

use crate::hart::Mode;

/// A kind of context, as bits of a [`Context`]: user pages, which user mode reaches.
pub(super) const USER: u64 = 0;
/// Pages of S-mode. Differs from [`USER`] in one bit.
pub(super) const SUPERVISOR: u64 = 1;
const BARE_USER: u64 = 3;
const BARE_SUPERVISOR: u64 = 4;
const MACHINE: u64 = 5;
/// The bits of a [`Context`] that hold the kind.
pub(super) const KIND: u64 = 7;
/// The bits of a [`Context`] that hold the address space.
pub(super) const SPACE: u64 = 0x1ff << SPACE_SHIFT;
const SPACE_SHIFT: u32 = 3;
/// A key that no page and context have.
pub(super) const NO_KEY: u64 = 7;

/// The low 12 bits of a key: bits 2 to 0 say in which kind of mode an access acts, bits 11 to 3 in which
/// address space. Whether S-mode may touch user pages is no part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Context(u64);

impl Context {
    /// The context of an access in `mode`, with this `satp`.
    #[inline]
    pub fn new(mode: Mode, satp: u64) -> Context {
        let space = (satp >> 44 & 0x1ff) << SPACE_SHIFT;
        let paged = satp >> 60 != 0;
        Context(match (mode, paged) {
            (Mode::User, true) => space | USER,
            (Mode::Supervisor, true) => space | SUPERVISOR,
            (Mode::User, false) => BARE_USER,
            (Mode::Supervisor, false) => BARE_SUPERVISOR,
            (Mode::Machine, _) => MACHINE,
        })
    }

    /// What a fast entry for the page of `address` is tagged with.
    #[inline(always)]
    pub fn key(self, address: u64) -> u64 {
        address & !0xfff | self.0
    }

    /// The key of a translation of `address` that was found in this context: of the kind of its page.
    pub(super) fn key_of_page(self, address: u64, user: bool) -> u64 {
        let kind = match (self.is_paged(), user) {
            (true, true) => USER,
            (true, false) => SUPERVISOR,
            (false, _) => self.0 & KIND,
        };
        self.key(address) & !KIND | kind
    }

    /// The privilege mode of the access.
    pub fn mode(self) -> Mode {
        match self.0 & KIND {
            USER | BARE_USER => Mode::User,
            MACHINE => Mode::Machine,
            _ => Mode::Supervisor,
        }
    }

    /// Whether addresses are translated.
    #[inline]
    pub(crate) fn is_paged(self) -> bool {
        self.0 & KIND <= SUPERVISOR
    }
}
