//! Decoding and encoding undo each other.

use isa::table::TABLE;
use isa::{Insn, Op, decode};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Whatever decodes as a 32-bit instruction encodes to the same bits.
    #[test]
    fn any_word_survives(word in any::<u32>()) {
        let word = word | 3;
        prop_assert_eq!(decode(word).encode(), word);
    }

    /// Every row, with its operand bits at random.
    #[test]
    fn any_operands_survive(row in 0..TABLE.len(), noise in any::<u32>()) {
        let row = &TABLE[row];
        let word = row.matching | noise & !row.mask;
        let insn = decode(word);
        if insn.op == Op::Illegal {
            prop_assert!(row.format.has_rounding() && matches!(word >> 12 & 7, 5 | 6));
        } else {
            prop_assert_eq!(insn.op, row.op);
        }
        prop_assert_eq!(insn.assembled(), insn);
    }

    /// The 32-bit encoding of a compressed instruction's expansion means the same.
    #[test]
    fn any_expansion_survives(rest in any::<u16>(), quadrant in 0u16..3) {
        let insn = decode(u32::from(rest & !3 | quadrant));
        if insn.op != Op::Illegal {
            let long = decode(insn.encode());
            prop_assert_eq!(long, Insn { bits: long.bits, length: 4, ..insn });
        }
    }
}

#[test]
fn no_word_matches_two_rows() {
    for (number, a) in TABLE.iter().enumerate() {
        assert_eq!(a.matching & !a.mask, 0, "{}", a.mnemonic);
        assert_eq!(a.op as usize, number);
        for b in &TABLE[number + 1..] {
            let both = a.mask & b.mask;
            assert_ne!(
                a.matching & both,
                b.matching & both,
                "{} {}",
                a.mnemonic,
                b.mnemonic
            );
        }
    }
}
