//! The instruction table: every 32-bit instruction of RV64GC, Zicsr, Zifencei and the privileged
//! architecture, one row each. [`Op`], the decoder, the encoder and the disassembler come from it; the
//! compressed instructions have a table of their own in [`crate::compressed`].
//!
//! Sources: the RISC-V Instruction Set Manual, volume I (chapters RV32I, RV64I, M, A, F, D, Zicsr,
//! Zifencei and the instruction listings) and volume II (chapter on supervisor-level instructions).

use crate::flow::{Access, Flow};
use crate::format::Format;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The operation of this row.
    pub op: Op,
    /// The name in assembly language.
    pub mnemonic: &'static str,
    /// Where the operands are, and how they are written.
    pub format: Format,
    /// Where it goes on.
    pub flow: Flow,
    /// What it accesses in memory, if it does.
    pub access: Option<Access>,
    /// The fixed bits.
    pub matching: u32,
    /// Which bits are fixed.
    pub mask: u32,
    /// What the instruction does, in one line.
    pub meaning: &'static str,
}

/// How rows write what they access: signed or unsigned, and how many bits.
mod access {
    use crate::flow::Access;
    use crate::operation::Width;

    #[expect(non_upper_case_globals, reason = "as it stands in the table")]
    pub(super) const No: Option<Access> = None;
    pub(super) const I8: Option<Access> = Access::signed(Width::Byte);
    pub(super) const I16: Option<Access> = Access::signed(Width::Half);
    pub(super) const I32: Option<Access> = Access::signed(Width::Word);
    pub(super) const I64: Option<Access> = Access::signed(Width::Double);
    pub(super) const U8: Option<Access> = Access::unsigned(Width::Byte);
    pub(super) const U16: Option<Access> = Access::unsigned(Width::Half);
    pub(super) const U32: Option<Access> = Access::unsigned(Width::Word);
    pub(super) const U64: Option<Access> = Access::unsigned(Width::Double);
}

macro_rules! instructions {
    ($($op:ident $mnemonic:literal $format:ident $flow:ident $access:ident $matching:literal $mask:literal $meaning:literal;)*) => {
        /// What an instruction does. Compressed instructions have the operation of their expansion.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Op {
            $(#[doc = concat!("`", $mnemonic, "`: ", $meaning, ".")] $op,)*
            /// No instruction: reserved or unknown bits. Executing it is an illegal-instruction exception.
            Illegal,
        }

        /// The table, in the order of [`Op`]; [`Op::Illegal`] has no row.
        pub const TABLE: &[Row] = &[
            $(Row {
                op: Op::$op,
                mnemonic: $mnemonic,
                format: Format::$format,
                flow: Flow::$flow,
                access: access::$access,
                matching: $matching,
                mask: $mask,
                meaning: $meaning,
            },)*
        ];
    };
}

