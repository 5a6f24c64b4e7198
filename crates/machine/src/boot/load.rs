//! The loader: puts firmware, kernel, initial RAM disk and device tree where QEMU's `virt` board has them, and
//! says how the hart starts.

use std::ops::Range;

use super::elf::{Elf, ElfError, Segment, is_elf};
use super::fdt::{FdtError, Tree};
use super::tree;
use crate::board::{Board, ROM_BASE};
use crate::config::{BoardConfig, BoardError, Boot, Firmware};
use crate::ram::{RAM_BASE, Ram};
use crate::{AccessFault, GuestAddr};

const MIB: u64 = 1 << 20;
/// Kernels are mapped by large pages, and start at one.
const KERNEL_ALIGN: u64 = 2 * MIB;
/// Where a kernel starts if its header does not say: after the place for firmware.
const KERNEL_OFFSET: u64 = 2 * MIB;
/// The device tree stays below this address, so that 32-bit code can reach it.
const DTB_END_MAX: u64 = 3072 * MIB;
/// Linux for RISC-V keeps so much of its command line, in bytes, and cuts off the rest without a word
/// (`COMMAND_LINE_SIZE`, without the zero at the end).
const APPEND_BYTES_MAX: usize = 1023;
/// The initial RAM disk goes this far behind the kernel, or by half of memory if that is less.
const INITRD_DISTANCE_MAX: u64 = 512 * MIB;

/// Why the machine cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// The board cannot be built.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// No kernel, and no firmware that could do without.
    #[error(
        "there is no kernel: without a firmware image of its own, the machine needs one to start"
    )]
    NoKernel,
    /// The kernel is no known format, and no code.
    #[error(
        "the kernel is neither a RISC-V Linux Image nor an ELF file, nor does it begin with an instruction"
    )]
    KernelFormat,
    /// The kernel is packed.
    #[error("the kernel is packed ({0}): unpack it to a plain RISC-V Image")]
    KernelPacked(&'static str),
    /// The kernel ends before its headers say.
    #[error(
        "the kernel is cut off: it has {bytes} bytes, and its headers speak of {whole}; copy it anew"
    )]
    KernelCutOff {
        /// Its size.
        bytes: u64,
        /// Where the last section ends that its headers name, or they themselves.
        whole: u64,
    },
    /// The kernel has the first bytes of an EFI program, and is no Linux Image for RISC-V.
    #[error(
        "the kernel is for another processor, or cut off within its first 64 bytes: it begins as an EFI program, and is no RISC-V Linux Image"
    )]
    KernelForeign,
    /// The kernel is for big-endian harts.
    #[error("the kernel is for big-endian harts, and this one is little-endian")]
    KernelBigEndian,
    /// An ELF file cannot be used.
    #[error("the {what} cannot be loaded: {error}")]
    Elf {
        /// Firmware or kernel.
        what: &'static str,
        /// Why.
        error: ElfError,
    },
    /// Something does not fit.
    #[error(
        "the {what} does not fit: it needs {bytes} bytes at {address:#x}, and memory is from {:#x} to {:#x}; give the machine more memory",
        .memory.start, .memory.end
    )]
    Outside {
        /// What does not fit.
        what: &'static str,
        /// Where it wants to be.
        address: u64,
        /// Its size.
        bytes: u64,
        /// Where memory is.
        memory: Range<u64>,
    },
    /// Two things would be at the same place.
    #[error("the {what} and the {other} would overlap at {address:#x}")]
    Overlap {
        /// The one placed later.
        what: &'static str,
        /// The one placed earlier.
        other: &'static str,
        /// Where the later one starts.
        address: u64,
    },
    /// The initial RAM disk is too large.
    #[error(
        "the initrd of {bytes} bytes is too large: {room} bytes are free between kernel and device tree; give the machine more memory"
    )]
    InitrdTooLarge {
        /// Its size.
        bytes: u64,
        /// The room for it.
        room: u64,
    },
    /// The device tree cannot be used.
    #[error("the device tree cannot be used")]
    Dtb(#[from] FdtError),
    /// The command line cannot be handed over.
    #[error("the kernel command line contains a zero byte")]
    Append,
    /// The command line is longer than kernels take it.
    #[error(
        "the kernel command line has {0} bytes: Linux takes {max} of them, and cuts off the rest without a word",
        max = APPEND_BYTES_MAX
    )]
    AppendTooLong(usize),
}

