//! From files and options to a machine that can be started.

use crate::config::{MacAddress, MachineConfig, MemorySize};
use crate::names::fill_random;
use anyhow::Context;
use machine::{Board, Boot, Engine, Firmware, Interpreter, InterpreterOptions, Machine, NetConfig};
use replica::EngineSource;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a machine consists of and starts with, in QEMU's words.
#[derive(Clone, Debug, Default)]
pub struct VmOptions {
    /// Kernel image.
    pub kernel: Option<PathBuf>,
    /// Initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// Kernel command line.
    pub append: Option<String>,
    /// M-mode firmware instead of the built-in SBI.
    pub bios: Option<PathBuf>,
    /// Device tree blob instead of the board's own.
    pub dtb: Option<PathBuf>,
    /// Guest memory.
    pub memory: MemorySize,
    /// The network device's address, if there is one.
    pub mac: Option<MacAddress>,
}

impl VmOptions {
    /// Those of a protected machine.
    pub fn of_config(config: &MachineConfig) -> Self {
        Self {
            kernel: config.kernel.clone(),
            initrd: config.initrd.clone(),
            append: Some(config.append.clone()).filter(|append| !append.is_empty()),
            bios: config.bios.clone(),
            dtb: None,
            memory: config.memory,
            mac: config.network.is_some().then_some(config.mac),
        }
    }

    /// Reads the files and builds the machine, with fresh entropy and the host's date.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it should be.
    pub fn build(&self) -> anyhow::Result<Machine> {
        let read = |what: &str, path: &Option<PathBuf>| {
            path.as_deref()
                .map(|path| read_file(what, path))
                .transpose()
        };
        let board = Board {
            memory_bytes: self.memory.0,
            net: self
                .mac
                .iter()
                .map(|mac| NetConfig { mac: mac.0 })
                .collect(),
            ..Board::default()
        };
        let mut seed = [0; 32];
        fill_random(&mut seed).context("the host gives no random numbers")?;
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let boot = Boot {
            firmware: read("firmware", &self.bios)?.map_or(Firmware::BuiltIn, Firmware::Image),
            kernel: read("kernel", &self.kernel)?,
            initrd: read("initial RAM disk", &self.initrd)?,
            append: self.append.clone(),
            dtb: read("device tree", &self.dtb)?,
            seed,
            epoch_ns: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
        };
        Machine::boot(&board, &boot, engine()).context("the machine cannot be started")
    }
}

fn read_file(what: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes =
        fs::read(path).with_context(|| format!("cannot read the {what} {}", path.display()))?;
    anyhow::ensure!(!bytes.is_empty(), "the {what} {} is empty", path.display());
    Ok(bytes)
}

/// The engine that executes machines on this host.
pub fn engine() -> Box<dyn Engine> {
    Box::new(Interpreter::new(InterpreterOptions::default()))
}

/// Makes such engines for machines that are restored.
pub fn engines() -> EngineSource {
    Box::new(engine)
}
