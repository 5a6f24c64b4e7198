//! A split virtqueue, device side (virtio 1.2, section 2.7). Everything in guest memory is hostile: a chain has
//! a bounded number of descriptors, and an error means that the driver has to reset the device.

use serde::{Deserialize, Serialize};

use crate::ram::Ram;
use crate::{AccessFault, GuestAddr};

/// Most descriptors of one chain, with those of an indirect table.
pub(crate) const CHAIN_DESCRIPTORS_MAX: u32 = 1024;

const DESCRIPTOR_BYTES: u64 = 16;
const FLAG_NEXT: u16 = 1;
const FLAG_WRITE: u16 = 2;
const FLAG_INDIRECT: u16 = 4;
/// In the available ring: the driver wants no interrupt.
const AVAIL_NO_INTERRUPT: u16 = 1;

/// What is wrong with a ring or a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// A part of the queue, or a buffer, is not in memory.
    #[error("an address of the queue is outside memory")]
    Outside,
    /// The available index is further ahead than the queue has entries.
    #[error("more chains are available than the queue has entries")]
    AvailableIndex,
    /// A descriptor number is not below the table's size.
    #[error("a descriptor number is out of range")]
    DescriptorNumber,
    /// The chain is too long, or a loop.
    #[error("a descriptor chain is too long")]
    ChainLength,
    /// A buffer is empty, or the chain has 4 GiB or more.
    #[error("a descriptor chain has an impossible number of bytes")]
    ChainBytes,
    /// Flags that contradict each other, or an indirect table of odd size.
    #[error("a descriptor is malformed")]
    Descriptor,
    /// Buffers of the wrong direction, or too small for the device's header.
    #[error("a descriptor chain does not suit the device")]
    Unsuitable,
}

impl From<AccessFault> for QueueError {
    fn from(AccessFault: AccessFault) -> QueueError {
        QueueError::Outside
    }
}

/// A piece of guest memory, known to lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// First address.
    pub addr: GuestAddr,
    /// In bytes, at least 1.
    pub len: u32,
}

/// A chain of buffers that the driver made available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Number of its first descriptor, by which it is given back.
    pub head: u16,
    /// What the device may read.
    pub readable: Vec<Buffer>,
    /// What the device may write.
    pub writable: Vec<Buffer>,
}

fn total(buffers: &[Buffer]) -> u64 {
    buffers.iter().map(|buffer| u64::from(buffer.len)).sum()
}

impl Chain {
    /// How many descriptors it takes, without those that lead to a table.
    pub fn descriptors(&self) -> u64 {
        (self.readable.len() + self.writable.len()) as u64
    }

    /// How many bytes the device may read; below 4 GiB.
    pub(crate) fn readable_bytes(&self) -> u64 {
        total(&self.readable)
    }

    /// How many bytes the device may write; below 4 GiB.
    pub(crate) fn writable_bytes(&self) -> u64 {
        total(&self.writable)
    }

    /// All readable bytes after the first `skip`. The caller has bounded their number.
    ///
    /// # Errors
    /// A buffer is not in memory.
    pub fn read(&self, ram: &Ram, mut skip: u64) -> Result<Vec<u8>, QueueError> {
        let len = self.readable_bytes().saturating_sub(skip);
        let mut bytes = vec![0; len as usize];
        let mut rest = bytes.as_mut_slice();
        for Buffer { addr, len } in &self.readable {
            let len = u64::from(*len);
            let skipped = skip.min(len);
            skip -= skipped;
            let (part, after) = rest.split_at_mut((len - skipped) as usize);
            ram.read(GuestAddr(addr.0 + skipped), part)?;
            rest = after;
        }
        Ok(bytes)
    }

    /// Writes as much of `bytes` as the writable buffers hold; returns how many that is.
    ///
    /// # Errors
    /// A buffer is not in memory.
    pub fn write(&self, ram: &mut Ram, bytes: &[u8]) -> Result<u32, QueueError> {
        let mut rest = bytes;
        for Buffer { addr, len } in &self.writable {
            let (part, after) = rest.split_at(rest.len().min(*len as usize));
            ram.write(*addr, part)?;
            rest = after;
        }
        Ok((bytes.len() - rest.len()) as u32)
    }
}

