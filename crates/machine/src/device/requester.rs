//! A device for tests, which no machine has unless a test adds it ([`crate::Machine::add_requester`]): it asks the host
//! questions, and is what disks will be to requests.
//!
//! | offset | double word |
//! |---|---|
//! | 0x00 | address of a question |
//! | 0x08 | its bytes |
//! | 0x10 | address for the answer |
//! | 0x18 | written: asks; read: the number of the newest request, 0 if it was refused |
//! | 0x20 | read: how many were answered; written: lowers the interrupt line |
//! | 0x28 | bytes of the newest answer |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::GuestAddr;
use crate::ram::Ram;
use crate::request::{REQUEST_BYTES_MAX, RequestId, Requests, Task};

/// Bytes of its registers.
pub(crate) const BYTES: u64 = 0x30;

/// The device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requester {
    question: u64,
    question_bytes: u64,
    answer: u64,
    newest: u64,
    answered: u64,
    answer_bytes: u64,
    line: bool,
    /// Where the answers to pending requests go.
    places: BTreeMap<RequestId, u64>,
}

impl Requester {
    pub(crate) fn load(&self, offset: u64) -> u64 {
        match offset {
            0x00 => self.question,
            0x08 => self.question_bytes,
            0x10 => self.answer,
            0x18 => self.newest,
            0x20 => self.answered,
            _ => self.answer_bytes,
        }
    }

    pub(crate) fn store(&mut self, offset: u64, value: u64, ram: &Ram, requests: &mut Requests) {
        match offset {
            0x00 => self.question = value,
            0x08 => self.question_bytes = value,
            0x10 => self.answer = value,
            0x18 => self.newest = self.ask(ram, requests).unwrap_or_default().0,
            0x20 => self.line = false,
            _ => {}
        }
    }

    fn ask(&mut self, ram: &Ram, requests: &mut Requests) -> Option<RequestId> {
        let bytes = usize::try_from(self.question_bytes).ok();
        let bytes = bytes.filter(|bytes| *bytes <= REQUEST_BYTES_MAX)?;
        let mut question = vec![0; bytes];
        ram.read(GuestAddr(self.question), &mut question).ok()?;
        let id = requests.make(Task::Answer(question))?;
        self.places.insert(id, self.answer);
        Some(id)
    }

    /// An answer comes in. One for which the guest named no memory is dropped.
    pub(crate) fn complete(&mut self, id: RequestId, answer: &[u8], ram: &mut Ram) {
        if let Some(place) = self.places.remove(&id) {
            let _ = ram.write(GuestAddr(place), answer);
            self.answered += 1;
            self.answer_bytes = answer.len() as u64;
            self.line = true;
        }
    }

    /// Level of the interrupt line.
    pub(crate) fn line(&self) -> bool {
        self.line
    }

    /// Whether it waits for just these.
    pub(crate) fn waits_for(&self, pending: impl Iterator<Item = RequestId>) -> bool {
        self.places.keys().copied().eq(pending)
    }
}
