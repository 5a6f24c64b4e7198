//! Float instructions: boxing, signs, rounding modes and when they are illegal. The arithmetic has
//! tests of its own beside it.

use isa::table::TABLE;
use isa::{Format, Insn, Op, Width};

use crate::machine::{Exit, Machine};

const BASE: u64 = 0x1_0000;
const BOX: u64 = 0xffff_ffff_0000_0000;
const ONE: u64 = 0x3ff0_0000_0000_0000;
const ONE_SINGLE: u64 = BOX | 0x3f80_0000;
const NAN_SINGLE: u64 = BOX | 0x7fc0_0000;
const NEGATIVE: u64 = 1 << 63;

fn machine() -> Machine {
    Machine::new(BASE, 4096)
}

fn insn(op: Op) -> Insn {
    Insn {
        rd: 3,
        rs1: 1,
        rs2: 2,
        rs3: 4,
        ..Insn::new(op)
    }
}

/// `op f3, f1, f2, f4` must give `expected` and `flags`.
fn check(op: Op, [a, b, c]: [u64; 3], expected: u64, flags: u8) {
    let mut m = machine();
    (m.f[1], m.f[2], m.f[4]) = (a, b, c);
    m.execute(&insn(op)).expect("valid rounding mode");
    assert_eq!(m.f[3], expected, "{op:?}: {:#x}", m.f[3]);
    assert_eq!(m.flags.bits(), flags, "{op:?}");
}

#[test]
fn singles_are_boxed() {
    let mut m = machine();
    m.x[1] = BASE;
    m.write(Width::Word, BASE, 0x3f80_0000).expect("in memory");
    m.execute(&insn(Op::Flw)).expect("in memory");
    assert_eq!(m.f[3], ONE_SINGLE);
    m.x[1] = 0x1234_5678_8000_0000;
    m.execute(&insn(Op::FmvWX)).expect("no trap");
    assert_eq!(m.f[3], BOX | 0x8000_0000);
    check(Op::FaddS, [ONE_SINGLE, ONE_SINGLE, 0], BOX | 0x4000_0000, 0);
    check(Op::FcvtSD, [ONE, 0, 0], ONE_SINGLE, 0);
    check(Op::FcvtDS, [ONE_SINGLE, 0, 0], ONE, 0);
}

#[test]
fn an_unboxed_single_is_the_canonical_nan() {
    check(Op::FaddS, [0x3f80_0000, ONE_SINGLE, 0], NAN_SINGLE, 0);
    check(Op::FsgnjS, [0x3f80_0000, ONE_SINGLE, 0], NAN_SINGLE, 0);
    check(
        Op::FsgnjnS,
        [ONE_SINGLE, 0xbf80_0000, 0],
        BOX | 0xbf80_0000,
        0,
    );
    check(Op::FcvtDS, [ONE, 0, 0], 0x7ff8_0000_0000_0000, 0);
    check(Op::FminS, [ONE_SINGLE, 0, 0], ONE_SINGLE, 0);
    let mut m = machine();
    m.f[1] = 0x3f80_0000;
    m.execute(&insn(Op::FclassS)).expect("no trap");
    assert_eq!(m.x[3], 1 << 9);
    // Moves and stores transfer bits as they are.
    m.f[1] = 0x1234_5678_9abc_def0;
    m.execute(&insn(Op::FmvXW)).expect("no trap");
    assert_eq!(m.x[3], 0xffff_ffff_9abc_def0);
    m.execute(&insn(Op::FmvXD)).expect("no trap");
    assert_eq!(m.x[3], 0x1234_5678_9abc_def0);
    (m.x[1], m.f[2]) = (BASE, 0x1234_5678_9abc_def0);
    m.execute(&insn(Op::Fsw)).expect("in memory");
    assert_eq!(m.read(Width::Double, BASE), Some(0x9abc_def0));
    m.execute(&insn(Op::Fsd)).expect("in memory");
    assert_eq!(m.read(Width::Double, BASE), Some(0x1234_5678_9abc_def0));
}

