//! One deterministic RISC-V computer, compatible with QEMU's `virt` board. Inputs arrive as values at a
//! position, outputs leave as values; nothing here reads a host clock, thread, file or random source.
#![forbid(unsafe_code)]
// A translator may keep the guest's accumulated float exceptions in the host's float unit while code here runs.
#![deny(clippy::float_arithmetic)]

pub mod board;
pub mod boot;
mod clock;
pub mod config;
mod contain;
mod cpu;
pub mod device;
mod digest;
pub mod engine;
mod event;
mod fault;
pub mod hart;
mod machine;
pub mod mmu;
mod position;
pub mod ram;
mod request;
mod semantics;
mod snapshot;
mod watch;

pub use board::{Board, InputError, Lines};
pub use boot::BootError;
pub use clock::GuestClock;
pub use config::{BoardConfig, Boot, Firmware, NetConfig};
pub use cpu::{Cpu, RUN_COST_MAX};
pub use device::stop::{Refusal, StopRequest};
pub use device::uart::BACKLOG_MAX as CONSOLE_BACKLOG_MAX;
pub use device::virtio::net::FRAME_BYTES_MAX;
pub use digest::{DIGEST_PAGES_MAX, Digest};
pub use engine::{Engine, Interpreter, InterpreterOptions};
pub use event::{Clock, Input, Output, Stop, TICKS_PER_SECOND};
pub use fault::{Fault, Faults, Rig};
pub use isa::Width;
pub use machine::Machine;
pub use position::{GuestAddr, Position};
pub use ram::{AccessFault, Ram};
pub use request::{Completion, REQUEST_BYTES_MAX, Request, RequestId, Task};
pub use semantics::SEMANTICS;
pub use snapshot::{Capture, Chunk, Snapshot, SnapshotError, StateBytes};
pub use watch::Illegal;