/// How the hart starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Address of the first instruction.
    pub pc: u64,
    /// In S-mode, served by the built-in SBI; else in M-mode.
    pub supervisor: bool,
    /// `a0`: the hart's number.
    pub a0: u64,
    /// `a1`: address of the device tree.
    pub a1: u64,
    /// `a2`: address of OpenSBI's `fw_dynamic` information, or 0.
    pub a2: u64,
}

/// Puts things into memory, each at a place of its own.
struct Loader<'a> {
    ram: &'a mut Ram,
    placed: Vec<(&'static str, Range<u64>)>,
}

impl Loader<'_> {
    fn memory(&self) -> Range<u64> {
        RAM_BASE..RAM_BASE + self.ram.len()
    }

    /// Places `data` at `address`, with zeros up to `bytes`, which is no less than its length.
    fn place(
        &mut self,
        what: &'static str,
        address: u64,
        data: &[u8],
        bytes: u64,
    ) -> Result<(), BootError> {
        let memory = self.memory();
        let outside = BootError::Outside {
            what,
            address,
            bytes,
            memory: memory.clone(),
        };
        let Some(end) = address.checked_add(bytes) else {
            return Err(outside);
        };
        if address < memory.start || end > memory.end {
            return Err(outside);
        }
        let clash = self.placed.iter().find(|(other, range)| {
            // Segments of one file may touch the same bytes.
            *other != what && range.start < end && address < range.end
        });
        if let Some((other, _)) = clash {
            return Err(BootError::Overlap {
                what,
                other,
                address,
            });
        }
        (self.ram.write(GuestAddr(address), data)).map_err(|AccessFault| outside)?;
        self.placed.push((what, address..end));
        Ok(())
    }

    fn place_elf(&mut self, what: &'static str, bytes: &[u8]) -> Result<u64, BootError> {
        let elf = Elf::parse(bytes).map_err(|error| BootError::Elf { what, error })?;
        for Segment {
            address,
            data,
            memory_bytes,
        } in &elf.segments
        {
            self.place(what, *address, data, *memory_bytes)?;
        }
        Ok(elf.entry)
    }

    /// The first free address after everything placed.
    fn end(&self) -> u64 {
        let ends = self.placed.iter().map(|(_, range)| range.end);
        ends.max().unwrap_or(RAM_BASE)
    }

    /// Returns where the firmware starts.
    fn firmware(&mut self, image: &[u8]) -> Result<u64, BootError> {
        if is_elf(image) {
            return self.place_elf("firmware", image);
        }
        self.place("firmware", RAM_BASE, image, image.len() as u64)?;
        Ok(RAM_BASE)
    }

    /// Places the kernel, an ELF where it wants to be, anything else not before `free`. Returns where it starts: as in
    /// QEMU, at its first byte.
    fn kernel(&mut self, image: &[u8], free: u64) -> Result<u64, BootError> {
        if is_elf(image) {
            self.place_elf("kernel", image)?;
            // Not at the ELF's entry, which some kernels have for loaders that hand over otherwise.
            let kernel = self.placed.iter().filter(|(what, _)| *what == "kernel");
            return Ok(kernel
                .map(|(_, range)| range.start)
                .min()
                .unwrap_or(RAM_BASE));
        }
        let header = ImageHeader::parse(image)?;
        let offset = header.text_offset.max(free - RAM_BASE);
        let address = (self.end().max(RAM_BASE.saturating_add(offset)))
            .checked_next_multiple_of(KERNEL_ALIGN)
            .unwrap_or(u64::MAX);
        let bytes = header.image_bytes.max(image.len() as u64);
        self.place("kernel", address, image, bytes)?;
        Ok(address)
    }

    /// Returns the first address of the initial RAM disk and the one after its last.
    fn initrd(&mut self, image: &[u8], kernel: u64, dtb: u64) -> Result<(u64, u64), BootError> {
        let bytes = image.len() as u64;
        let first = self.end().next_multiple_of(4096);
        let room = dtb.saturating_sub(first);
        if bytes > room {
            return Err(BootError::InitrdTooLarge { bytes, room });
        }
        let distance = (self.ram.len() / 2).min(INITRD_DISTANCE_MAX);
        let wanted = kernel.saturating_add(distance).max(first);
        let highest = (dtb - bytes) & !4095;
        let start = wanted.min(highest);
        self.place("initrd", start, image, bytes)?;
        Ok((start, start + bytes))
    }
}

