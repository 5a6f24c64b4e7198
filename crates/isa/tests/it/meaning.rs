//! What instructions do, by cases. The expected values are worked out by hand from the manual.

use isa::{CsrAccess, Insn, Op, Width, decode};

use crate::machine::{Exit, Machine};

const BASE: u64 = 0x1_0000;
const NEG: u64 = u64::MAX;
const MIN: u64 = 1 << 63;
const MIN_WORD: u64 = 0xffff_ffff_8000_0000;

fn machine() -> Machine {
    Machine::new(BASE, 4096)
}

fn insn(op: Op) -> Insn {
    Insn {
        rd: 3,
        rs1: 1,
        rs2: 2,
        ..Insn::new(op)
    }
}

/// `op x3, x1, x2` on `a` and `b` must give `expected`, also if the registers are the same.
fn check_register(op: Op, a: u64, b: u64, expected: u64) {
    let mut m = machine();
    (m.x[1], m.x[2], m.x[3]) = (a, b, 0xdead);
    let insn = insn(op).assembled();
    m.execute(&insn).expect("integer operations do not trap");
    assert_eq!(m.x[3], expected, "{op:?} {a:#x} {b:#x}");
    assert_eq!((m.x[1], m.x[2], m.pc), (a, b, BASE + 4));

    // Into a source, and into x0, with and without the sink.
    (m.x[1], m.x[2]) = (a, b);
    m.execute(&Insn { rd: 2, ..insn })
        .expect("integer operations do not trap");
    assert_eq!(m.x[2], expected);
    (m.x[1], m.x[2]) = (a, b);
    m.execute(&Insn { rd: 0, ..insn })
        .expect("integer operations do not trap");
    m.execute(&Insn { rd: 0, ..insn }.with_sink())
        .expect("integer operations do not trap");
    assert_eq!((m.x[0], m.x[1], m.x[2]), (0, a, b));
}

fn check_immediate(op: Op, a: u64, imm: i32, expected: u64) {
    let mut m = machine();
    m.x[1] = a;
    let insn = Insn {
        rd: 3,
        rs1: 1,
        imm,
        ..Insn::new(op)
    }
    .assembled();
    assert_eq!(decode(insn.bits), insn);
    m.execute(&insn).expect("integer operations do not trap");
    assert_eq!(m.x[3], expected, "{op:?} {a:#x} {imm}");
}

#[test]
fn additions_and_logic() {
    check_register(Op::Add, NEG, 2, 1);
    check_register(Op::Sub, 1, 2, NEG);
    check_register(Op::Xor, 0b1100, 0b1010, 0b0110);
    check_register(Op::Or, 0b1100, 0b1010, 0b1110);
    check_register(Op::And, 0b1100, 0b1010, 0b1000);
    check_register(Op::Slt, NEG, 0, 1);
    check_register(Op::Slt, 0, 0, 0);
    check_register(Op::Sltu, NEG, 0, 0);
    check_register(Op::Sltu, 0, NEG, 1);
    check_register(Op::Addw, 0x7fff_ffff, 1, MIN_WORD);
    check_register(Op::Addw, 0x1234_0000_0000_0001, 1, 2);
    check_register(Op::Subw, 0, 1, NEG);
    check_register(Op::Subw, 0xffff_ffff_0000_0000, 0, 0);
    check_immediate(Op::Addi, 1, -2048, 1u64.wrapping_sub(2048));
    check_immediate(Op::Addi, NEG, 2047, 2046);
    check_immediate(Op::Slti, NEG, 0, 1);
    check_immediate(Op::Slti, 5, -1, 0);
    check_immediate(Op::Sltiu, 5, -1, 1);
    check_immediate(Op::Xori, 5, -1, !5);
    check_immediate(Op::Ori, 5, -2048, 5 | 2048u64.wrapping_neg());
    check_immediate(Op::Andi, 0xfff, -2048, 0x800);
    check_immediate(Op::Addiw, 0x7fff_ffff, 1, MIN_WORD);
    check_immediate(Op::Addiw, 0xffff_ffff, 0, NEG);
}

