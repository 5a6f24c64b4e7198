//! What the machine's own parts ask its host for, and how that ends.
//!
//! Unlike an [`Output`](crate::Output), a request is not for the world outside, and nobody holds it back: each replica carries it
//! out by itself, as soon as it is made. How it ends is an input like any other, which the primary logs with its position.
//! Data leave guest memory when the request is made, and enter it when the completion is applied: nothing touches guest
//! memory in between. What is requested and not completed is part of the state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Requests that may be pending at a time. A device that wants more waits.
pub(crate) const REQUESTS_PENDING_MAX: usize = 64;
/// Most bytes that a request carries, and that its completion brings.
pub const REQUEST_BYTES_MAX: usize = 65_536;

/// The number of a request, from 1 on, in the order in which the machine made them: the same on every replica.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct RequestId(pub u64);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// The test device wants an answer to these bytes: whatever its host makes of them.
    Answer(Vec<u8>),
}

impl Task {
    /// Bytes that it carries.
    pub fn bytes(&self) -> usize {
        match self {
            Task::Answer(question) => question.len(),
        }
    }
}

/// Something that the host is to do for the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Which one it is.
    pub id: RequestId,
    /// What is to be done.
    pub task: Task,
}

/// How a request has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Of the request.
    pub id: RequestId,
    /// What it brings: at most [`REQUEST_BYTES_MAX`].
    pub result: Vec<u8>,
}

/// The requests of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requests {
    /// The newest that was made.
    last: RequestId,
    /// Those that are not completed.
    pending: BTreeMap<RequestId, Task>,
    /// The newest that the host was given: no part of the state.
    #[serde(skip)]
    given: RequestId,
}

impl Requests {
    /// Makes a request; `None`, without effect, if too many are pending.
    pub(crate) fn make(&mut self, task: Task) -> Option<RequestId> {
        if self.pending.len() >= REQUESTS_PENDING_MAX {
            return None;
        }
        self.last.0 += 1;
        self.pending.insert(self.last, task);
        Some(self.last)
    }

    /// Ends a request: what was to be done; `None` if it is not pending.
    pub(crate) fn complete(&mut self, id: RequestId) -> Option<Task> {
        self.pending.remove(&id)
    }

    /// The numbers of those that are not completed, in order.
    pub(crate) fn pending(&self) -> impl Iterator<Item = RequestId> {
        self.pending.keys().copied()
    }

    /// Whether none was ever made.
    pub(crate) fn is_untouched(&self) -> bool {
        self.last == RequestId(0)
    }

    /// Whether the host has not been given all that is pending.
    pub(crate) fn wait(&self) -> bool {
        self.pending
            .last_key_value()
            .is_some_and(|(id, _)| *id > self.given)
    }

    /// Those that are pending and were not given to the host, in order: it is given them now.
    pub(crate) fn take(&mut self) -> Vec<Request> {
        if !self.wait() {
            return Vec::new();
        }
        let from = RequestId(self.given.0 + 1);
        self.given = self.last;
        let new = self.pending.range(from..);
        new.map(|(id, task)| Request {
            id: *id,
            task: task.clone(),
        })
        .collect()
    }

    /// The host, which may be another one, is given all that is pending, again.
    pub(crate) fn repeat(&mut self) {
        self.given = RequestId(0);
    }

    /// Whether a machine can have such requests.
    pub(crate) fn is_possible(&self) -> bool {
        let ids = self.pending.keys();
        self.pending.len() <= REQUESTS_PENDING_MAX
            && self
                .pending
                .values()
                .all(|task| task.bytes() <= REQUEST_BYTES_MAX)
            && ids.into_iter().all(|id| (1..=self.last.0).contains(&id.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(byte: u8) -> Task {
        Task::Answer(vec![byte])
    }

    fn ids(requests: &[Request]) -> Vec<u64> {
        requests.iter().map(|request| request.id.0).collect()
    }

    #[test]
    fn each_is_given_once_and_again_to_whoever_goes_live() {
        let mut requests = Requests::default();
        assert!(requests.is_untouched() && !requests.wait() && requests.take().is_empty());
        for byte in 0..3 {
            requests.make(task(byte));
        }
        assert!(requests.wait());
        assert_eq!(ids(&requests.take()), [1, 2, 3]);
        assert!(!requests.wait() && requests.take().is_empty());
        assert_eq!(requests.complete(RequestId(2)), Some(task(1)));
        assert_eq!(requests.complete(RequestId(2)), None);
        requests.make(task(3));
        assert_eq!(ids(&requests.take()), [4]);
        let mut restored: Requests =
            postcard::from_bytes(&postcard::to_allocvec(&requests).unwrap()).unwrap();
        assert!(restored.is_possible());
        assert_eq!(
            ids(&restored.take()),
            [1, 3, 4],
            "whoever restores it has given none"
        );
        requests.repeat();
        assert_eq!(ids(&requests.take()), [1, 3, 4]);
    }

    #[test]
    fn too_many_wait() {
        let mut requests = Requests::default();
        for _ in 0..REQUESTS_PENDING_MAX {
            assert!(requests.make(task(0)).is_some());
        }
        assert_eq!(requests.make(task(0)), None);
        assert!(requests.is_possible());
        requests.complete(RequestId(1));
        let next = REQUESTS_PENDING_MAX as u64 + 1;
        assert_eq!(requests.make(task(0)), Some(RequestId(next)));
    }

    #[test]
    fn impossible_ones_are_known() {
        let mut requests = Requests::default();
        requests.make(task(0));
        requests.last = RequestId(0);
        assert!(!requests.is_possible());
        let mut requests = Requests::default();
        requests.make(Task::Answer(vec![0; REQUEST_BYTES_MAX + 1]));
        assert!(!requests.is_possible());
    }
}
