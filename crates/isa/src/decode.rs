//! From bits to [`Insn`]. Rows of the table are found by major opcode and `funct3`, so that only the
//! few that share both are compared.

use crate::compressed;
use crate::insn::Insn;
use crate::table::TABLE;

const BUCKETS: usize = 32 * 8;

/// Rows by bucket: `rows[starts[b]..starts[b + 1]]` are those of bucket `b`. A row without a fixed
/// `funct3` is in all eight buckets of its opcode.
struct Index {
    starts: [u16; BUCKETS + 1],
    rows: [u8; CANDIDATES],
}

const CANDIDATES: usize = count_candidates();
static INDEX: Index = build_index();

/// The instruction at the start of `bits`. If the lowest two bits say that it is compressed, the upper
/// half is ignored. Whatever the manual reserves is [`crate::Op::Illegal`].
#[must_use]
pub fn decode(bits: u32) -> Insn {
    if bits & 3 != 3 {
        // The low half.
        return compressed::decode(bits as u16);
    }
    let bucket = bucket_of(bits);
    let rows = usize::from(INDEX.starts[bucket])..usize::from(INDEX.starts[bucket + 1]);
    for &row in &INDEX.rows[rows] {
        let row = &TABLE[usize::from(row)];
        if bits & row.mask == row.matching {
            return row.format.extract(row.op, bits);
        }
    }
    Insn::illegal(bits, 4)
}

/// The instruction at the start of `bytes`, prepared by [`Insn::with_sink`]; `None` if they do not hold all of it.
#[must_use]
pub fn decode_first(bytes: &[u8]) -> Option<Insn> {
    let low = u16::from_le_bytes(*bytes.first_chunk()?);
    let bits = match Insn::length_of(low) {
        2 => low.into(),
        _ => u32::from_le_bytes(*bytes.first_chunk()?),
    };
    Some(decode(bits).with_sink())
}

const fn bucket_of(bits: u32) -> usize {
    ((bits >> 2 & 31) << 3 | bits >> 12 & 7) as usize
}

/// Whether row `row` can match bits of bucket `bucket`.
const fn belongs(row: usize, bucket: usize) -> bool {
    let fixed = TABLE[row].mask & 0x707f;
    let bits = ((bucket as u32 >> 3) << 2 | 3) | (bucket as u32 & 7) << 12;
    bits & fixed == TABLE[row].matching & fixed
}

const fn count_candidates() -> usize {
    let mut count = 0;
    let mut bucket = 0;
    while bucket < BUCKETS {
        let mut row = 0;
        while row < TABLE.len() {
            count += belongs(row, bucket) as usize;
            row += 1;
        }
        bucket += 1;
    }
    count
}

const fn build_index() -> Index {
    assert!(TABLE.len() < 256, "row numbers are bytes");
    let mut index = Index {
        starts: [0; BUCKETS + 1],
        rows: [0; CANDIDATES],
    };
    let mut count = 0;
    let mut bucket = 0;
    while bucket < BUCKETS {
        index.starts[bucket] = count as u16;
        let mut row = 0;
        while row < TABLE.len() {
            if belongs(row, bucket) {
                index.rows[count] = row as u8;
                count += 1;
            }
            row += 1;
        }
        bucket += 1;
    }
    index.starts[BUCKETS] = count as u16;
    index
}
