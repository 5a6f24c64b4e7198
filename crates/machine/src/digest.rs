//! Digests: short enough for the log, and telling where two machines differ.

use serde::{Deserialize, Serialize};

use crate::Position;
use crate::ram::{Observer, PAGE_BYTES, PageSet, RAM_BASE, Ram};

/// Number of buckets that the pages of memory are sorted into, by address.
const BUCKETS: usize = 64;
/// Pages of memory that one digest hashes, at most: about a millisecond's work, since the guest stands still for it.
/// Those that were written and have no room wait for the next.
pub const DIGEST_PAGES_MAX: usize = 1_024;
/// Bytes of a hash that are kept for a part of the state.
const PART: usize = 3;

/// What makes digests see memory in turn: an observer of which pages were written. Part of the machine's state.
pub(crate) struct Digester {
    observer: Observer,
    /// The page at which the next digest begins to look.
    next: usize,
}

impl Digester {
    /// Whatever memory holds now counts as seen.
    pub(crate) fn new(ram: &mut Ram) -> Digester {
        Digester {
            observer: ram.observe(),
            next: 0,
        }
    }

    /// The pages that were written since a digest last looked at them.
    pub(crate) fn written<'a>(&self, ram: &'a Ram) -> &'a PageSet {
        ram.written(&self.observer)
    }

    /// The page at which the next digest begins to look.
    pub(crate) fn next(&self) -> usize {
        self.next
    }

    /// Takes the pages that a digest hashes: at most `most`, which are seen now and no longer plain.
    pub(crate) fn choose(&mut self, ram: &mut Ram, most: usize) -> Vec<usize> {
        ram.take_written(&self.observer, &mut self.next, most)
    }

    /// Restores which pages were written, 64 a word, and where the next digest begins to look; `false` if there are more or
    /// fewer words than pages, or no such page.
    pub(crate) fn restore(&mut self, ram: &mut Ram, words: &[u64], next: u64) -> bool {
        let next = usize::try_from(next).ok();
        let next = next.filter(|next| *next < ram.pages());
        let (Some(written), Some(next)) = (PageSet::from_words(ram.pages(), words), next) else {
            return false;
        };
        ram.set_written(&self.observer, written);
        self.next = next;
        true
    }
}

/// Hashes of the state at one position: of memory only pages written since a digest last looked at them, and of those only
/// [`DIGEST_PAGES_MAX`], in turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Where it was taken.
    pub position: Position,
    /// Size of memory in pages.
    pages: u64,
    /// Of everything below, not truncated further: what makes two digests equal.
    whole: u64,
    /// Two bytes of a hash for each register, in the order of `register_name`.
    registers: Vec<u8>,
    /// Some bytes of a hash for each device.
    devices: Vec<(String, [u8; PART])>,
    /// The translation caches.
    tlb: [u8; PART],
    /// Number of pages written since a digest last looked at them.
    written: u64,
    /// Which buckets have pages that were hashed.
    buckets: u64,
    /// Some bytes of a hash for each such bucket.
    bucket_hashes: Vec<u8>,
}

