//! Floating point against hand-made vectors, against the host, and against an emulated RISC-V.

mod draw;
mod host;
mod operation;
mod oracle;
mod paths;
mod vectors;
