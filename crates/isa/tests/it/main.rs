//! The crate from outside: against the GNU assembler and disassembler, and against itself.

mod binutils;
mod compressed;
mod float;
mod machine;
mod meaning;
mod oracle;
mod round_trip;
mod table;
