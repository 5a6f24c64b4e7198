//! From files and options, of the command line or a configuration, to a machine that can be started.

use crate::bios::{is_bios_word, is_no_bios};
use crate::config::{MacAddress, MachineConfig, MemorySize};
use crate::engine::EngineChoice;
use crate::given_file;
use crate::names::fill_random;
use anyhow::{Context, ensure};
use machine::{BoardConfig, Boot, BootError, Firmware, Machine, NetConfig};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Debug information of the largest kernels takes about half of this.
const DEBUG_BYTES_MAX: u64 = 1 << 30;

/// What the guest's network card is plugged into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The machine has no network card.
    #[default]
    None,
    /// A UNIX socket that speaks QEMU's stream protocol: passt, or a Futago switch.
    Stream(PathBuf),
}

/// One machine, in QEMU's words.
#[derive(Clone, Debug)]
pub struct VmOptions {
    /// A RISC-V Linux `Image`, an ELF, or raw code.
    pub kernel: Option<PathBuf>,
    /// The initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub append: Option<String>,
    /// M-mode firmware instead of the built-in SBI. The name `none` stands for no firmware, as in QEMU: the kernel
    /// starts in M-mode; `default` for the built-in one.
    pub bios: Option<PathBuf>,
    /// Whether an ELF given as firmware may speak to the host by its words `tohost` and `fromhost`.
    pub host_words: bool,
    /// A device tree blob instead of the board's own.
    pub dtb: Option<PathBuf>,
    /// Guest memory, in bytes.
    pub memory_bytes: u64,
    /// The network card.
    pub network: Network,
    /// Its Ethernet address.
    pub mac: MacAddress,
    /// What executes it.
    pub engine: EngineChoice,
    /// Whether the process gives up all that it needs no more once the machine is up; for good. A protected machine's
    /// node is told elsewhere.
    pub confined: bool,
}

impl VmOptions {
    /// A machine without anything to run, but otherwise as where nothing is said.
    pub fn new(engine: EngineChoice) -> Self {
        Self {
            kernel: None,
            initrd: None,
            append: None,
            bios: None,
            host_words: true,
            dtb: None,
            memory_bytes: MemorySize::default().0,
            network: Network::None,
            mac: MacAddress::default(),
            engine,
            confined: false,
        }
    }

    /// Those of a protected machine.
    pub(crate) fn of_config(config: &MachineConfig, engine: EngineChoice) -> Self {
        Self {
            kernel: config.kernel.clone(),
            initrd: config.initrd.clone(),
            append: Some(config.append.clone()).filter(|append| !append.is_empty()),
            bios: config.bios.clone(),
            // What a protected machine says must be for the network and the console.
            host_words: false,
            memory_bytes: config.memory.0,
            network: config
                .network
                .clone()
                .map_or(Network::None, Network::Stream),
            mac: config.mac,
            ..Self::new(engine)
        }
    }

    /// The files that it is started with: firmware, kernel, initial RAM disk and device tree.
    pub(crate) fn images(&self) -> [ImageFile<'_>; 4] {
        let program_bytes_max = program_bytes_max(self.memory_bytes);
        let bios = self.bios.as_deref().filter(|bios| !is_bios_word(bios));
        [
            ("firmware", bios, program_bytes_max),
            ("kernel", self.kernel.as_deref(), program_bytes_max),
            (
                "initial RAM disk",
                self.initrd.as_deref(),
                self.memory_bytes,
            ),
            ("device tree", self.dtb.as_deref(), self.memory_bytes),
        ]
        .map(|(what, path, bytes_max)| ImageFile {
            what,
            path,
            bytes_max,
        })
    }

