//! Every half-word that starts no longer instruction, against the GNU disassembler.

use std::fmt::Write;

use isa::{Insn, Op, decode};

use crate::binutils::{Line, assemble};

#[test]
fn disassembler_agrees_on_every_half_word() {
    let halves: Vec<u16> = (0..=u16::MAX).filter(|half| half & 3 != 3).collect();
    let mut source = String::new();
    for half in &halves {
        writeln!(source, ".insn {half:#x}").expect("strings take everything");
    }
    let lines = assemble("compressed", &source);
    assert_eq!(lines.len(), halves.len());
    let mut differences = Vec::new();
    for (line, half) in lines.iter().zip(&halves) {
        let insn = decode(u32::from(*half));
        assert_eq!((insn.length, insn.bits), (2, u32::from(*half)));
        let ours = text(&insn);
        let theirs = expansion(line);
        if ours != theirs {
            differences.push(format!("{half:04x}: {} = {theirs} / {ours}", line.text));
        }
    }
    differences.truncate(200);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn text(insn: &Insn) -> String {
    if insn.op == Op::Illegal {
        "illegal".to_string()
    } else {
        insn.to_string().replace(", ", ",")
    }
}

/// What the disassembler's text for a compressed instruction expands to, by the manual.
fn expansion(line: &Line) -> String {
    let (name, operands) = line.text.split_once(' ').unwrap_or((&line.text, ""));
    let operands: Vec<&str> = operands.split(',').collect();
    let (first, last) = (operands[0], operands[operands.len() - 1]);
    let target = || {
        let target = i64::from_str_radix(last.trim_start_matches("0x"), 16)
            .expect("targets are hexadecimal");
        format!(". + {}", target - line.address.cast_signed())
    };
    let Some(name) = name.strip_prefix("c.") else {
        return "illegal".to_string();
    };
    match name {
        "unimp" => "illegal".to_string(),
        "addi4spn" => format!("addi {first},sp,{last}"),
        "nop" if first.is_empty() => "addi zero,zero,0".to_string(),
        "nop" => format!("addi zero,zero,{last}"),
        "addi" | "addiw" | "slli" | "srli" | "srai" | "andi" => {
            format!("{name} {first},{first},{last}")
        }
        "slli64" | "srli64" | "srai64" => format!("{} {first},{first},0x0", &name[..4]),
        "li" => format!("addi {first},zero,{last}"),
        // Reserved by the manual, whatever the disassembler says.
        "addi16sp" if last == "0" => "illegal".to_string(),
        "addi16sp" => format!("addi sp,sp,{last}"),
        "lui" => format!("lui {first},{last}"),
        "sub" | "xor" | "or" | "and" | "subw" | "addw" | "add" => {
            format!("{name} {first},{first},{last}")
        }
        "j" => format!("jal zero,{}", target()),
        "beqz" => format!("beq {first},zero,{}", target()),
        "bnez" => format!("bne {first},zero,{}", target()),
        "jr" => format!("jalr zero,0({first})"),
        "jalr" => format!("jalr ra,0({first})"),
        "mv" => format!("add {first},zero,{last}"),
        "ebreak" => name.to_string(),
        // Loads and stores, with or without the stack pointer.
        _ => format!("{} {first},{last}", name.trim_end_matches("sp")),
    }
}
