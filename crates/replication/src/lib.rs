//! Primary/backup replication as a state machine without I/O: epochs, acknowledgements, the output rule,
//! arbitration, failover and state transfer, over opaque bytes. It has never heard of RISC-V.
//!
//! A [`Core`] is one node's protocol. Hand it messages, local events and the passing of time; drain
//! [`Core::poll_action`] after each, perform the actions in order, and come back at [`Core::poll_timeout`].
#![forbid(unsafe_code)]

/// Whether what has a field `mutation` with that feature is broken on purpose in this way; never without the feature.
macro_rules! mutated {
    ($owner:expr, $mutation:expr) => {{
        #[cfg(feature = "mutations")]
        let mutated = $owner.mutation == Some($mutation);
        #[cfg(not(feature = "mutations"))]
        let mutated = {
            let _ = (&$owner, $mutation);
            false
        };
        mutated
    }};
}

mod action;
mod admission;
mod arbitration;
mod backup;
mod config;
mod core;
mod desk;
mod entries;
mod fence;
mod flight;
mod footprint;
mod joining;
mod look;
mod message;
mod output;
mod pacing;
mod pairing;
mod path;
mod primary;
mod protection;
mod resolution;
mod rights;
mod shared;
mod sharing;
mod slow;
mod status;
mod suspicion;
mod takeover;
mod testimony;
mod time;
mod transfer;
mod turn;
mod types;
mod window;

pub use action::{Action, ArbiterOperation, ArbiterReply, HaltReason, Local, RequestId};
pub use admission::{
    Agreement, Credential, Difference, Door, Hello, NotAdmitted, Subject, Withdrawn,
};
#[cfg(feature = "mutations")]
pub use config::Mutation;
pub use config::{Bounds, Config, DATAGRAM_BYTES_MAX, SlowBackup, Times};
pub use core::Core;
pub use desk::ArbiterDesk;
pub use entries::APPEND_ENTRIES_MAX;
pub use fence::Fence;
pub use footprint::Footprint;
pub use message::{LeaveReason, Message, Room};
pub use pacing::{Refusal, Refused};
pub use rights::{
    ADDRESS_AGE_MAX, Address, Claim, MACHINE_AGE_MAX, MACHINES_MAX, MachineKey, Outcome, PortId,
    PortNonce, Proof, Rights, SpokenFor, Verdict, Voice, is_group,
};
pub use sharing::BRAKED_IN_VAIN_MAX;
pub use status::{Flag, FlowStatus, RoleStatus, Status, TransferStatus};
pub use time::{Date, Duration, Instant};
pub use types::{
    Epoch, HostId, LogIndex, MachineId, Mode, NodeId, Nonce, Record, TakeoverTimes, TransferId,
};
