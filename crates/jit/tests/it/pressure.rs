//! Loops that use more registers than the host has, with rotations, words, and accesses that leave hot code.

use isa::Op;
use isa::csr;
use machine::config::MEMORY_BYTES_MIN;
use torture::generate::Random;

use crate::image::{Image, Plain, address};

/// Kept: a sum over all registers wherever the guest trapped, and what the trap handler needs.
const SUM: u8 = 3;
const SPARE: u8 = 6;
/// Kept: an address near the end of a page, one that moves over that end, a count, and the part of it that moves.
const END: u8 = 4;
const MOVING: u8 = 5;
const COUNT: u8 = 7;
const STEP: u8 = 28;
const HANDLER: i32 = 0x200;
const LOOP: i32 = 0x400;
const PROGRAMS: u64 = 100;

const MTVEC: i32 = csr::MTVEC as i32;
const MEPC: i32 = csr::MEPC as i32;

/// Instructions of a loop.
struct Writer {
    random: Random,
    /// Registers for any use.
    free: Vec<u8>,
    code: Vec<Plain>,
}

impl Writer {
    fn new(seed: u64) -> Writer {
        let mut random = Random::new(seed);
        let mut free: Vec<u8> = (1..32)
            .filter(|register| ![SUM, SPARE, END, MOVING, COUNT, STEP].contains(register))
            .collect();
        for _ in 0..random.below(16) {
            free.swap_remove(random.below(free.len()));
        }
        Writer {
            random,
            free,
            code: Vec::new(),
        }
    }

    fn register(&mut self) -> u8 {
        self.random.pick(&self.free)
    }

    fn item(&mut self) {
        match self.random.below(20) {
            0..6 => self.rotations(),
            6..16 => {
                let op = self.random.pick(&[
                    Op::Add,
                    Op::Addw,
                    Op::Subw,
                    Op::Xor,
                    Op::Xor,
                    Op::Or,
                    Op::And,
                    Op::Mul,
                ]);
                let (rd, rs1, rs2) = (self.register(), self.register(), self.register());
                self.code.push((op, rd, rs1, rs2, 0));
            }
            16..19 => {
                let (op, imm) = self.random.pick(&[
                    (Op::Addiw, 0),
                    (Op::Addiw, 5),
                    (Op::Addi, -7),
                    (Op::Andi, 0xff),
                    (Op::Slli, 32),
                    (Op::Srli, 32),
                    (Op::Srliw, 8),
                ]);
                let (rd, other) = (self.register(), self.register());
                let rs1 = self.random.pick(&[rd, other]);
                self.code.push((op, rd, rs1, 0, imm));
            }
            _ => self.access(),
        }
    }

    /// Two shifts each, one after the other or all at a time.
    fn rotations(&mut self) {
        let (left, right, bits) = self.random.pick(&[
            (Op::Slliw, Op::Srliw, 32),
            (Op::Slliw, Op::Srliw, 32),
            (Op::Slli, Op::Srli, 64),
        ]);
        let (mut first, mut second, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..1 + self.random.below(4) {
            let (source, high, other) = (self.register(), self.register(), self.register());
            // Where it is not needed any more, the source is shifted itself.
            let low = self.random.pick(&[source, source, other]);
            let by = 1 + self.random.below(bits - 1) as i32;
            first.push((left, high, source, 0, by));
            second.push((right, low, source, 0, bits as i32 - by));
            let any = self.register();
            let result = self.random.pick(&[high, low, any]);
            last.push((Op::Or, result, high, low, 0));
            // Now and then the halves are wanted themselves.
            if self.random.one_in(4) {
                let (one, other) = (self.register(), self.register());
                last.push((Op::Xor, one, one, low, 0));
                last.push((Op::Xor, other, other, high, 0));
            }
        }
        for all in [first, second, last] {
            for insn in all {
                self.code.push(insn);
                if self.random.one_in(16) {
                    self.access();
                }
            }
        }
    }

    /// Seldom, one that is on two pages.
    fn access(&mut self) {
        let op = self.random.pick(&[Op::Ld, Op::Lw, Op::Lwu, Op::Sd, Op::Sw]);
        let (register, imm) = (self.register(), self.random.below(64) as i32);
        let (rd, rs2) = match op {
            Op::Sd | Op::Sw => (0, register),
            _ => (register, 0),
        };
        self.code.push((op, rd, MOVING, rs2, imm));
    }
}

#[test]
fn registers_keep_their_values() {
    for seed in 1..=PROGRAMS {
        let mut writer = Writer::new(seed);
        let len = 10 + writer.random.below(200);
        while writer.code.len() < len {
            writer.item();
        }
        let mut image = Image(vec![0; 0x1_2000]);
        // The accesses of the loop move to another page, or to where no memory is.
        let end = writer.random.pick(&[0x1_0000, MEMORY_BYTES_MIN]);
        let mut at = image.code(0, &address(END, end));
        at = image.code(at, &address(SPARE, 0));
        at = image.code(
            at,
            &[
                (Op::Addi, END, END, 0, -0x80),
                (Op::Addi, SPARE, SPARE, 0, HANDLER),
                (Op::Csrrw, 0, SPARE, 0, MTVEC),
            ],
        );
        for register in writer.free.clone() {
            let value = writer.random.below(1 << 20) as i32 - (1 << 19);
            at = image.code(at, &[(Op::Lui, register, 0, 0, value << 12)]);
        }
        image.code(at, &[(Op::Jal, 0, 0, 0, LOOP - at as i32)]);
        let add = |register: &u8| (Op::Add, SUM, SUM, *register, 0);
        let sum: Vec<Plain> = writer.free.iter().map(add).collect();
        at = image.code(HANDLER as usize, &sum);
        image.code(
            at,
            &[
                (Op::Slli, SPARE, SUM, 0, 1),
                (Op::Xor, SUM, SUM, SPARE, 0),
                (Op::Csrrs, SPARE, 0, 0, MEPC),
                (Op::Addi, SPARE, SPARE, 0, 4),
                (Op::Csrrw, 0, SPARE, 0, MEPC),
                (Op::Mret, 0, 0, 0, 0),
            ],
        );
        let moves = [
            (Op::Andi, STEP, COUNT, 0, 0x7f),
            (Op::Add, MOVING, END, STEP, 0),
        ];
        at = image.code(LOOP as usize, &moves);
        at = image.code(at, &writer.code);
        let back = LOOP - at as i32 - 4;
        image.code(
            at,
            &[(Op::Addi, COUNT, COUNT, 0, 1), (Op::Bne, 0, COUNT, 0, back)],
        );
        image.run(0);
    }
}
