//! Translator from RV64GC to host machine code.
