//! Virtio entropy device (virtio 1.2, section 5.4): bytes of a generator that is determined by its seeds.

use serde::{Deserialize, Serialize};

use super::io::Io;
use super::queue::{Queue, QueueError};

/// Most bytes that one request gets; the driver asks again for more.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// To make a byte takes as long as to move so many.
const BYTE_COST: u64 = 4;

/// BLAKE3 in extendable-output mode, keyed by all seeds so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entropy {
    key: [u8; 32],
    /// How many bytes this key has given.
    given: u64,
}

impl Entropy {
    /// Mixes in a seed. What was given before tells nothing about what follows.
    pub(super) fn seed(&mut self, seed: &[u8; 32]) {
        self.key = *blake3::keyed_hash(&self.key, seed).as_bytes();
        self.given = 0;
    }

    fn generate(&mut self, bytes: &mut [u8]) {
        let mut stream = blake3::Hasher::new_keyed(&self.key).finalize_xof();
        stream.set_position(self.given);
        stream.fill(bytes);
        self.given = self.given.wrapping_add(bytes.len() as u64);
    }

    /// Fills the buffers that the driver has made available.
    pub(super) fn fill(&mut self, queue: &mut Queue, io: &mut Io<'_>) -> Result<bool, QueueError> {
        for _ in 0..queue.waiting(io.ram)? {
            if io.turn.is_over() {
                break;
            }
            let chain = queue.pop(io.ram)?;
            if !chain.readable.is_empty() {
                return Err(QueueError::Unsuitable);
            }
            let len = chain.writable_bytes().min(REQUEST_BYTES_MAX);
            io.turn.charge(&chain, len * BYTE_COST);
            let mut bytes = vec![0; len as usize];
            self.generate(&mut bytes);
            let written = chain.write(io.ram, &bytes)?;
            queue.give_back(io.ram, chain.head, written)?;
        }
        queue.ask_notification(io.ram, 0, io.event_index())?;
        queue.publish(io.ram, io.event_index())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_depends_on_all_seeds_and_not_on_the_cut() {
        let mut one = Entropy::default();
        one.seed(&[1; 32]);
        let mut two = one.clone();
        let (mut whole, mut cut) = ([0; 100], [0; 100]);
        one.generate(&mut whole);
        two.generate(&mut cut[..33]);
        two.generate(&mut cut[33..]);
        assert_eq!(whole, cut);
        assert_ne!(whole, [0; 100]);
        let mut other = Entropy::default();
        other.seed(&[2; 32]);
        one.seed(&[3; 32]);
        other.seed(&[3; 32]);
        one.generate(&mut whole);
        other.generate(&mut cut);
        assert_ne!(whole, cut);
    }
}
