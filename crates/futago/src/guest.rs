//! `futago guest`: guest images.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use guest::{Options, Progress};
use indicatif::ProgressBar;

/// Between two turns of what shows on a terminal that the build goes on.
const SPIN_EVERY: Duration = Duration::from_millis(100);

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

/// Shows progress on standard error: on a terminal downloads share one line, which stays below all others.
fn show() -> impl FnMut(&Progress) {
    let line = ProgressBar::new_spinner();
    line.enable_steady_tick(SPIN_EVERY);
    move |step| match step {
        // The build goes on when standard error is closed.
        step if line.is_hidden() => drop(writeln!(std::io::stderr(), "{step}")),
        Progress::Downloading { .. } => line.set_message(step.to_string()),
        step => {
            line.set_message("");
            line.println(step.to_string());
        }
    }
}
