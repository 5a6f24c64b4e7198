//! What the generator of streams promises.

use std::collections::BTreeSet;

use isa::table::TABLE;
use isa::{Format, Op, decode};
use torture::generate::{self, BASE, Options, STACK};

fn streams() -> Vec<Vec<isa::Insn>> {
    (0..64)
        .map(|seed| generate::stream(seed, 500, &Options::default()))
        .collect()
}

#[test]
fn a_seed_is_a_stream() {
    assert_eq!(streams(), streams());
    assert_ne!(streams()[0], streams()[1]);
}

#[test]
fn every_instruction_without_privilege_appears() {
    let seen: BTreeSet<Op> = streams().concat().iter().map(|insn| insn.op).collect();
    for row in TABLE {
        let expected = !matches!(row.format, Format::Bare | Format::FenceVma);
        assert_eq!(seen.contains(&row.op), expected, "{}", row.mnemonic);
    }
}

#[test]
fn instructions_are_as_they_decode_and_spare_the_bases() {
    for insn in streams().concat() {
        assert_eq!(decode(insn.bits), insn);
        let spares = !matches!(insn.rd, BASE | STACK) || !insn.op.format().writes_x();
        assert!(spares, "{insn}");
    }
}

#[test]
fn targets_are_instructions_ahead() {
    for stream in streams() {
        let mut starts = vec![0i64];
        for insn in &stream {
            starts.push(starts[starts.len() - 1] + i64::from(insn.length));
        }
        for (number, insn) in stream.iter().enumerate() {
            let from = match insn.op.format() {
                Format::Branch | Format::Jump => starts[number],
                // The register holds the address of the instruction before.
                Format::Indirect => {
                    let before = &stream[number - 1];
                    assert_eq!((before.op, before.rd), (Op::Auipc, insn.rs1));
                    starts[number - 1]
                }
                _ => continue,
            };
            let target = from + i64::from(insn.imm & !1);
            assert!(target > starts[number], "{insn}");
            assert!(starts.binary_search(&target).is_ok(), "{insn}");
        }
    }
}
