//! The compressed instructions (extension C, with the double-precision loads and stores), one row each,
//! and their expansion. Source: the RISC-V Instruction Set Manual, volume I, chapter "C", with its
//! listing of reserved encodings and hints: a hint is legal and does nothing that can be seen.

use crate::insn::Insn;
use crate::table::Op;

/// Where the operands of a compressed instruction are. A primed register is one of x8 to x15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressedFormat {
    /// `rd', sp, uimm` in fours; 0 is reserved (so the all-zero half-word is illegal).
    StackAddress,
    /// `rd', uimm(rs1')` in words.
    LoadWord,
    /// `rd', uimm(rs1')` in double-words.
    LoadDouble,
    /// `rs2', uimm(rs1')` in words.
    StoreWord,
    /// `rs2', uimm(rs1')` in double-words.
    StoreDouble,
    /// `rd, rd, imm`.
    AddImmediate,
    /// `rd, rd, imm` with `rd` of x0 reserved.
    AddImmediateWord,
    /// `rd, x0, imm`.
    LoadImmediate,
    /// `sp, sp, imm` in sixteens; 0 is reserved.
    AdjustStack,
    /// `rd, imm[17:12]`; 0 is reserved.
    LoadUpper,
    /// `rd', rd', shift amount`.
    ShiftRight,
    /// `rd', rd', imm`.
    AndImmediate,
    /// `rd', rd', rs2'`.
    Arithmetic,
    /// `x0, target`.
    Jump,
    /// `rs1', x0, target`.
    BranchZero,
    /// `rd, rd, shift amount`.
    ShiftLeft,
    /// `rd, uimm(sp)` in words; an integer `rd` of x0 is reserved.
    StackLoadWord,
    /// `rd, uimm(sp)` in double-words; an integer `rd` of x0 is reserved.
    StackLoadDouble,
    /// `x0, 0(rs1)`; `rs1` of x0 is reserved.
    JumpRegister,
    /// `ra, 0(rs1)`; the row of `c.ebreak` before it takes `rs1` of x0.
    JumpAndLinkRegister,
    /// `rd, x0, rs2`.
    Move,
    /// `rd, rd, rs2`.
    Add,
    /// No operands.
    Bare,
    /// `rs2, uimm(sp)` in words.
    StackStoreWord,
    /// `rs2, uimm(sp)` in double-words.
    StackStoreDouble,
}

/// One row of the table of compressed instructions.
#[derive(Clone, Copy, Debug)]
pub struct CompressedRow {
    /// The name in assembly language.
    pub mnemonic: &'static str,
    /// Where the operands are.
    pub format: CompressedFormat,
    /// The fixed bits.
    pub matching: u16,
    /// Which bits are fixed.
    pub mask: u16,
    /// The operation that it expands to.
    pub op: Op,
}

macro_rules! compressed {
    ($($mnemonic:literal $format:ident $matching:literal $mask:literal $op:ident;)*) => {
        /// The compressed instructions by quadrant and `funct3`; of rows that both match, the first
        /// one counts.
        pub const COMPRESSED: &[CompressedRow] = &[
            $(CompressedRow {
                mnemonic: $mnemonic,
                format: CompressedFormat::$format,
                matching: $matching,
                mask: $mask,
                op: Op::$op,
            },)*
        ];
    };
}

