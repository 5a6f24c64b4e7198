//! An assembler in memory: instructions one after the other, with labels.

use isa::{Insn, Op, decode};

/// A place in the code, perhaps one that comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// Code that grows, from an address aligned to a page on.
#[derive(Default)]
pub(crate) struct Assembler {
    code: Vec<u8>,
    labels: Vec<Option<usize>>,
    /// Where instructions name labels.
    uses: Vec<(usize, Label)>,
}

impl Assembler {
    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.code.len()
    }

    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label is here.
    pub(crate) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    pub(crate) fn here(&mut self) -> Label {
        let label = self.label();
        self.place(label);
        label
    }

    /// Where a label is, if it is placed.
    pub(crate) fn place_of(&self, label: Label) -> Option<usize> {
        self.labels[label.0]
    }

    pub(crate) fn half(&mut self, bits: u16) {
        self.code.extend_from_slice(&bits.to_le_bytes());
    }

    pub(crate) fn word(&mut self, bits: u32) {
        self.code.extend_from_slice(&bits.to_le_bytes());
    }

    /// An instruction, compressed if it is 2 bytes long.
    pub(crate) fn insn(&mut self, insn: Insn) {
        if insn.length == 2 {
            self.half(insn.bits as u16);
        } else {
            self.word(insn.encode());
        }
    }

    /// `op rd, rs1, imm`: also loads and CSR instructions.
    pub(crate) fn imm(&mut self, op: Op, rd: u8, rs1: u8, imm: i32) {
        self.insn(Insn {
            rd,
            rs1,
            imm,
            ..Insn::new(op)
        });
    }

    /// `op rd, rs1, rs2`.
    pub(crate) fn reg(&mut self, op: Op, rd: u8, rs1: u8, rs2: u8) {
        self.insn(Insn {
            rd,
            rs1,
            rs2,
            ..Insn::new(op)
        });
    }

    /// `op rs2, imm(rs1)`.
    pub(crate) fn store(&mut self, op: Op, rs2: u8, rs1: u8, imm: i32) {
        self.insn(Insn {
            rs1,
            rs2,
            imm,
            ..Insn::new(op)
        });
    }

    pub(crate) fn addi(&mut self, rd: u8, rs1: u8, imm: i32) {
        self.imm(Op::Addi, rd, rs1, imm);
    }

    /// No operands.
    pub(crate) fn bare(&mut self, op: Op) {
        self.insn(Insn::new(op));
    }

    /// A constant, by as many instructions as it takes.
    pub(crate) fn constant(&mut self, rd: u8, value: u64) {
        let value = value.cast_signed();
        let low = (value << 52 >> 52) as i32;
        if i64::from(low) == value {
            return self.addi(rd, 0, low);
        }
        if let Ok(word) = i32::try_from(value) {
            self.insn(Insn {
                rd,
                imm: word.wrapping_sub(low),
                ..Insn::new(Op::Lui)
            });
            return self.imm(Op::Addiw, rd, rd, low);
        }
        let upper = value.wrapping_sub(low.into()) >> 12;
        let zeros = upper.trailing_zeros().min(51);
        self.constant(rd, (upper >> zeros).cast_unsigned());
        self.imm(Op::Slli, rd, rd, (12 + zeros) as i32);
        if low != 0 {
            self.addi(rd, rd, low);
        }
    }

    /// A conditional branch, which reaches 4 KiB.
    pub(crate) fn branch(&mut self, op: Op, rs1: u8, rs2: u8, to: Label) {
        self.uses.push((self.code.len(), to));
        self.store(op, rs2, rs1, 0);
    }

    pub(crate) fn jump(&mut self, rd: u8, to: Label) {
        self.uses.push((self.code.len(), to));
        self.imm(Op::Jal, rd, 0, 0);
    }

    /// The address of a label.
    pub(crate) fn address(&mut self, rd: u8, of: Label) {
        self.uses.push((self.code.len(), of));
        self.imm(Op::Auipc, rd, 0, 0);
        self.addi(rd, rd, 0);
    }

    /// The code, with all labels filled in.
    ///
    /// # Panics
    /// If a label is not placed, or too far.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        for (at, label) in std::mem::take(&mut self.uses) {
            let place = self.labels[label.0].expect("every label is placed");
            let distance = place as i32 - at as i32;
            let mut insn = self.read(at);
            insn.imm = distance;
            if insn.op == Op::Auipc {
                let low = distance << 20 >> 20;
                insn.imm = distance - low;
                let mut second = self.read(at + 4);
                second.imm = low;
                self.write(at + 4, second);
            }
            self.write(at, insn);
        }
        self.code
    }

    fn read(&self, at: usize) -> Insn {
        let bytes = self.code[at..].first_chunk().expect("an instruction");
        decode(u32::from_le_bytes(*bytes))
    }

    fn write(&mut self, at: usize, insn: Insn) {
        let bits = insn.encode();
        let written = decode(bits);
        assert_eq!(written.imm, insn.imm, "{insn} reaches its target");
        self.code[at..at + 4].copy_from_slice(&bits.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the instructions of a constant compute.
    fn value(code: &[u8]) -> u64 {
        let mut value = 0u64;
        for bytes in code.chunks(4) {
            let insn = decode(u32::from_le_bytes(*bytes.first_chunk().unwrap()));
            let imm = i64::from(insn.imm).cast_unsigned();
            let old = if insn.rs1 == 0 { 0 } else { value };
            value = match insn.op {
                Op::Lui => imm,
                Op::Addi => old.wrapping_add(imm),
                Op::Addiw => i64::from(old.wrapping_add(imm) as i32).cast_unsigned(),
                Op::Slli => old << imm,
                other => panic!("{other:?}"),
            };
        }
        value
    }

    #[test]
    fn constants() {
        let mut random = crate::generate::Random::new(1);
        for _ in 0..1000 {
            let wanted = random.integer();
            let mut assembler = Assembler::default();
            assembler.constant(5, wanted);
            assert_eq!(value(&assembler.finish()), wanted, "{wanted:#x}");
        }
    }

    #[test]
    fn labels() {
        let mut assembler = Assembler::default();
        let end = assembler.label();
        assembler.address(5, end);
        assembler.branch(Op::Bne, 5, 6, end);
        for _ in 0..1000 {
            assembler.half(1);
        }
        assembler.place(end);
        assembler.jump(0, end);
        let code = assembler.finish();
        let at = |at: usize| decode(u32::from_le_bytes(*code[at..].first_chunk().unwrap()));
        assert_eq!(at(0).imm + at(4).imm, 2012);
        assert_eq!((at(8).imm, at(2012).imm), (2004, 0));
    }
}
