//! A guest whose code is hard to forget: many pages, each entered in many places, in turns, so that every part of the
//! cache holds a little of the code of every page.

/// Pages of code, besides the first and the last.
const PAGES: usize = 60_000;
const PAGE_BYTES: usize = 4096;
/// Places in a page: as many as one jump by a register reaches.
const PLACES: usize = 64;
const PLACE_BYTES: usize = 32;
/// It goes round twice.
pub(crate) const POSITIONS: u64 = 2 * (PAGES * PLACES) as u64 * 2;

/// `auipc t1, 1`: the address of the second page, when executed at the start of the first.
const AUIPC: u32 = 1 << 12 | 6 << 7 | 0x17;
/// `addi t0, t0, 1`
const ADDI: u32 = 1 << 20 | 5 << 15 | 5 << 7 | 0x13;

/// `jal zero, OFFSET`, for one below a MiB.
fn jump(offset: u32) -> u32 {
    (offset >> 12 & 0xff) << 12 | (offset >> 11 & 1) << 20 | (offset >> 1 & 0x3ff) << 21 | 0x6f
}

/// `jalr zero, OFFSET(t1)`
fn jump_by_register(offset: u32) -> u32 {
    offset << 20 | 6 << 15 | 0x67
}

/// Each page leads to the same place of the next, the last one to the next place of the first.
pub(crate) fn image() -> Vec<u8> {
    let mut image = vec![0; (PAGES + 2) * PAGE_BYTES];
    let mut put = |at: usize, words: [u32; 2]| {
        for (word, bytes) in words.iter().zip(image[at..].chunks_mut(4)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    };
    put(0, [AUIPC, jump(PAGE_BYTES as u32 - 4)]);
    for page in 1..=PAGES {
        for place in 0..PLACES {
            let at = page * PAGE_BYTES + place * PLACE_BYTES;
            put(at, [ADDI, jump(PAGE_BYTES as u32)]);
        }
    }
    for place in 0..PLACES {
        let at = (PAGES + 1) * PAGE_BYTES + place * PLACE_BYTES;
        let next = (place + 1) % PLACES * PLACE_BYTES;
        put(at, [ADDI, jump_by_register(next as u32)]);
    }
    image
}
