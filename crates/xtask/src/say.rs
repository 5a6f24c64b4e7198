//! What the developer is told.

use std::io::Write;

/// Writes a line for the developer to standard error: standard output belongs to the programs that
/// are run.
pub(crate) fn say(line: &str) {
    // Nobody is left to be told if standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}
