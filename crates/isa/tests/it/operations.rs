//! Every operation on registers, on many special operands, against QEMU: the results and the float flags
//! of each one must be the same.

use std::collections::BTreeMap;

use isa::table::TABLE;
use isa::{Format, Insn, Op};
use torture::generate::Random;

use crate::oracle::{run_both, write_and_exit};

/// Operand triples for each instruction.
const TRIPLES: usize = 400;
/// Bytes of results for each: an integer or float register, and `fflags`.
const RESULT_BYTES: usize = 16;

/// The instruction of `op` under test, once for each rounding mode that it can have. Its operands are
/// x5 or f5, then 6, then 7; its result goes to x9 or f9.
fn variants(op: Op) -> Vec<Insn> {
    let insn = Insn {
        rd: 9,
        rs1: 5,
        rs2: 6,
        rs3: 7,
        ..Insn::new(op)
    };
    let immediates: &[i32] = match op.format() {
        Format::Immediate => &[0, 1, -1, 2047, -2048],
        Format::Shift => &[0, 1, 31, 32, 63],
        Format::ShiftWord => &[0, 1, 31],
        _ => &[0],
    };
    let modes: &[u8] = match op.format() {
        _ if matches!(op, Op::FcvtDS | Op::FcvtDW | Op::FcvtDWu) => &[0],
        format if format.has_rounding() => &[0, 1, 2, 3, 4],
        _ => &[0],
    };
    let of_mode = |&rm| {
        immediates
            .iter()
            .map(move |&imm| Insn { rm, imm, ..insn }.assembled())
    };
    modes.iter().flat_map(of_mode).collect()
}

fn is_tested(format: Format) -> bool {
    use Format::*;
    format.has_rounding()
        || matches!(
            format,
            Immediate
                | Shift
                | ShiftWord
                | Register
                | FloatRegister
                | FloatCompare
                | FloatToRegister
                | FloatFromRegister
        )
}

/// Whether the operands of an instruction of this format are floats.
fn takes_floats(format: Format) -> bool {
    use Format::*;
    !matches!(
        format,
        Immediate | Shift | ShiftWord | Register | FloatFromInteger | FloatFromRegister
    )
}

/// Loops of x8 over the triples, one for each instruction, with x31 on the results.
fn program(insns: &[Insn], integers: &[u64], floats: &[u64]) -> String {
    let mut source = "la x31, results\n".to_string();
    for (number, insn) in insns.iter().enumerate() {
        let operands = if takes_floats(insn.op.format()) {
            "floats"
        } else {
            "integers"
        };
        let result = if insn.op.format().writes_x() {
            "sd x9"
        } else {
            "fsd f9"
        };
        source += &format!(
            "la x8, {operands}\n\
             li x30, {TRIPLES}\n\
             loop{number}:\n\
             ld x5, 0(x8)\nld x6, 8(x8)\nld x7, 16(x8)\n\
             fld f5, 0(x8)\nfld f6, 8(x8)\nfld f7, 16(x8)\n\
             fsflags x0\n\
             {insn}\n\
             {result}, 0(x31)\n\
             frflags x10\n\
             sd x10, 8(x31)\n\
             addi x31, x31, {RESULT_BYTES}\n\
             addi x8, x8, 24\n\
             addi x30, x30, -1\n\
             bnez x30, loop{number}\n"
        );
    }
    let length = insns.len() * TRIPLES * RESULT_BYTES;
    source += &write_and_exit("results", &length.to_string());
    for (name, values) in [("integers", integers), ("floats", floats)] {
        source += &format!(".balign 8\n{name}:\n");
        for value in values {
            source += &format!(".quad {value:#x}\n");
        }
    }
    source + &format!("results: .fill {}, 8, 0\n", length / 8)
}

#[test]
fn every_operation_on_special_operands() {
    let mut random = Random::new(1);
    let integers: Vec<u64> = (0..3 * TRIPLES).map(|_| random.integer()).collect();
    let floats: Vec<u64> = (0..3 * TRIPLES).map(|_| random.float()).collect();
    let rows = TABLE.iter().filter(|row| is_tested(row.format));
    let insns: Vec<Insn> = rows.flat_map(|row| variants(row.op)).collect();
    let (ours, theirs) = run_both("operations", &program(&insns, &integers, &floats));

    let mut differences = BTreeMap::new();
    for (number, insn) in insns.iter().enumerate() {
        let operands = if takes_floats(insn.op.format()) {
            &floats
        } else {
            &integers
        };
        for triple in 0..TRIPLES {
            let start = (number * TRIPLES + triple) * RESULT_BYTES;
            let result = |bytes: &[u8]| {
                let value = bytes[start..start + RESULT_BYTES].iter().rev();
                value.map(|byte| format!("{byte:02x}")).collect::<String>()
            };
            let (ours, theirs) = (result(&ours), result(&theirs));
            if ours != theirs {
                let operands = &operands[3 * triple..][..3];
                let text = format!("{insn} on {operands:016x?}: {ours}, by QEMU {theirs}");
                differences.entry(insn.op).or_insert(text);
            }
        }
    }
    assert!(
        differences.is_empty(),
        "the first of each (flags and result): {differences:#?}"
    );
}
