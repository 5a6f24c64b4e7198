//! Each instruction by itself, from cleared flags.

use isa::table::{Row, TABLE};
use isa::{Insn, Op, decode};
use torture::generate::Random;

use crate::operands::float;
use crate::program::{Code, DATA, FFLAGS, FRM, finish, interpreter, read, translator};

/// Sets of operands: three floats and an integer each.
const SETS: usize = 1500;
/// Results are here: for each instruction the register and the flags.
const RESULTS: u64 = DATA + 0x10_0000;

/// Where operands go, and the result: in host registers or not, and the same or not.
const PLACES: [[u8; 4]; 8] = [
    [10, 11, 12, 13],
    [20, 21, 22, 23],
    [10, 21, 12, 10],
    [10, 11, 12, 11],
    [20, 11, 12, 12],
    [15, 15, 4, 9],
    [15, 25, 15, 8],
    [5, 6, 7, 5],
];

fn is_tested(row: &Row) -> bool {
    (Op::Flw..Op::Illegal).contains(&row.op)
        && !matches!(row.op, Op::Flw | Op::Fld | Op::Fsw | Op::Fsd)
}

/// Every float instruction in every rounding mode, at places that the seed chooses.
fn instructions(random: &mut Random) -> Vec<Insn> {
    let mut insns = Vec::new();
    for row in TABLE.iter().filter(|row| is_tested(row)) {
        let modes: &[u8] = if row.format.has_rounding() {
            &[0, 1, 2, 3, 4, 5, 7]
        } else {
            &[0]
        };
        for rm in modes {
            let [rs1, rs2, rs3, rd] = random.pick(&PLACES);
            let insn = Insn {
                rd,
                rs1,
                rs2,
                rs3,
                rm: *rm,
                ..Insn::new(row.op)
            };
            // As the decoder sees it: without operands that it does not have.
            insns.push(decode(insn.encode()));
        }
    }
    insns
}

/// For each set of operands, executes all instructions. Only the results of the last set remain, and in x20 a
/// hash of all.
fn program(insns: &[Insn], frm: i32, sets: usize) -> Code {
    let mut code = Code::default();
    code.skip_traps();
    code.float_status(3);
    code.op(Op::Csrrwi, 0, frm as u8, 0, FRM);
    code.constant(18, DATA as u32);
    code.constant(19, sets as u32);
    let start = code.here();
    code.constant(21, RESULTS as u32);
    for insn in insns {
        for (register, offset) in [(insn.rs1, 0), (insn.rs2, 8), (insn.rs3, 16)] {
            code.op(Op::Fld, register, 18, 0, offset);
        }
        // As integer registers too, but for those of the program.
        if !(18..=21).contains(&insn.rs1) && insn.rs1 != 31 {
            code.op(Op::Ld, insn.rs1, 18, 0, 24);
        }
        let mut insn = *insn;
        if insn.op.format().writes_x() && (18..=21).contains(&insn.rd) {
            insn.rd = 9;
        }
        code.op(Op::Csrrwi, 0, 0, 0, FFLAGS);
        code.push(insn);
        code.op(Op::Csrrs, 6, 0, 0, FFLAGS);
        if insn.op.format().writes_x() {
            code.op(Op::Sd, 0, 21, insn.rd, 0);
        } else {
            code.op(Op::Fsd, 0, 21, insn.rd, 0);
        }
        code.op(Op::Sd, 0, 21, 6, 8);
        code.op(Op::Ld, 7, 21, 0, 0);
        for part in [6, 7] {
            code.op(Op::Xor, 20, 20, part, 0);
            code.op(Op::Slli, 7, 20, 0, 17);
            code.op(Op::Add, 20, 20, 7, 0);
            code.op(Op::Srli, 7, 20, 0, 29);
            code.op(Op::Xor, 20, 20, 7, 0);
            code.op(Op::Ld, 7, 21, 0, 0);
        }
        code.op(Op::Addi, 21, 21, 0, 16);
    }
    code.op(Op::Addi, 18, 18, 0, 32);
    code.op(Op::Addi, 19, 19, 0, -1);
    code.repeat(19, start);
    code
}

/// Says for which operands an instruction differs.
fn explain(insns: &[Insn], frm: i32, data: &[u64]) {
    let code = program(insns, frm, 1);
    for set in data.chunks(4) {
        let [a, b] = [interpreter(), translator()].map(|engine| {
            let mut machine = code.machine(set, engine);
            finish(&mut machine, u64::MAX >> 1);
            read(&machine, RESULTS, 2 * insns.len())
        });
        for (insn, (a, b)) in insns.iter().zip(a.chunks(2).zip(b.chunks(2))) {
            assert_eq!(a, b, "{insn} ({insn:?}), frm {frm}, operands {set:#018x?}");
        }
    }
}

fn check(frm: i32) {
    let mut random = Random::new(frm as u64);
    let insns = instructions(&mut random);
    let data: Vec<u64> = (0..SETS)
        .flat_map(|_| {
            let [a, b, c] = [(); 3].map(|()| float(&mut random));
            [a, b, c, random.integer()]
        })
        .collect();
    let code = program(&insns, frm, SETS);
    let [mut a, mut b] = [interpreter(), translator()].map(|engine| {
        let mut machine = code.machine(&data, engine);
        finish(&mut machine, u64::MAX >> 1);
        machine
    });
    if a.hart().x[20] != b.hart().x[20] {
        explain(&insns, frm, &data);
    }
    assert_eq!(a.digest().compare(&b.digest()), [""; 0], "frm {frm}");
}

#[test]
fn nearest() {
    check(0);
}

#[test]
fn other_modes() {
    for frm in 1..8 {
        check(frm);
    }
}
