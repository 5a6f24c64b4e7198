//! What one peer may make this node hold between the network and the controller. At the bound nothing more is read, and QUIC's flow
//! control makes the peer wait.

use replication::Message;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of messages of one peer that were read and not yet dealt with, in bytes.
pub const RECEIVED_BYTES_MAX: usize = 32 << 20;
/// What an entry costs beside its own bytes.
const ENTRY_BYTES: usize = 64;

/// A share of [`RECEIVED_BYTES_MAX`], which is free again when this is dropped.
#[derive(Debug)]
pub struct Held {
    _permit: Option<OwnedSemaphorePermit>,
}

/// What one peer makes this node hold.
#[derive(Clone, Debug)]
pub(super) struct Holding(Arc<Semaphore>);

impl Default for Holding {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(RECEIVED_BYTES_MAX)))
    }
}

impl Holding {
    /// Waits until there is room for a message that was read from so many bytes.
    pub(super) async fn take(&self, bytes: usize, message: &Message) -> Held {
        let entries = match message {
            Message::Append { entries, .. } => entries.len(),
            _ => 0,
        };
        self.take_bytes(bytes + entries * ENTRY_BYTES).await
    }

    /// Waits until nothing is held.
    pub(super) async fn take_all(&self) -> Held {
        self.take_bytes(RECEIVED_BYTES_MAX).await
    }

    async fn take_bytes(&self, bytes: usize) -> Held {
        let bytes = u32::try_from(bytes.min(RECEIVED_BYTES_MAX)).expect("the bound is 32 MiB");
        // It is never closed.
        let permit = Arc::clone(&self.0).acquire_many_owned(bytes).await;
        Held {
            _permit: permit.ok(),
        }
    }
}
