//! What is scheduled to happen in a cluster.

use crate::intruders::Lie;
use crate::network::ProcessIndex;
use crate::people::Errand;
use crate::process::Arrival;
use crate::toy::{Reply, Request};
use machine::Completion;
use replication::{ArbiterOperation, Epoch, RequestId};

/// What is scheduled to happen.
#[derive(Debug)]
pub(crate) enum Happening {
    Arrives {
        to: ProcessIndex,
        channel: Option<u64>,
        from: ProcessIndex,
        arrival: Arrival,
    },
    Timer {
        process: ProcessIndex,
        due: u64,
    },
    Slice {
        process: ProcessIndex,
        due: u64,
    },
    Channels,
    Clients,
    Faults,
    RequestReaches {
        request: Request,
        to: ProcessIndex,
    },
    ReplyReachesSwitch {
        from: ProcessIndex,
        epoch: Epoch,
        frame: Vec<u8>,
    },
    ReplyReachesClient {
        reply: Reply,
    },
    /// A host has done what its machine asked for.
    CarriedOut {
        by: ProcessIndex,
        completion: Completion,
    },
    Announcement {
        from: ProcessIndex,
        epoch: Epoch,
    },
    ArbiterHears {
        from: ProcessIndex,
        request: RequestId,
        operation: ArbiterOperation,
    },
    LateEffect {
        from: ProcessIndex,
        operation: ArbiterOperation,
    },
    Restart {
        host: usize,
    },
    PortCloses {
        process: ProcessIndex,
    },
    Neighbours,
    Errand(Errand),
    Intrudes(usize),
    Lie(Lie),
}
