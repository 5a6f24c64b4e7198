//! Scenes about code: long to translate, overwritten while it runs, at the ends of pages, all over memory.

use isa::csr;
use isa::table::{Row, TABLE};
use isa::{Format, Insn, Op};

use super::{CODE_BASE, COUNT, DATA_BASE, Writer};

const FLOATS: u64 = 0x53;
/// CSRs that are read.
const CSRS: [u16; 8] = [
    csr::FFLAGS,
    csr::FRM,
    csr::FCSR,
    csr::SSTATUS,
    csr::SIP,
    csr::MSCRATCH,
    csr::MCYCLE,
    csr::TIME,
];
/// `sstatus`, of which bits are set as well.
const SSTATUS: u32 = csr::SSTATUS as u32;
/// Most instructions of one scene.
const INSNS_MAX: usize = 2500;
const PAGE: u64 = 4096;

/// Whether the row is of an instruction that takes much host code and does not trap.
fn is_long(row: &Row) -> bool {
    use Format::*;
    matches!(
        row.format,
        Atomic | LoadReserved | Csr | FloatLoad | FloatStore | Load | Store
    ) || row.format.has_rounding()
        || u64::from(row.matching & 0x7f) == FLOATS
        || matches!(
            row.op,
            Op::Mulhsu | Op::Div | Op::Rem | Op::Divw | Op::Remuw | Op::Divu
        )
}

/// Pages full of instructions whose translation is long, in blocks as long as may be.
pub(super) fn swell(writer: &mut Writer<'_, '_>) {
    let rows: Vec<&Row> = TABLE.iter().filter(|row| is_long(row)).collect();
    let kinds = writer.bytes.byte();
    let count = (usize::from(writer.bytes.byte()) + 1) * INSNS_MAX / 256;
    // Few rows, so that the longest of all fill whole blocks now and then.
    let few = 1 + usize::from(kinds) % rows.len();
    let first = writer.random.below(rows.len());
    let words: Vec<u32> = (0..count)
        .map(|_| {
            let row = rows[(first + writer.random.below(few)) % rows.len()];
            word(row, writer.random.bits() as u32)
        })
        .collect();
    let times = 1 + u64::from(writer.bytes.byte() % 4);
    // The loop is longer than a branch reaches.
    writer.code.constant(COUNT, times);
    let again = writer.code.here();
    let end = writer.code.label();
    for word in words {
        writer.code.word(word);
    }
    writer.code.addi(COUNT, COUNT, -1);
    writer.code.branch(Op::Beq, COUNT, 0, end);
    writer.code.jump(0, again);
    writer.code.place(end);
}

/// With operands that do no harm but take room.
fn word(row: &Row, operands: u32) -> u32 {
    let destination = (10 + operands % 8) << 7;
    let source = (10 + operands / 8 % 8) << 20;
    let base = u32::from(DATA_BASE) << 15;
    let operands = match row.format {
        Format::Load | Format::FloatLoad => operands & 0x7f0 << 20 | base | destination,
        Format::Store | Format::FloatStore => operands & 0x1f << 7 | base | source,
        Format::Atomic | Format::LoadReserved => source | base | destination,
        Format::Csr => {
            let csr = u32::from(CSRS[operands as usize / 64 % CSRS.len()]);
            let source = if csr == SSTATUS { 6 << 15 } else { 0 };
            csr << 20 | source | destination
        }
        // Rounding as `frm` says; the third register anywhere.
        _ => {
            operands & 0xf800_0000 | source | 7 << 12 | destination | (10 + operands / 64 % 8) << 15
        }
    };
    // Others are read, not written: an odd number in `frm` would let all floats trap.
    let matching = if row.format == Format::Csr {
        row.matching & !0x3000 | 0x2000
    } else {
        row.matching
    };
    matching | operands & !row.mask
}

