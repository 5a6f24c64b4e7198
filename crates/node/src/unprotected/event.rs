//! What the threads beside a machine tell its loop.

use crossbeam_channel::Sender;
use machine::Input;

/// Something from this host.
#[derive(Debug)]
pub(super) enum HostEvent {
    Input(Input),
    /// Something was typed that waits for the guest; `taken` is told when it waits no more.
    Typed {
        typed: Vec<u8>,
        taken: Sender<()>,
    },
    /// The network was lost, and is tried again.
    NetworkGone(String),
    NetworkBack,
    /// Nobody reads the console any more.
    Unread,
    Quit,
}
