//! The wish that this process may end: SIGINT and SIGTERM.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for the first of the signals; from the first poll on, they do not end the process by themselves.
///
/// # Errors
/// The signals cannot be waited for.
pub async fn told_to_end() -> anyhow::Result<()> {
    let context = "cannot wait for signals";
    let mut terminate = signal(SignalKind::terminate()).context(context)?;
    let mut interrupt = signal(SignalKind::interrupt()).context(context)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
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