compressed! {
    // mnemonic    format              match  mask   expansion

    // Quadrant 0.
    "c.addi4spn"   StackAddress        0x0000 0xe003 Addi;
    "c.fld"        LoadDouble          0x2000 0xe003 Fld;
    "c.lw"         LoadWord            0x4000 0xe003 Lw;
    "c.ld"         LoadDouble          0x6000 0xe003 Ld;
    "c.fsd"        StoreDouble         0xa000 0xe003 Fsd;
    "c.sw"         StoreWord           0xc000 0xe003 Sw;
    "c.sd"         StoreDouble         0xe000 0xe003 Sd;

    // Quadrant 1.
    "c.nop"        AddImmediate        0x0001 0xef83 Addi;
    "c.addi"       AddImmediate        0x0001 0xe003 Addi;
    "c.addiw"      AddImmediateWord    0x2001 0xe003 Addiw;
    "c.li"         LoadImmediate       0x4001 0xe003 Addi;
    "c.addi16sp"   AdjustStack         0x6101 0xef83 Addi;
    "c.lui"        LoadUpper           0x6001 0xe003 Lui;
    "c.srli"       ShiftRight          0x8001 0xec03 Srli;
    "c.srai"       ShiftRight          0x8401 0xec03 Srai;
    "c.andi"       AndImmediate        0x8801 0xec03 Andi;
    "c.sub"        Arithmetic          0x8c01 0xfc63 Sub;
    "c.xor"        Arithmetic          0x8c21 0xfc63 Xor;
    "c.or"         Arithmetic          0x8c41 0xfc63 Or;
    "c.and"        Arithmetic          0x8c61 0xfc63 And;
    "c.subw"       Arithmetic          0x9c01 0xfc63 Subw;
    "c.addw"       Arithmetic          0x9c21 0xfc63 Addw;
    "c.j"          Jump                0xa001 0xe003 Jal;
    "c.beqz"       BranchZero          0xc001 0xe003 Beq;
    "c.bnez"       BranchZero          0xe001 0xe003 Bne;

    // Quadrant 2.
    "c.slli"       ShiftLeft           0x0002 0xe003 Slli;
    "c.fldsp"      StackLoadDouble     0x2002 0xe003 Fld;
    "c.lwsp"       StackLoadWord       0x4002 0xe003 Lw;
    "c.ldsp"       StackLoadDouble     0x6002 0xe003 Ld;
    "c.jr"         JumpRegister        0x8002 0xf07f Jalr;
    "c.mv"         Move                0x8002 0xf003 Add;
    "c.ebreak"     Bare                0x9002 0xffff Ebreak;
    "c.jalr"       JumpAndLinkRegister 0x9002 0xf07f Jalr;
    "c.add"        Add                 0x9002 0xf003 Add;
    "c.fsdsp"      StackStoreDouble    0xa002 0xe003 Fsd;
    "c.swsp"       StackStoreWord      0xc002 0xe003 Sw;
    "c.sdsp"       StackStoreDouble    0xe002 0xe003 Sd;
}

const BUCKETS: usize = 3 * 8;

/// The first row of each bucket, a quadrant and `funct3`; the next bucket starts where it ends.
static STARTS: [u8; BUCKETS + 1] = build_starts();

/// The row of the table that `bits` match, even if their operands are reserved.
#[must_use]
pub fn find(bits: u16) -> Option<&'static CompressedRow> {
    let bucket = bucket_of(bits);
    let rows = usize::from(*STARTS.get(bucket)?)..usize::from(*STARTS.get(bucket + 1)?);
    COMPRESSED[rows]
        .iter()
        .find(|row| bits & row.mask == row.matching)
}

/// The expansion of the compressed instruction `bits`, 2 bytes long.
pub(crate) fn decode(bits: u16) -> Insn {
    find(bits)
        .and_then(|row| row.format.expand(row.op, u32::from(bits)))
        .unwrap_or(Insn::illegal(u32::from(bits), 2))
}

const fn bucket_of(bits: u16) -> usize {
    ((bits & 3) << 3 | bits >> 13) as usize
}

const fn build_starts() -> [u8; BUCKETS + 1] {
    let mut starts = [0; BUCKETS + 1];
    let mut row = 0;
    let mut bucket = 0;
    while bucket <= BUCKETS {
        while row < COMPRESSED.len() && bucket_of(COMPRESSED[row].matching) < bucket {
            row += 1;
        }
        starts[bucket] = row as u8;
        bucket += 1;
    }
    assert!(
        row == COMPRESSED.len(),
        "rows are sorted by quadrant and funct3"
    );
    starts
}

