//! RISC-V RV64GC instructions: their bits and what each one means.
//!
//! [`decode()`] turns bits into an [`Insn`]; [`execute()`] says what it does, over a [`Context`] that an
//! interpreter or a translator provides. Everything about encodings comes from one table,
//! [`table::TABLE`], and one for the compressed instructions, [`compressed::COMPRESSED`]. The CSRs have theirs, [`csr::TABLE`].
#![forbid(unsafe_code)]

mod absent;
pub mod compressed;
mod context;
pub mod csr;
mod decode;
mod disassemble;
mod execute;
mod facts;
pub mod float;
mod float_operation;
mod flow;
mod format;
mod insn;
mod operands;
mod operation;
pub mod table;

pub use absent::{Absent, absent};
pub use context::{Context, CsrAccess};
pub use decode::{decode, decode_first};
pub use execute::execute;
pub use float_operation::{FloatOp, Precision, effective_rounding};
pub use flow::{Access, Flow};
pub use format::Format;
pub use insn::{Insn, SINK};
pub use operation::{Amo, Binary, Comparison, Width, box_single};
pub use table::Op;
