//! The wish that this process may end: SIGINT and SIGTERM.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, one after the other. As long as the process lives, they do not end it by themselves.
#[derive(Debug)]
pub struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
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
