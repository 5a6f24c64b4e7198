//! Primary/backup replication as a state machine without I/O: epochs, acknowledgements, the output rule,
//! arbitration, failover and state transfer, over opaque bytes. It has never heard of RISC-V.
#![forbid(unsafe_code)]

mod action;
mod fence;
mod message;
mod types;

pub use action::{Action, ArbiterOperation, ArbiterReply, HaltReason, Local, RequestId};
pub use fence::Fence;
pub use message::Message;
pub use types::{Epoch, Instant, LogIndex, MachineId, Mode, NodeId, Nonce, Record, TransferId};
