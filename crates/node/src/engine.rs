//! What executes a guest's instructions on this host. The guest cannot tell, and neither can its other replica.

use anyhow::Context;
use jit::{Translator, Unsupported};
use machine::{Engine, Interpreter, InterpreterOptions};
use replica::EngineSource;
use serde::Deserialize;
use std::fmt;
use std::io::{self, ErrorKind};

/// Bytes of translated code that are kept where nothing else is said.
pub const CODE_CACHE_BYTES_DEFAULT: usize = 256 << 20;

/// What the interpreter takes for code that it has decoded, at most: 16 MiB of instructions, which move once they are more, and
/// 16 MiB to find them by;
const INTERPRETER_BYTES_MAX: u64 = 48 << 20;
/// and so much for each page of guest memory.
const INTERPRETER_PAGE_BYTES: u64 = 8;

/// The kinds of engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Decodes and executes one instruction after the other.
    Interpreter,
    /// Translates to the host's instructions.
    Translator,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interpreter => "interpreter",
            Self::Translator => "translator",
        })
    }
}

/// An engine that this host has, and how it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// The interpreter.
    Interpreter {
        /// Whether it keeps decoded blocks.
        block_cache: bool,
    },
    /// The translator.
    Translator {
        /// Bytes of translated code that are kept.
        cache_bytes: usize,
    },
}

impl Default for EngineChoice {
    /// [`Self::best`] with a code cache of the usual size, or the interpreter.
    fn default() -> Self {
        Self::best(CODE_CACHE_BYTES_DEFAULT).unwrap_or(Self::INTERPRETER)
    }
}

impl EngineChoice {
    /// The interpreter as it is fastest.
    pub const INTERPRETER: Self = Self::Interpreter { block_cache: true };

    /// The translator where the host allows it, otherwise the interpreter, and a line in the log that says why.
    ///
    /// # Errors
    /// The host would allow it, but this process has too little memory for so large a cache.
    pub fn best(cache_bytes: usize) -> anyhow::Result<Self> {
        let choice = Self::Translator { cache_bytes };
        match choice.engine(0) {
            Ok(_) => Ok(choice),
            Err(error) if lacks_memory(&error) => Err(error),
            Err(error) => {
                tracing::warn!("the guest is interpreted, which is slower: {error:#}");
                Ok(Self::INTERPRETER)
            }
        }
    }

    /// The engine that was asked for, or [`Self::best`] where none was.
    ///
    /// # Errors
    /// The host does not allow the translator that was asked for, or has no memory for it.
    pub fn of(kind: Option<EngineKind>, cache_bytes: usize) -> anyhow::Result<Self> {
        match kind {
            None => Self::best(cache_bytes),
            Some(EngineKind::Interpreter) => Ok(Self::INTERPRETER),
            Some(EngineKind::Translator) => {
                let choice = Self::Translator { cache_bytes };
                choice.engine(0)?;
                Ok(choice)
            }
        }
    }

    /// Which kind it is.
    pub fn kind(self) -> EngineKind {
        match self {
            Self::Interpreter { .. } => EngineKind::Interpreter,
            Self::Translator { .. } => EngineKind::Translator,
        }
    }

    /// Bytes that an engine takes of this host at most, beside the memory of its guest, whatever that executes.
    pub(crate) fn memory_bytes_max(self, memory_bytes: u64) -> u64 {
        match self {
            Self::Interpreter { .. } => {
                let pages = memory_bytes / machine::ram::PAGE_BYTES as u64;
                INTERPRETER_BYTES_MAX + pages * INTERPRETER_PAGE_BYTES
            }
            Self::Translator { cache_bytes } => jit::memory_bytes_max(cache_bytes, memory_bytes),
        }
    }

    /// An engine for one machine, whose guest has so much memory; with all that it takes, so that none of it can be missing later.
    ///
    /// # Errors
    /// The host does not allow the translator, or has no memory for it.
    pub fn engine(self, memory_bytes: u64) -> anyhow::Result<Box<dyn Engine>> {
        match self {
            Self::Interpreter { block_cache } => Ok(interpreter(block_cache)),
            Self::Translator { cache_bytes } => {
                let options = jit::Options {
                    cache_bytes,
                    ..jit::Options::default()
                };
                let made = Translator::new(options).and_then(|mut translator| {
                    if memory_bytes > 0 {
                        translator.reserve(memory_bytes)?;
                    }
                    Ok(translator)
                });
                match made {
                    Ok(translator) => Ok(Box::new(translator)),
                    Err(Unsupported::Memory(error)) if !is_forbidden(&error) => {
                        // The cache is a file without a name.
                        let limit = match error.kind() {
                            ErrorKind::FileTooLarge => "of file sizes, `ulimit -f`",
                            _ => "`ulimit -v`",
                        };
                        Err(anyhow::Error::new(error).context(format!(
                            "this process gets no memory for a code cache of {} MiB and the tables beside it: raise its limit \
                             ({limit}), choose a smaller cache (`--code-cache`, `node.code_cache`), or the interpreter \
                             (`--engine`, `node.engine`)",
                            cache_bytes >> 20
                        )))
                    }
                    Err(error) => Err(error).context("the translator cannot be used"),
                }
            }
        }
    }

    /// Makes engines for machines that are restored, with so much memory. One that the host does not allow any more is replaced
    /// by the interpreter: a slow replica is better than none.
    pub(crate) fn source(self, memory_bytes: u64) -> EngineSource {
        Box::new(move || {
            self.engine(memory_bytes).unwrap_or_else(|error| {
                tracing::warn!("the guest is interpreted, which is slower: {error:#}");
                interpreter(true)
            })
        })
    }
}

/// Whether the host does not let this process have memory that can be executed, however much there is.
fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::Unsupported
    )
}

/// Whether this is an error of [`EngineChoice::engine`] that more memory would mend.
fn lacks_memory(error: &anyhow::Error) -> bool {
    error
        .downcast_ref()
        .is_some_and(|error| !is_forbidden(error))
}

fn interpreter(block_cache: bool) -> Box<dyn Engine> {
    Box::new(Interpreter::new(InterpreterOptions { block_cache }))
}
