//! The GNU assembler and disassembler for RISC-V, as an oracle.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One instruction as the disassembler shows it.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its offset in the section.
    pub(crate) address: u64,
    /// Its bits.
    pub(crate) bits: u32,
    /// Its text without aliases, comments and symbols: mnemonic, one space, operands without spaces.
    pub(crate) text: String,
}

/// Assembles `source` for RV64GC and disassembles the result. `name` must differ
/// between tests: it names a temporary file.
pub(crate) fn assemble(name: &str, source: &str) -> Vec<Line> {
    let object = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.o"));
    let mut assembler = tool("as")
        .args(["-march=rv64gc", "-mno-relax", "-o"])
        .arg(&object)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{MISSING} ({error})"));
    assembler
        .stdin
        .take()
        .expect("standard input is a pipe")
        .write_all(source.as_bytes())
        .expect("the assembler reads its input");
    let output = assembler.wait_with_output().expect("the assembler ends");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let output = tool("objdump")
        .args([
            "--disassemble-all",
            "--section=.text",
            "--disassembler-options=no-aliases",
        ])
        .arg(&object)
        .output()
        .unwrap_or_else(|error| panic!("{MISSING} ({error})"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(parse)
        .collect()
}

const MISSING: &str = "riscv64-linux-gnu-as and -objdump cannot be started: apt-get install binutils-riscv64-linux-gnu";

/// One of the tools by its name.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = Command::new(format!("riscv64-linux-gnu-{name}"));
    command.env("LC_ALL", "C");
    command
}

/// An address and a colon, bits, text, between tabs.
fn parse(line: &str) -> Option<Line> {
    let mut columns = line.splitn(3, '\t');
    let address = columns.next()?.trim().strip_suffix(':')?;
    let bits = columns.next()?.trim();
    let text = columns.next()?.split(['#', '<']).next()?.trim();
    Some(Line {
        address: u64::from_str_radix(address, 16).ok()?,
        bits: u32::from_str_radix(bits, 16).ok()?,
        text: text.replace('\t', " "),
    })
}
