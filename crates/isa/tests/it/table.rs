//! Every row of the table against the GNU assembler.

use std::fmt::Write;

use isa::table::TABLE;
use isa::{Format, Insn, Op, decode};

use crate::binutils::assemble;

/// Operands for one instruction of each row, spread over their ranges by `step`.
fn sample(op: Op, step: u32) -> Insn {
    let format = op.format();
    let spread = |factor: u32, modulus: u32| (step * factor % modulus) as u8;
    let mut insn = Insn::new(op);
    insn.rd = spread(7, 32);
    insn.rs1 = spread(11, 32);
    insn.rs2 = spread(13, 32);
    insn.rs3 = spread(17, 32);
    let wide = step.wrapping_mul(0x9e37_79b9).cast_signed();
    insn.imm = match format {
        Format::Upper => wide & !0xfff,
        Format::Jump => wide >> 11 & !1,
        Format::Branch => wide >> 19 & !1,
        Format::Shift => i32::from(spread(5, 64)),
        Format::ShiftWord => i32::from(spread(5, 32)),
        Format::Csr | Format::CsrImmediate => wide & 0xfff,
        // The assembler has no words for the reserved fields and for empty sets.
        Format::Fence => i32::from(1 + spread(1, 15)) << 4 | i32::from(1 + spread(7, 15)),
        Format::Indirect | Format::Load | Format::Store | Format::Immediate => wide >> 20,
        Format::FloatLoad | Format::FloatStore => wide >> 20,
        _ => 0,
    };
    if matches!(format, Format::Fence | Format::FenceInstruction) {
        (insn.rd, insn.rs1) = (0, 0);
    }
    insn.rm = match format {
        Format::LoadReserved | Format::Atomic => spread(1, 4),
        // The assembler has no words for the rounding mode of exact conversions.
        _ if matches!(op, Op::FcvtDS | Op::FcvtDW | Op::FcvtDWu) => 0,
        _ if format.has_rounding() => [0, 1, 2, 3, 4, 7][step as usize % 6],
        _ => 0,
    };
    // Through bits and back, so that fields that the operation does not have are zero.
    decode(insn.assembled().bits)
}

#[test]
fn assembler_agrees_on_every_row() {
    let samples: Vec<Insn> = TABLE
        .iter()
        .flat_map(|row| (0..24).map(|step| sample(row.op, step)))
        .collect();
    let mut source = ".option norvc\n".to_string();
    for insn in &samples {
        writeln!(source, "{insn}").expect("strings take everything");
    }
    let lines = assemble("every_row", &source);
    assert_eq!(lines.len(), samples.len());
    for (line, insn) in lines.iter().zip(&samples) {
        assert_eq!(
            format!("{:08x}", line.bits),
            format!("{:08x}", insn.bits),
            "{insn}"
        );
        assert_ne!(insn.op, Op::Illegal);
    }
}

#[test]
fn samples_keep_their_operation() {
    for row in TABLE {
        for step in 0..64 {
            assert_eq!(sample(row.op, step).op, row.op, "{} {step}", row.mnemonic);
        }
    }
}

/// One fixed bit flipped, or a random word: the disassembler must agree on what is an instruction.
#[test]
fn disassembler_agrees_on_what_is_illegal() {
    let mut words: Vec<u32> = Vec::new();
    for row in TABLE {
        for bit in 2..32 {
            words.push(sample(row.op, bit).bits ^ 1 << bit);
        }
    }
    let mut state = 1u32;
    for _ in 0..20_000 {
        state = state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        words.push(state.rotate_left(7) | 3);
    }
    // Encodings longer than 32 bits would shift what follows.
    words.retain(|word| word & 0x1f != 0x1f);
    let mut source = String::new();
    for word in &words {
        writeln!(source, ".insn {word:#x}").expect("strings take everything");
    }
    let lines = assemble("illegal", &source);
    assert_eq!(lines.len(), words.len());
    let mut differences = Vec::new();
    for (line, word) in lines.iter().zip(&words) {
        let insn = decode(*word);
        // The manual has the unused fields of fences ignored, and the rounding mode of exact conversions
        // valid but without effect; the disassembler (2.40) shows neither.
        let exact = matches!(insn.op, Op::FcvtDS | Op::FcvtDW | Op::FcvtDWu) && insn.rm != 0;
        if exact || matches!(insn.op, Op::Fence | Op::FenceI) {
            continue;
        }
        let unknown_mode = line.text.ends_with(",unknown");
        // The disassembler still knows instructions that left the manual.
        let withdrawn = ["uret", "hret", "sfence.vm"].contains(&mnemonic(&line.text));
        let illegal = line.text.starts_with('.') || unknown_mode || withdrawn;
        if illegal != (insn.op == Op::Illegal) {
            differences.push(format!("{word:08x}: {} / {insn}", line.text));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn mnemonic(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}