/// A function in the playground that stores into itself: the next instruction, the next block, another page, or one half
/// of an instruction; by its own address or by another.
pub(super) fn overwrite(writer: &mut Writer<'_, '_>) {
    let encode = |op, rd, rs1, rs2, imm| {
        Insn {
            rd,
            rs1,
            rs2,
            imm,
            ..Insn::new(op)
        }
        .encode()
    };
    // What is stored, in x11 to x14: instructions that do little.
    let values = [
        encode(Op::Addi, 10, 10, 0, 1),
        encode(Op::Jal, 0, 0, 0, 4),
        encode(Op::Xori, 10, 10, 0, 0x55),
        // Two compressed ones: no operation.
        0x0001_0001,
    ];
    for (register, value) in (11..).zip(values) {
        writer.code.constant(register, value.into());
    }
    // Near the end of a page, of which the next one may be part.
    let from_end = i64::from(writer.bytes.byte() % 64) * 2;
    let start = PAGE as i64 * i64::from(1 + writer.bytes.byte() % 4) - from_end;
    writer.code.constant(18, super::PLAYGROUND + start as u64);
    let count = 4 + i32::from(writer.bytes.byte() % 24);
    let mut words = Vec::new();
    for index in 0..count {
        let kind = writer.bytes.byte();
        let value = 11 + kind % 4;
        let target = match kind / 4 % 8 {
            0 => index * 4 + 4,
            1 => index * 4 + 8,
            2 => index * 4 + 6,
            3 => from_end as i32 - 2,
            4 => -64,
            5 => 1024,
            _ => i32::from(writer.bytes.byte()) % (count * 4),
        };
        words.push(match kind / 32 {
            0..=3 => encode(
                [Op::Sw, Op::Sh, Op::Sb, Op::Sd][usize::from(kind / 32)],
                0,
                18,
                value,
                target,
            ),
            4 => encode(Op::Jal, 0, 0, 0, 4),
            5 => encode(Op::Bne, 0, 10, 0, 4),
            6 => encode(Op::FenceI, 0, 0, 0, 0),
            _ => values[usize::from(kind % 4)],
        });
    }
    words.push(encode(Op::Jalr, 0, 1, 0, 0));
    // By S-mode's address: a gigapage, mapped twice.
    let alias = writer.bytes.byte() & 1 != 0;
    if alias {
        super::translation::alias(writer);
    }
    let times = 1 + u64::from(writer.bytes.byte() % 32);
    writer.repeat(times, |writer| {
        for (index, word) in words.iter().enumerate() {
            writer.code.constant(5, u64::from(*word));
            writer.code.store(Op::Sw, 5, 18, index as i32 * 4);
        }
        writer.code.imm(Op::Jalr, 1, 18, 0);
        if alias {
            // Fetches are M-mode's; loads and stores go through the page table.
            super::translation::store_by_alias(writer, 12);
            writer.code.imm(Op::Jalr, 1, 18, 0);
        }
    });
}

/// Pages that each end in an instruction that straddles; then the halves of some are overwritten, and all run again.
pub(super) fn straddle(writer: &mut Writer<'_, '_>) {
    let pages = 2 + u64::from(writer.bytes.half()) % 1000;
    let addi = Insn {
        rd: 10,
        rs1: 10,
        imm: 3,
        ..Insn::new(Op::Addi)
    };
    let jump = Insn {
        imm: PAGE as i32 - 4,
        ..Insn::new(Op::Jal)
    };
    let back = Insn {
        rs1: 1,
        ..Insn::new(Op::Jalr)
    };
    writer.code.constant(18, u64::from(addi.encode()));
    writer.code.constant(19, u64::from(jump.encode()));
    writer.code.constant(20, PAGE);
    writer.code.constant(COUNT, pages);
    writer.code.constant(21, super::PLAYGROUND + PAGE - 2);
    let again = writer.code.here();
    writer.code.store(Op::Sw, 18, 21, 0);
    writer.code.store(Op::Sw, 19, 21, 4);
    writer.code.reg(Op::Add, 21, 21, 20);
    writer.code.addi(COUNT, COUNT, -1);
    writer.code.branch(Op::Bne, COUNT, 0, again);
    writer.code.constant(5, u64::from(back.encode()));
    writer.code.store(Op::Sw, 5, 21, 0);
    let times = 2 + u64::from(writer.bytes.byte() % 8);
    let which = u64::from(writer.bytes.half()) % pages;
    let half = i32::from(writer.bytes.byte() & 2);
    writer
        .code
        .constant(21, super::PLAYGROUND + (which + 1) * PAGE - 2);
    writer.code.constant(22, super::PLAYGROUND + PAGE - 2);
    writer.repeat(times, |writer| {
        writer.code.imm(Op::Jalr, 1, 22, 0);
        writer.code.imm(Op::Lhu, 5, 21, half);
        writer.code.store(Op::Sh, 5, 21, half);
    });
}

/// Reservations that fail, hold, or are lost.
pub(super) fn reserve(writer: &mut Writer<'_, '_>) {
    let kind = writer.bytes.byte();
    writer.code.addi(6, DATA_BASE, i32::from(kind & 8));
    let times = 20 + u64::from(writer.bytes.half()) % 1000;
    writer.repeat(times, |writer| {
        let again = writer.code.here();
        writer.code.imm(Op::LrD, 5, DATA_BASE, 0);
        if kind & 1 != 0 {
            writer.code.store(Op::Sd, 5, DATA_BASE, 0);
        }
        writer.code.reg(Op::ScD, 7, 6, 5);
        writer.code.reg(Op::ScD, 7, 6, 5);
        if kind & 6 == 6 {
            // For ever: until an interrupt, or the end.
            writer.code.branch(Op::Bne, 7, 0, again);
        }
    });
}

/// A jump to each of many pages, where a single instruction waits: each is translated for it alone.
pub(super) fn scatter(writer: &mut Writer<'_, '_>) {
    let back = Insn {
        rs1: 1,
        ..Insn::new(Op::Jalr)
    };
    let stride = [PAGE, 2, 6, 64, PAGE + 2][usize::from(writer.bytes.byte() % 5)];
    let count = 2 + u64::from(writer.bytes.half()) % 2000;
    writer.code.constant(18, u64::from(back.encode()));
    writer.code.constant(20, stride);
    writer.code.addi(21, CODE_BASE, 0);
    writer.repeat(count, |writer| {
        writer.code.store(Op::Sw, 18, 21, 0);
        writer.code.imm(Op::Jalr, 1, 21, 0);
        writer.code.reg(Op::Add, 21, 21, 20);
    });
}