#[test]
fn shifts_take_the_amount_modulo_the_width() {
    check_register(Op::Sll, 1, 63, MIN);
    check_register(Op::Sll, 1, 64 + 3, 8);
    check_register(Op::Srl, MIN, 63, 1);
    check_register(Op::Srl, MIN, 0x1_0000_0000, MIN);
    check_register(Op::Sra, MIN, 63, NEG);
    check_register(Op::Sllw, 1, 31, MIN_WORD);
    check_register(Op::Sllw, 1, 32 + 3, 8);
    check_register(Op::Srlw, MIN_WORD, 31, 1);
    check_register(Op::Srlw, MIN_WORD, 0, MIN_WORD);
    check_register(Op::Sraw, 0x8000_0000, 31, NEG);
    check_register(Op::Sraw, 0xf_7fff_ffff, 30, 1);
    check_immediate(Op::Slli, 1, 63, MIN);
    check_immediate(Op::Srli, NEG, 63, 1);
    check_immediate(Op::Srai, MIN, 62, NEG - 1);
    check_immediate(Op::Slliw, 3, 31, MIN_WORD);
    check_immediate(Op::Srliw, NEG, 1, 0x7fff_ffff);
    check_immediate(Op::Sraiw, 0x8000_0000, 4, 0xffff_ffff_f800_0000);
}

#[test]
fn multiplications() {
    check_register(Op::Mul, NEG, NEG, 1);
    check_register(Op::Mulh, NEG, NEG, 0);
    check_register(Op::Mulh, MIN, MIN, 1 << 62);
    check_register(Op::Mulhu, NEG, NEG, NEG - 1);
    check_register(Op::Mulhsu, NEG, NEG, NEG);
    check_register(Op::Mulhsu, 1, NEG, 0);
    check_register(Op::Mulhsu, MIN, NEG, MIN);
    check_register(Op::Mulw, 0x10000, 0x8000, MIN_WORD);
    check_register(Op::Mulw, 0x1_0000_0003, 5, 15);
}

#[test]
fn divisions_by_zero_and_overflows() {
    check_register(Op::Div, 7, 0, NEG);
    check_register(Op::Divu, 7, 0, NEG);
    check_register(Op::Rem, 7, 0, 7);
    check_register(Op::Remu, NEG, 0, NEG);
    check_register(Op::Div, MIN, NEG, MIN);
    check_register(Op::Rem, MIN, NEG, 0);
    check_register(Op::Divw, 7, 0, NEG);
    check_register(Op::Divuw, 7, 0, NEG);
    check_register(Op::Remw, 0xf_8000_0007, 0, 0xffff_ffff_8000_0007);
    check_register(Op::Remuw, 0xf_8000_0007, 0, 0xffff_ffff_8000_0007);
    check_register(Op::Divw, MIN_WORD, NEG, MIN_WORD);
    check_register(Op::Remw, MIN_WORD, NEG, 0);
}

#[test]
fn divisions_go_toward_zero() {
    let negative = |value: i64| value.cast_unsigned();
    check_register(Op::Div, negative(-7), 2, negative(-3));
    check_register(Op::Rem, negative(-7), 2, NEG);
    check_register(Op::Rem, 7, negative(-2), 1);
    check_register(Op::Divu, NEG, 2, NEG >> 1);
    check_register(Op::Remu, NEG, 10, 5);
    check_register(Op::Divw, 0xfff_ffff_fff9, 2, negative(-3));
    check_register(Op::Divuw, NEG, 1, NEG);
    check_register(Op::Divuw, 0xfff_8000_0000, 2, 0x4000_0000);
    check_register(Op::Remw, 0xfff_ffff_fff9, 2, NEG);
    check_register(Op::Remuw, NEG, 10, 5);
}

