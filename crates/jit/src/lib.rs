//! Translator from RV64GC to host machine code: an engine that gives the same results as the interpreter, to the
//! instruction (`docs/translator.md`).
#![deny(unsafe_code)]

#[cfg(all(target_arch = "x86_64", unix))]
mod arena;
#[cfg(all(target_arch = "x86_64", unix))]
mod cache;
#[cfg(all(target_arch = "x86_64", unix))]
mod host;
#[cfg(not(all(target_arch = "x86_64", unix)))]
mod missing;
mod options;
#[cfg(all(target_arch = "x86_64", unix))]
mod plan;
#[cfg(all(target_arch = "x86_64", unix))]
mod profile;
#[cfg(all(target_arch = "x86_64", unix))]
mod straddled;
#[cfg(all(target_arch = "x86_64", unix))]
mod translate;
#[cfg(all(target_arch = "x86_64", unix))]
mod translator;

#[cfg(not(all(target_arch = "x86_64", unix)))]
pub use missing::Translator;
pub use options::{
    Bounds, Forgetting, Observer, Options, PAGES_MAX, PAGES_MIN, STRADDLED_MAX,
    TRANSLATION_BYTES_MAX, Unsupported, memory_bytes_max, pages_max,
};
#[cfg(all(target_arch = "x86_64", unix))]
pub use translator::Translator;
