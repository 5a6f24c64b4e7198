//! What every sink of the machine's outputs does: once a newer epoch has spoken, older ones are not heard (I5).

use crate::types::Epoch;

/// The newest epoch that a sink has heard from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    newest: Epoch,
}

impl Fence {
    /// Whether something stamped with `epoch` may pass; a newer epoch raises the fence.
    pub fn admit(&mut self, epoch: Epoch) -> bool {
        if epoch < self.newest {
            return false;
        }
        self.newest = epoch;
        true
    }

    /// The newest epoch heard.
    pub fn newest(&self) -> Epoch {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_epoch_is_refused_once_a_newer_one_was_heard() {
        let mut fence = Fence::default();
        assert!(fence.admit(Epoch(2)));
        assert!(fence.admit(Epoch(2)));
        assert!(fence.admit(Epoch(5)));
        assert!(!fence.admit(Epoch(4)));
        assert_eq!(fence.newest(), Epoch(5));
    }
}