#[test]
fn constants_and_links() {
    let mut m = machine();
    m.execute(&Insn {
        imm: i32::MIN,
        ..insn(Op::Lui)
    })
    .expect("no trap");
    assert_eq!(m.x[3], MIN_WORD);
    m.execute(&Insn {
        imm: -4096,
        ..insn(Op::Auipc)
    })
    .expect("no trap");
    assert_eq!(m.x[3], BASE + 4 - 4096);
    m.execute(&Insn {
        rd: 1,
        imm: -8,
        ..insn(Op::Jal)
    })
    .expect("no trap");
    assert_eq!((m.x[1], m.pc), (BASE + 12, BASE));
    // Through the register that receives the link, to an odd sum.
    m.execute(&Insn {
        rd: 1,
        rs1: 1,
        imm: -3,
        ..insn(Op::Jalr)
    })
    .expect("no trap");
    assert_eq!((m.x[1], m.pc), (BASE + 4, BASE + 8));
    // c.jalr x1: the link is 2 behind.
    m.execute(&decode(0x9082)).expect("no trap");
    assert_eq!((m.x[1], m.pc), (BASE + 10, BASE + 4));
}

#[test]
fn branches() {
    let cases = [
        (Op::Beq, [(1, 1, true), (1, 2, false)]),
        (Op::Bne, [(1, 1, false), (1, 2, true)]),
        (Op::Blt, [(NEG, 0, true), (0, 0, false)]),
        (Op::Bge, [(0, 0, true), (NEG, 0, false)]),
        (Op::Bltu, [(0, NEG, true), (NEG, 0, false)]),
        (Op::Bgeu, [(NEG, 0, true), (0, NEG, false)]),
    ];
    for (op, cases) in cases {
        for (a, b, taken) in cases {
            let mut m = machine();
            (m.x[1], m.x[2]) = (a, b);
            m.execute(&Insn {
                imm: -16,
                ..insn(op)
            })
            .expect("no trap");
            assert_eq!(
                m.pc,
                if taken { BASE - 16 } else { BASE + 4 },
                "{op:?} {a} {b}"
            );
        }
    }
}

#[test]
fn loads_and_stores() {
    let mut m = machine();
    m.write(Width::Double, BASE + 8, 0x8182_8384_8586_8788)
        .expect("in memory");
    m.x[1] = BASE + 16;
    let cases = [
        (Op::Lb, 0xffff_ffff_ffff_ff88),
        (Op::Lbu, 0x88),
        (Op::Lh, 0xffff_ffff_ffff_8788),
        (Op::Lhu, 0x8788),
        (Op::Lw, 0xffff_ffff_8586_8788),
        (Op::Lwu, 0x8586_8788),
        (Op::Ld, 0x8182_8384_8586_8788),
    ];
    for (op, expected) in cases {
        m.execute(&Insn {
            imm: -8,
            ..insn(op)
        })
        .expect("in memory");
        assert_eq!(m.x[3], expected, "{op:?}");
    }
    m.x[2] = 0x1112_1314_1516_1718;
    for (op, expected) in [
        (Op::Sb, 0x8182_8384_8586_8718u64),
        (Op::Sh, 0x8182_8384_8586_1718),
        (Op::Sw, 0x8182_8384_1516_1718),
        (Op::Sd, 0x1112_1314_1516_1718),
    ] {
        m.execute(&Insn {
            imm: -8,
            ..insn(op)
        })
        .expect("in memory");
        assert_eq!(m.read(Width::Double, BASE + 8), Some(expected), "{op:?}");
    }
}

#[test]
fn a_load_that_traps_changes_nothing() {
    let mut m = machine();
    (m.x[1], m.x[3]) = (8, 77);
    for op in [Op::Ld, Op::LrD, Op::Flw] {
        assert_eq!(m.execute(&insn(op)), Err(Exit::Fault(false)));
    }
    assert_eq!(m.execute(&insn(Op::AmoaddW)), Err(Exit::Fault(true)));
    assert_eq!((m.x[3], m.f[3], m.pc), (77, 0, BASE));
    // A load into x0 is still a load.
    assert_eq!(
        m.execute(&Insn {
            rd: 0,
            ..insn(Op::Lb)
        }),
        Err(Exit::Fault(false))
    );
}

