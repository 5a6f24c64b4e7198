//! Random sequences of float instructions, in which flags and boxes are left from one to the next.

use isa::table::{Row, TABLE};
use isa::{Insn, Op, decode};
use torture::generate::Random;

use crate::operands::float;
use crate::program::{CODE, Code, DATA, FFLAGS, FRM, finish, insn, interpreter, translator};

const SEEDS: u64 = 150;
const INSTRUCTIONS: usize = 220;
const ROUNDS: u32 = 60;
/// Double-words of operands.
const OPERANDS: usize = 256 + ROUNDS as usize * 8;

/// Registers that sequences may write: not those of the program.
fn free(register: u8) -> bool {
    !matches!(register, 18 | 19 | 31)
}

fn random_float(random: &mut Random, rows: &[&Row]) -> Insn {
    loop {
        let row = random.pick(rows);
        let mut noise = random.bits() as u32;
        if row.format.has_rounding() && !random.one_in(8) {
            noise = noise & !0x7000 | random.pick(&[0, 0x7000]);
        }
        let insn = decode(row.matching | noise & !row.mask);
        if insn.op == row.op && (!insn.op.format().writes_x() || free(insn.rd)) {
            return insn;
        }
    }
}

/// Something that changes how floats are executed.
fn control(random: &mut Random, code: &mut Code) {
    match random.below(6) {
        0 => code.op(Op::Csrrwi, 0, 0, 0, FFLAGS),
        1 => code.op(Op::Csrrs, 10, 0, 0, FFLAGS),
        2 => code.op(Op::Csrrwi, 0, random.below(5) as u8, 0, FRM),
        3 | 4 => code.op(Op::Csrrwi, 0, 0, 0, FRM),
        _ => {
            let state = random.below(4) as u32;
            code.float_status(state);
        }
    }
}

fn program(random: &mut Random) -> Code {
    let rows: Vec<&Row> = TABLE
        .iter()
        .filter(|row| (Op::Flw..Op::Illegal).contains(&row.op))
        .collect();
    // Some sequences use few registers, so that values are used again.
    let few = random.one_in(2);
    let calm = random.one_in(2);
    let mut code = Code::default();
    code.skip_traps();
    code.float_status(3);
    code.constant(18, DATA as u32);
    code.constant(19, ROUNDS);
    let start = code.here();
    if calm {
        code.op(Op::Csrrwi, 0, 0, 0, FRM);
    }
    for register in 0..8 {
        let register = if few {
            register + 8
        } else {
            random.below(32) as i32
        };
        code.op(Op::Fld, register as u8, 18, 0, random.below(256) as i32 * 8);
    }
    for _ in 0..INSTRUCTIONS {
        let mut insn = random_float(random, &rows);
        if matches!(insn.op, Op::Flw | Op::Fld | Op::Fsw | Op::Fsd) {
            insn.rs1 = 18;
            insn.imm = random.below(512) as i32 * 4;
        }
        if few {
            let narrow = |register: u8| 8 + register % 8;
            let load = insn.rs1 == 18;
            insn.rd = narrow(insn.rd);
            insn.rs2 = narrow(insn.rs2);
            insn.rs3 = narrow(insn.rs3);
            if !load {
                insn.rs1 = narrow(insn.rs1);
            }
            insn = decode(insn.encode());
        }
        code.push(insn);
        if random.one_in(if calm { 200 } else { 25 }) {
            control(random, &mut code);
        }
        if random.one_in(12) {
            // The end of a block.
            code.push(self::insn(Op::Bne, 0, 10, 11, 4));
        }
    }
    code.op(Op::Addi, 18, 18, 0, 64);
    code.op(Op::Addi, 19, 19, 0, -1);
    code.repeat(19, start);
    assert!(code.here() < CODE + 0x10_0000);
    code
}

#[test]
fn agree() {
    for seed in 0..SEEDS {
        let random = &mut Random::new(seed);
        let code = program(random);
        let data: Vec<u64> = (0..OPERANDS).map(|_| float(random)).collect();
        let stride = random.pick(&[97, 1009, u64::MAX >> 1]);
        let [a, b] = [interpreter(), translator()].map(|engine| {
            let mut machine = code.machine(&data, engine);
            finish(&mut machine, stride);
            let registers = machine.hart().registers();
            (machine.position(), registers, machine.digest())
        });
        assert_eq!(a.0, b.0, "seed {seed}");
        assert_eq!(a.1, b.1, "seed {seed}");
        assert_eq!(a.2.compare(&b.2), [""; 0], "seed {seed}");
    }
}
