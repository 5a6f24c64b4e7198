//! Asking and steering a running node: a UNIX socket that takes one JSON line and answers with one. There are two of them: at
//! `node.control`, the node's own user (or root) may steer; at `node.control_look`, its group may look.
//!
//! ```text
//! → {"command":"status"}      ← {"status":{…}}
//! → {"command":"console"}     ← {"ok":true}, then the console's bytes in both directions
//! → {"command":"stop"}        ← {"ok":true}     the node leaves; its peer goes on. Refused by an owner without a backup
//! → {"command":"give-up"}     ← {"ok":true}     the node ends, and the machine with it, if no peer has its state
//! → {"command":"power-off"}   ← {"ok":true}     the machine is switched off
//! ← {"error":"…"}             whenever something is wrong
//! ```

mod client;
mod request;
mod server;

use crate::status::NodeStatus;
use anyhow::Context;
pub use client::NoAnswer;
use client::ask;
pub use request::{Answer, Request};
pub(crate) use server::{CLIENTS_MAX, ControlCounters, ControlEvent, ControlSocket, Role};
use std::io::BufReader;
use std::path::Path;

/// Asks the node at `socket` for its view of itself.
///
/// # Errors
/// No node listens there, or it does not answer.
pub fn status(socket: &Path) -> anyhow::Result<NodeStatus> {
    let (answer, _) = ask(socket, Request::Status)?;
    answer.status.context("the node answered without a status")
}

/// Tells the node at `socket` to leave and end; one that has the machine's only state does so only if that is given up.
///
/// # Errors
/// As [`status`], or the node is the only one with the machine's state.
pub fn stop(socket: &Path, gives_up: bool) -> anyhow::Result<()> {
    let request = match gives_up {
        true => Request::GiveUp,
        false => Request::Stop,
    };
    ask(socket, request).map(drop)
}

/// Tells the node at `socket` to switch the machine off.
///
/// # Errors
/// As [`status`].
pub fn power_off(socket: &Path) -> anyhow::Result<()> {
    ask(socket, Request::PowerOff).map(drop)
}

/// Attaches to the console of the guest of the node at `socket`: what is read from the result is what the guest says,
/// beginning with what it last said.
///
/// # Errors
/// As [`status`].
pub fn attach_console(socket: &Path) -> anyhow::Result<BufReader<std::os::unix::net::UnixStream>> {
    let (_, stream) = ask(socket, Request::Console)?;
    stream
        .get_ref()
        .set_read_timeout(None)
        .context("the control socket broke")?;
    Ok(stream)
}
