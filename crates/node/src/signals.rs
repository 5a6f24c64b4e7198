//! The wish that this process may end: SIGINT and SIGTERM. A terminal that is closed, or SIGHUP for any other reason, is none.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, one after the other. As long as the process lives, they do not end it by themselves.
#[derive(Debug)]
pub struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
    /// Once somebody waits for it, it does not end the process either.
    _hangup: Signal,
}

impl EndSignals {
    /// Takes the signals.
    ///
    /// # Errors
    /// They cannot be waited for.
    pub fn new() -> anyhow::Result<Self> {
        let context = "cannot wait for signals";
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context(context)?,
            interrupt: signal(SignalKind::interrupt()).context(context)?,
            _hangup: outlive_terminal()?,
        })
    }

    /// Waits for the next.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// From here on, this process does not end by SIGHUP. To be called within a tokio runtime.
///
/// # Errors
/// The signal cannot be waited for.
pub(crate) fn outlive_terminal() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("cannot wait for signals")
}

/// Waits for the first of the signals.
///
/// # Errors
/// The signals cannot be waited for.
pub async fn told_to_end() -> anyhow::Result<()> {
    EndSignals::new()?.next().await;
    Ok(())
}

/// Calls `told` on a thread of its own when the first of the signals comes.
///
/// # Errors
/// The thread cannot be started.
pub fn when_told_to_end(told: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("cannot wait for signals")?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if runtime.block_on(told_to_end()).is_ok() {
                told();
            }
        })
        .context("cannot wait for signals")?;
    Ok(())
}
