//! A guest that computes with floats: every float instruction, in every rounding mode, on operands of which many are
//! special, and what exceptions each raises.

use crate::generate::Random;
use isa::csr;
use isa::table::{Row, TABLE};
use isa::{Format, Insn, Op, decode};

use super::assembler::Assembler;
use super::lockstep::{Guest, Origin};
use machine::config::{BoardConfig, MEMORY_BYTES_MIN};
use machine::hart::csr::status;
use machine::ram::RAM_BASE;
use machine::{Boot, Firmware};

/// Where the operands lie, from the start of memory on: three for each turn.
const OPERANDS: usize = 0x8000;
const TURNS: usize = 256;
const TURN_BYTES: usize = 24;

const FFLAGS: i32 = csr::FFLAGS as i32;
const FRM: i32 = csr::FRM as i32;
const MSTATUS: i32 = csr::MSTATUS as i32;

// Registers of the program; the others take results.
const NEXT: u8 = 8;
const END: u8 = 9;
const SUM: u8 = 18;
const FLAGS: u8 = 19;
const RESULT: u8 = 20;
const MODE: u8 = 21;
const INTEGER: u8 = 5;
/// A factor by which the sum forgets nothing.
const ODD: u8 = 22;

/// Doubles around which conversions and comparisons change their ways; each also exists as a single.
const SPECIAL: [f64; 26] = [
    0.0,
    0.0,
    0.0,
    f64::INFINITY,
    f64::NAN,
    f64::MAX,
    f64::MIN_POSITIVE,
    1.0,
    0.5,
    0.75,
    1.5,
    2.5,
    127.5,
    2147483647.0,
    2147483647.5,
    2147483648.0,
    2147483648.5,
    4294967295.0,
    4294967295.5,
    4294967296.0,
    4563402752.0,
    9223372036854774784.0,
    9223372036854775808.0,
    18446744073709549568.0,
    18446744073709551616.0,
    340282356779733661637539395458142568448.0,
];
const BOX: u64 = 0xffff_ffff_0000_0000;

/// Whether a row is a float instruction that does not access memory.
pub(super) fn is_float(row: &Row) -> bool {
    row.format.is_float() && row.access.is_none()
}

/// The guest of a seed. It never ends.
pub fn guest(seed: u64) -> Guest {
    let mut random = Random::new(seed);
    let mut image = program(&mut random);
    assert!(image.len() <= OPERANDS, "code and operands do not overlap");
    image.resize(OPERANDS, 0);
    for _ in 0..TURNS {
        let precision = random.below(3);
        let mut operands = [(); 3].map(|()| operand(&mut random, precision));
        if random.one_in(3) {
            // The same number, perhaps with another sign.
            let sign = [1 << 31, 1 << 63, 0][precision];
            operands[1] = operands[0] ^ random.pick(&[0, sign]);
        }
        image.extend(operands.iter().flat_map(|operand| operand.to_le_bytes()));
    }
    let board = BoardConfig {
        memory_bytes: MEMORY_BYTES_MIN,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(image),
        ..Boot::default()
    };
    Guest {
        origin: Origin::Boot(Box::new(board), Box::new(boot)),
        inputs: Vec::new(),
    }
}

/// Of a turn with singles, doubles, or both.
fn operand(random: &mut Random, precision: usize) -> u64 {
    if random.one_in(2) {
        return random.float();
    }
    let value = random.pick(&SPECIAL);
    let bits = match precision {
        0 => BOX | u64::from((value as f32).to_bits()) ^ (random.bits() & 1) << 31,
        1 => value.to_bits() ^ (random.bits() & 1) << 63,
        _ => return random.float(),
    };
    // Sometimes the next number.
    if random.one_in(4) {
        bits.wrapping_add(random.pick(&[1, u64::MAX]))
    } else {
        bits
    }
}

fn program(random: &mut Random) -> Vec<u8> {
    let mut code = Assembler::default();
    code.constant(RESULT, status::FS);
    code.imm(Op::Csrrs, 0, RESULT, MSTATUS);
    code.constant(ODD, random.bits() | 1);
    let again = code.here();
    code.constant(NEXT, RAM_BASE + OPERANDS as u64);
    code.constant(END, RAM_BASE + (OPERANDS + TURNS * TURN_BYTES) as u64);
    let turn = code.here();
    // The next of the five rounding modes, to nearest most often.
    code.addi(MODE, MODE, 1);
    code.imm(Op::Andi, RESULT, MODE, 7);
    let valid = code.label();
    code.addi(FLAGS, 0, 5);
    code.branch(Op::Bltu, RESULT, FLAGS, valid);
    code.addi(RESULT, 0, 0);
    code.place(valid);
    code.imm(Op::Csrrw, 0, RESULT, FRM);
    code.imm(Op::Ld, INTEGER, NEXT, 0);
    let mut rows: Vec<&Row> = TABLE.iter().filter(|row| is_float(row)).collect();
    while !rows.is_empty() {
        let row = rows.swap_remove(random.below(rows.len()));
        compute(&mut code, random, row);
    }
    code.addi(NEXT, NEXT, TURN_BYTES as i32);
    let done = code.label();
    code.branch(Op::Beq, NEXT, END, done);
    code.jump(0, turn);
    code.place(done);
    code.jump(0, again);
    code.finish()
}

/// One instruction with fresh operands in any registers; its result and its exceptions are added to the sum.
fn compute(code: &mut Assembler, random: &mut Random, row: &Row) {
    let mut insn: Insn = loop {
        let insn = decode(row.matching | random.bits() as u32 & !row.mask);
        if insn.op == row.op {
            break insn;
        }
    };
    if insn.op.format().writes_x() {
        insn.rd = RESULT;
    }
    if matches!(
        row.format,
        Format::FloatFromInteger | Format::FloatFromRegister
    ) {
        insn.rs1 = INTEGER;
    } else {
        for (offset, register) in (0..).step_by(8).zip([insn.rs1, insn.rs2, insn.rs3]) {
            code.imm(Op::Fld, register, NEXT, offset);
        }
    }
    let clear = !random.one_in(4);
    if clear {
        code.imm(Op::Csrrwi, 0, 0, FFLAGS);
    }
    code.insn(insn.assembled());
    if !insn.op.format().writes_x() {
        code.reg(Op::FmvXD, RESULT, insn.rd, 0);
    }
    code.reg(Op::Mul, SUM, SUM, ODD);
    code.reg(Op::Add, SUM, SUM, RESULT);
    if clear {
        code.imm(Op::Csrrs, FLAGS, 0, FFLAGS);
        code.reg(Op::Add, SUM, SUM, FLAGS);
    }
}
