//! The crate from outside: against the GNU assembler and disassembler, and against itself.

mod binutils;
mod compressed;
mod float;
mod generate;
mod machine;
mod meaning;
mod operations;
mod oracle;
mod round_trip;
mod streams;
mod table;
