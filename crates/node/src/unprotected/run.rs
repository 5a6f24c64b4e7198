//! `futago run`: one machine, unprotected and unrecorded; also the way in for the public RISC-V test suites.

use super::drive::{Keeper, drive};
use super::ending::Ending;
use super::host::Host;
use crate::given_file;
use crate::open_files;
use crate::sandbox::Place;
use crate::vm::VmOptions;
use anyhow::{Context, ensure};
use bytes::Bytes;
use eventlog::RecorderConfig;
use machine::boot::elf::{Elf, is_elf};
use machine::{Boot, Firmware, GuestAddr, Machine, Position};
use replica::{Executor, ExecutorConfig};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// No suite's signature comes near this.
const SIGNATURE_BYTES_MAX: u64 = 16 << 20;
/// As text: nine characters for four bytes.
const SIGNATURE_TEXT_BYTES_MAX: u64 = SIGNATURE_BYTES_MAX / 4 * 9;

/// Options of `futago run`.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The machine.
    pub vm: VmOptions,
    /// Where to write the words between `begin_signature` and `end_signature` of the firmware's ELF.
    pub signature: Option<PathBuf>,
}

/// What was run.
#[derive(Clone, Copy, Debug)]
pub struct RunSummary {
    /// Why the machine ended.
    pub ending: Ending,
    /// The error that something of what the guest said was lost to, because standard output cannot be written.
    pub console_lost: Option<ErrorKind>,
}

/// Keeps no log.
struct Nothing;

impl Keeper for Nothing {
    fn keep(&mut self, _: &[Bytes]) -> anyhow::Result<()> {
        Ok(())
    }

    fn keep_snapshot(&mut self, _: &Bytes, _: Position) -> anyhow::Result<()> {
        Ok(())
    }

    fn wants_snapshot(&mut self) -> anyhow::Result<bool> {
        Ok(false)
    }
}

/// Runs the machine until it ends.
///
/// # Errors
/// The machine cannot be started, or the signature not be written.
pub fn run(options: &RunOptions) -> anyhow::Result<RunSummary> {
    open_files::ensure_room(open_files::MACHINE_FILES)?;
    let (machine, boot) = options.vm.boot()?;
    tracing::info!(engine = %options.vm.engine.kind(), "the machine starts");
    let signature = options
        .signature
        .as_deref()
        .map(|path| {
            options.vm.ensure_no_input(path)?;
            ensure_may_replace(path)?;
            anyhow::Ok((path, signature_range(&boot)?))
        })
        .transpose()?;
    // The images are in the guest's memory now; those of a large guest are worth some.
    drop(boot);
    // Nobody reads this log: it needs no digests and no progress.
    let recorder = RecorderConfig {
        digest_positions: u64::MAX,
        digest_ticks: u64::MAX,
        digest_page_ticks: 0,
        progress_ticks: u64::MAX,
    };
    let config = ExecutorConfig {
        recorder,
        ..ExecutorConfig::default()
    };
    let engines = options.vm.engine.source(options.vm.memory_bytes);
    let mut executor = Executor::new(Some(machine), engines, config);
    // The signature is written at the end.
    let places = options.signature.iter().filter_map(|path| path.parent());
    let places: Vec<_> = places.map(|path| Place::Write(path.to_owned())).collect();
    let host = Host::new(&options.vm, &places)?;
    let ending = drive(&mut executor, &host, &mut Nothing)?;
    if let Some((path, (from, to))) = signature {
        let machine = executor.machine().context("the machine is gone")?;
        let words = signature_words(machine, from, to)?;
        std::fs::write(path, words)
            .with_context(|| format!("cannot write the signature to {}", path.display()))?;
    }
    Ok(RunSummary {
        ending,
        console_lost: host.finish_console(),
    })
}

/// Makes sure that a signature would take the place of nothing, or of an earlier one.
fn ensure_may_replace(path: &Path) -> anyhow::Result<()> {
    let is_word = |line: &[u8]| line.len() == 8 && line.iter().all(u8::is_ascii_hexdigit);
    let is_signature = |bytes: Vec<u8>| {
        bytes
            .strip_suffix(b"\n")
            .unwrap_or(&bytes)
            .split(|byte| *byte == b'\n')
            .all(is_word)
    };
    let is_file = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0);
    ensure!(
        !is_file || given_file::read(path, SIGNATURE_TEXT_BYTES_MAX).is_ok_and(is_signature),
        "{} exists already, and is no signature: remove it, or name another file for the signature",
        path.display()
    );
    Ok(())
}

/// The addresses of `begin_signature` and `end_signature`.
fn signature_range(boot: &Boot) -> anyhow::Result<(u64, u64)> {
    let range = match &boot.firmware {
        Firmware::Image(image) if is_elf(image) => {
            let elf = Elf::parse(image).context("the firmware cannot be used")?;
            elf.symbol("begin_signature")
                .zip(elf.symbol("end_signature"))
        }
        _ => None,
    };
    range.context(
        "there is no signature to write: --signature needs a --bios ELF with the symbols begin_signature and end_signature",
    )
}

/// The words as riscv-arch-test compares them: 32 bits in hexadecimal, one a line.
fn signature_words(machine: &Machine, from: u64, to: u64) -> anyhow::Result<String> {
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
