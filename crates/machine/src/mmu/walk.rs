//! The page walk (manual, volume II, "Virtual Address Translation Process"): Sv39 and Sv48, with accessed
//! and dirty bits set by hardware.

use super::tlb::Translation;
use super::{access_fault, page_fault};
use crate::GuestAddr;
use crate::board::Board;
use crate::cpu::{ACCESS_COST, Cpu, WALK_COST};
use crate::hart::csr::status;
use crate::hart::{Access, Cause, Mode, Trapped};
use crate::ram::PAGE_BYTES;

const VALID: u64 = 1;
const READ: u64 = 2;
const WRITE: u64 = 4;
const EXECUTE: u64 = 8;
const USER: u64 = 16;
const GLOBAL: u64 = 32;
const ACCESSED: u64 = 64;
const DIRTY: u64 = 128;
/// Bits that must be zero without Svnapot and Svpbmt.
const RESERVED: u64 = 0x3ff << 54;
const LEAF: u64 = READ | WRITE | EXECUTE;

impl Cpu {
    /// The physical address of `address` for an access of `len` bytes that all are in its page, checked for
    /// everything but whether something answers there. Fills the TLB.
    ///
    /// # Errors
    /// The access traps: by its page, by protection, or because there is no page table.
    pub fn translate(
        &mut self,
        board: &mut Board,
        access: Access,
        address: u64,
        len: u64,
    ) -> Result<u64, Trapped> {
        self.charge(ACCESS_COST);
        let (page, cached) = match self.tlb.look_up(access, address) {
            Some(page) => (page, true),
            None => self.walk_and_fill(board, access, address, len)?,
        };
        // A page that is not wholly accessible is not cached, and checked with each access.
        if cached
            && let Some(offset) = board.ram.offset_of(GuestAddr(page), PAGE_BYTES)
            && (access != Access::Store || board.ram.is_plain(offset / PAGE_BYTES))
        {
            self.tlb.make_fast(access, address, offset);
        }
        Ok(page | address & 0xfff)
    }

    /// The physical page, and whether it was cached.
    #[inline(never)]
    fn walk_and_fill(
        &mut self,
        board: &mut Board,
        access: Access,
        address: u64,
        len: u64,
    ) -> Result<(u64, bool), Trapped> {
        let context = self.tlb.context(access);
        let found = if context.is_paged() {
            self.charge(WALK_COST);
            self.walk(board, access, address)
                .map_err(|cause| self.hart.raise(cause, address))?
        } else {
            Translation {
                page: address & !0xfff,
                level: 0,
                global: false,
                user: false,
            }
        };
        let physical = found.page | address & 0xfff;
        if !self.hart.pmp.allows(context.mode(), access, physical, len) {
            return Err(self.hart.raise(access_fault(access), address));
        }
        let uniform = self.hart.pmp.is_uniform(found.page);
        if uniform {
            self.tlb.insert(access, address, found);
        }
        Ok((found.page, uniform))
    }

    fn walk(
        &mut self,
        board: &mut Board,
        access: Access,
        address: u64,
    ) -> Result<Translation, Cause> {
        let page_fault = page_fault(access);
        let access_fault = access_fault(access);
        let satp = self.hart.csr.satp;
        let levels: u32 = if satp >> 60 == 8 { 3 } else { 4 };
        let unused = 64 - (12 + 9 * levels);
        if (address.cast_signed() << unused >> unused).cast_unsigned() != address {
            return Err(page_fault);
        }
        let mut table = (satp & ((1 << 44) - 1)) << 12;
        let mut global = false;
        for level in (0..levels).rev() {
            let shift = 12 + 9 * level;
            let place = table + (address >> shift & 0x1ff) * 8;
            let entry = self.load_entry(board, place).ok_or(access_fault)?;
            if entry & VALID == 0 || entry & RESERVED != 0 {
                return Err(page_fault);
            }
            global |= entry & GLOBAL != 0;
            let target = (entry >> 10 & ((1 << 44) - 1)) << 12;
            if entry & LEAF == 0 {
                if entry & (DIRTY | ACCESSED | USER) != 0 {
                    return Err(page_fault);
                }
                table = target;
                continue;
            }
            let span = (1 << shift) - 1;
            if !self.permits(access, entry) || target & span != 0 {
                return Err(page_fault);
            }
            let store = if access == Access::Store { DIRTY } else { 0 };
            let updated = entry | ACCESSED | store;
            if updated != entry {
                self.store_entry(board, place, updated)
                    .ok_or(access_fault)?;
            }
            return Ok(Translation {
                page: (target | address & span) & !0xfff,
                level,
                global,
                user: entry & USER != 0,
            });
        }
        Err(page_fault)
    }

    fn permits(&self, access: Access, entry: u64) -> bool {
        let context = self.tlb.context(access);
        if entry & (READ | WRITE) == WRITE {
            return false;
        }
        let user_page = entry & USER != 0;
        let mode_may = match context.mode() {
            Mode::User => user_page,
            _ if access == Access::Fetch => !user_page,
            _ => !user_page || self.hart.may_touch_user(),
        };
        let executable_is_readable = self.hart.csr.mstatus & status::MXR != 0;
        mode_may
            && match access {
                Access::Fetch => entry & EXECUTE != 0,
                Access::Load => entry & READ != 0 || executable_is_readable && entry & EXECUTE != 0,
                Access::Store => entry & WRITE != 0,
            }
    }

    /// Page tables are read and written as S-mode would.
    fn load_entry(&self, board: &Board, place: u64) -> Option<u64> {
        let offset = board.ram.offset_of(GuestAddr(place), 8)?;
        if !self
            .hart
            .pmp
            .allows(Mode::Supervisor, Access::Load, place, 8)
        {
            return None;
        }
        board.ram.load(offset).map(u64::from_le_bytes)
    }

    fn store_entry(&mut self, board: &mut Board, place: u64, entry: u64) -> Option<()> {
        if !self
            .hart
            .pmp
            .allows(Mode::Supervisor, Access::Store, place, 8)
        {
            return None;
        }
        board
            .ram
            .write(GuestAddr(place), &entry.to_le_bytes())
            .ok()?;
        self.attention |= board.ram.has_stale();
        Some(())
    }
}
