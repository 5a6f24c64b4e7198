//! What the computer consists of ([`BoardConfig`]) and what it is started with ([`Boot`]): plain values, checked
//! before anything is built from them. The board belongs to a snapshot; the boot is used once.

use serde::{Deserialize, Serialize};

/// Number of virtio slots on the board.
pub(crate) const VIRTIO_SLOTS: usize = 8;
/// Smallest memory, in bytes.
pub const MEMORY_BYTES_MIN: u64 = 16 << 20;
/// Largest memory, in bytes.
pub const MEMORY_BYTES_MAX: u64 = 64 << 30;

/// One network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetConfig {
    /// Its Ethernet address.
    pub mac: [u8; 6],
}

/// The parts of the computer that may differ between machines. Virtio devices take the slots of QEMU's
/// `virt` board from the lowest address up: network devices, then entropy, then console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardConfig {
    /// Memory in bytes: a multiple of 4 KiB from [`MEMORY_BYTES_MIN`] to [`MEMORY_BYTES_MAX`].
    pub memory_bytes: u64,
    /// Network devices, in the order of the index in [`crate::Input::Frame`].
    pub net: Vec<NetConfig>,
    /// Whether there is a virtio entropy device.
    pub entropy: bool,
    /// Whether there is a virtio console beside the serial port.
    pub console: bool,
}

impl Default for BoardConfig {
    /// 256 MiB, an entropy device, nothing else.
    fn default() -> BoardConfig {
        BoardConfig {
            memory_bytes: 256 << 20,
            net: Vec::new(),
            entropy: true,
            console: false,
        }
    }
}

/// Why a board cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// The memory size is out of range.
    #[error(
        "a memory of {0} bytes is not possible: it must be a multiple of 4 KiB between 16 MiB and 64 GiB"
    )]
    Memory(u64),
    /// The memory size is beyond what this host can give.
    #[error("a memory of {0} bytes is more than this host can give")]
    MemoryBeyondHost(u64),
    /// There are more virtio devices than slots.
    #[error("{0} virtio devices are too many: the board has 8 slots")]
    Devices(usize),
    /// An Ethernet address has the multicast bit.
    #[error(
        "network device {0} has a multicast Ethernet address: the lowest bit of its first byte must be 0"
    )]
    Multicast(usize),
}

impl BoardConfig {
    /// How many virtio devices the board has.
    pub(crate) fn virtio_devices(&self) -> usize {
        self.net.len() + usize::from(self.entropy) + usize::from(self.console)
    }

    /// Says whether such a board can be built.
    ///
    /// # Errors
    /// It cannot: the error says what about it.
    pub fn check(&self) -> Result<(), BoardError> {
        let size = self.memory_bytes;
        if !(MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX).contains(&size) || !size.is_multiple_of(4096) {
            return Err(BoardError::Memory(size));
        }
        if usize::try_from(size).is_err() {
            return Err(BoardError::MemoryBeyondHost(size));
        }
        if self.virtio_devices() > VIRTIO_SLOTS {
            return Err(BoardError::Devices(self.virtio_devices()));
        }
        match self.net.iter().position(|net| net.mac[0] & 1 != 0) {
            Some(index) => Err(BoardError::Multicast(index)),
            None => Ok(()),
        }
    }
}

/// Who serves M-mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Firmware {
    /// The SBI that is part of this machine: the kernel starts in S-mode.
    #[default]
    BuiltIn,
    /// Nobody: the kernel starts in M-mode.
    None,
    /// An image that starts in M-mode: an ELF, or raw bytes for the start of memory.
    Image(Vec<u8>),
}

/// What the computer is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Who serves M-mode.
    pub firmware: Firmware,
    /// A RISC-V Linux `Image`, an ELF, or raw bytes that start with the first instruction. It may be left out where
    /// the firmware is an image.
    pub kernel: Option<Vec<u8>>,
    /// The initial RAM disk.
    pub initrd: Option<Vec<u8>>,
    /// The kernel's command line.
    pub append: Option<String>,
    /// A device tree blob to use instead of the board's own.
    pub dtb: Option<Vec<u8>>,
    /// Seed of the entropy device and of the device tree's `rng-seed`.
    pub seed: [u8; 32],
    /// Whether the words `tohost` and `fromhost` of an ELF given as firmware are a host-target interface
    /// ([`crate::device::htif`]).
    pub host_words: bool,
    /// What the real-time clock shows when the guest clock is 0, in nanoseconds since 1970.
    pub epoch_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert_eq!(BoardConfig::default().check(), Ok(()));
        let with = |memory_bytes| {
            BoardConfig {
                memory_bytes,
                ..BoardConfig::default()
            }
            .check()
        };
        assert_eq!(with(MEMORY_BYTES_MIN), Ok(()));
        assert_eq!(with(MEMORY_BYTES_MAX), Ok(()));
        assert!(with(MEMORY_BYTES_MIN - 4096).is_err());
        assert!(with(MEMORY_BYTES_MAX + 4096).is_err());
        assert!(with(MEMORY_BYTES_MIN + 1).is_err());
        let config = |nets, mac0| BoardConfig {
            net: vec![
                NetConfig {
                    mac: [mac0, 0, 0, 0, 0, 1]
                };
                nets
            ],
            ..BoardConfig::default()
        };
        assert_eq!(config(7, 0x52).check(), Ok(()));
        assert_eq!(config(8, 0x52).check(), Err(BoardError::Devices(9)));
        assert_eq!(config(1, 0x53).check(), Err(BoardError::Multicast(0)));
    }
}
