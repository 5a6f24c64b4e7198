//! What executes a guest's instructions on this host. The guest cannot tell, and neither can its other replica.

use anyhow::Context;
use jit::Translator;
use machine::{Engine, Interpreter, InterpreterOptions};
use replica::EngineSource;
use serde::Deserialize;
use std::fmt;

/// Bytes of translated code that are kept where nothing else is said.
pub const CODE_CACHE_BYTES_DEFAULT: usize = 256 << 20;

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
    /// [`Self::best`] with a code cache of the usual size.
    fn default() -> Self {
        Self::best(CODE_CACHE_BYTES_DEFAULT)
    }
}

impl EngineChoice {
    /// The interpreter as it is fastest.
    pub const INTERPRETER: Self = Self::Interpreter { block_cache: true };

    /// The translator where the host allows it, otherwise the interpreter, and a line in the log that says why.
    pub fn best(cache_bytes: usize) -> Self {
        let choice = Self::Translator { cache_bytes };
        match choice.engine() {
            Ok(_) => choice,
            Err(error) => {
                tracing::warn!("the guest is interpreted, which is slower: {error:#}");
                Self::INTERPRETER
            }
        }
    }

    /// The engine that was asked for, or [`Self::best`] where none was.
    ///
    /// # Errors
    /// The host does not allow the translator that was asked for.
    pub fn of(kind: Option<EngineKind>, cache_bytes: usize) -> anyhow::Result<Self> {
        match kind {
            None => Ok(Self::best(cache_bytes)),
            Some(EngineKind::Interpreter) => Ok(Self::INTERPRETER),
            Some(EngineKind::Translator) => {
                let choice = Self::Translator { cache_bytes };
                choice.engine()?;
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

    /// An engine for one machine.
    ///
    /// # Errors
    /// The host does not allow the translator.
    pub fn engine(self) -> anyhow::Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Interpreter { block_cache } => interpreter(block_cache),
            Self::Translator { cache_bytes } => Box::new(
                Translator::new(jit::Options {
                    cache_bytes,
                    ..jit::Options::default()
                })
                .context("the translator cannot be used")?,
            ),
        })
    }

    /// Makes engines for machines that are restored. One that the host does not allow any more is replaced by the
    /// interpreter: a slow replica is better than none.
    pub(crate) fn source(self) -> EngineSource {
        Box::new(move || {
            self.engine().unwrap_or_else(|error| {
                tracing::warn!("the guest is interpreted, which is slower: {error:#}");
                interpreter(true)
            })
        })
    }
}

fn interpreter(block_cache: bool) -> Box<dyn Engine> {
    Box::new(Interpreter::new(InterpreterOptions { block_cache }))
}
