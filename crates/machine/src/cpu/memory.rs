//! Accesses to memory and devices that no fast translation has, for every engine.

use super::Cpu;
use crate::board::Board;
use crate::hart::{Access, Cause, Trapped};
use crate::mmu::access_fault;
use crate::{GuestAddr, Width};

const PAGE: u64 = 4096;

impl Cpu {
    /// Loads `width` at a virtual address, zero-extended, without asking the fast entries.
    ///
    /// # Errors
    /// The load traps.
    #[inline(never)]
    pub fn load(&mut self, board: &mut Board, address: u64, width: Width) -> Result<u64, Trapped> {
        let len = width.bytes();
        if (address & (PAGE - 1)) + len > PAGE {
            let mut bytes = [0; 8];
            let parts = self.translate_parts(board, Access::Load, address, len)?;
            for (physical, part) in parts
                .into_iter()
                .zip(split(&mut bytes[..len as usize], address))
            {
                board
                    .ram
                    .read(physical, part)
                    .expect("both parts were found to be memory");
            }
            return Ok(u64::from_le_bytes(bytes));
        }
        let physical = GuestAddr(self.translate(board, Access::Load, address, len)?);
        if let Some(value) = board.ram.load_width(physical, width) {
            return Ok(value);
        }
        self.attention = true;
        let now = self.now(board);
        match board.load(physical, width, now) {
            Ok(value) => Ok(value),
            Err(_) => {
                self.rig.look_at(None, Some(address));
                Err(self.hart.raise(Cause::LoadAccess, address))
            }
        }
    }

    /// Stores the low `width` of `value` at a virtual address, without asking the fast entries.
    ///
    /// # Errors
    /// The store traps.
    #[inline(never)]
    pub fn store(
        &mut self,
        board: &mut Board,
        address: u64,
        width: Width,
        value: u64,
    ) -> Result<(), Trapped> {
        let len = width.bytes();
        if (address & (PAGE - 1)) + len > PAGE {
            let mut bytes = value.to_le_bytes();
            let parts = self.translate_parts(board, Access::Store, address, len)?;
            for (physical, part) in parts
                .into_iter()
                .zip(split(&mut bytes[..len as usize], address))
            {
                board
                    .ram
                    .write(physical, part)
                    .expect("both parts were found to be memory");
            }
            self.attention |= board.ram.has_stale();
            return Ok(());
        }
        let physical = GuestAddr(self.translate(board, Access::Store, address, len)?);
        if board.ram.store_width(physical, width, value).is_some() {
            self.attention |= board.ram.has_stale();
            return Ok(());
        }
        self.attention = true;
        let now = self.now(board);
        match board.store(physical, width, value, now) {
            Ok(()) => Ok(()),
            Err(_) => {
                self.rig.look_at(None, Some(address));
                Err(self.hart.raise(Cause::StoreAccess, address))
            }
        }
    }

    /// The physical addresses of the two parts of an access that straddles a page border: in memory.
    fn translate_parts(
        &mut self,
        board: &mut Board,
        access: Access,
        address: u64,
        len: u64,
    ) -> Result<[GuestAddr; 2], Trapped> {
        let second = (address | (PAGE - 1)).wrapping_add(1);
        let len_of_first = second.wrapping_sub(address);
        let parts = [(address, len_of_first), (second, len - len_of_first)];
        let mut found = [GuestAddr(0); 2];
        for (slot, (address, len)) in found.iter_mut().zip(parts) {
            *slot = GuestAddr(self.translate(board, access, address, len)?);
            if board.ram.offset_of(*slot, len as usize).is_none() {
                return Err(self.hart.raise(access_fault(access), address));
            }
        }
        Ok(found)
    }

    /// The offset in memory of an aligned atomic access.
    pub(crate) fn translate_atomic(
        &mut self,
        board: &mut Board,
        access: Access,
        address: u64,
        width: Width,
    ) -> Result<usize, Trapped> {
        let len = width.bytes();
        if !address.is_multiple_of(len) {
            let cause = match access {
                Access::Store => Cause::StoreMisaligned,
                _ => Cause::LoadMisaligned,
            };
            return Err(self.hart.raise(cause, address));
        }
        let physical = self.translate(board, access, address, len)?;
        match board.ram.offset_of(GuestAddr(physical), len as usize) {
            Some(offset) => Ok(offset),
            None => Err(self.hart.raise(access_fault(access), address)),
        }
    }

    /// The 16 bits of code at a virtual address: all code is in memory.
    ///
    /// # Errors
    /// The fetch traps.
    pub fn fetch(&mut self, board: &mut Board, address: u64) -> Result<u16, Trapped> {
        let physical = self.translate(board, Access::Fetch, address, 2)?;
        let mut bytes = [0; 2];
        match board.ram.read(GuestAddr(physical), &mut bytes) {
            Ok(()) => Ok(u16::from_le_bytes(bytes)),
            Err(_) => Err(self.hart.raise(Cause::FetchAccess, address)),
        }
    }
}

/// Cuts the bytes of an access at `address` at the page border.
fn split(bytes: &mut [u8], address: u64) -> [&mut [u8]; 2] {
    let first = (PAGE - (address & (PAGE - 1))) as usize;
    let (first, second) = bytes.split_at_mut(first);
    [first, second]
}