/// How a program for EFI firmware begins, a Linux Image with an EFI stub among them.
const EFI_MAGIC: &[u8] = b"MZ";

/// The header of a RISC-V Linux `Image` (Linux, `Documentation/arch/riscv/boot-image-header.rst`).
struct ImageHeader {
    /// From the start of memory, in bytes.
    text_offset: u64,
    /// In memory, with what is zeroed; 0 where nothing says it.
    image_bytes: u64,
}

impl ImageHeader {
    fn parse(image: &[u8]) -> Result<ImageHeader, BootError> {
        const MAGIC: &[u8] = b"RISCV\0\0\0";
        const MAGIC2: &[u8] = b"RSC\x05";
        const BIG_ENDIAN: u64 = 1;
        let packed: [(&[u8], &str); 6] = [
            (b"\x1f\x8b", "gzip"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
            (b"\xfd7zXZ\0", "xz"),
            (b"BZh", "bzip2"),
            (b"MZ\0\0zimg", "EFI zboot"),
            (b"\x27\x05\x19\x56", "U-Boot legacy image"),
        ];
        for (magic, name) in packed {
            if image.starts_with(magic) {
                return Err(BootError::KernelPacked(name));
            }
        }
        let number = |at: usize| {
            let bytes = image.get(at..).and_then(|rest| rest.first_chunk());
            bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        // Kernels before 5.6 have only the first of the two magics. What has neither may be raw code.
        if image.get(56..60) != Some(MAGIC2) && image.get(48..56) != Some(MAGIC) {
            if image.starts_with(EFI_MAGIC) {
                return Err(BootError::KernelForeign);
            }
            if !is_code(image) {
                return Err(BootError::KernelFormat);
            }
            return Ok(ImageHeader {
                text_offset: 0,
                image_bytes: 0,
            });
        }
        let (text_offset, image_bytes, flags) = (number(8), number(16), number(24));
        if flags & BIG_ENDIAN != 0 {
            return Err(BootError::KernelBigEndian);
        }
        let (bytes, whole) = (image.len() as u64, efi_bytes(image));
        if bytes < whole {
            return Err(BootError::KernelCutOff { bytes, whole });
        }
        Ok(ImageHeader {
            text_offset,
            image_bytes,
        })
    }
}

/// How long the headers of an EFI program say that its file is; they themselves, where it ends within them. 0 for a kernel that
/// is none, whose length nothing says (PE format, "COFF file header" and "Section table").
fn efi_bytes(image: &[u8]) -> u64 {
    const POINTER: usize = 60;
    const SIGNATURE_BYTES: usize = 4;
    const HEADER_BYTES: usize = 20;
    const SECTION_BYTES: usize = 40;
    let word = |at: usize| Some(u32::from_le_bytes(*image.get(at..)?.first_chunk()?) as usize);
    let half = |at: usize| {
        Some(usize::from(u16::from_le_bytes(
            *image.get(at..)?.first_chunk()?,
        )))
    };
    if !image.starts_with(EFI_MAGIC) {
        return 0;
    }
    let header = word(POINTER).unwrap_or_default() + SIGNATURE_BYTES;
    // Number of sections, and size of the optional header between.
    let (Some(sections), Some(optional)) = (half(header + 2), half(header + 16)) else {
        return (header + HEADER_BYTES) as u64;
    };
    let first = header + HEADER_BYTES + optional;
    let mut whole = (first + sections * SECTION_BYTES) as u64;
    for section in (0..sections).map(|number| first + number * SECTION_BYTES) {
        if let (Some(bytes), Some(at)) = (word(section + 16), word(section + 20)) {
            whole = whole.max(at as u64 + bytes as u64);
        }
    }
    whole
}

/// Whether this may be machine code: it begins with an instruction, and is not a text.
fn is_code(image: &[u8]) -> bool {
    let mut first = [0; 4];
    for (to, from) in first.iter_mut().zip(image) {
        *to = *from;
    }
    let is_text = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' '..=b'~');
    isa::decode(u32::from_le_bytes(first)).op != isa::Op::Illegal && !image.iter().all(is_text)
}

/// Starts the machine on a board out of reset: fills memory, the boot ROM, the real-time clock's base and the
/// entropy seed, and returns how the hart starts. After an error the bus is not to be used.
///
/// # Errors
/// Something given for the start is missing, no such thing, or has no room. The board is not to be used.
pub fn load(board: &mut Board, config: &BoardConfig, boot: &Boot) -> Result<Entry, BootError> {
    let mut loader = Loader {
        ram: &mut board.ram,
        placed: Vec::new(),
    };
    let (firmware, free) = match &boot.firmware {
        Firmware::BuiltIn => (None, RAM_BASE + KERNEL_OFFSET),
        Firmware::None => (None, RAM_BASE),
        Firmware::Image(image) => (Some(loader.firmware(image)?), RAM_BASE + KERNEL_OFFSET),
    };
    let kernel = match &boot.kernel {
        Some(image) => Some(loader.kernel(image, free)?),
        None if firmware.is_none() => return Err(BootError::NoKernel),
        None => None,
    };
    let supervisor = boot.firmware == Firmware::BuiltIn;

    let mut tree = match &boot.dtb {
        Some(blob) => Tree::parse(blob)?,
        None => tree::describe(config, &derive_rng_seed(&boot.seed)),
    };
    let append = boot.append.as_deref();
    if append.is_some_and(|append| append.contains('\0')) {
        return Err(BootError::Append);
    }
    if let Some(append) = append.filter(|append| append.len() > APPEND_BYTES_MAX) {
        return Err(BootError::AppendTooLong(append.len()));
    }
    // The addresses of the initial RAM disk are of fixed size: the blob's length is known before them.
    tree::choose(&mut tree, append, boot.initrd.as_ref().map(|_| (0, 0)));
    let dtb_bytes = tree.to_blob()?.len() as u64;
    let top = loader.memory().end.min(DTB_END_MAX);
    let dtb = top.saturating_sub(dtb_bytes) / KERNEL_ALIGN * KERNEL_ALIGN;
    if let Some(image) = &boot.initrd {
        let after = kernel.unwrap_or(RAM_BASE + KERNEL_OFFSET);
        let range = loader.initrd(image, after, dtb)?;
        tree::choose(&mut tree, None, Some(range));
    }
    loader.place("device tree", dtb, &tree.to_blob()?, dtb_bytes)?;

    let first = firmware.or(kernel).unwrap_or(RAM_BASE);
    let rom_jumps_to = if supervisor { 0 } else { first };
    let (rom, a2) = boot_rom(rom_jumps_to, dtb, kernel.unwrap_or(0));
    board.set_boot(rom, boot.epoch_ns, &boot.seed);
    board.built_in_firmware = boot.firmware == Firmware::BuiltIn;
    if boot.host_words
        && let Firmware::Image(image) = &boot.firmware
        && is_elf(image)
    {
        let elf = Elf::parse(image).map_err(|error| BootError::Elf {
            what: "firmware",
            error,
        })?;
        if let Some(to_host) = elf.symbol("tohost") {
            board.set_host_words(to_host, elf.symbol("fromhost"));
        }
    }
    Ok(Entry {
        pc: first,
        supervisor,
        a0: 0,
        a1: dtb,
        a2: if supervisor { 0 } else { a2 },
    })
}

/// The device tree's seed, from which nothing can be told about the entropy device's.
fn derive_rng_seed(seed: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key("futago 2026 device tree rng-seed", seed)
}

/// The ROM that QEMU's board has at its reset address: jumps to the firmware with the registers of [`Entry`],
/// and holds OpenSBI's `fw_dynamic_info`, whose address is returned too. The hart starts as if it had run.
fn boot_rom(start: u64, dtb: u64, kernel: u64) -> (Vec<u8>, u64) {
    const INFO_OFFSET: u64 = 40;
    let code: [u32; 6] = [
        0x0000_0297, // auipc t0, 0
        0x0282_8613, // addi  a2, t0, 40
        0xf140_2573, // csrr  a0, mhartid
        0x0202_b583, // ld    a1, 32(t0)
        0x0182_b283, // ld    t0, 24(t0)
        0x0002_8067, // jr    t0
    ];
    const INFO_MAGIC: u64 = 0x4942_534f; // "OSBI"
    const INFO_VERSION: u64 = 2;
    const SUPERVISOR: u64 = 1;
    let mut rom: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    // The kernel's address and mode; no options; hart 0 boots.
    let info = [INFO_MAGIC, INFO_VERSION, kernel, SUPERVISOR, 0, 0];
    for number in [start, dtb].into_iter().chain(info) {
        rom.extend_from_slice(&number.to_le_bytes());
    }
    (rom, ROM_BASE + INFO_OFFSET)
}

#[cfg(test)]
mod tests;
