//! Digests: short enough for the log, and telling where two machines differ.

use serde::{Deserialize, Serialize};

use crate::Position;
use crate::ram::{PAGE_BYTES, RAM_BASE, Ram};

/// Number of buckets that the pages of memory are sorted into, by address.
const BUCKETS: usize = 64;

/// Hashes of the whole state at one position, of memory only the pages written since the digest before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Where it was taken.
    pub position: Position,
    /// Size of memory in pages.
    pages: u64,
    /// Of everything below, not truncated further: what makes two digests equal.
    whole: u64,
    /// Two bytes of a hash for each register, in the order of [`register_name`].
    registers: Vec<u8>,
    /// Four bytes of a hash for each device.
    devices: Vec<(String, u32)>,
    /// The translation caches.
    tlb: u32,
    /// Number of pages written.
    written: u64,
    /// Which buckets have written pages.
    buckets: u64,
    /// Four bytes of a hash for each such bucket.
    bucket_hashes: Vec<u32>,
}

/// What a digest is made of.
pub(crate) struct Parts<'a> {
    pub(crate) position: Position,
    pub(crate) registers: &'a [u64],
    pub(crate) devices: &'a [(String, Vec<u8>)],
    pub(crate) tlb: blake3::Hash,
    pub(crate) ram: &'a Ram,
}

fn truncate<const N: usize>(hash: &blake3::Hash) -> [u8; N] {
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// Two bytes that differ between most values: registers are many, and a digest is short.
fn fold(value: u64) -> [u8; 2] {
    // Multiplication by an odd constant spreads each input bit to the bits above it.
    let mixed = (value ^ value >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 48) as u16).to_le_bytes()
}

impl Digest {
    pub(crate) fn new(parts: &Parts<'_>) -> Digest {
        let mut whole = blake3::Hasher::new();
        whole.update(&parts.position.0.to_le_bytes());
        let mut registers = Vec::with_capacity(parts.registers.len() * 2);
        for &value in parts.registers {
            whole.update(&value.to_le_bytes());
            registers.extend_from_slice(&fold(value));
        }
        let devices = (parts.devices.iter())
            .map(|(name, state)| {
                let hash = blake3::hash(state);
                whole.update(hash.as_bytes());
                (name.clone(), u32::from_le_bytes(truncate(&hash)))
            })
            .collect();
        whole.update(parts.tlb.as_bytes());

        let pages = parts.ram.pages();
        let mut hashers: [Option<blake3::Hasher>; BUCKETS] = [const { None }; BUCKETS];
        let mut written = 0;
        for page in parts.ram.dirty_pages() {
            let hasher = hashers[page * BUCKETS / pages].get_or_insert_default();
            hasher.update(&(page as u64).to_le_bytes());
            hasher.update(parts.ram.page(page));
            written += 1;
        }
        let mut buckets = 0;
        let mut bucket_hashes = Vec::new();
        for (bucket, hasher) in hashers.iter().enumerate() {
            if let Some(hasher) = hasher {
                let hash = hasher.finalize();
                whole.update(hash.as_bytes());
                buckets |= 1 << bucket;
                bucket_hashes.push(u32::from_le_bytes(truncate(&hash)));
            }
        }
        Digest {
            position: parts.position,
            pages: pages as u64,
            whole: u64::from_le_bytes(truncate(&whole.finalize())),
            registers,
            devices,
            tlb: u32::from_le_bytes(truncate(&parts.tlb)),
            written,
            buckets,
            bucket_hashes,
        }
    }

    fn bucket(&self, bucket: usize) -> Option<u32> {
        if self.buckets >> bucket & 1 == 0 {
            return None;
        }
        let place = (self.buckets & ((1 << bucket) - 1)).count_ones() as usize;
        self.bucket_hashes.get(place).copied()
    }

    /// What differs between two machines that should be equal, a phrase each; empty if nothing does. The
    /// other digest may come from a peer.
    pub fn compare(&self, other: &Digest) -> Vec<String> {
        let mut phrases = Vec::new();
        if self == other {
            return phrases;
        }
        let mut differ = |a: u64, b: u64, what: &str| {
            if a != b {
                phrases.push(format!("{what} ({a} and {b})"));
            }
        };
        differ(
            self.position.0,
            other.position.0,
            "the position of the digest",
        );
        differ(self.pages, other.pages, "the number of pages of memory");
        differ(self.written, other.written, "the number of written pages");
        let ours = self.registers.chunks(2);
        for (index, (a, b)) in ours.zip(other.registers.chunks(2)).enumerate() {
            if a != b {
                phrases.push(format!("register {}", crate::hart::register_name(index)));
            }
        }
        for ((name, a), (other_name, b)) in self.devices.iter().zip(&other.devices) {
            if name != other_name {
                phrases.push(format!("which device {name} is"));
            } else if a != b {
                phrases.push(format!("device {name}"));
            }
        }
        if self.tlb != other.tlb {
            phrases.push("the translation caches".to_owned());
        }
        for bucket in 0..BUCKETS {
            if self.bucket(bucket) != other.bucket(bucket) {
                let start = |bucket: u64| {
                    let page = u128::from(bucket) * u128::from(self.pages);
                    let bytes = page.div_ceil(BUCKETS as u128) as u64;
                    RAM_BASE.wrapping_add(bytes.wrapping_mul(PAGE_BYTES as u64))
                };
                phrases.push(format!(
                    "a page among {:#x}..{:#x}",
                    start(bucket as u64),
                    start(bucket as u64 + 1)
                ));
            }
        }
        if phrases.is_empty() {
            phrases.push("something that only the hash of the whole shows".to_owned());
        }
        phrases
    }
}
