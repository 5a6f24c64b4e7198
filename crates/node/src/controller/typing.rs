//! What is typed at consoles and waits for the guest to read what went before: a guest that reads slowly, or is not the machine
//! yet, loses nothing.

use crate::executor_thread::ExecutorThread;
use crate::keyboard::TYPED_WAITING_MAX;
use machine::Input;
use replica::Command;
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// What waits to be typed: one piece of each console that is attached, since each waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Typing {
    waiting: VecDeque<(Vec<u8>, oneshot::Sender<()>)>,
    /// Bytes that the executor was given so far.
    given: u64,
}

impl Typing {
    /// Takes a piece; who typed it hears when it has been given to the machine, and after an empty one when the guest has read
    /// all that was typed before.
    pub(super) fn take(&mut self, bytes: Vec<u8>, taken: oneshot::Sender<()>) {
        // Of those who have left, nothing is typed any more.
        self.waiting.retain(|(_, taken)| !taken.is_closed());
        self.waiting.push_back((bytes, taken));
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Gives the executor of the primary what there is room for.
    pub(super) fn go_on(&mut self, executor: &mut ExecutorThread) {
        while let Some((bytes, _)) = self.waiting.front() {
            let status = executor.status();
            // Until it has come to all that it was given, it cannot say what waits.
            let is_known = status.typed == self.given;
            let room = if bytes.is_empty() {
                0
            } else {
                TYPED_WAITING_MAX
            };
            if !is_known || status.typed_waiting > room || !executor.takes_inputs() {
                return;
            }
            let Some((bytes, taken)) = self.waiting.pop_front() else {
                return;
            };
            if !bytes.is_empty() {
                self.given += bytes.len() as u64;
                executor.send(Command::Input(Input::Console(bytes)));
            }
            // Whoever typed it may have left.
            let _ = taken.send(());
        }
    }
}
