//! An Ethernet switch for replicas on one machine, and a node's connection to it.
//!
//! Ports are UNIX stream sockets that speak QEMU's stream protocol: each frame behind its length, 4 bytes big-endian.
//! Plain peers (QEMU, passt) need nothing more. A node of a protected machine says one frame first, the *hello*, of
//! the local experimental EtherType 0x88B5, addressed to a group that no bridge forwards:
//!
//! ```text
//! 01:80:c2:00:00:0f | guest's MAC | 88 b5 | "futago\0" | version, 2 bytes | machine, 16 bytes | epoch, 8 bytes
//! ```
//!
//! with numbers little-endian. From then on, the port speaks for that machine in that epoch. Once a newer epoch of a
//! machine has said hello on any port, ports of older ones are fenced: nothing from them is forwarded and nothing
//! goes to them (I5). The hello also moves the guest's MAC address to the new port, where
//! the last frames for the guest are said again, unless it has acknowledged them. The fence lives as long as the
//! switch: a switch that restarts learns it anew from the hellos of those who reconnect.

mod client;
mod frame;
mod hello;
mod passt;
mod port;
mod recent;
mod server;
mod table;

pub use client::{SwitchClient, SwitchEvent, announcement};
pub use frame::{FRAME_BYTES_MAX, FRAME_BYTES_MIN, FrameError, put_frame, take_frame};
pub use hello::{HelloError, SwitchHello};
pub use passt::Uplink;
pub(crate) use server::listen;
pub use server::{SwitchConfig, run_switch, run_switch_process};
pub use table::{PortId, SwitchCounters, Table};
