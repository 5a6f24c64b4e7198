//! The conventions of the public RISC-V test suites: a firmware ELF with a symbol `tohost` ends the run by writing an odd
//! number there, whose upper bits are its exit code; what lies between `begin_signature` and `end_signature` is its result.

use super::RunOptions;
use anyhow::{Context, bail};
use machine::boot::elf::{Elf, is_elf};
use machine::{GuestAddr, Machine};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// Longest signature, in bytes.
const SIGNATURE_BYTES_MAX: u64 = 64 << 20;
const WORD_BYTES: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Suite {
    tohost: Option<GuestAddr>,
    signature: Option<(PathBuf, GuestAddr, usize)>,
}

impl Suite {
    pub(super) fn of(options: &RunOptions) -> anyhow::Result<Self> {
        let Some(path) = &options.vm.bios else {
            anyhow::ensure!(
                options.signature.is_none(),
                "--signature needs a test program given by --bios"
            );
            return Ok(Self::default());
        };
        let image = fs::read(path)
            .with_context(|| format!("cannot read the firmware {}", path.display()))?;
        if !is_elf(&image) {
            anyhow::ensure!(
                options.signature.is_none(),
                "--signature needs an ELF file, and {} is none",
                path.display()
            );
            return Ok(Self::default());
        }
        let elf = Elf::parse(&image)
            .with_context(|| format!("the firmware {} cannot be used", path.display()))?;
        let signature = match &options.signature {
            None => None,
            Some(file) => {
                let (Some(begin), Some(end)) =
                    (elf.symbol("begin_signature"), elf.symbol("end_signature"))
                else {
                    bail!(
                        "{} has no symbols `begin_signature` and `end_signature`",
                        path.display()
                    );
                };
                let bytes = end
                    .checked_sub(begin)
                    .filter(|bytes| *bytes <= SIGNATURE_BYTES_MAX);
                let bytes = bytes.with_context(|| {
                    format!("the signature of {} has no possible size", path.display())
                })?;
                Some((file.clone(), GuestAddr(begin), bytes as usize))
            }
        };
        Ok(Self {
            tohost: elf.symbol("tohost").map(GuestAddr),
            signature,
        })
    }

    /// The code with which the test has ended, if it has.
    pub(super) fn code(&self, machine: &Machine) -> Option<u64> {
        let mut word = [0; 8];
        machine.read_memory(self.tohost?, &mut word).ok()?;
        let word = u64::from_le_bytes(word);
        (word & 1 == 1).then_some(word >> 1)
    }

    /// Writes the signature: a word of 4 bytes a line, in hexadecimal.
    pub(super) fn finish(&self, machine: &Machine) -> anyhow::Result<()> {
        let Some((path, begin, bytes)) = &self.signature else {
            return Ok(());
        };
        let mut memory = vec![0; *bytes];
        machine
            .read_memory(*begin, &mut memory)
            .context("the signature is not in memory")?;
        let mut text = String::new();
        for word in memory.chunks_exact(WORD_BYTES) {
            for byte in word.iter().rev() {
                write!(text, "{byte:02x}").expect("a String takes any text");
            }
            text.push('\n');
        }
        fs::write(path, text)
            .with_context(|| format!("cannot write the signature {}", path.display()))
    }
}
