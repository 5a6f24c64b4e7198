//! The options that say what a machine consists of, in QEMU's words where QEMU has one.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use node::config::{CodeCacheSize, MacAddress, MemorySize};
use node::engine::{EngineChoice, EngineKind};
use node::vm::{Network, VmOptions};

use crate::cluster::Sandboxed;

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Engine {
    /// Decodes and executes one instruction after the other.
    Interpreter,
    /// Translates to the host's instructions.
    Translator,
}

impl From<Engine> for EngineKind {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Interpreter => Self::Interpreter,
            Engine::Translator => Self::Translator,
        }
    }
}

/// On or off, as QEMU writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// How the guest is executed. The guest cannot tell.
#[derive(Args)]
pub(crate) struct Execution {
    /// What executes the guest's instructions [default: the translator where the host allows it]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// Translated code that is kept, 4M to 1G [default: 256M]
    #[arg(long, value_name = "SIZE")]
    code_cache: Option<CodeCacheSize>,
    /// Whether the interpreter keeps decoded blocks [default: on]
    #[arg(long, value_enum)]
    block_cache: Option<Switch>,
}

impl Execution {
    /// The engine, if this host has it.
    pub(crate) fn choose(&self) -> Result<EngineChoice> {
        let interprets = matches!(self.engine, Some(Engine::Interpreter));
        if interprets && self.code_cache.is_some() {
            bail!("--code-cache is the translator's: leave it out with --engine interpreter");
        }
        if let Some(switch) = self.block_cache {
            if !interprets {
                bail!("--block-cache is the interpreter's: add --engine interpreter");
            }
            let block_cache = switch == Switch::On;
            return Ok(EngineChoice::Interpreter { block_cache });
        }
        let CodeCacheSize(cache_bytes) = self.code_cache.unwrap_or_default();
        EngineChoice::of(self.engine.map(EngineKind::from), cache_bytes)
    }
}

#[derive(Args)]
pub(crate) struct Options {
    /// A RISC-V Linux Image, an ELF, or raw code (which starts at 0x80200000; with --bios none, at 0x80000000).
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The initial RAM disk.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// The kernel's command line.
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// M-mode firmware instead of the built-in SBI; none: the kernel starts in M-mode. An ELF with the symbol `tohost`
    /// ends the machine with the code that it writes there, and may ask for console input and output as of Spike.
    #[arg(long, value_name = "FILE")]
    bios: Option<PathBuf>,
    /// Guest memory, 16M to 64G.
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    memory: MemorySize,
    /// A disk. Not supported yet.
    #[arg(long, value_name = "FILE")]
    drive: Vec<PathBuf>,
    /// What the network card is plugged into: none, tap:NAME, or stream:SOCKET (QEMU's stream protocol, which
    /// passt and `futago switch` speak).
    #[arg(long, value_name = "WHERE", default_value = "none")]
    net: Net,
    /// The network card's Ethernet address.
    #[arg(long, value_name = "ADDRESS", default_value = "52:54:00:12:34:56")]
    mac: MacAddress,
    /// A device tree blob instead of the board's own.
    #[arg(long, value_name = "FILE")]
    dtb: Option<PathBuf>,
    #[command(flatten)]
    execution: Execution,
    #[command(flatten)]
    sandbox: Sandboxed,
}

#[derive(Clone, Debug)]
enum Net {
    None,
    Tap(String),
    Stream(PathBuf),
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            Some(("tap", name)) if !name.is_empty() => Ok(Self::Tap(name.to_owned())),
            Some(("stream", socket)) if !socket.is_empty() => Ok(Self::Stream(socket.into())),
            _ => Err("a network is none, tap:NAME or stream:SOCKET".to_owned()),
        }
    }
}

impl Options {
    /// The machine, as far as it is supported.
    pub(crate) fn machine(self) -> Result<VmOptions> {
        if let Some(drive) = self.drive.first() {
            bail!(
                "disks are not supported yet: leave out --drive {}",
                drive.display()
            );
        }
        let network = match self.net {
            Net::None => Network::None,
            Net::Stream(socket) => Network::Stream(socket),
            Net::Tap(name) => {
                bail!("TAP devices are not supported yet: instead of tap:{name}, use stream:SOCKET")
            }
        };
        Ok(VmOptions {
            kernel: self.kernel,
            initrd: self.initrd,
            append: self.append,
            bios: self.bios,
            host_words: true,
            dtb: self.dtb,
            memory_bytes: self.memory.0,
            network,
            mac: self.mac,
            engine: self.execution.choose()?,
            confined: self.sandbox.is_confined(),
        })
    }
}
