//! An assembler for the x86-64 instructions that translated code is made of.

mod code;
mod sse;

pub(super) use code::{
    Alu, Asm, B32, B64, Bits, Cond, Mem, R8, R9, R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX,
    RDI, RDX, RSI, RSP, Reg, Rm, Shift, Site, Unary, at, displacement, indexed,
};
pub(super) use sse::{Direction, Fused, Logic, Order, Scalar, XMM0, XMM1, XMM2, Xmm};
