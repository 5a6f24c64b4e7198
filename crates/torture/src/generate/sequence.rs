//! One instruction, or a few that belong together, of a class.

use super::Random;
use super::options::{BASE, Class, Options, STACK};
use isa::Format;
use isa::Insn;
use isa::compressed::COMPRESSED;
use isa::csr;
use isa::decode;
use isa::table::{Op, Row, TABLE};

/// A sequence of `class`. If its last instruction is a branch or jump, its target is still open.
pub(super) fn make(random: &mut Random, class: Class, options: &Options) -> Vec<Insn> {
    let insns = match class {
        Class::Integer => one(random, is_integer),
        Class::Multiply => one(random, is_multiplication),
        Class::Branch => one(random, |row| row.format == Format::Branch),
        Class::Float => one(random, is_float),
        Class::Fence => one(random, |row| {
            matches!(row.format, Format::Fence | Format::FenceInstruction)
        }),
        Class::Memory => memory(random, options, &[Format::Load, Format::Store]),
        Class::FloatMemory => memory(random, options, &[Format::FloatLoad, Format::FloatStore]),
        Class::Jump => jump(random),
        Class::Atomic => atomic(random),
        Class::FloatControl => float_control(random),
        Class::Compressed => return vec![compressed(random)],
    };
    insns.into_iter().map(Insn::assembled).collect()
}

fn is_multiplication(row: &Row) -> bool {
    row.format == Format::Register && row.matching >> 25 == 1
}

fn is_integer(row: &Row) -> bool {
    use Format::*;
    let formats = matches!(row.format, Upper | Immediate | Shift | ShiftWord | Register);
    formats && !is_multiplication(row)
}

fn is_float(row: &Row) -> bool {
    row.format.is_float() && row.access.is_none()
}

/// One instruction of a row that `wanted` wants, with operands at random.
fn one(random: &mut Random, wanted: impl Fn(&Row) -> bool) -> Vec<Insn> {
    let rows: Vec<&Row> = TABLE.iter().filter(|row| wanted(row)).collect();
    let row = random.pick(&rows);
    vec![operands(random, row)]
}

/// `row` with random operands that respect the reserved registers.
fn operands(random: &mut Random, row: &Row) -> Insn {
    loop {
        let noise = random.bits() as u32;
        let insn = decode(row.matching | noise & !row.mask);
        // Reserved rounding modes are drawn again.
        if insn.op == row.op && !writes_reserved(&insn) {
            return insn;
        }
    }
}

fn writes_reserved(insn: &Insn) -> bool {
    insn.op.format().writes_x() && matches!(insn.rd, BASE | STACK)
}

/// A register that may be written and is not x0.
fn register(random: &mut Random) -> u8 {
    loop {
        let register = 1 + random.below(31) as u8;
        if !matches!(register, BASE | STACK) {
            return register;
        }
    }
}

fn memory(random: &mut Random, options: &Options, formats: &[Format]) -> Vec<Insn> {
    let mut insns = one(random, |row| formats.contains(&row.format));
    for insn in &mut insns {
        insn.rs1 = random.pick(&[BASE, BASE, STACK]);
        if !(options.misaligned && random.one_in(4)) {
            let bytes = insn.op.access().map_or(1, |access| access.width.bytes());
            insn.imm &= !(bytes as i32 - 1);
        }
    }
    insns
}

fn jump(random: &mut Random) -> Vec<Insn> {
    if random.one_in(2) {
        return one(random, |row| row.op == Op::Jal);
    }
    let target = register(random);
    let mut insns = one(random, |row| row.op == Op::Jalr);
    insns[0].rs1 = target;
    insns.insert(
        0,
        Insn {
            rd: target,
            ..Insn::new(Op::Auipc)
        },
    );
    insns
}

fn atomic(random: &mut Random) -> Vec<Insn> {
    let mut insn = one(random, |row| row.format == Format::Atomic)[0];
    let address = register(random);
    insn.rs1 = address;
    let imm = ((random.bits() as i32) << 23) >> 20;
    let setup = Insn {
        rd: address,
        rs1: BASE,
        imm,
        ..Insn::new(Op::Addi)
    };
    let load = match insn.op {
        // Half of them without a reservation: no load-reserved goes without its store-conditional.
        Op::ScW if random.one_in(2) => Op::LrW,
        Op::ScD if random.one_in(2) => Op::LrD,
        _ => return vec![setup, insn],
    };
    let mut loaded = register(random);
    while loaded == address {
        loaded = register(random);
    }
    vec![
        setup,
        Insn {
            rd: loaded,
            rs1: address,
            ..Insn::new(load)
        },
        insn,
    ]
}

fn float_control(random: &mut Random) -> Vec<Insn> {
    let rows = [
        Op::Csrrw,
        Op::Csrrs,
        Op::Csrrc,
        Op::Csrrwi,
        Op::Csrrsi,
        Op::Csrrci,
    ];
    let mut insn = one(random, |row| rows.contains(&row.op))[0];
    match random.below(3) {
        0 => insn.imm = csr::FFLAGS.into(),
        // The mode is set to a valid one, or read.
        1 => {
            insn.imm = csr::FRM.into();
            insn.op = random.pick(&[Op::Csrrwi, Op::Csrrs]);
            insn.rs1 = if insn.op == Op::Csrrwi {
                random.below(5) as u8
            } else {
                0
            };
        }
        _ => {
            insn.imm = csr::FCSR.into();
            insn.op = Op::Csrrs;
            insn.rs1 = 0;
        }
    }
    vec![insn]
}

/// Its memory operands are aligned, as their offsets are scaled.
fn compressed(random: &mut Random) -> Insn {
    loop {
        let row = &COMPRESSED[random.below(COMPRESSED.len())];
        let mut bits = row.matching | random.bits() as u16 & !row.mask;
        let mut insn = decode(bits.into());
        let is_memory = matches!(
            insn.op.format(),
            Format::Load | Format::Store | Format::FloatLoad | Format::FloatStore
        );
        if is_memory && insn.rs1 != STACK {
            // The field for x8 to x15.
            bits = bits & !0x380 | u16::from(BASE - 8) << 7;
            insn = decode(bits.into());
        }
        if !insn.op.flow().ends_block() && !writes_reserved(&insn) {
            return insn;
        }
    }
}
