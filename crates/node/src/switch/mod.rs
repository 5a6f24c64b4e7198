//! An Ethernet switch for replicas on one machine, and a node's connection to it.
//!
//! Ports are UNIX stream sockets that speak QEMU's stream protocol: each frame behind its length, 4 bytes big-endian.
//! Plain peers (QEMU, passt) need nothing more. A node of a protected machine proves whose port it is, by frames of the
//! local experimental EtherType 0x88B5, addressed to a group that no bridge forwards:
//!
//! ```text
//! switch                                  node
//!    │ challenge: nonce                     │   of each connection, a random one
//!    │─────────────────────────────────────▶│
//!    │ claim: machine, epoch, MAC, node,    │   proof: BLAKE3 of nonce, machine, epoch, MAC and node,
//!    │        proof                         │   keyed with the machine's key
//!    │◀─────────────────────────────────────│
//!    │ answer: epoch, verdict               │
//!    │─────────────────────────────────────▶│   from here on, the guest's frames
//! ```
//!
//! Machines' keys follow from the switch's secret (`secret.rs`), and nothing else gives rights: a guest can
//! send any frame, but a node lets none of this type through, and the switch would want a proof. A claim for a newer epoch
//! on the same connection is made in the same way, over the same nonce.
//!
//! From then on, the port speaks for that machine in that epoch, from that MAC address alone, and hears what is sent
//! to it or to all. Another node that claims the same epoch is refused as long as that port is open. Once a newer epoch of a machine was admitted on any port, ports of older ones are fenced: nothing from
//! them is forwarded, nothing goes to them (I5), and they are told so. The new port is told again the last frames for the guest, unless it has
//! acknowledged them. The fence lives as long as the switch: a switch that restarts learns it anew from those who
//! reconnect. A plain port has the addresses that it was heard with, as long as no machine and no other port has them.

mod client;
mod fair;
mod forward;
mod frame;
pub mod hostile;
mod hub;
mod keeper;
mod lost;
mod passt;
mod port;
mod recent;
mod secret;
mod server;
mod table;
mod word;

pub use client::{
    PortCounters, Speaker, SwitchClient, SwitchEvent, announcement, can_connect, is_socket,
};
pub use forward::Forward;
pub use frame::{FRAME_BYTES_MAX, FRAME_BYTES_MIN, FrameError, put_frame, take_frame};
pub use keeper::keep_uplink;
pub use passt::Uplink;
pub use secret::{SwitchSecret, key_of_node};
pub use server::{SwitchConfig, run_switch, run_switch_process};
pub use table::SwitchCounters;
pub use word::is_reserved;
