//! Small M-mode programs, and what becomes of them.

use isa::csr;
use isa::{Insn, Op};
use jit::{Options, Translator};
use machine::{
    BoardConfig, Boot, Engine, Firmware, GuestAddr, Interpreter, InterpreterOptions, Machine,
    Position, Stop,
};

/// Where memory starts, and code.
pub(crate) const CODE: u64 = 0x8000_0000;
/// Where data starts.
pub(crate) const DATA: u64 = 0x8010_0000;

pub(crate) const FFLAGS: i32 = csr::FFLAGS as i32;
pub(crate) const FRM: i32 = csr::FRM as i32;
pub(crate) const MSTATUS: i32 = csr::MSTATUS as i32;
pub(crate) const MTVEC: i32 = csr::MTVEC as i32;
pub(crate) const MEPC: i32 = csr::MEPC as i32;

/// An instruction of three registers and an immediate.
pub(crate) fn insn(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> Insn {
    Insn {
        rd,
        rs1,
        rs2,
        imm,
        ..Insn::new(op)
    }
}

/// Instructions one after the other.
#[derive(Default)]
pub(crate) struct Code(Vec<u32>);

impl Code {
    pub(crate) fn push(&mut self, insn: Insn) {
        self.0.push(insn.encode());
    }

    pub(crate) fn op(&mut self, op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) {
        self.push(insn(op, rd, rs1, rs2, imm));
    }

    /// `rd` = an unsigned constant, by four instructions.
    pub(crate) fn constant(&mut self, rd: u8, value: u32) {
        let upper = value.wrapping_add(0x800) & !0xfff;
        let lower = value.wrapping_sub(upper).cast_signed();
        self.op(Op::Lui, rd, 0, 0, upper.cast_signed());
        self.op(Op::Addiw, rd, rd, 0, lower);
        self.op(Op::Slli, rd, rd, 0, 32);
        self.op(Op::Srli, rd, rd, 0, 32);
    }

    /// The address of the next instruction.
    pub(crate) fn here(&self) -> u64 {
        CODE + 4 * self.0.len() as u64
    }

    /// A jump back to `target` if register `rs1` is not 0.
    pub(crate) fn repeat(&mut self, rs1: u8, target: u64) {
        // Farther than a branch reaches.
        self.op(Op::Beq, 0, rs1, 0, 8);
        let distance = target.wrapping_sub(self.here()).cast_signed() as i32;
        self.op(Op::Jal, 0, 0, 0, distance);
    }

    /// Traps go on behind what trapped. To be used at the start; x31 is lost.
    pub(crate) fn skip_traps(&mut self) {
        self.op(Op::Jal, 0, 0, 0, 20);
        self.op(Op::Csrrs, 31, 0, 0, MEPC);
        self.op(Op::Addi, 31, 31, 0, 4);
        self.op(Op::Csrrw, 0, 31, 0, MEPC);
        self.op(Op::Mret, 0, 0, 0, 0);
        self.constant(31, CODE as u32 + 4);
        self.op(Op::Csrrw, 0, 31, 0, MTVEC);
    }

    /// Makes `mstatus.FS` 0 to 3.
    pub(crate) fn float_status(&mut self, state: u32) {
        self.constant(31, 3 << 13);
        self.op(Op::Csrrc, 0, 31, 0, MSTATUS);
        self.constant(31, state << 13);
        self.op(Op::Csrrs, 0, 31, 0, MSTATUS);
    }

    /// The machine that is about to execute all this, and stops behind it.
    pub(crate) fn machine(&self, data: &[u64], engine: Box<dyn Engine>) -> Machine {
        let mut image: Vec<u8> = self.0.iter().flat_map(|insn| insn.to_le_bytes()).collect();
        image.extend(Insn::new(Op::Wfi).encode().to_le_bytes());
        let board = BoardConfig {
            memory_bytes: 16 << 20,
            ..BoardConfig::default()
        };
        let boot = Boot {
            firmware: Firmware::Image(image),
            ..Boot::default()
        };
        let mut machine = Machine::boot(&board, &boot, engine).expect("a small program");
        let data: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        machine
            .write_memory(GuestAddr(DATA), &data)
            .expect("memory");
        machine
    }
}

pub(crate) fn interpreter() -> Box<dyn Engine> {
    Box::new(Interpreter::new(InterpreterOptions::default()))
}

pub(crate) fn translator() -> Box<dyn Engine> {
    let options = Options {
        cache_bytes: 16 << 20,
        glance: 1,
        ..Options::default()
    };
    Box::new(Translator::new(options).expect("this host can be translated for"))
}

/// Executes to the end, `stride` positions at once.
pub(crate) fn finish(machine: &mut Machine, stride: u64) {
    while machine.run(Position(machine.position().0 + stride)) != Stop::Idle {}
}

/// Double-words of memory.
pub(crate) fn read(machine: &Machine, address: u64, len: usize) -> Vec<u64> {
    let mut bytes = vec![0; len * 8];
    machine
        .read_memory(GuestAddr(address), &mut bytes)
        .expect("memory");
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|bytes| u64::from_le_bytes(*bytes))
        .collect()
}
