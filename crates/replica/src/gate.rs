//! Holds what the machine says until it may leave (primary), or until it is known to have left (backup).

use machine::Output;
use replication::LogIndex;
use std::collections::VecDeque;

/// Memory that an output takes beside its bytes, about.
const OVERHEAD_BYTES: usize = 64;

/// Outputs in the order of the log, each with the index of its mark.
#[derive(Debug)]
pub(crate) struct OutputGate {
    held: VecDeque<(LogIndex, Vec<Output>)>,
    /// Marks up to here have left, wherever they were held.
    left: LogIndex,
    bytes: usize,
    bytes_max: usize,
}

impl OutputGate {
    /// A gate that is full when it holds about `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            held: VecDeque::new(),
            left: LogIndex(0),
            bytes: 0,
            bytes_max,
        }
    }

    /// Holds the outputs of the mark at `index`, which is above all before. Those that have left already are
    /// forgotten at once.
    pub(crate) fn hold(&mut self, index: LogIndex, outputs: Vec<Output>) {
        if index <= self.left {
            return;
        }
        debug_assert!(self.held.back().is_none_or(|(last, _)| *last < index));
        self.bytes += size(&outputs);
        self.held.push_back((index, outputs));
    }

    /// Takes out the outputs of all marks up to `up_to`, in order; those that come later go the same way.
    pub(crate) fn release(&mut self, up_to: LogIndex) -> Vec<Output> {
        self.left = self.left.max(up_to);
        let mut released = Vec::new();
        while let Some((index, _)) = self.held.front() {
            if *index > up_to {
                break;
            }
            let Some((_, outputs)) = self.held.pop_front() else {
                break;
            };
            self.bytes -= size(&outputs);
            released.extend(outputs);
        }
        released
    }

    /// Takes out everything, in order.
    pub(crate) fn release_all(&mut self) -> Vec<Output> {
        let last = self.held.back().map(|(index, _)| *index);
        last.map_or_else(Vec::new, |last| self.release(last))
    }

    /// Forgets the oldest mark's outputs; false if there are none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        let oldest = self.held.front().map(|(index, _)| *index);
        oldest.inspect(|index| drop(self.release(*index))).is_some()
    }

    /// Forgets everything, also what has left.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    /// Marks held.
    #[cfg(test)]
    pub(crate) fn marks(&self) -> usize {
        self.held.len()
    }

    /// Bytes held, about.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds as much as it should: the primary must stand still until some has left.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }
}

fn size(outputs: &[Output]) -> usize {
    let bytes = outputs.iter().map(|output| match output {
        Output::Console(bytes) => bytes.len(),
        Output::Frame { frame, .. } => frame.len(),
    });
    bytes.map(|bytes| bytes + OVERHEAD_BYTES).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_leave_in_order_and_only_up_to_the_mark() {
        let say = |text: &str| vec![Output::Console(text.as_bytes().to_vec())];
        let mut gate = OutputGate::new(150);
        gate.hold(LogIndex(3), say("a"));
        assert!(!gate.is_full());
        gate.hold(LogIndex(5), say("b"));
        gate.hold(LogIndex(9), say("c"));
        assert!(gate.is_full());
        assert_eq!(gate.release(LogIndex(2)), vec![]);
        assert_eq!(gate.release(LogIndex(5)), [say("a"), say("b")].concat());
        assert_eq!(gate.marks(), 1);
        assert_eq!(gate.release_all(), say("c"));
        assert_eq!((gate.marks(), gate.bytes()), (0, 0));
    }

    #[test]
    fn what_has_left_is_not_held_again() {
        let mut gate = OutputGate::new(1_000);
        assert_eq!(gate.release(LogIndex(7)), vec![]);
        gate.hold(LogIndex(7), vec![Output::Console(vec![1])]);
        gate.hold(LogIndex(8), vec![Output::Console(vec![2])]);
        assert_eq!(gate.release_all(), vec![Output::Console(vec![2])]);
        gate.clear();
        gate.hold(LogIndex(2), vec![Output::Console(vec![3])]);
        assert_eq!(gate.marks(), 1);
    }
}