/// What a digest is made of.
pub(crate) struct Parts<'a> {
    pub(crate) position: Position,
    pub(crate) registers: &'a [u64],
    pub(crate) devices: &'a [(String, Vec<u8>)],
    pub(crate) tlb: blake3::Hash,
    pub(crate) ram: &'a Ram,
    /// Number of pages written since a digest last looked at them, and those of them to hash.
    pub(crate) written: u64,
    pub(crate) chosen: &'a [usize],
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
                (name.clone(), truncate(&hash))
            })
            .collect();
        whole.update(parts.tlb.as_bytes());

        let pages = parts.ram.pages();
        let mut hashers: [Option<blake3::Hasher>; BUCKETS] = [const { None }; BUCKETS];
        for &page in parts.chosen {
            let hasher = hashers[page * BUCKETS / pages].get_or_insert_default();
            hasher.update(&(page as u64).to_le_bytes());
            hasher.update(parts.ram.page(page));
        }
        let mut buckets = 0;
        let mut bucket_hashes = Vec::new();
        for (bucket, hasher) in hashers.iter().enumerate() {
            if let Some(hasher) = hasher {
                let hash = hasher.finalize();
                whole.update(hash.as_bytes());
                buckets |= 1 << bucket;
                bucket_hashes.extend_from_slice(&truncate::<PART>(&hash));
            }
        }
        Digest {
            position: parts.position,
            pages: pages as u64,
            whole: u64::from_le_bytes(truncate(&whole.finalize())),
            registers,
            devices,
            tlb: truncate(&parts.tlb),
            written: parts.written,
            buckets,
            bucket_hashes,
        }
    }

    /// Number of pages that were hashed: what it cost to make.
    pub fn pages_hashed(&self) -> u64 {
        self.written.min(DIGEST_PAGES_MAX as u64)
    }

    /// Whether pages that were written wait for the next digest.
    pub fn is_partial(&self) -> bool {
        self.written > DIGEST_PAGES_MAX as u64
    }

    fn bucket(&self, bucket: usize) -> Option<&[u8]> {
        if self.buckets >> bucket & 1 == 0 {
            return None;
        }
        let place = (self.buckets & ((1 << bucket) - 1)).count_ones() as usize;
        self.bucket_hashes.chunks(PART).nth(place)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GuestAddr;

    const PAGES: usize = 128;

    fn digest(
        change: impl FnOnce(&mut Vec<u64>, &mut Vec<(String, Vec<u8>)>, &mut Ram, &mut Digester),
    ) -> Digest {
        let mut registers = vec![u64::MAX; 111];
        let device = |slot| (format!("virtio{slot}"), vec![1, 2, 3]);
        let mut devices: Vec<_> = (0..8).map(device).collect();
        for name in ["clint", "plic", "rtc", "uart"] {
            devices.push((name.to_owned(), Vec::new()));
        }
        let mut ram = Ram::new(PAGES * PAGE_BYTES);
        let mut digester = Digester::new(&mut ram);
        for page in 0..PAGES as u64 {
            ram.write(GuestAddr(RAM_BASE + page * 4096), &[1]).unwrap();
        }
        change(&mut registers, &mut devices, &mut ram, &mut digester);
        let written = digester.written(&ram).count() as u64;
        let chosen = digester.choose(&mut ram, DIGEST_PAGES_MAX);
        Digest::new(&Parts {
            position: Position(u64::MAX),
            registers: &registers,
            devices: &devices,
            tlb: blake3::hash(b""),
            ram: &ram,
            written,
            chosen: &chosen,
        })
    }

    #[test]
    fn says_what_differs() {
        let all = digest(|_, _, _, _| {});
        assert_eq!(all.compare(&digest(|_, _, _, _| {})), [""; 0]);
        let other = digest(|registers, devices, ram, _| {
            registers[5] = 0;
            devices[11].1.push(1);
            ram.write(GuestAddr(RAM_BASE + 5 * 4096), &[2]).unwrap();
        });
        let phrases = all.compare(&other);
        assert_eq!(
            phrases,
            [
                "register x5 (t0)",
                "device uart",
                "a page among 0x80004000..0x80006000"
            ]
        );
        let fewer = digest(|_, _, ram, digester| drop(digester.choose(ram, PAGES)));
        assert_eq!(
            all.compare(&fewer)[0],
            "the number of written pages (128 and 0)"
        );
        assert_eq!(all.compare(&fewer).len(), 65);
    }

    #[test]
    fn is_short() {
        let bytes = postcard::to_allocvec(&digest(|_, _, _, _| {})).unwrap();
        assert!(bytes.len() <= 600, "{}", bytes.len());
    }

    #[test]
    fn compares_with_anything() {
        let all = digest(|_, _, _, _| {});
        let mut odd = all.clone();
        odd.bucket_hashes.truncate(4);
        odd.registers.truncate(3);
        odd.devices.clear();
        odd.pages = u64::MAX;
        assert!(!odd.compare(&all).is_empty() && !all.compare(&odd).is_empty());
    }
}
