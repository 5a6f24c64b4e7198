//! How the translator works, how far a guest may drive what is kept for it, and why there may be none.

/// How the translator works. The results are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of translated code that are kept: 1 MiB to 2 GiB.
    pub cache_bytes: usize,
    /// The hart is looked at each so many positions: code that is seen often is translated anew, for speed.
    pub glance: u64,
    /// How far the guest may drive what is kept for it.
    pub bounds: Bounds,
}

/// How far the guest may drive what is kept for it, besides the code itself. The results are the same, whatever they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of host code that one translation has room for: 64 to 65536. What does not fit is translated in shorter
    /// pieces, or interpreted.
    pub translation_bytes: usize,
    /// Pages of guest memory with code at a time, at least 1: for each, 8 KiB are kept to find it. There are never more than
    /// [`pages_max`]. At the bound, the code of the page that came first is forgotten.
    pub pages: usize,
    /// Pages at a time with an instruction that ends in another page, at least 1. At the bound, the code of one of them
    /// is forgotten.
    pub straddled: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            translation_bytes: TRANSLATION_BYTES_MAX,
            pages: PAGES_MAX,
            straddled: STRADDLED_MAX,
        }
    }
}

/// Some four times what a translation usually takes at most.
pub const TRANSLATION_BYTES_MAX: usize = 64 << 10;
/// 256 MiB to find code by: so many pages may have code, however large the cache is.
pub const PAGES_MAX: usize = 32 << 10;
/// 8 MiB to find code by: so many pages may have code, however small the cache is.
pub const PAGES_MIN: usize = 1 << 10;
/// Bytes to find the code of a page by.
pub(crate) const TABLE_BYTES: usize = machine::ram::PAGE_BYTES / 2 * size_of::<u32>();
/// To find code takes so many times less than the code itself. What Linux and its programs execute becomes some 25 KiB of
/// code a page: hence they fill the cache first, and meet no bound that they did not meet without this one.
const TABLE_SHARE: usize = 3;
/// A word, and a number in a list that may have grown to twice its length.
const MARKS_BYTES: usize = 17;
/// The pages that code was translated from are noted, in so many times less memory than the code takes.
const NOTES_SHARE: usize = 16;
/// Pages with an instruction that straddles, some 100 bytes each, places that were looked at, and the last translation.
const REST_BYTES_MAX: usize = 4 << 20;
/// Of the pages of code of a large program, about every second one has such an instruction.
pub const STRADDLED_MAX: usize = 16 << 10;

/// Pages of guest memory with code at a time, for a cache of this size: 8 KiB for each of them are a third of it in all, from
/// [`PAGES_MIN`] to [`PAGES_MAX`].
pub fn pages_max(cache_bytes: usize) -> usize {
    (cache_bytes / TABLE_SHARE / TABLE_BYTES).clamp(PAGES_MIN, PAGES_MAX)
}

/// Bytes that a translator takes of its host at most, whatever the guest executes: the cache; 8 KiB to find code by, and a
/// little, for each of [`pages_max`]; notes of pages, 1/16 of the cache; marks by page of guest memory; and the rest, which
/// [`STRADDLED_MAX`] and other numbers of ours bound.
pub fn memory_bytes_max(cache_bytes: usize, memory_bytes: u64) -> u64 {
    let table_bytes = pages_max(cache_bytes) * (TABLE_BYTES + MARKS_BYTES);
    let notes_bytes = cache_bytes / NOTES_SHARE;
    let marks_bytes = memory_bytes / machine::ram::PAGE_BYTES as u64 * MARKS_BYTES as u64;
    (cache_bytes + table_bytes + notes_bytes + REST_BYTES_MAX) as u64 + marks_bytes
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cache_bytes: 256 << 20,
            // A prime, so that no loop is seen at the same place only.
            glance: 49_999,
            bounds: Bounds::default(),
        }
    }
}

/// What an observer of a translator that makes room for new code is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgetting {
    /// It begins to forget old code: the guest stands still.
    Begins,
    /// It goes on.
    Ends {
        /// Pages of guest memory whose code it forgot.
        pages: usize,
    },
}

/// Takes note of what the translator does; the guest never sees it.
pub type Observer = Box<dyn FnMut(Forgetting) + Send>;

/// Why there is no translator here.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    /// There is none for this host.
    #[error("there is no translator for this host's processor: use the interpreter")]
    Host,
    /// The host gives no memory that can be executed, or none for the table by which code is found.
    #[error("the host gives no memory for translated code ({0}): use the interpreter")]
    Memory(std::io::Error),
    /// The cache cannot have this size.
    #[error("a code cache of {0} bytes is not possible: choose 1 MiB to 2 GiB")]
    CacheSize(usize),
    /// A bound is too small, or too large.
    #[error("the translator cannot work within {0:?}")]
    Bounds(Bounds),
}
