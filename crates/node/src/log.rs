//! The log of this process, on standard error. Lines wait in an [`Outlet`]: nobody who logs waits for whoever reads.

use crate::outlet::{Gap, Outlet};
use anyhow::Context;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

static LOG: OnceLock<Outlet> = OnceLock::new();

/// Starts to log what `filter` lets pass; without one, what the environment variable `RUST_LOG` does, or warnings.
///
/// # Errors
/// The filter is none, or standard error cannot be used.
pub fn start(filter: Option<&str>) -> anyhow::Result<()> {
    let err = std::io::stderr().as_fd().try_clone_to_owned();
    let outlet = err
        .and_then(|err| Outlet::new("log", File::from(err), tell))
        .context("the log cannot be started")?;
    let outlet = LOG.get_or_init(|| outlet);
    let filter = match filter {
        Some(filter) => EnvFilter::try_new(filter)
            .map_err(|error| anyhow::anyhow!("`--log {filter}` is no filter: {error}"))?,
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Lines(outlet))
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    // The usual hook writes to standard error on the very thread that panicked.
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("a thread");
        let trace = Backtrace::capture();
        match trace.status() {
            BacktraceStatus::Captured => tracing::error!("{thread} {panic}\n{trace}"),
            _ => tracing::error!("{thread} {panic}"),
        }
    }));
    Ok(())
}

/// Says a line that no filter keeps back, in its place among the others.
pub fn say(line: &str) {
    match LOG.get() {
        Some(outlet) => outlet.write(format!("{line}\n").as_bytes()),
        // The log could not be started; nobody is left to be told if standard error is closed.
        None => drop(writeln!(std::io::stderr(), "{line}")),
    }
}

/// Lines that were dropped because nobody read them.
pub fn lines_dropped() -> u64 {
    LOG.get().map_or(0, |outlet| outlet.dropped().pieces)
}

/// Waits until everything has been said, as long as somebody reads. Nothing can be logged afterwards.
pub fn finish() {
    if let Some(outlet) = LOG.get() {
        outlet.finish();
    }
}

fn tell(_: &str, gap: Gap) -> Option<String> {
    match gap {
        Gap::Ends { pieces, why, .. } => {
            let why = why.map_or("nobody read them".to_owned(), |why| why.to_string());
            Some(format!(
                "futago: {pieces} lines of the log were dropped here: {why}\n"
            ))
        }
        // There is no other place to say it in.
        Gap::Begins | Gap::Fails(_) | Gap::Broken(_) => None,
    }
}

/// What one event is written to, in one piece.
#[derive(Clone, Copy, Debug)]
struct Lines(&'static Outlet);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_logs_does_not_wait_for_whoever_reads() {
        let (reader, writer) = std::io::pipe().unwrap();
        let outlet: &Outlet = Box::leak(Box::new(Outlet::new("log", writer, tell).unwrap()));
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || Lines(outlet))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..200_000 {
                tracing::error!(number, "a line that nobody reads");
            }
        });
        assert!(outlet.dropped().pieces > 0);
        drop(reader);
    }
}
