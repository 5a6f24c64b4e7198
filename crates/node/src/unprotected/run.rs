//! `futago run`: one machine, unprotected and unrecorded; also the way in for the public RISC-V test suites.

use super::drive::{Ending, Host, drive};
use crate::vm::VmOptions;
use anyhow::{Context, ensure};
use eventlog::{Recorder, RecorderConfig};
use machine::boot::elf::{Elf, is_elf};
use machine::{Boot, Firmware, GuestAddr, Machine};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Options of `futago run`.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The machine.
    pub vm: VmOptions,
    /// Where to write the words between `begin_signature` and `end_signature` of the firmware's ELF.
    pub signature: Option<PathBuf>,
}

/// Runs the machine until it ends.
///
/// # Errors
/// The machine cannot be started, or the signature not be written.
pub fn run(options: &RunOptions) -> anyhow::Result<Ending> {
    let (machine, boot) = options.vm.boot()?;
    tracing::info!(engine = %options.vm.engine.kind(), "the machine starts");
    let test = TestSymbols::of(&boot)?;
    // The images are in the guest's memory now; those of a large guest are worth some.
    drop(boot);
    let signature = options
        .signature
        .as_deref()
        .map(|path| anyhow::Ok((path, test.signature()?)))
        .transpose()?;
    // Nobody reads this log: it needs no digests and no progress.
    let config = RecorderConfig {
        digest_positions: u64::MAX,
        digest_ticks: u64::MAX,
        digest_page_ticks: 0,
        progress_ticks: u64::MAX,
    };
    let mut recorder = Recorder::new(machine, config);
    let host = Host::new(&options.vm.network)?;
    let ending = drive(
        &mut recorder,
        &host,
        |_, _| Ok(()),
        |recorder| test.code(recorder.machine()),
    )?;
    if let Some((path, (from, to))) = signature {
        let words = signature_words(recorder.machine(), from, to)?;
        std::fs::write(path, words)
            .with_context(|| format!("cannot write the signature to {}", path.display()))?;
    }
    Ok(ending)
}

/// Addresses by which a test program of the public suites speaks to the host.
#[derive(Debug, Default)]
struct TestSymbols {
    to_host: Option<u64>,
    signature: Option<(u64, u64)>,
}

impl TestSymbols {
    fn of(boot: &Boot) -> anyhow::Result<Self> {
        let Firmware::Image(image) = &boot.firmware else {
            return Ok(Self::default());
        };
        if !is_elf(image) {
            return Ok(Self::default());
        }
        let elf = Elf::parse(image).context("the firmware cannot be used")?;
        Ok(Self {
            to_host: elf.symbol("tohost"),
            signature: elf
                .symbol("begin_signature")
                .zip(elf.symbol("end_signature")),
        })
    }

    fn signature(&self) -> anyhow::Result<(u64, u64)> {
        self.signature.context(
            "there is no signature to write: --signature needs a --bios ELF with the symbols begin_signature and end_signature",
        )
    }

    /// The code that the program ended with, once it wrote one.
    fn code(&self, machine: &Machine) -> Option<Ending> {
        let mut word = [0; 8];
        machine
            .read_memory(GuestAddr(self.to_host?), &mut word)
            .ok()?;
        let word = u64::from_le_bytes(word);
        // An even word is a request to a host that these tests do not need.
        (word & 1 == 1).then_some(Ending::Test(word >> 1))
    }
}

/// The words as riscv-arch-test compares them: 32 bits in hexadecimal, one a line.
fn signature_words(machine: &Machine, from: u64, to: u64) -> anyhow::Result<String> {
    /// No suite's signature comes near this.
    const SIGNATURE_BYTES_MAX: u64 = 16 << 20;
    ensure!(
        from <= to && to - from <= SIGNATURE_BYTES_MAX,
        "the signature from {from:#x} to {to:#x} makes no sense; the most is {SIGNATURE_BYTES_MAX} bytes"
    );
    let mut words = String::new();
    for address in (from..to).step_by(4) {
        let mut word = [0; 4];
        machine
            .read_memory(GuestAddr(address), &mut word)
            .with_context(|| {
                format!("the signature leaves the machine's memory at {address:#x}")
            })?;
        writeln!(words, "{:08x}", u32::from_le_bytes(word)).expect("a string takes all");
    }
    Ok(words)
}