/// One queue as the driver set it up, and how far the device is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Number of entries, a power of two; 0 until the driver says it.
    pub size: u16,
    /// The driver has set it up.
    pub ready: bool,
    /// Address of the descriptor table.
    pub descriptors: u64,
    /// Address of the available ring ("driver area").
    pub available: u64,
    /// Address of the used ring ("device area").
    pub used: u64,
    next_available: u16,
    next_used: u16,
    /// Value of `next_used` at the last decision about an interrupt.
    decided_used: u16,
}

fn half(ram: &Ram, addr: u64) -> Result<u16, QueueError> {
    let mut bytes = [0; 2];
    ram.read(GuestAddr(addr), &mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

impl Queue {
    /// Starts using the queue as it has been set up.
    ///
    /// # Errors
    /// It has no size, or a part of it is not aligned.
    pub fn start(&mut self) -> Result<(), QueueError> {
        let aligned = self.descriptors.is_multiple_of(16)
            && self.available.is_multiple_of(2)
            && self.used.is_multiple_of(4);
        if self.size == 0 || !aligned {
            return Err(QueueError::Descriptor);
        }
        self.ready = true;
        (self.next_available, self.next_used, self.decided_used) = (0, 0, 0);
        Ok(())
    }

    /// How many chains the driver has made available; at most the queue's size.
    ///
    /// # Errors
    /// The driver has broken the rules of the ring.
    pub fn waiting(&self, ram: &Ram) -> Result<u16, QueueError> {
        let index = half(ram, self.available.wrapping_add(2))?;
        let waiting = index.wrapping_sub(self.next_available);
        if waiting > self.size {
            return Err(QueueError::AvailableIndex);
        }
        Ok(waiting)
    }

    /// The chain `ahead` places after the next one, which the caller knows to be waiting.
    ///
    /// # Errors
    /// The chain is impossible.
    pub fn peek(&self, ram: &Ram, ahead: u16) -> Result<Chain, QueueError> {
        let index = self.next_available.wrapping_add(ahead) & (self.size - 1);
        let head = half(ram, self.available.wrapping_add(4 + 2 * u64::from(index)))?;
        Walk::new(self, head).chain(ram)
    }

    /// Takes the next `count` chains, which have been looked at.
    pub fn take(&mut self, count: u16) {
        self.next_available = self.next_available.wrapping_add(count);
    }

    /// Takes and returns the next chain, which the caller knows to be waiting.
    ///
    /// # Errors
    /// The chain is impossible.
    pub fn pop(&mut self, ram: &Ram) -> Result<Chain, QueueError> {
        let chain = self.peek(ram, 0)?;
        self.take(1);
        Ok(chain)
    }

    /// Gives a chain back with `written` bytes; the driver sees it after [`Queue::publish`].
    ///
    /// # Errors
    /// The ring is not in memory.
    pub fn give_back(&mut self, ram: &mut Ram, head: u16, written: u32) -> Result<(), QueueError> {
        let index = u64::from(self.next_used & (self.size - 1));
        let mut element = [0; 8];
        element[..2].copy_from_slice(&head.to_le_bytes());
        element[4..].copy_from_slice(&written.to_le_bytes());
        ram.write(GuestAddr(self.used.wrapping_add(4 + 8 * index)), &element)?;
        self.next_used = self.next_used.wrapping_add(1);
        Ok(())
    }

    /// Shows the driver what was given back, and says whether it wants an interrupt for that (sections 2.7.7
    /// and 2.7.8).
    ///
    /// # Errors
    /// The ring is not in memory.
    pub(crate) fn publish(&mut self, ram: &mut Ram, event_index: bool) -> Result<bool, QueueError> {
        let (new, old) = (self.next_used, self.decided_used);
        if new == old {
            return Ok(false);
        }
        self.decided_used = new;
        ram.write(GuestAddr(self.used.wrapping_add(2)), &new.to_le_bytes())?;
        if event_index {
            let event = half(
                ram,
                self.available.wrapping_add(4 + 2 * u64::from(self.size)),
            )?;
            let since_event = new.wrapping_sub(event).wrapping_sub(1);
            return Ok(since_event < new.wrapping_sub(old));
        }
        Ok(half(ram, self.available)? & AVAIL_NO_INTERRUPT == 0)
    }

    /// Asks for a notification when the driver makes another chain available than the next `waiting`. Without
    /// `event_index` drivers notify always.
    ///
    /// # Errors
    /// The ring is not in memory.
    pub(crate) fn ask_notification(
        &self,
        ram: &mut Ram,
        waiting: u16,
        event_index: bool,
    ) -> Result<(), QueueError> {
        if event_index {
            let addr = self.used.wrapping_add(4 + 8 * u64::from(self.size));
            let event = self.next_available.wrapping_add(waiting);
            ram.write(GuestAddr(addr), &event.to_le_bytes())?;
        }
        Ok(())
    }
}

/// A walk along one chain.
struct Walk {
    table: u64,
    table_len: u32,
    indirect: bool,
    next: Option<u32>,
    budget: u32,
    head: u16,
}

struct Descriptor {
    addr: u64,
    len: u32,
    flags: u16,
    next: u16,
}

impl Descriptor {
    fn load(ram: &Ram, addr: u64) -> Result<Descriptor, QueueError> {
        let mut bytes = [0; DESCRIPTOR_BYTES as usize];
        ram.read(GuestAddr(addr), &mut bytes)?;
        let number = u128::from_le_bytes(bytes);
        Ok(Descriptor {
            addr: number as u64,
            len: (number >> 64) as u32,
            flags: (number >> 96) as u16,
            next: (number >> 112) as u16,
        })
    }
}

impl Walk {
    fn new(queue: &Queue, head: u16) -> Walk {
        Walk {
            table: queue.descriptors,
            table_len: u32::from(queue.size),
            indirect: false,
            next: Some(u32::from(head)),
            // A longer walk through the queue's own table is a loop.
            budget: u32::from(queue.size),
            head,
        }
    }

    fn chain(mut self, ram: &Ram) -> Result<Chain, QueueError> {
        let mut chain = Chain {
            head: self.head,
            readable: Vec::new(),
            writable: Vec::new(),
        };
        let mut bytes = 0u32;
        while let Some(index) = self.next {
            if index >= self.table_len {
                return Err(QueueError::DescriptorNumber);
            }
            self.budget = self.budget.checked_sub(1).ok_or(QueueError::ChainLength)?;
            let addr = (self.table).wrapping_add(DESCRIPTOR_BYTES * u64::from(index));
            let descriptor = Descriptor::load(ram, addr)?;
            if descriptor.flags & FLAG_INDIRECT != 0 {
                self.enter(&descriptor)?;
                continue;
            }
            let next = descriptor.flags & FLAG_NEXT != 0;
            self.next = next.then_some(u32::from(descriptor.next));
            bytes = match (descriptor.len, bytes.checked_add(descriptor.len)) {
                (0, _) | (_, None) => return Err(QueueError::ChainBytes),
                (_, Some(sum)) => sum,
            };
            let end = descriptor.addr.checked_add(u64::from(descriptor.len));
            if descriptor.addr < crate::ram::RAM_BASE
                || end.is_none_or(|end| end > crate::ram::RAM_BASE + ram.len())
            {
                return Err(QueueError::Outside);
            }
            let buffer = Buffer {
                addr: GuestAddr(descriptor.addr),
                len: descriptor.len,
            };
            if descriptor.flags & FLAG_WRITE != 0 {
                chain.writable.push(buffer);
            } else if chain.writable.is_empty() {
                chain.readable.push(buffer);
            } else {
                // What the device reads comes before what it writes.
                return Err(QueueError::Descriptor);
            }
        }
        Ok(chain)
    }

    /// Goes on in an indirect table, which ends the chain in this one.
    fn enter(&mut self, descriptor: &Descriptor) -> Result<(), QueueError> {
        let entries = descriptor.len / DESCRIPTOR_BYTES as u32;
        let whole = u64::from(descriptor.len).is_multiple_of(DESCRIPTOR_BYTES) && entries != 0;
        if self.indirect || descriptor.flags & FLAG_NEXT != 0 || !whole {
            return Err(QueueError::Descriptor);
        }
        *self = Walk {
            table: descriptor.addr,
            table_len: entries,
            indirect: true,
            next: Some(0),
            budget: entries.min(CHAIN_DESCRIPTORS_MAX),
            head: self.head,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
