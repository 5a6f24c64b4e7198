//! What waits before the arbiter's store while it is busy: one request. A store may hang for minutes; what was asked
//! meanwhile must not pile up behind it, nor be worked off when nobody wants to know any more.

use crate::action::{ArbiterOperation, RequestId};

/// The place before a store that serves one request at a time.
#[derive(Debug, Default)]
pub struct ArbiterDesk {
    busy: bool,
    waiting: Option<(RequestId, ArbiterOperation)>,
    passed_over: u64,
}

impl ArbiterDesk {
    /// A request comes. It is given back if the store is free, and is to be served now; else it waits, and takes the
    /// place of what waited before, unless that is a change and this is none: a swap's answer says all that a read's
    /// would, and a store that is always slow would else never come to swap. What lost its place is never answered.
    pub fn ask(
        &mut self,
        request: RequestId,
        operation: ArbiterOperation,
    ) -> Option<(RequestId, ArbiterOperation)> {
        if !self.busy {
            self.busy = true;
            return Some((request, operation));
        }
        let weight = |operation: &ArbiterOperation| match operation {
            ArbiterOperation::Prepare { .. } => 0,
            ArbiterOperation::Read => 1,
            ArbiterOperation::Swap { .. } => 2,
        };
        self.passed_over += u64::from(self.waiting.is_some());
        let stays =
            |(_, before): &(RequestId, ArbiterOperation)| weight(before) > weight(&operation);
        if !self.waiting.as_ref().is_some_and(stays) {
            self.waiting = Some((request, operation));
        }
        None
    }

    /// The store is free again: what to serve next.
    pub fn served(&mut self) -> Option<(RequestId, ArbiterOperation)> {
        let next = self.waiting.take();
        self.busy = next.is_some();
        next
    }

    /// Requests that lost their place.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Epoch, MachineId, Mode, NodeId, Nonce, Record};

    #[test]
    fn one_request_waits_and_a_read_never_displaces_a_swap() {
        let new = Record {
            machine: MachineId(1),
            epoch: Epoch(1),
            mode: Mode::Solo,
            owner: NodeId(1),
            nonce: Nonce(1),
        };
        let swap = ArbiterOperation::Swap {
            expected: None,
            new,
        };
        let prepare = ArbiterOperation::Prepare { new };
        let read = ArbiterOperation::Read;
        let mut desk = ArbiterDesk::default();
        assert_eq!(desk.ask(RequestId(1), read), Some((RequestId(1), read)));
        for (request, operation) in (2..).zip([prepare, read, prepare, read, swap, read, prepare]) {
            assert_eq!(desk.ask(RequestId(request), operation), None);
        }
        assert_eq!(desk.passed_over(), 6);
        assert_eq!(desk.served(), Some((RequestId(6), swap)));
        assert_eq!(desk.served(), None);
        assert_eq!(desk.ask(RequestId(10), swap), Some((RequestId(10), swap)));
    }
}