instructions! {
    // operation mnemonic   format            goes on  memory match     mask       meaning
    // RV64I: integers.
    Lui       "lui"        Upper             Next     No   0x00000037 0x0000007f "rd = imm, the upper 20 bits of a sign-extended word";
    Auipc     "auipc"      Upper             Next     No   0x00000017 0x0000007f "rd = pc + imm";
    Jal       "jal"        Jump              Jump     No   0x0000006f 0x0000007f "rd = address of the next instruction; pc += imm";
    Jalr      "jalr"       Indirect          Jump     No   0x00000067 0x0000707f "rd = address of the next instruction; pc = (rs1 + imm) with bit 0 cleared";
    Beq       "beq"        Branch            Branch   No   0x00000063 0x0000707f "pc += imm if rs1 = rs2";
    Bne       "bne"        Branch            Branch   No   0x00001063 0x0000707f "pc += imm if rs1 ≠ rs2";
    Blt       "blt"        Branch            Branch   No   0x00004063 0x0000707f "pc += imm if rs1 < rs2, signed";
    Bge       "bge"        Branch            Branch   No   0x00005063 0x0000707f "pc += imm if rs1 ≥ rs2, signed";
    Bltu      "bltu"       Branch            Branch   No   0x00006063 0x0000707f "pc += imm if rs1 < rs2, unsigned";
    Bgeu      "bgeu"       Branch            Branch   No   0x00007063 0x0000707f "pc += imm if rs1 ≥ rs2, unsigned";
    Lb        "lb"         Load              Next     I8   0x00000003 0x0000707f "rd = memory(rs1 + imm): byte, sign-extended";
    Lh        "lh"         Load              Next     I16  0x00001003 0x0000707f "rd = memory(rs1 + imm): half-word, sign-extended";
    Lw        "lw"         Load              Next     I32  0x00002003 0x0000707f "rd = memory(rs1 + imm): word, sign-extended";
    Ld        "ld"         Load              Next     I64  0x00003003 0x0000707f "rd = memory(rs1 + imm): double-word";
    Lbu       "lbu"        Load              Next     U8   0x00004003 0x0000707f "rd = memory(rs1 + imm): byte, zero-extended";
    Lhu       "lhu"        Load              Next     U16  0x00005003 0x0000707f "rd = memory(rs1 + imm): half-word, zero-extended";
    Lwu       "lwu"        Load              Next     U32  0x00006003 0x0000707f "rd = memory(rs1 + imm): word, zero-extended";
    Sb        "sb"         Store             Next     U8   0x00000023 0x0000707f "memory(rs1 + imm) = rs2: byte";
    Sh        "sh"         Store             Next     U16  0x00001023 0x0000707f "memory(rs1 + imm) = rs2: half-word";
    Sw        "sw"         Store             Next     U32  0x00002023 0x0000707f "memory(rs1 + imm) = rs2: word";
    Sd        "sd"         Store             Next     U64  0x00003023 0x0000707f "memory(rs1 + imm) = rs2: double-word";
    Addi      "addi"       Immediate         Next     No   0x00000013 0x0000707f "rd = rs1 + imm";
    Slti      "slti"       Immediate         Next     No   0x00002013 0x0000707f "rd = 1 if rs1 < imm, signed, else 0";
    Sltiu     "sltiu"      Immediate         Next     No   0x00003013 0x0000707f "rd = 1 if rs1 < imm, unsigned, else 0";
    Xori      "xori"       Immediate         Next     No   0x00004013 0x0000707f "rd = rs1 xor imm";
    Ori       "ori"        Immediate         Next     No   0x00006013 0x0000707f "rd = rs1 or imm";
    Andi      "andi"       Immediate         Next     No   0x00007013 0x0000707f "rd = rs1 and imm";
    Slli      "slli"       Shift             Next     No   0x00001013 0xfc00707f "rd = rs1 << imm";
    Srli      "srli"       Shift             Next     No   0x00005013 0xfc00707f "rd = rs1 >> imm, zeros shifted in";
    Srai      "srai"       Shift             Next     No   0x40005013 0xfc00707f "rd = rs1 >> imm, sign bits shifted in";
    Add       "add"        Register          Next     No   0x00000033 0xfe00707f "rd = rs1 + rs2";
    Sub       "sub"        Register          Next     No   0x40000033 0xfe00707f "rd = rs1 - rs2";
    Sll       "sll"        Register          Next     No   0x00001033 0xfe00707f "rd = rs1 << (rs2 mod 64)";
    Slt       "slt"        Register          Next     No   0x00002033 0xfe00707f "rd = 1 if rs1 < rs2, signed, else 0";
    Sltu      "sltu"       Register          Next     No   0x00003033 0xfe00707f "rd = 1 if rs1 < rs2, unsigned, else 0";
    Xor       "xor"        Register          Next     No   0x00004033 0xfe00707f "rd = rs1 xor rs2";
    Srl       "srl"        Register          Next     No   0x00005033 0xfe00707f "rd = rs1 >> (rs2 mod 64), zeros shifted in";
    Sra       "sra"        Register          Next     No   0x40005033 0xfe00707f "rd = rs1 >> (rs2 mod 64), sign bits shifted in";
    Or        "or"         Register          Next     No   0x00006033 0xfe00707f "rd = rs1 or rs2";
    And       "and"        Register          Next     No   0x00007033 0xfe00707f "rd = rs1 and rs2";
    Addiw     "addiw"      Immediate         Next     No   0x0000001b 0x0000707f "rd = rs1 + imm, as a word";
    Slliw     "slliw"      ShiftWord         Next     No   0x0000101b 0xfe00707f "rd = rs1 << imm, as a word";
    Srliw     "srliw"      ShiftWord         Next     No   0x0000501b 0xfe00707f "rd = word(rs1) >> imm, zeros shifted in, as a word";
    Sraiw     "sraiw"      ShiftWord         Next     No   0x4000501b 0xfe00707f "rd = word(rs1) >> imm, sign bits shifted in";
    Addw      "addw"       Register          Next     No   0x0000003b 0xfe00707f "rd = rs1 + rs2, as a word";
    Subw      "subw"       Register          Next     No   0x4000003b 0xfe00707f "rd = rs1 - rs2, as a word";
    Sllw      "sllw"       Register          Next     No   0x0000103b 0xfe00707f "rd = rs1 << (rs2 mod 32), as a word";
    Srlw      "srlw"       Register          Next     No   0x0000503b 0xfe00707f "rd = word(rs1) >> (rs2 mod 32), zeros shifted in, as a word";
    Sraw      "sraw"       Register          Next     No   0x4000503b 0xfe00707f "rd = word(rs1) >> (rs2 mod 32), sign bits shifted in";
    Fence     "fence"      Fence             Next     No   0x0000000f 0x0000707f "memory accesses before are ordered before those after; reserved fields are ignored";
    Ecall     "ecall"      Bare              Trap     No   0x00000073 0xffffffff "trap into the execution environment";
    Ebreak    "ebreak"     Bare              Trap     No   0x00100073 0xffffffff "trap into the debugger";

    // Zifencei and Zicsr.
    FenceI    "fence.i"    FenceInstruction  Refetch  No   0x0000100f 0x0000707f "later fetches see earlier stores; reserved fields are ignored";
    Csrrw     "csrrw"      Csr               Context  No   0x00001073 0x0000707f "rd = csr; csr = rs1 (not read if rd is x0)";
    Csrrs     "csrrs"      Csr               Context  No   0x00002073 0x0000707f "rd = csr; csr |= rs1 (not written if rs1 is x0)";
    Csrrc     "csrrc"      Csr               Context  No   0x00003073 0x0000707f "rd = csr; csr &= not rs1 (not written if rs1 is x0)";
    Csrrwi    "csrrwi"     CsrImmediate      Context  No   0x00005073 0x0000707f "rd = csr; csr = uimm (not read if rd is x0)";
    Csrrsi    "csrrsi"     CsrImmediate      Context  No   0x00006073 0x0000707f "rd = csr; csr |= uimm (not written if uimm is 0)";
    Csrrci    "csrrci"     CsrImmediate      Context  No   0x00007073 0x0000707f "rd = csr; csr &= not uimm (not written if uimm is 0)";

    // Privileged.
    Sret      "sret"       Bare              Return   No   0x10200073 0xffffffff "return from a trap taken in S mode";
    Mret      "mret"       Bare              Return   No   0x30200073 0xffffffff "return from a trap taken in M mode";
    Wfi       "wfi"        Bare              Wait     No   0x10500073 0xffffffff "wait until an interrupt is pending";
    SfenceVma "sfence.vma" FenceVma          Context  No   0x12000073 0xfe007fff "later translations of address rs1 (x0: all) in space rs2 (x0: all) see earlier stores";

    // M: multiplication and division.
    Mul       "mul"        Register          Next     No   0x02000033 0xfe00707f "rd = rs1 × rs2, lower half";
    Mulh      "mulh"       Register          Next     No   0x02001033 0xfe00707f "rd = rs1 × rs2, upper half, signed × signed";
    Mulhsu    "mulhsu"     Register          Next     No   0x02002033 0xfe00707f "rd = rs1 × rs2, upper half, signed × unsigned";
    Mulhu     "mulhu"      Register          Next     No   0x02003033 0xfe00707f "rd = rs1 × rs2, upper half, unsigned × unsigned";
    Div       "div"        Register          Next     No   0x02004033 0xfe00707f "rd = rs1 ÷ rs2, signed; -1 if rs2 = 0";
    Divu      "divu"       Register          Next     No   0x02005033 0xfe00707f "rd = rs1 ÷ rs2, unsigned; 2⁶⁴ - 1 if rs2 = 0";
    Rem       "rem"        Register          Next     No   0x02006033 0xfe00707f "rd = remainder of rs1 ÷ rs2, signed; rs1 if rs2 = 0";
    Remu      "remu"       Register          Next     No   0x02007033 0xfe00707f "rd = remainder of rs1 ÷ rs2, unsigned; rs1 if rs2 = 0";
    Mulw      "mulw"       Register          Next     No   0x0200003b 0xfe00707f "rd = rs1 × rs2, as a word";
    Divw      "divw"       Register          Next     No   0x0200403b 0xfe00707f "rd = rs1 ÷ rs2 of signed words; -1 if rs2 = 0";
    Divuw     "divuw"      Register          Next     No   0x0200503b 0xfe00707f "rd = rs1 ÷ rs2 of unsigned words, as a word; -1 if rs2 = 0";
    Remw      "remw"       Register          Next     No   0x0200603b 0xfe00707f "rd = remainder of signed words; rs1 if rs2 = 0";
    Remuw     "remuw"      Register          Next     No   0x0200703b 0xfe00707f "rd = remainder of unsigned words, as a word; rs1 if rs2 = 0";

    // A: atomics.
    LrW       "lr.w"       LoadReserved      Next     I32  0x1000202f 0xf9f0707f "rd = memory(rs1), and reserve it: word";
    ScW       "sc.w"       Atomic            Next     I32  0x1800202f 0xf800707f "if still reserved, memory(rs1) = rs2 and rd = 0; else rd = 1: word";
    AmoswapW  "amoswap.w"  Atomic            Next     I32  0x0800202f 0xf800707f "rd = old memory(rs1); memory(rs1) = rs2: word";
    AmoaddW   "amoadd.w"   Atomic            Next     I32  0x0000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) + rs2: word";
    AmoxorW   "amoxor.w"   Atomic            Next     I32  0x2000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) xor rs2: word";
    AmoandW   "amoand.w"   Atomic            Next     I32  0x6000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) and rs2: word";
    AmoorW    "amoor.w"    Atomic            Next     I32  0x4000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) or rs2: word";
    AmominW   "amomin.w"   Atomic            Next     I32  0x8000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = signed minimum with rs2: word";
    AmomaxW   "amomax.w"   Atomic            Next     I32  0xa000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = signed maximum with rs2: word";
    AmominuW  "amominu.w"  Atomic            Next     I32  0xc000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = unsigned minimum with rs2: word";
    AmomaxuW  "amomaxu.w"  Atomic            Next     I32  0xe000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = unsigned maximum with rs2: word";
    LrD       "lr.d"       LoadReserved      Next     I64  0x1000302f 0xf9f0707f "rd = memory(rs1), and reserve it: double-word";
    ScD       "sc.d"       Atomic            Next     I64  0x1800302f 0xf800707f "if still reserved, memory(rs1) = rs2 and rd = 0; else rd = 1: double-word";
    AmoswapD  "amoswap.d"  Atomic            Next     I64  0x0800302f 0xf800707f "rd = old memory(rs1); memory(rs1) = rs2: double-word";
    AmoaddD   "amoadd.d"   Atomic            Next     I64  0x0000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) + rs2: double-word";
    AmoxorD   "amoxor.d"   Atomic            Next     I64  0x2000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) xor rs2: double-word";
    AmoandD   "amoand.d"   Atomic            Next     I64  0x6000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) and rs2: double-word";
    AmoorD    "amoor.d"    Atomic            Next     I64  0x4000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) or rs2: double-word";
    AmominD   "amomin.d"   Atomic            Next     I64  0x8000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = signed minimum with rs2: double-word";
    AmomaxD   "amomax.d"   Atomic            Next     I64  0xa000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = signed maximum with rs2: double-word";
    AmominuD  "amominu.d"  Atomic            Next     I64  0xc000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = unsigned minimum with rs2: double-word";
    AmomaxuD  "amomaxu.d"  Atomic            Next     I64  0xe000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = unsigned maximum with rs2: double-word";

    // F: single precision.
    Flw       "flw"        FloatLoad         Next     U32  0x00002007 0x0000707f "rd = memory(rs1 + imm): single";
    Fsw       "fsw"        FloatStore        Next     U32  0x00002027 0x0000707f "memory(rs1 + imm) = rs2: single";
    FmaddS    "fmadd.s"    FloatFused        Next     No   0x00000043 0x0600007f "rd = rs1 × rs2 + rs3, rounded once";
    FmsubS    "fmsub.s"    FloatFused        Next     No   0x00000047 0x0600007f "rd = rs1 × rs2 - rs3, rounded once";
    FnmsubS   "fnmsub.s"   FloatFused        Next     No   0x0000004b 0x0600007f "rd = -(rs1 × rs2) + rs3, rounded once";
    FnmaddS   "fnmadd.s"   FloatFused        Next     No   0x0000004f 0x0600007f "rd = -(rs1 × rs2) - rs3, rounded once";
    FaddS     "fadd.s"     FloatArithmetic   Next     No   0x00000053 0xfe00007f "rd = rs1 + rs2";
    FsubS     "fsub.s"     FloatArithmetic   Next     No   0x08000053 0xfe00007f "rd = rs1 - rs2";
    FmulS     "fmul.s"     FloatArithmetic   Next     No   0x10000053 0xfe00007f "rd = rs1 × rs2";
    FdivS     "fdiv.s"     FloatArithmetic   Next     No   0x18000053 0xfe00007f "rd = rs1 ÷ rs2";
    FsqrtS    "fsqrt.s"    FloatUnary        Next     No   0x58000053 0xfff0007f "rd = √rs1";
    FsgnjS    "fsgnj.s"    FloatRegister     Next     No   0x20000053 0xfe00707f "rd = rs1 with the sign of rs2";
    FsgnjnS   "fsgnjn.s"   FloatRegister     Next     No   0x20001053 0xfe00707f "rd = rs1 with the opposite of the sign of rs2";
    FsgnjxS   "fsgnjx.s"   FloatRegister     Next     No   0x20002053 0xfe00707f "rd = rs1 with the exclusive or of both signs";
    FminS     "fmin.s"     FloatRegister     Next     No   0x28000053 0xfe00707f "rd = the smaller of rs1 and rs2 (IEEE 754-2019 minimumNumber)";
    FmaxS     "fmax.s"     FloatRegister     Next     No   0x28001053 0xfe00707f "rd = the larger of rs1 and rs2 (IEEE 754-2019 maximumNumber)";
    FcvtWS    "fcvt.w.s"   FloatToInteger    Next     No   0xc0000053 0xfff0007f "rd = rs1, rounded to a signed word";
    FcvtWuS   "fcvt.wu.s"  FloatToInteger    Next     No   0xc0100053 0xfff0007f "rd = rs1, rounded to an unsigned word, sign-extended";
    FcvtLS    "fcvt.l.s"   FloatToInteger    Next     No   0xc0200053 0xfff0007f "rd = rs1, rounded to a signed double-word";
    FcvtLuS   "fcvt.lu.s"  FloatToInteger    Next     No   0xc0300053 0xfff0007f "rd = rs1, rounded to an unsigned double-word";
    FcvtSW    "fcvt.s.w"   FloatFromInteger  Next     No   0xd0000053 0xfff0007f "rd = rs1, from a signed word";
    FcvtSWu   "fcvt.s.wu"  FloatFromInteger  Next     No   0xd0100053 0xfff0007f "rd = rs1, from an unsigned word";
    FcvtSL    "fcvt.s.l"   FloatFromInteger  Next     No   0xd0200053 0xfff0007f "rd = rs1, from a signed double-word";
    FcvtSLu   "fcvt.s.lu"  FloatFromInteger  Next     No   0xd0300053 0xfff0007f "rd = rs1, from an unsigned double-word";
    FmvXW     "fmv.x.w"    FloatToRegister   Next     No   0xe0000053 0xfff0707f "rd = the bits of rs1, sign-extended";
    FclassS   "fclass.s"   FloatToRegister   Next     No   0xe0001053 0xfff0707f "rd = one bit of ten for the class of rs1";
    FmvWX     "fmv.w.x"    FloatFromRegister Next     No   0xf0000053 0xfff0707f "rd = the bits of rs1";
    FeqS      "feq.s"      FloatCompare      Next     No   0xa0002053 0xfe00707f "rd = 1 if rs1 = rs2, quietly, else 0";
    FltS      "flt.s"      FloatCompare      Next     No   0xa0001053 0xfe00707f "rd = 1 if rs1 < rs2, else 0";
    FleS      "fle.s"      FloatCompare      Next     No   0xa0000053 0xfe00707f "rd = 1 if rs1 ≤ rs2, else 0";

    // D: double precision.
    Fld       "fld"        FloatLoad         Next     U64  0x00003007 0x0000707f "rd = memory(rs1 + imm): double";
    Fsd       "fsd"        FloatStore        Next     U64  0x00003027 0x0000707f "memory(rs1 + imm) = rs2: double";
    FmaddD    "fmadd.d"    FloatFused        Next     No   0x02000043 0x0600007f "rd = rs1 × rs2 + rs3, rounded once";
    FmsubD    "fmsub.d"    FloatFused        Next     No   0x02000047 0x0600007f "rd = rs1 × rs2 - rs3, rounded once";
    FnmsubD   "fnmsub.d"   FloatFused        Next     No   0x0200004b 0x0600007f "rd = -(rs1 × rs2) + rs3, rounded once";
    FnmaddD   "fnmadd.d"   FloatFused        Next     No   0x0200004f 0x0600007f "rd = -(rs1 × rs2) - rs3, rounded once";
    FaddD     "fadd.d"     FloatArithmetic   Next     No   0x02000053 0xfe00007f "rd = rs1 + rs2";
    FsubD     "fsub.d"     FloatArithmetic   Next     No   0x0a000053 0xfe00007f "rd = rs1 - rs2";
    FmulD     "fmul.d"     FloatArithmetic   Next     No   0x12000053 0xfe00007f "rd = rs1 × rs2";
    FdivD     "fdiv.d"     FloatArithmetic   Next     No   0x1a000053 0xfe00007f "rd = rs1 ÷ rs2";
    FsqrtD    "fsqrt.d"    FloatUnary        Next     No   0x5a000053 0xfff0007f "rd = √rs1";
    FsgnjD    "fsgnj.d"    FloatRegister     Next     No   0x22000053 0xfe00707f "rd = rs1 with the sign of rs2";
    FsgnjnD   "fsgnjn.d"   FloatRegister     Next     No   0x22001053 0xfe00707f "rd = rs1 with the opposite of the sign of rs2";
    FsgnjxD   "fsgnjx.d"   FloatRegister     Next     No   0x22002053 0xfe00707f "rd = rs1 with the exclusive or of both signs";
    FminD     "fmin.d"     FloatRegister     Next     No   0x2a000053 0xfe00707f "rd = the smaller of rs1 and rs2 (IEEE 754-2019 minimumNumber)";
    FmaxD     "fmax.d"     FloatRegister     Next     No   0x2a001053 0xfe00707f "rd = the larger of rs1 and rs2 (IEEE 754-2019 maximumNumber)";
    FcvtSD    "fcvt.s.d"   FloatUnary        Next     No   0x40100053 0xfff0007f "rd = rs1, rounded to single precision";
    FcvtDS    "fcvt.d.s"   FloatUnary        Next     No   0x42000053 0xfff0007f "rd = rs1, from single precision";
    FcvtWD    "fcvt.w.d"   FloatToInteger    Next     No   0xc2000053 0xfff0007f "rd = rs1, rounded to a signed word";
    FcvtWuD   "fcvt.wu.d"  FloatToInteger    Next     No   0xc2100053 0xfff0007f "rd = rs1, rounded to an unsigned word, sign-extended";
    FcvtLD    "fcvt.l.d"   FloatToInteger    Next     No   0xc2200053 0xfff0007f "rd = rs1, rounded to a signed double-word";
    FcvtLuD   "fcvt.lu.d"  FloatToInteger    Next     No   0xc2300053 0xfff0007f "rd = rs1, rounded to an unsigned double-word";
    FcvtDW    "fcvt.d.w"   FloatFromInteger  Next     No   0xd2000053 0xfff0007f "rd = rs1, from a signed word";
    FcvtDWu   "fcvt.d.wu"  FloatFromInteger  Next     No   0xd2100053 0xfff0007f "rd = rs1, from an unsigned word";
    FcvtDL    "fcvt.d.l"   FloatFromInteger  Next     No   0xd2200053 0xfff0007f "rd = rs1, from a signed double-word";
    FcvtDLu   "fcvt.d.lu"  FloatFromInteger  Next     No   0xd2300053 0xfff0007f "rd = rs1, from an unsigned double-word";
    FmvXD     "fmv.x.d"    FloatToRegister   Next     No   0xe2000053 0xfff0707f "rd = the bits of rs1";
    FclassD   "fclass.d"   FloatToRegister   Next     No   0xe2001053 0xfff0707f "rd = one bit of ten for the class of rs1";
    FmvDX     "fmv.d.x"    FloatFromRegister Next     No   0xf2000053 0xfff0707f "rd = the bits of rs1";
    FeqD      "feq.d"      FloatCompare      Next     No   0xa2002053 0xfe00707f "rd = 1 if rs1 = rs2, quietly, else 0";
    FltD      "flt.d"      FloatCompare      Next     No   0xa2001053 0xfe00707f "rd = 1 if rs1 < rs2, else 0";
    FleD      "fle.d"      FloatCompare      Next     No   0xa2000053 0xfe00707f "rd = 1 if rs1 ≤ rs2, else 0";

}

impl Op {
    /// The row of this operation; none for [`Op::Illegal`].
    #[must_use]
    pub fn row(self) -> Option<&'static Row> {
        TABLE.get(self as usize)
    }

    /// The name in assembly language.
    #[must_use]
    pub fn mnemonic(self) -> &'static str {
        self.row().map_or("illegal", |row| row.mnemonic)
    }

    /// Where the operands are; [`Format::Bare`] for [`Op::Illegal`].
    #[must_use]
    pub fn format(self) -> Format {
        self.row().map_or(Format::Bare, |row| row.format)
    }
}