#[test]
fn atomics() {
    let old = 0xffff_ffff_8000_0001u64;
    let cases = [
        (Op::AmoswapW, 5, 5),
        (Op::AmoaddW, 0xffff_ffff, 0x8000_0000),
        (Op::AmoxorW, 3, 0x8000_0002),
        (Op::AmoandW, 3, 1),
        (Op::AmoorW, 2, 0x8000_0003),
        (Op::AmominW, 5, 0x8000_0001),
        (Op::AmomaxW, 5, 5),
        (Op::AmominuW, 0xf_0000_0005, 5),
        (Op::AmomaxuW, 5, 0x8000_0001),
    ];
    for (op, operand, expected) in cases {
        let mut m = machine();
        m.write(Width::Double, BASE, 0x1234_5678_8000_0001)
            .expect("in memory");
        (m.x[1], m.x[2]) = (BASE, operand);
        m.execute(&insn(op)).expect("in memory");
        assert_eq!(m.x[3], old, "{op:?}");
        assert_eq!(
            m.read(Width::Double, BASE),
            Some(0x1234_5678 << 32 | expected),
            "{op:?}"
        );
    }
    let cases = [
        (Op::AmoswapD, 5, 5),
        (Op::AmoaddD, 1, MIN + 1),
        (Op::AmominD, 5, MIN),
        (Op::AmomaxD, 5, 5),
        (Op::AmominuD, 5, 5),
        (Op::AmomaxuD, 5, MIN),
    ];
    for (op, operand, expected) in cases {
        let mut m = machine();
        m.write(Width::Double, BASE, MIN).expect("in memory");
        (m.x[1], m.x[2]) = (BASE, operand);
        m.execute(&Insn { rd: 1, ..insn(op) }).expect("in memory");
        assert_eq!(
            (m.x[1], m.read(Width::Double, BASE)),
            (MIN, Some(expected)),
            "{op:?}"
        );
    }
}

#[test]
fn store_conditional_needs_a_reservation() {
    let mut m = machine();
    (m.x[1], m.x[2]) = (BASE + 64, 9);
    m.execute(&insn(Op::ScD)).expect("in memory");
    assert_eq!(m.x[3], 1);
    m.execute(&insn(Op::LrD)).expect("in memory");
    m.execute(&insn(Op::ScD)).expect("in memory");
    assert_eq!((m.x[3], m.read(Width::Double, BASE + 64)), (0, Some(9)));
    m.execute(&insn(Op::ScD)).expect("in memory");
    assert_eq!(m.x[3], 1);
}

#[test]
fn csr_halves_that_must_not_happen_do_not() {
    let case = |op, rd, rs1| {
        let mut m = machine();
        m.x[1] = 0;
        let insn = Insn {
            rd,
            rs1,
            imm: 3,
            ..Insn::new(op)
        };
        m.execute(&insn).expect("the CSR exists");
        m.execute(&insn.with_sink()).expect("the CSR exists");
        assert_eq!(m.csr_accesses[0], m.csr_accesses[1]);
        m.csr_accesses[0].1
    };
    for (op, write) in [(Op::Csrrw, CsrAccess::Swap), (Op::Csrrwi, CsrAccess::Swap)] {
        assert_eq!(case(op, 0, 1), CsrAccess::Write);
        assert_eq!(case(op, 0, 0), CsrAccess::Write);
        assert_eq!(case(op, 5, 0), write);
    }
    for (op, write) in [
        (Op::Csrrs, CsrAccess::Set),
        (Op::Csrrc, CsrAccess::Clear),
        (Op::Csrrsi, CsrAccess::Set),
        (Op::Csrrci, CsrAccess::Clear),
    ] {
        assert_eq!(case(op, 5, 0), CsrAccess::Read);
        assert_eq!(case(op, 0, 0), CsrAccess::Read);
        // Register x1 holds 0, and is written all the same.
        assert_eq!(case(op, 5, 1), write);
        assert_eq!(case(op, 0, 1), write);
    }
    let mut m = machine();
    m.x[1] = 0xe5;
    m.execute(&Insn {
        rd: 1,
        imm: 3,
        ..insn(Op::Csrrw)
    })
    .expect("the CSR exists");
    assert_eq!((m.x[1], m.frm, m.flags.bits()), (0, 7, 5));
    m.execute(&Insn {
        rs1: 31,
        imm: 1,
        ..insn(Op::Csrrci)
    })
    .expect("the CSR exists");
    assert_eq!((m.x[3], m.frm, m.flags.bits()), (5, 7, 0));
}

