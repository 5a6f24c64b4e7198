//! The thread that asks the arbiter's store. A store on a network may hang for minutes; the node never does, because
//! each request is answered `Unavailable` when its time is up, and a late effect is what the protocol expects.

use super::{ArbiterStore, SwapResult};
use anyhow::Context;
use replication::{ArbiterOperation, ArbiterReply, RequestId};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

/// Requests that may wait behind a hanging one.
const REQUESTS_MAX: usize = 8;

/// An answer as the store gave it, with the cause where there is none.
#[derive(Debug)]
pub struct ArbiterAnswer {
    /// The request.
    pub request: RequestId,
    /// For the protocol.
    pub reply: ArbiterReply,
    /// Why `reply` is `Unavailable`.
    pub cause: Option<String>,
}

/// Handle of the thread. Dropping it lets the thread end after the request it is in.
#[derive(Debug)]
pub struct ArbiterWorker {
    requests: SyncSender<(RequestId, ArbiterOperation)>,
}

impl ArbiterWorker {
    /// Starts the thread. `answer` is called on it, once for each request that was accepted; it returns whether anyone
    /// still listens.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        store: Box<dyn ArbiterStore>,
        answer: impl Fn(ArbiterAnswer) -> bool + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (requests, receiver) = sync_channel(REQUESTS_MAX);
        thread::Builder::new()
            .name("arbiter".to_owned())
            .spawn(move || serve(store, &receiver, answer))
            .context("cannot start the arbiter thread")?;
        Ok(Self { requests })
    }

    /// Asks. Where the thread is stuck and its queue full, the answer is given back at once.
    pub fn ask(&self, request: RequestId, operation: ArbiterOperation) -> Option<ArbiterAnswer> {
        match self.requests.try_send((request, operation)) {
            Ok(()) => None,
            Err(error) => Some(ArbiterAnswer {
                request,
                reply: ArbiterReply::Unavailable,
                cause: Some(match error {
                    TrySendError::Full(_) => "the arbiter's store does not answer".to_owned(),
                    TrySendError::Disconnected(_) => "the arbiter thread has ended".to_owned(),
                }),
            }),
        }
    }
}

fn serve(
    mut store: Box<dyn ArbiterStore>,
    requests: &Receiver<(RequestId, ArbiterOperation)>,
    answer: impl Fn(ArbiterAnswer) -> bool,
) {
    while let Ok((request, operation)) = requests.recv() {
        let result = match operation {
            ArbiterOperation::Read => store.read().map(ArbiterReply::Current),
            ArbiterOperation::Swap { expected, new } => {
                store.swap(expected, new).map(|result| match result {
                    SwapResult::Done => ArbiterReply::Current(Some(new)),
                    SwapResult::Refused(current) => ArbiterReply::Refused(current),
                })
            }
        };
        let (reply, cause) = match result {
            Ok(reply) => (reply, None),
            Err(error) => (ArbiterReply::Unavailable, Some(format!("{error:#}"))),
        };
        if !answer(ArbiterAnswer {
            request,
            reply,
            cause,
        }) {
            return;
        }
    }
}
