//! Words that may stand in place of a firmware file.

use std::path::Path;

/// Instead of a firmware file: the kernel starts in M-mode.
const BIOS_NONE: &str = "none";
/// Instead of a firmware file: the built-in one.
const BIOS_DEFAULT: &str = "default";

/// Whether this is a word in place of a firmware file.
pub(crate) fn is_bios_word(bios: &Path) -> bool {
    [BIOS_NONE, BIOS_DEFAULT].map(Path::new).contains(&bios)
}

/// Whether this is the word for no firmware at all.
pub(crate) fn is_no_bios(bios: &Path) -> bool {
    bios == Path::new(BIOS_NONE)
}
