//! RISC-V RV64GC instructions: their bits and what each one means.

pub mod float;