impl CompressedFormat {
    /// `op` with the operands in `bits`, or none if they are reserved.
    fn expand(self, op: Op, bits: u32) -> Option<Insn> {
        use CompressedFormat::*;
        let full1 = (bits >> 7 & 31) as u8;
        let full2 = (bits >> 2 & 31) as u8;
        let short1 = 8 + (bits >> 7 & 7) as u8;
        let short2 = 8 + (bits >> 2 & 7) as u8;
        let signed = || immediate(bits, [(12, 5, 1), (2, 0, 5)], Some(5));
        let unsigned = || immediate(bits, [(12, 5, 1), (2, 0, 5)], None);
        let words = || immediate(bits, [(10, 3, 3), (6, 2, 1), (5, 6, 1)], None);
        let doubles = || immediate(bits, [(10, 3, 3), (5, 6, 2)], None);
        let base = Insn {
            length: 2,
            bits,
            ..Insn::new(op)
        };
        let with = |rd: u8, rs1: u8, rs2: u8, imm: i32| Insn {
            rd,
            rs1,
            rs2,
            imm,
            ..base
        };
        let unless = |reserved: bool, insn: Insn| (!reserved).then_some(insn);
        Some(match self {
            StackAddress => {
                let imm = immediate(bits, [(11, 4, 2), (7, 6, 4), (6, 2, 1), (5, 3, 1)], None);
                return unless(imm == 0, with(short2, 2, 0, imm));
            }
            LoadWord => with(short2, short1, 0, words()),
            LoadDouble => with(short2, short1, 0, doubles()),
            StoreWord => with(0, short1, short2, words()),
            StoreDouble => with(0, short1, short2, doubles()),
            AddImmediate => with(full1, full1, 0, signed()),
            AddImmediateWord => return unless(full1 == 0, with(full1, full1, 0, signed())),
            LoadImmediate => with(full1, 0, 0, signed()),
            AdjustStack => {
                let parts = [(12, 9, 1), (6, 4, 1), (5, 6, 1), (3, 7, 2), (2, 5, 1)];
                let imm = immediate(bits, parts, Some(9));
                return unless(imm == 0, with(2, 2, 0, imm));
            }
            LoadUpper => return unless(signed() == 0, with(full1, 0, 0, signed() << 12)),
            ShiftRight => with(short1, short1, 0, unsigned()),
            AndImmediate => with(short1, short1, 0, signed()),
            Arithmetic => with(short1, short1, short2, 0),
            Jump => {
                let high = [(12, 11, 1), (11, 4, 1), (9, 8, 2), (8, 10, 1)];
                let low = [(7, 6, 1), (6, 7, 1), (3, 1, 3), (2, 5, 1)];
                with(
                    0,
                    0,
                    0,
                    immediate(bits, high, Some(11)) | immediate(bits, low, None),
                )
            }
            BranchZero => {
                let parts = [(12, 8, 1), (10, 3, 2), (5, 6, 2), (3, 1, 2), (2, 5, 1)];
                with(0, short1, 0, immediate(bits, parts, Some(8)))
            }
            ShiftLeft => with(full1, full1, 0, unsigned()),
            StackLoadWord => {
                let imm = immediate(bits, [(12, 5, 1), (4, 2, 3), (2, 6, 2)], None);
                return unless(full1 == 0, with(full1, 2, 0, imm));
            }
            StackLoadDouble => {
                let imm = immediate(bits, [(12, 5, 1), (5, 3, 2), (2, 6, 3)], None);
                return unless(full1 == 0 && op != Op::Fld, with(full1, 2, 0, imm));
            }
            JumpRegister => return unless(full1 == 0, with(0, full1, 0, 0)),
            JumpAndLinkRegister => with(1, full1, 0, 0),
            Move => with(full1, 0, full2, 0),
            Add => with(full1, full1, full2, 0),
            Bare => base,
            StackStoreWord => with(0, 2, full2, immediate(bits, [(9, 2, 4), (7, 6, 2)], None)),
            StackStoreDouble => with(0, 2, full2, immediate(bits, [(10, 3, 3), (7, 6, 3)], None)),
        })
    }
}

/// An immediate put together from `(from, to, count)`: `count` bits of `bits` from bit `from` go to bit
/// `to`. It is sign-extended from bit `sign`, if given.
#[inline(always)]
fn immediate<const N: usize>(bits: u32, parts: [(u32, u32, u32); N], sign: Option<u32>) -> i32 {
    let value = parts.iter().fold(0, |value, &(from, to, count)| {
        value | (bits >> from & ((1 << count) - 1)) << to
    });
    let unused = sign.map_or(0, |sign| 31 - sign);
    (value << unused).cast_signed() >> unused
}
