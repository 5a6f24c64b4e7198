//! Guest memory: bytes from [`RAM_BASE`] on.

use crate::{AccessFault, GuestAddr};

/// Where memory starts.
pub const RAM_BASE: u64 = 0x8000_0000;

/// The guest's memory.
#[derive(Clone)]
pub struct Ram {
    bytes: Vec<u8>,
}

impl Ram {
    /// Memory of `len` zero bytes.
    pub fn new(len: usize) -> Ram {
        Ram {
            bytes: vec![0; len],
        }
    }

    /// Size in bytes.
    #[expect(clippy::len_without_is_empty, reason = "memory is never empty")]
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn range(&self, addr: GuestAddr, len: usize) -> Result<std::ops::Range<usize>, AccessFault> {
        let start = addr.0.checked_sub(RAM_BASE).ok_or(AccessFault)?;
        let start = usize::try_from(start).map_err(|_| AccessFault)?;
        let end = start.checked_add(len).ok_or(AccessFault)?;
        if end > self.bytes.len() {
            return Err(AccessFault);
        }
        Ok(start..end)
    }

    /// Copies `out.len()` bytes from `addr` on, or nothing if not all of them are in memory.
    pub fn read(&self, addr: GuestAddr, out: &mut [u8]) -> Result<(), AccessFault> {
        let range = self.range(addr, out.len())?;
        out.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    /// Stores `data` at `addr`, or nothing if not all of it is in memory.
    pub fn write(&mut self, addr: GuestAddr, data: &[u8]) -> Result<(), AccessFault> {
        let range = self.range(addr, data.len())?;
        self.bytes[range].copy_from_slice(data);
        Ok(())
    }
}
