//! Inputs that wait for a recording machine.

use machine::Input;
use std::collections::VecDeque;

/// A bounded queue, in which frames that the guest does not take leave room for all else.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) waiting: VecDeque<Input>,
    /// Most frames, and most others.
    max: usize,
    pub(crate) dropped: u64,
}

impl Inputs {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            max,
            dropped: 0,
        }
    }

    /// Takes an input, or drops it for want of room. The wish to switch off always has some, and once is enough; so has a
    /// completion, of which the machine awaits no more than it has requested.
    pub(crate) fn push(&mut self, input: Input) {
        let is_off = |input: &Input| matches!(input, Input::PowerOff);
        if is_off(&input) && self.waiting.iter().any(is_off) {
            return;
        }
        let must_come = matches!(input, Input::PowerOff | Input::Completion(_));
        if must_come || self.has_room_for(&input) {
            self.waiting.push_back(input);
        } else {
            self.dropped += 1;
        }
    }

    fn has_room_for(&self, input: &Input) -> bool {
        let is_frame = |input: &Input| matches!(input, Input::Frame { .. });
        let alike = |other: &&Input| is_frame(other) == is_frame(input);
        self.waiting.len() < self.max || self.waiting.iter().filter(alike).count() < self.max
    }

    /// Typed bytes among them.
    pub(crate) fn typed_bytes(&self) -> u64 {
        self.waiting.iter().map(Input::typed_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_room_beside_frames_that_nobody_takes() {
        const MAX: usize = 8;
        let mut inputs = Inputs::new(MAX);
        for _ in 0..2 * MAX {
            inputs.push(Input::Frame {
                device: 0,
                frame: vec![0; 60],
            });
        }
        assert_eq!((inputs.waiting.len(), inputs.dropped), (MAX, MAX as u64));
        for _ in 0..2 * MAX {
            inputs.push(Input::Console(b"ip link set up".to_vec()));
        }
        assert_eq!(
            (inputs.waiting.len(), inputs.dropped),
            (2 * MAX, 2 * MAX as u64)
        );
        for _ in 0..2 {
            inputs.push(Input::PowerOff);
        }
        assert_eq!(
            (inputs.waiting.len(), inputs.dropped),
            (2 * MAX + 1, 2 * MAX as u64)
        );
    }
}
