//! `futago guest`: guest images.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use guest::{Options, Progress};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Build the default guest from Debian's riscv64 packages, or take it from the cache.
    Build(Build),
}

#[derive(Args)]
pub(crate) struct Build {
    /// Also put kernel, initrd and manifest.json here.
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    /// Where finished images are kept [default: futago/guest in the user's cache directory]
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,
    /// Look for newer packages even if an image is cached.
    #[arg(long)]
    refresh: bool,
    /// The Debian mirror to use [default: the system's own, then mmdebstrap's]
    #[arg(long, value_name = "URI")]
    mirror: Option<String>,
}

/// Runs `futago guest …`.
pub(crate) fn run(command: Command) -> Result<()> {
    let Command::Build(build) = command;
    let cache = match build.cache {
        Some(cache) => cache,
        None => guest::default_cache()?,
    };
    let options = Options {
        refresh: build.refresh,
        mirror: build.mirror,
        ..Options::new(cache)
    };
    if let Some(output) = &build.output {
        // Before the time that it takes.
        guest::prepare_output(output)?;
    }
    let mut image = guest::build(&options, &mut show())?;
    if let Some(output) = build.output {
        image = image.copy_to(&output)?;
    }
    let mut out = crate::output::lock();
    writeln!(out, "kernel {}", image.kernel.display())?;
    writeln!(out, "initrd {}", image.initrd.display())?;
    Ok(())
}

/// Shows progress on standard error: on a terminal downloads share one line.
fn show() -> impl FnMut(&Progress) {
    let mut err = std::io::stderr();
    let terminal = err.is_terminal();
    let mut open_line = false;
    move |step| {
        let passing = terminal && matches!(step, Progress::Downloading { .. });
        let begin = match (open_line, passing) {
            (true, true) => "\r\x1b[K",
            (true, false) => "\n",
            (false, _) => "",
        };
        let end = if passing { "" } else { "\n" };
        open_line = passing;
        // The build goes on when standard error is closed.
        let _ = write!(err, "{begin}{step}{end}").and_then(|()| err.flush());
    }
}
