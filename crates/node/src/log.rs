//! The log of this process, on standard error. Lines wait in an [`Outlet`]: nobody who logs waits for whoever reads.

use crate::outlet::{Gap, Outlet};
use anyhow::{Context, ensure};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

static LOG: OnceLock<Outlet> = OnceLock::new();

/// The target of lines that tell what happens to the machine: shown unless something else is asked for.
pub const STORY: &str = "story";
/// What is shown unless something else is asked for.
const DEFAULT: &str = "warn,story=info";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Whose lines there are.
const MODULES: [&str; 13] = [
    "story",
    "futago",
    "node",
    "replica",
    "replication",
    "eventlog",
    "machine",
    "jit",
    "guest",
    "quinn",
    "quinn_proto",
    "rustls",
    "tokio",
];

/// A filter in words: a level, or MODULE=LEVEL, several with commas between them.
///
/// # Errors
/// One sentence on what is none.
fn parse_filter(text: &str) -> anyhow::Result<EnvFilter> {
    for part in text.split(',').map(str::trim) {
        let (module, level) = match part.split_once('=') {
            Some((module, level)) => (Some(module), level),
            None => (None, part),
        };
        ensure!(
            LEVELS.contains(&level.to_ascii_lowercase().as_str()),
            "`{level}` is no level: it is one of {}, as in `--log info` or `--log warn,node=debug`",
            LEVELS.join(", ")
        );
        if let Some(module) = module {
            let root = module.split("::").next().unwrap_or(module);
            ensure!(
                MODULES.contains(&root),
                "there is no module `{module}`: it is one of {}",
                MODULES.join(", ")
            );
        }
    }
    EnvFilter::try_new(text).context("it is no filter")
}

/// Whether lines may have colours: on a terminal that shows them, unless whoever sits there does not want any.
fn wants_colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    std::io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// Starts to log what `filter` lets pass; without one, what the environment variable `RUST_LOG` does, or warnings and the story.
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
        Some(filter) => {
            parse_filter(filter).with_context(|| format!("`--log {filter}` is not possible"))?
        }
        // It may be meant for other programs.
        None => match std::env::var("RUST_LOG") {
            Ok(filter) if !filter.is_empty() => {
                EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(DEFAULT))
            }
            _ => EnvFilter::new(DEFAULT),
        },
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Lines(outlet))
        .with_ansi(wants_colours())
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

/// What is said, without the numbers that the host has for its errors, as in `(os error 2)`.
pub fn unnumbered(text: &str) -> String {
    const NUMBER: &str = " (os error ";
    let mut left = text;
    let mut said = String::with_capacity(text.len());
    while let Some(begin) = left.find(NUMBER) {
        said.push_str(&left[..begin]);
        let number = &left[begin + NUMBER.len()..];
        left = number.split_once(')').map_or("", |(_, rest)| rest);
    }
    said + left
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
        match str::from_utf8(line) {
            Ok(text) => self.0.write(unnumbered(text).as_bytes()),
            Err(_) => self.0.write(line),
        }
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
    fn a_filter_is_one_of_levels_and_modules() {
        for good in [
            "info",
            "WARN",
            "warn,node=debug",
            "replication::backup=trace, off",
        ] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
        for (bad, words) in [
            (
                "verbose",
                "`verbose` is no level: it is one of off, error, warn",
            ),
            ("node", "`node` is no level"),
            ("nod=debug", "there is no module `nod`"),
            ("node=loud", "`loud` is no level"),
            ("info,", "`` is no level"),
        ] {
            let said = parse_filter(bad).unwrap_err().to_string();
            assert!(said.contains(words), "{bad}: {said}");
        }
    }

    #[test]
    fn errors_are_words() {
        for (text, words) in [
            ("it is gone", "it is gone"),
            ("one (os error 2), two (os error 13)", "one, two"),
            ("cut (os error 2", "cut"),
            ("\u{e4} (os error 2)\n", "\u{e4}\n"),
        ] {
            assert_eq!(unnumbered(text), words);
        }
    }

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