#[test]
fn fences_pass_the_registers_they_name() {
    let mut m = machine();
    (m.x[1], m.x[2]) = (0, 7);
    m.execute(&Insn {
        rd: 0,
        ..insn(Op::SfenceVma)
    })
    .expect("no trap");
    m.execute(&Insn {
        rd: 0,
        rs1: 0,
        ..insn(Op::SfenceVma)
    })
    .expect("no trap");
    m.execute(&Insn {
        rd: 0,
        rs2: 0,
        ..insn(Op::SfenceVma)
    })
    .expect("no trap");
    assert_eq!(
        m.fences,
        [(Some(0), Some(7)), (None, Some(7)), (Some(0), None)]
    );
}

#[test]
fn what_stops_stops() {
    let mut m = machine();
    for (word, exit) in [
        (0x0000_0073, Exit::EnvironmentCall),
        (0x0010_0073, Exit::Breakpoint),
        (0x9002, Exit::Breakpoint),
        (0x3020_0073, Exit::Privileged),
        (0x1020_0073, Exit::Privileged),
        (0x1050_0073, Exit::Privileged),
        (0x0000, Exit::Illegal),
        (0xffff_ffff, Exit::Illegal),
        // sfence.vma and wfi with a destination.
        (0x1200_00f3, Exit::Illegal),
        (0x1050_00f3, Exit::Illegal),
        // slliw by 32.
        (0x0200_109b, Exit::Illegal),
    ] {
        assert_eq!(m.execute(&decode(word)), Err(exit), "{word:#x}");
    }
    assert_eq!(m.pc, BASE);
    // Fences with reserved fields set, pause, and hints.
    for word in [
        0xffff_8f8f,
        0xffff_9f8f,
        0x0100_000f,
        0x0010_0013,
        0x0005,
        0x1002,
        0x6005,
    ] {
        assert_eq!(m.execute(&decode(word)), Ok(()), "{word:#x}");
    }
    assert_eq!(m.x, [0; 64]);
}

/// Both lengths mixed, and a loop: the sum of 1 to 10.
#[test]
fn a_program_runs() {
    let mut m = machine();
    let words: [(u32, u64); 7] = [
        (0x4515, 2),      // c.li a0, 5
        (0x0515, 2),      // c.addi a0, 5
        (0x0000_0593, 4), // addi a1, zero, 0
        (0x95aa, 2),      // c.add a1, a0
        (0x157d, 2),      // c.addi a0, -1
        (0xfd75, 2),      // c.bnez a0, -4
        (0x0000_0073, 4), // ecall
    ];
    let mut address = BASE;
    for (word, length) in words {
        let width = if length == 2 {
            Width::Half
        } else {
            Width::Word
        };
        m.write(width, address, word.into()).expect("in memory");
        address += length;
    }
    assert_eq!(m.run(1000), Some(Exit::EnvironmentCall));
    assert_eq!((m.x[10], m.x[11], m.pc), (0, 55, address - 4));
}