    /// The machine in its initial state, with fresh entropy and the host's date, together with what it was started with.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn boot(&self) -> anyhow::Result<(Machine, Boot)> {
        let board = BoardConfig {
            memory_bytes: self.memory_bytes,
            net: match self.network {
                Network::None => Vec::new(),
                Network::Stream(_) => vec![NetConfig { mac: self.mac.0 }],
            },
            ..BoardConfig::default()
        };
        let bios = self.bios.as_deref();
        ensure!(
            self.kernel.is_some() || bios.is_some_and(|bios| !is_bios_word(bios)),
            "there is nothing to run: name a kernel (`--kernel`, `machine.kernel`) or firmware (`--bios`, `machine.bios`)"
        );
        let [firmware, kernel, initrd, dtb] = self.images();
        let firmware = match (firmware.read()?, bios) {
            (Some(image), _) => Firmware::Image(image),
            (None, Some(path)) if is_no_bios(path) => Firmware::None,
            (None, _) => Firmware::BuiltIn,
        };
        let mut seed = [0; 32];
        fill_random(&mut seed).context("the host's random source gives nothing")?;
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the host's clock is before 1970")?;
        let boot = Boot {
            firmware,
            kernel: kernel.read()?,
            initrd: initrd.read()?,
            append: self.append.clone(),
            dtb: dtb.read()?,
            seed,
            host_words: self.host_words,
            epoch_ns: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
        };
        let engine = self.engine.engine(self.memory_bytes)?;
        let machine = Machine::boot(&board, &boot, engine).map_err(|error| {
            let what = self.blame(&error);
            anyhow::Error::new(error).context(what)
        })?;
        Ok((machine, boot))
    }

    /// That the machine cannot be started, and the file that is to blame for it.
    fn blame(&self, error: &BootError) -> String {
        let file = match error {
            BootError::Dtb(_) => &self.dtb,
            BootError::KernelFormat
            | BootError::KernelPacked(_)
            | BootError::KernelCutOff { .. }
            | BootError::KernelForeign
            | BootError::KernelBigEndian => &self.kernel,
            BootError::InitrdTooLarge { .. } => &self.initrd,
            BootError::Elf { what, .. }
            | BootError::Outside { what, .. }
            | BootError::Overlap { what, .. } => match *what {
                "kernel" => &self.kernel,
                "firmware" => &self.bios,
                "initrd" => &self.initrd,
                _ => &None,
            },
            _ => &None,
        };
        let with = file
            .as_ref()
            .map(|file| format!(" with {}", file.display()));
        format!("the machine cannot be started{}", with.unwrap_or_default())
    }

    /// Makes sure that a file that is to be written is none that the machine is made of, under whatever name.
    pub(crate) fn ensure_no_input(&self, path: &Path) -> anyhow::Result<()> {
        let inputs = [&self.kernel, &self.initrd, &self.bios, &self.dtb];
        given_file::ensure_not_read(path, inputs.into_iter().flatten())
    }

    /// The machine in one sentence, for the head of a record.
    pub(crate) fn describe(&self) -> String {
        let path = |path: &Option<PathBuf>| {
            path.as_ref()
                .map_or("none".to_owned(), |path| path.display().to_string())
        };
        let network = match self.network {
            Network::None => "no network",
            Network::Stream(_) => "one network card",
        };
        format!(
            "rv64gc, {} MiB, {network}; firmware {}, kernel {}, initrd {}, command line `{}`",
            self.memory_bytes >> 20,
            path(&self.bios),
            path(&self.kernel),
            path(&self.initrd),
            self.append.as_deref().unwrap_or_default()
        )
    }
}

/// A kernel or firmware is at most so large, for a guest with this memory. It goes there, unless it is an ELF: that may
/// have debug information, too.
pub(crate) fn program_bytes_max(memory_bytes: u64) -> u64 {
    memory_bytes.saturating_add(DEBUG_BYTES_MAX)
}

/// A file that a machine is started with, if it has one of the kind.
pub(crate) struct ImageFile<'a> {
    /// The kind.
    pub(crate) what: &'static str,
    /// Where it is.
    pub(crate) path: Option<&'a Path>,
    bytes_max: u64,
}

impl ImageFile<'_> {
    /// All of it; none if there is to be none.
    ///
    /// # Errors
    /// It cannot be read, or is empty.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let (Some(path), what) = (self.path, self.what) else {
            return Ok(None);
        };
        let bytes = given_file::read(path, self.bytes_max)
            .with_context(|| format!("cannot read the {what} {}", path.display()))?;
        ensure!(!bytes.is_empty(), "the {what} {} is empty", path.display());
        Ok(Some(bytes))
    }
}
