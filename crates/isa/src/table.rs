//! The instruction table: every 32-bit instruction of RV64GC, Zicsr, Zifencei and the privileged
//! architecture, one row each. [`Op`], the decoder, the encoder and the disassembler come from it; the
//! compressed instructions have a table of their own in [`crate::compressed`].
//!
//! Sources: the RISC-V Instruction Set Manual, volume I (chapters RV32I, RV64I, M, A, F, D, Zicsr,
//! Zifencei and the instruction listings) and volume II (chapter on supervisor-level instructions).

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
    /// The fixed bits.
    pub matching: u32,
    /// Which bits are fixed.
    pub mask: u32,
    /// What the instruction does, in one line.
    pub meaning: &'static str,
}

macro_rules! instructions {
    ($($op:ident $mnemonic:literal $format:ident $matching:literal $mask:literal $meaning:literal;)*) => {
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
                matching: $matching,
                mask: $mask,
                meaning: $meaning,
            },)*
        ];
    };
}

instructions! {
    // operation mnemonic   format           match      mask       meaning
    // RV64I: integers.
    Lui       "lui"        Upper            0x00000037 0x0000007f "rd = imm, the upper 20 bits of a sign-extended word";
    Auipc     "auipc"      Upper            0x00000017 0x0000007f "rd = pc + imm";
    Jal       "jal"        Jump             0x0000006f 0x0000007f "rd = address of the next instruction; pc += imm";
    Jalr      "jalr"       Indirect         0x00000067 0x0000707f "rd = address of the next instruction; pc = (rs1 + imm) with bit 0 cleared";
    Beq       "beq"        Branch           0x00000063 0x0000707f "pc += imm if rs1 = rs2";
    Bne       "bne"        Branch           0x00001063 0x0000707f "pc += imm if rs1 ≠ rs2";
    Blt       "blt"        Branch           0x00004063 0x0000707f "pc += imm if rs1 < rs2, signed";
    Bge       "bge"        Branch           0x00005063 0x0000707f "pc += imm if rs1 ≥ rs2, signed";
    Bltu      "bltu"       Branch           0x00006063 0x0000707f "pc += imm if rs1 < rs2, unsigned";
    Bgeu      "bgeu"       Branch           0x00007063 0x0000707f "pc += imm if rs1 ≥ rs2, unsigned";
    Lb        "lb"         Load             0x00000003 0x0000707f "rd = memory(rs1 + imm): byte, sign-extended";
    Lh        "lh"         Load             0x00001003 0x0000707f "rd = memory(rs1 + imm): half-word, sign-extended";
    Lw        "lw"         Load             0x00002003 0x0000707f "rd = memory(rs1 + imm): word, sign-extended";
    Ld        "ld"         Load             0x00003003 0x0000707f "rd = memory(rs1 + imm): double-word";
    Lbu       "lbu"        Load             0x00004003 0x0000707f "rd = memory(rs1 + imm): byte, zero-extended";
    Lhu       "lhu"        Load             0x00005003 0x0000707f "rd = memory(rs1 + imm): half-word, zero-extended";
    Lwu       "lwu"        Load             0x00006003 0x0000707f "rd = memory(rs1 + imm): word, zero-extended";
    Sb        "sb"         Store            0x00000023 0x0000707f "memory(rs1 + imm) = rs2: byte";
    Sh        "sh"         Store            0x00001023 0x0000707f "memory(rs1 + imm) = rs2: half-word";
    Sw        "sw"         Store            0x00002023 0x0000707f "memory(rs1 + imm) = rs2: word";
    Sd        "sd"         Store            0x00003023 0x0000707f "memory(rs1 + imm) = rs2: double-word";
    Addi      "addi"       Immediate        0x00000013 0x0000707f "rd = rs1 + imm";
    Slti      "slti"       Immediate        0x00002013 0x0000707f "rd = 1 if rs1 < imm, signed, else 0";
    Sltiu     "sltiu"      Immediate        0x00003013 0x0000707f "rd = 1 if rs1 < imm, unsigned, else 0";
    Xori      "xori"       Immediate        0x00004013 0x0000707f "rd = rs1 xor imm";
    Ori       "ori"        Immediate        0x00006013 0x0000707f "rd = rs1 or imm";
    Andi      "andi"       Immediate        0x00007013 0x0000707f "rd = rs1 and imm";
    Slli      "slli"       Shift            0x00001013 0xfc00707f "rd = rs1 << imm";
    Srli      "srli"       Shift            0x00005013 0xfc00707f "rd = rs1 >> imm, zeros shifted in";
    Srai      "srai"       Shift            0x40005013 0xfc00707f "rd = rs1 >> imm, sign bits shifted in";
    Add       "add"        Register         0x00000033 0xfe00707f "rd = rs1 + rs2";
    Sub       "sub"        Register         0x40000033 0xfe00707f "rd = rs1 - rs2";
    Sll       "sll"        Register         0x00001033 0xfe00707f "rd = rs1 << (rs2 mod 64)";
    Slt       "slt"        Register         0x00002033 0xfe00707f "rd = 1 if rs1 < rs2, signed, else 0";
    Sltu      "sltu"       Register         0x00003033 0xfe00707f "rd = 1 if rs1 < rs2, unsigned, else 0";
    Xor       "xor"        Register         0x00004033 0xfe00707f "rd = rs1 xor rs2";
    Srl       "srl"        Register         0x00005033 0xfe00707f "rd = rs1 >> (rs2 mod 64), zeros shifted in";
    Sra       "sra"        Register         0x40005033 0xfe00707f "rd = rs1 >> (rs2 mod 64), sign bits shifted in";
    Or        "or"         Register         0x00006033 0xfe00707f "rd = rs1 or rs2";
    And       "and"        Register         0x00007033 0xfe00707f "rd = rs1 and rs2";
    Addiw     "addiw"      Immediate        0x0000001b 0x0000707f "rd = rs1 + imm, as a word";
    Slliw     "slliw"      ShiftWord        0x0000101b 0xfe00707f "rd = rs1 << imm, as a word";
    Srliw     "srliw"      ShiftWord        0x0000501b 0xfe00707f "rd = word(rs1) >> imm, zeros shifted in, as a word";
    Sraiw     "sraiw"      ShiftWord        0x4000501b 0xfe00707f "rd = word(rs1) >> imm, sign bits shifted in";
    Addw      "addw"       Register         0x0000003b 0xfe00707f "rd = rs1 + rs2, as a word";
    Subw      "subw"       Register         0x4000003b 0xfe00707f "rd = rs1 - rs2, as a word";
    Sllw      "sllw"       Register         0x0000103b 0xfe00707f "rd = rs1 << (rs2 mod 32), as a word";
    Srlw      "srlw"       Register         0x0000503b 0xfe00707f "rd = word(rs1) >> (rs2 mod 32), zeros shifted in, as a word";
    Sraw      "sraw"       Register         0x4000503b 0xfe00707f "rd = word(rs1) >> (rs2 mod 32), sign bits shifted in";
    Fence     "fence"      Fence            0x0000000f 0x0000707f "memory accesses before are ordered before those after; reserved fields are ignored";
    Ecall     "ecall"      Bare             0x00000073 0xffffffff "trap into the execution environment";
    Ebreak    "ebreak"     Bare             0x00100073 0xffffffff "trap into the debugger";

    // Zifencei and Zicsr.
    FenceI    "fence.i"    FenceInstruction 0x0000100f 0x0000707f "later fetches see earlier stores; reserved fields are ignored";
    Csrrw     "csrrw"      Csr              0x00001073 0x0000707f "rd = csr; csr = rs1 (not read if rd is x0)";
    Csrrs     "csrrs"      Csr              0x00002073 0x0000707f "rd = csr; csr |= rs1 (not written if rs1 is x0)";
    Csrrc     "csrrc"      Csr              0x00003073 0x0000707f "rd = csr; csr &= not rs1 (not written if rs1 is x0)";
    Csrrwi    "csrrwi"     CsrImmediate     0x00005073 0x0000707f "rd = csr; csr = uimm (not read if rd is x0)";
    Csrrsi    "csrrsi"     CsrImmediate     0x00006073 0x0000707f "rd = csr; csr |= uimm (not written if uimm is 0)";
    Csrrci    "csrrci"     CsrImmediate     0x00007073 0x0000707f "rd = csr; csr &= not uimm (not written if uimm is 0)";

    // Privileged.
    Sret      "sret"       Bare             0x10200073 0xffffffff "return from a trap taken in S mode";
    Mret      "mret"       Bare             0x30200073 0xffffffff "return from a trap taken in M mode";
    Wfi       "wfi"        Bare             0x10500073 0xffffffff "wait until an interrupt is pending";
    SfenceVma "sfence.vma" FenceVma         0x12000073 0xfe007fff "later translations of address rs1 (x0: all) in space rs2 (x0: all) see earlier stores";

    // M: multiplication and division.
    Mul       "mul"        Register         0x02000033 0xfe00707f "rd = rs1 × rs2, lower half";
    Mulh      "mulh"       Register         0x02001033 0xfe00707f "rd = rs1 × rs2, upper half, signed × signed";
    Mulhsu    "mulhsu"     Register         0x02002033 0xfe00707f "rd = rs1 × rs2, upper half, signed × unsigned";
    Mulhu     "mulhu"      Register         0x02003033 0xfe00707f "rd = rs1 × rs2, upper half, unsigned × unsigned";
    Div       "div"        Register         0x02004033 0xfe00707f "rd = rs1 ÷ rs2, signed; -1 if rs2 = 0";
    Divu      "divu"       Register         0x02005033 0xfe00707f "rd = rs1 ÷ rs2, unsigned; 2⁶⁴ - 1 if rs2 = 0";
    Rem       "rem"        Register         0x02006033 0xfe00707f "rd = remainder of rs1 ÷ rs2, signed; rs1 if rs2 = 0";
    Remu      "remu"       Register         0x02007033 0xfe00707f "rd = remainder of rs1 ÷ rs2, unsigned; rs1 if rs2 = 0";
    Mulw      "mulw"       Register         0x0200003b 0xfe00707f "rd = rs1 × rs2, as a word";
    Divw      "divw"       Register         0x0200403b 0xfe00707f "rd = rs1 ÷ rs2 of signed words; -1 if rs2 = 0";
    Divuw     "divuw"      Register         0x0200503b 0xfe00707f "rd = rs1 ÷ rs2 of unsigned words, as a word; -1 if rs2 = 0";
    Remw      "remw"       Register         0x0200603b 0xfe00707f "rd = remainder of signed words; rs1 if rs2 = 0";
    Remuw     "remuw"      Register         0x0200703b 0xfe00707f "rd = remainder of unsigned words, as a word; rs1 if rs2 = 0";

    // A: atomics.
    LrW       "lr.w"       LoadReserved     0x1000202f 0xf9f0707f "rd = memory(rs1), and reserve it: word";
    ScW       "sc.w"       Atomic           0x1800202f 0xf800707f "if still reserved, memory(rs1) = rs2 and rd = 0; else rd = 1: word";
    AmoswapW  "amoswap.w"  Atomic           0x0800202f 0xf800707f "rd = old memory(rs1); memory(rs1) = rs2: word";
    AmoaddW   "amoadd.w"   Atomic           0x0000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) + rs2: word";
    AmoxorW   "amoxor.w"   Atomic           0x2000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) xor rs2: word";
    AmoandW   "amoand.w"   Atomic           0x6000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) and rs2: word";
    AmoorW    "amoor.w"    Atomic           0x4000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) or rs2: word";
    AmominW   "amomin.w"   Atomic           0x8000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = signed minimum with rs2: word";
    AmomaxW   "amomax.w"   Atomic           0xa000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = signed maximum with rs2: word";
    AmominuW  "amominu.w"  Atomic           0xc000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = unsigned minimum with rs2: word";
    AmomaxuW  "amomaxu.w"  Atomic           0xe000202f 0xf800707f "rd = old memory(rs1); memory(rs1) = unsigned maximum with rs2: word";
    LrD       "lr.d"       LoadReserved     0x1000302f 0xf9f0707f "rd = memory(rs1), and reserve it: double-word";
    ScD       "sc.d"       Atomic           0x1800302f 0xf800707f "if still reserved, memory(rs1) = rs2 and rd = 0; else rd = 1: double-word";
    AmoswapD  "amoswap.d"  Atomic           0x0800302f 0xf800707f "rd = old memory(rs1); memory(rs1) = rs2: double-word";
    AmoaddD   "amoadd.d"   Atomic           0x0000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) + rs2: double-word";
    AmoxorD   "amoxor.d"   Atomic           0x2000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) xor rs2: double-word";
    AmoandD   "amoand.d"   Atomic           0x6000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) and rs2: double-word";
    AmoorD    "amoor.d"    Atomic           0x4000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = memory(rs1) or rs2: double-word";
    AmominD   "amomin.d"   Atomic           0x8000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = signed minimum with rs2: double-word";
    AmomaxD   "amomax.d"   Atomic           0xa000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = signed maximum with rs2: double-word";
    AmominuD  "amominu.d"  Atomic           0xc000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = unsigned minimum with rs2: double-word";
    AmomaxuD  "amomaxu.d"  Atomic           0xe000302f 0xf800707f "rd = old memory(rs1); memory(rs1) = unsigned maximum with rs2: double-word";

    // F: single precision.
    Flw       "flw"        FloatLoad        0x00002007 0x0000707f "rd = memory(rs1 + imm): single";
    Fsw       "fsw"        FloatStore       0x00002027 0x0000707f "memory(rs1 + imm) = rs2: single";
    FmaddS    "fmadd.s"    FloatFused       0x00000043 0x0600007f "rd = rs1 × rs2 + rs3, rounded once";
    FmsubS    "fmsub.s"    FloatFused       0x00000047 0x0600007f "rd = rs1 × rs2 - rs3, rounded once";
    FnmsubS   "fnmsub.s"   FloatFused       0x0000004b 0x0600007f "rd = -(rs1 × rs2) + rs3, rounded once";
    FnmaddS   "fnmadd.s"   FloatFused       0x0000004f 0x0600007f "rd = -(rs1 × rs2) - rs3, rounded once";
    FaddS     "fadd.s"     FloatArithmetic  0x00000053 0xfe00007f "rd = rs1 + rs2";
    FsubS     "fsub.s"     FloatArithmetic  0x08000053 0xfe00007f "rd = rs1 - rs2";
    FmulS     "fmul.s"     FloatArithmetic  0x10000053 0xfe00007f "rd = rs1 × rs2";
    FdivS     "fdiv.s"     FloatArithmetic  0x18000053 0xfe00007f "rd = rs1 ÷ rs2";
    FsqrtS    "fsqrt.s"    FloatUnary       0x58000053 0xfff0007f "rd = √rs1";
    FsgnjS    "fsgnj.s"    FloatRegister    0x20000053 0xfe00707f "rd = rs1 with the sign of rs2";
    FsgnjnS   "fsgnjn.s"   FloatRegister    0x20001053 0xfe00707f "rd = rs1 with the opposite of the sign of rs2";
    FsgnjxS   "fsgnjx.s"   FloatRegister    0x20002053 0xfe00707f "rd = rs1 with the exclusive or of both signs";
    FminS     "fmin.s"     FloatRegister    0x28000053 0xfe00707f "rd = the smaller of rs1 and rs2 (IEEE 754-2019 minimumNumber)";
    FmaxS     "fmax.s"     FloatRegister    0x28001053 0xfe00707f "rd = the larger of rs1 and rs2 (IEEE 754-2019 maximumNumber)";
    FcvtWS    "fcvt.w.s"   FloatToInteger   0xc0000053 0xfff0007f "rd = rs1, rounded to a signed word";
    FcvtWuS   "fcvt.wu.s"  FloatToInteger   0xc0100053 0xfff0007f "rd = rs1, rounded to an unsigned word, sign-extended";
    FcvtLS    "fcvt.l.s"   FloatToInteger   0xc0200053 0xfff0007f "rd = rs1, rounded to a signed double-word";
    FcvtLuS   "fcvt.lu.s"  FloatToInteger   0xc0300053 0xfff0007f "rd = rs1, rounded to an unsigned double-word";
    FcvtSW    "fcvt.s.w"   FloatFromInteger 0xd0000053 0xfff0007f "rd = rs1, from a signed word";
    FcvtSWu   "fcvt.s.wu"  FloatFromInteger 0xd0100053 0xfff0007f "rd = rs1, from an unsigned word";
    FcvtSL    "fcvt.s.l"   FloatFromInteger 0xd0200053 0xfff0007f "rd = rs1, from a signed double-word";
    FcvtSLu   "fcvt.s.lu"  FloatFromInteger 0xd0300053 0xfff0007f "rd = rs1, from an unsigned double-word";
    FmvXW     "fmv.x.w"    FloatToRegister  0xe0000053 0xfff0707f "rd = the bits of rs1, sign-extended";
    FclassS   "fclass.s"   FloatToRegister  0xe0001053 0xfff0707f "rd = one bit of ten for the class of rs1";
    FmvWX     "fmv.w.x"    FloatFromRegister 0xf0000053 0xfff0707f "rd = the bits of rs1";
    FeqS      "feq.s"      FloatCompare     0xa0002053 0xfe00707f "rd = 1 if rs1 = rs2, quietly, else 0";
    FltS      "flt.s"      FloatCompare     0xa0001053 0xfe00707f "rd = 1 if rs1 < rs2, else 0";
    FleS      "fle.s"      FloatCompare     0xa0000053 0xfe00707f "rd = 1 if rs1 ≤ rs2, else 0";

    // D: double precision.
    Fld       "fld"        FloatLoad        0x00003007 0x0000707f "rd = memory(rs1 + imm): double";
    Fsd       "fsd"        FloatStore       0x00003027 0x0000707f "memory(rs1 + imm) = rs2: double";
    FmaddD    "fmadd.d"    FloatFused       0x02000043 0x0600007f "rd = rs1 × rs2 + rs3, rounded once";
    FmsubD    "fmsub.d"    FloatFused       0x02000047 0x0600007f "rd = rs1 × rs2 - rs3, rounded once";
    FnmsubD   "fnmsub.d"   FloatFused       0x0200004b 0x0600007f "rd = -(rs1 × rs2) + rs3, rounded once";
    FnmaddD   "fnmadd.d"   FloatFused       0x0200004f 0x0600007f "rd = -(rs1 × rs2) - rs3, rounded once";
    FaddD     "fadd.d"     FloatArithmetic  0x02000053 0xfe00007f "rd = rs1 + rs2";
    FsubD     "fsub.d"     FloatArithmetic  0x0a000053 0xfe00007f "rd = rs1 - rs2";
    FmulD     "fmul.d"     FloatArithmetic  0x12000053 0xfe00007f "rd = rs1 × rs2";
    FdivD     "fdiv.d"     FloatArithmetic  0x1a000053 0xfe00007f "rd = rs1 ÷ rs2";
    FsqrtD    "fsqrt.d"    FloatUnary       0x5a000053 0xfff0007f "rd = √rs1";
    FsgnjD    "fsgnj.d"    FloatRegister    0x22000053 0xfe00707f "rd = rs1 with the sign of rs2";
    FsgnjnD   "fsgnjn.d"   FloatRegister    0x22001053 0xfe00707f "rd = rs1 with the opposite of the sign of rs2";
    FsgnjxD   "fsgnjx.d"   FloatRegister    0x22002053 0xfe00707f "rd = rs1 with the exclusive or of both signs";
    FminD     "fmin.d"     FloatRegister    0x2a000053 0xfe00707f "rd = the smaller of rs1 and rs2 (IEEE 754-2019 minimumNumber)";
    FmaxD     "fmax.d"     FloatRegister    0x2a001053 0xfe00707f "rd = the larger of rs1 and rs2 (IEEE 754-2019 maximumNumber)";
    FcvtSD    "fcvt.s.d"   FloatUnary       0x40100053 0xfff0007f "rd = rs1, rounded to single precision";
    FcvtDS    "fcvt.d.s"   FloatUnary       0x42000053 0xfff0007f "rd = rs1, from single precision";
    FcvtWD    "fcvt.w.d"   FloatToInteger   0xc2000053 0xfff0007f "rd = rs1, rounded to a signed word";
    FcvtWuD   "fcvt.wu.d"  FloatToInteger   0xc2100053 0xfff0007f "rd = rs1, rounded to an unsigned word, sign-extended";
    FcvtLD    "fcvt.l.d"   FloatToInteger   0xc2200053 0xfff0007f "rd = rs1, rounded to a signed double-word";
    FcvtLuD   "fcvt.lu.d"  FloatToInteger   0xc2300053 0xfff0007f "rd = rs1, rounded to an unsigned double-word";
    FcvtDW    "fcvt.d.w"   FloatFromInteger 0xd2000053 0xfff0007f "rd = rs1, from a signed word";
    FcvtDWu   "fcvt.d.wu"  FloatFromInteger 0xd2100053 0xfff0007f "rd = rs1, from an unsigned word";
    FcvtDL    "fcvt.d.l"   FloatFromInteger 0xd2200053 0xfff0007f "rd = rs1, from a signed double-word";
    FcvtDLu   "fcvt.d.lu"  FloatFromInteger 0xd2300053 0xfff0007f "rd = rs1, from an unsigned double-word";
    FmvXD     "fmv.x.d"    FloatToRegister  0xe2000053 0xfff0707f "rd = the bits of rs1";
    FclassD   "fclass.d"   FloatToRegister  0xe2001053 0xfff0707f "rd = one bit of ten for the class of rs1";
    FmvDX     "fmv.d.x"    FloatFromRegister 0xf2000053 0xfff0707f "rd = the bits of rs1";
    FeqD      "feq.d"      FloatCompare     0xa2002053 0xfe00707f "rd = 1 if rs1 = rs2, quietly, else 0";
    FltD      "flt.d"      FloatCompare     0xa2001053 0xfe00707f "rd = 1 if rs1 < rs2, else 0";
    FleD      "fle.d"      FloatCompare     0xa2000053 0xfe00707f "rd = 1 if rs1 ≤ rs2, else 0";

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

    /// Whether the instruction after it may be another than the one behind it in memory, or may be
    /// fetched, translated or interrupted under other rules: jumps, branches, traps, returns, CSR
    /// accesses, WFI and fences of fetches and translations. A block of decoded instructions ends here.
    #[must_use]
    pub const fn ends_block(self) -> bool {
        matches!(
            self,
            Op::Jal
                | Op::Jalr
                | Op::Beq
                | Op::Bne
                | Op::Blt
                | Op::Bge
                | Op::Bltu
                | Op::Bgeu
                | Op::Ecall
                | Op::Ebreak
                | Op::FenceI
                | Op::Csrrw
                | Op::Csrrs
                | Op::Csrrc
                | Op::Csrrwi
                | Op::Csrrsi
                | Op::Csrrci
                | Op::Sret
                | Op::Mret
                | Op::Wfi
                | Op::SfenceVma
                | Op::Illegal
        )
    }
}
