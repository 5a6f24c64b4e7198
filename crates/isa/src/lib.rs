//! RISC-V RV64GC instructions: their bits and what each one means.