#[test]
fn signs() {
    check(Op::FsgnjD, [ONE, NEGATIVE, 0], ONE | NEGATIVE, 0);
    check(Op::FsgnjnD, [ONE, NEGATIVE, 0], ONE, 0);
    check(Op::FsgnjxD, [ONE | NEGATIVE, NEGATIVE, 0], ONE, 0);
    check(Op::FsgnjxD, [ONE | NEGATIVE, 0, 0], ONE | NEGATIVE, 0);
    check(
        Op::FsgnjxS,
        [BOX | 0xbf80_0000, BOX | 0x8000_0000, 0],
        ONE_SINGLE,
        0,
    );
    // A signalling NaN passes unharmed.
    check(
        Op::FsgnjD,
        [0x7ff0_0000_0000_0001, 0, 0],
        0x7ff0_0000_0000_0001,
        0,
    );
}

#[test]
fn fused_signs() {
    let (two, three, five) = (
        0x4000_0000_0000_0000,
        0x4008_0000_0000_0000,
        0x4014_0000_0000_0000,
    );
    let eleven = 0x4026_0000_0000_0000;
    check(Op::FmaddD, [two, three, five], eleven, 0);
    check(Op::FmsubD, [two, three, five], ONE, 0);
    check(Op::FnmsubD, [two, three, five], ONE | NEGATIVE, 0);
    check(Op::FnmaddD, [two, three, five], eleven | NEGATIVE, 0);
}

#[test]
fn integers_come_and_go() {
    let mut m = machine();
    m.x[1] = 0xffff_ffff;
    for (op, expected) in [
        (Op::FcvtDW, ONE | NEGATIVE),
        (Op::FcvtDWu, 0x41ef_ffff_ffe0_0000),
        (Op::FcvtSW, BOX | 0xbf80_0000),
        (Op::FcvtDL, 0x41ef_ffff_ffe0_0000),
    ] {
        m.execute(&insn(op)).expect("valid rounding mode");
        assert_eq!(m.f[3], expected, "{op:?}");
    }
    // 4294967295.0 does not fit a signed word; an unsigned one is sign-extended.
    m.f[1] = 0x41ef_ffff_ffe0_0000;
    m.execute(&insn(Op::FcvtWuD)).expect("valid rounding mode");
    assert_eq!((m.x[3], m.flags.bits()), (u64::MAX, 0));
    m.execute(&insn(Op::FcvtLuD)).expect("valid rounding mode");
    assert_eq!((m.x[3], m.flags.bits()), (0xffff_ffff, 0));
    m.execute(&insn(Op::FcvtWD)).expect("valid rounding mode");
    assert_eq!((m.x[3], m.flags.bits()), (0x7fff_ffff, 16));
}

#[test]
fn the_dynamic_rounding_mode_must_be_valid() {
    let rounded = |op, rm, frm| {
        let mut m = machine();
        (m.f[1], m.frm) = (0x3ff8_0000_0000_0000, frm);
        m.execute(&Insn { rm, ..insn(op) }).map(|()| m.x[3])
    };
    // 1.5 to an integer.
    assert_eq!(rounded(Op::FcvtWD, 0, 7), Ok(2));
    assert_eq!(rounded(Op::FcvtWD, 1, 7), Ok(1));
    assert_eq!(rounded(Op::FcvtWD, 7, 1), Ok(1));
    assert_eq!(rounded(Op::FcvtWD, 7, 3), Ok(2));
    for frm in 5..8 {
        assert_eq!(rounded(Op::FcvtWD, 7, frm), Err(Exit::Illegal));
        // Exact, yet it has a rounding mode; and comparisons have none.
        assert_eq!(rounded(Op::FcvtDW, 7, frm), Err(Exit::Illegal));
        assert_eq!(rounded(Op::FeqD, 0, frm), Ok(0));
        assert!(rounded(Op::FminD, 0, frm).is_ok());
    }
}

#[test]
fn without_floats_every_float_instruction_is_illegal() {
    for row in TABLE {
        let names_floats = format!("{:?}", row.format).starts_with("Float");
        assert_eq!(
            names_floats,
            row.mnemonic.starts_with('f') && !row.mnemonic.contains("ence")
        );
        if names_floats {
            let mut m = machine();
            m.float_enabled = false;
            // Also where the address would fault.
            assert_eq!(
                m.execute(&insn(row.op)),
                Err(Exit::Illegal),
                "{}",
                row.mnemonic
            );
            assert_eq!((m.x, m.f), ([0; 64], [0; 32]));
        }
    }
    assert_eq!(Op::Illegal.format(), Format::Bare);
}
