//! ELF files, as far as loading and the conventions of the public RISC-V test suites need them.

use object::LittleEndian;
use object::elf::{EM_RISCV, FileHeader64, PT_LOAD};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{Object, ObjectSymbol};

/// What is wrong with an ELF file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Damaged.
    #[error("the ELF file is damaged: {0}")]
    Damaged(String),
    /// For another machine.
    #[error("the ELF file is not for a 64-bit little-endian RISC-V machine")]
    Machine,
    /// Nothing to load.
    #[error("the ELF file has nothing to load")]
    Empty,
}

/// A piece of an ELF file that goes to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Physical address.
    pub address: u64,
    /// Its bytes; zeros follow up to `memory_bytes`.
    pub data: &'a [u8],
    /// Size in memory, at least that of `data`.
    pub memory_bytes: u64,
}

/// A RISC-V ELF file.
pub struct Elf<'a> {
    /// What to load.
    pub segments: Vec<Segment<'a>>,
    /// Physical address of the first instruction.
    pub entry: u64,
    file: ElfFile<'a, FileHeader64<LittleEndian>>,
}

/// Whether `bytes` start as an ELF file does.
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

impl<'a> Elf<'a> {
    /// Reads the headers of a file, which may be anything.
    ///
    /// # Errors
    /// It is no ELF file for this machine, or damaged.
    pub fn parse(bytes: &'a [u8]) -> Result<Elf<'a>, ElfError> {
        let damaged = |error: object::read::Error| ElfError::Damaged(error.to_string());
        // Class 2 is 64 bits, data 1 is little-endian.
        if bytes.get(4..6) != Some(&[2, 1]) {
            return Err(ElfError::Machine);
        }
        let file = ElfFile::<FileHeader64<LittleEndian>>::parse(bytes).map_err(damaged)?;
        let endian = LittleEndian;
        if file.elf_header().e_machine(endian) != EM_RISCV {
            return Err(ElfError::Machine);
        }
        let mut entry = file.elf_header().e_entry(endian);
        let mut segments = Vec::new();
        for header in file.elf_program_headers() {
            let memory_bytes = header.p_memsz(endian);
            if header.p_type(endian) != PT_LOAD || memory_bytes == 0 {
                continue;
            }
            let data = header
                .data(endian, bytes)
                .map_err(|()| ElfError::Damaged("a segment is cut off".to_owned()))?;
            if data.len() as u64 > memory_bytes {
                let what = "a segment is larger in the file than in memory";
                return Err(ElfError::Damaged(what.to_owned()));
            }
            let (start, address) = (header.p_vaddr(endian), header.p_paddr(endian));
            // The entry is a virtual address, and nothing is mapped yet.
            if let Some(offset) = file.elf_header().e_entry(endian).checked_sub(start)
                && offset < memory_bytes
            {
                entry = address.wrapping_add(offset);
            }
            segments.push(Segment {
                address,
                data,
                memory_bytes,
            });
        }
        if segments.is_empty() {
            return Err(ElfError::Empty);
        }
        Ok(Elf {
            segments,
            entry,
            file,
        })
    }

    /// The value of the symbol `name`, such as `tohost` or `begin_signature`.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        let mut symbols = self.file.symbols();
        let symbol = symbols.find(|symbol| symbol.name_bytes() == Ok(name.as_bytes()))?;
        Some(symbol.address())
    }
}
