//! One deterministic RISC-V computer, compatible with QEMU's `virt` board. Inputs arrive as values at a
//! position, outputs leave as values; nothing here reads a host clock, thread, file or random source.
#![forbid(unsafe_code)]

pub mod board;
pub mod boot;
pub mod bus;
pub mod device;
mod event;
mod position;
pub mod ram;

pub use board::{Board, Boot, Firmware, NetConfig};
pub use bus::{AccessFault, Bus, Lines, Width};
pub use device::test::StopRequest;
pub use event::{Clock, Input, Output, Stop, TICKS_PER_SECOND};
pub use position::{GuestAddr, Position};
pub use ram::Ram;
