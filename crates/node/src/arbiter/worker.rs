//! The thread that asks the arbiter's store. A store on a network may hang for minutes; the node never does. The protocol
//! has its own patience, and an answer that comes later still counts; meanwhile one request waits, and no more.

use super::{ArbiterStore, SwapResult};
use anyhow::Context;
use replication::{ArbiterDesk, ArbiterOperation, ArbiterReply, RequestId};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// An answer as the store gave it, with the cause where there is none.
#[derive(Debug)]
pub struct ArbiterAnswer {
    /// The request.
    pub request: RequestId,
    /// For the protocol.
    pub reply: ArbiterReply,
    /// Whether it was asked to write.
    pub wrote: bool,
    /// Why `reply` is `Unavailable`, or, where it was read, why it could not be written.
    pub cause: Option<String>,
}

/// Handle of the thread. Dropping it lets the thread end after the request it is in.
#[derive(Debug)]
pub struct ArbiterWorker {
    desk: Arc<Mutex<ArbiterDesk>>,
    /// Holds at most one request: the desk gives it only to a thread that waits.
    requests: Sender<(RequestId, ArbiterOperation)>,
}

impl ArbiterWorker {
    /// Starts the thread. `answer` is called on it, at most once for each request; it returns whether anyone still
    /// listens.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        store: Box<dyn ArbiterStore>,
        answer: impl Fn(ArbiterAnswer) -> bool + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (requests, receiver) = channel();
        let desk = Arc::new(Mutex::new(ArbiterDesk::default()));
        let on_thread = Arc::clone(&desk);
        thread::Builder::new()
            .name("arbiter".to_owned())
            .spawn(move || serve(store, &receiver, &on_thread, answer))
            .context("cannot start the arbiter thread")?;
        Ok(Self { desk, requests })
    }

    /// Asks. While the store is busy the newest request waits, by the rules of [`ArbiterDesk`]; one that loses its place is
    /// not answered. Where the thread is gone, the answer is given back at once.
    pub fn ask(&self, request: RequestId, operation: ArbiterOperation) -> Option<ArbiterAnswer> {
        let (request, operation) = lock(&self.desk).ask(request, operation)?;
        self.requests.send((request, operation)).err()?;
        Some(ArbiterAnswer {
            request,
            reply: ArbiterReply::Unavailable,
            wrote: false,
            cause: Some("the arbiter thread has ended".to_owned()),
        })
    }

    /// Requests that lost their place before a store that was busy.
    pub fn passed_over(&self) -> u64 {
        lock(&self.desk).passed_over()
    }
}

fn lock(desk: &Mutex<ArbiterDesk>) -> MutexGuard<'_, ArbiterDesk> {
    // Nothing panics while it is held; if so, its counters are still what they were.
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    mut store: Box<dyn ArbiterStore>,
    requests: &Receiver<(RequestId, ArbiterOperation)>,
    desk: &Mutex<ArbiterDesk>,
    answer: impl Fn(ArbiterAnswer) -> bool,
) {
    while let Ok(first) = requests.recv() {
        let mut next = Some(first);
        while let Some((request, operation)) = next {
            if let Some(given) = contained(store.as_mut(), request, operation)
                && !answer(given)
            {
                return;
            }
            store.catch_up();
            next = lock(desk).served();
        }
    }
}

/// A panic in a store is an answer like an error: without the arbiter nobody could take over.
fn contained(
    store: &mut dyn ArbiterStore,
    request: RequestId,
    operation: ArbiterOperation,
) -> Option<ArbiterAnswer> {
    let performed = catch_unwind(AssertUnwindSafe(|| perform(store, request, operation)));
    performed.unwrap_or_else(|_| {
        Some(ArbiterAnswer {
            request,
            reply: ArbiterReply::Unavailable,
            wrote: false,
            cause: Some("the store's code panicked, which is a bug in Futago".to_owned()),
        })
    })
}

/// Carries out one request; a preparation that succeeds needs no answer.
fn perform(
    store: &mut dyn ArbiterStore,
    request: RequestId,
    operation: ArbiterOperation,
) -> Option<ArbiterAnswer> {
    let result = match operation {
        ArbiterOperation::Read => store.read().map(|record| {
            let writable = store.look_whether_writable();
            (
                ArbiterReply::Current(record),
                writable.err().map(|error| format!("{error:#}")),
            )
        }),
        ArbiterOperation::Swap { expected, new } => {
            store.swap(expected, new).map(|result| match result {
                SwapResult::Done => (ArbiterReply::Current(Some(new)), None),
                SwapResult::Refused(current) => (ArbiterReply::Refused(current), None),
            })
        }
        ArbiterOperation::Prepare { new } => match store.prepare(new) {
            Ok(()) => return None,
            Err(error) => Err(error),
        },
    };
    let (reply, cause) = match result {
        Ok(answer) => answer,
        Err(error) => (ArbiterReply::Unavailable, Some(format!("{error:#}"))),
    };
    Some(ArbiterAnswer {
        request,
        reply,
        wrote: !matches!(operation, ArbiterOperation::Read),
        cause,
    })
}
