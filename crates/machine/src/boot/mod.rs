//! Starting the machine: what goes where in memory, the device tree, and the built-in SBI.

pub mod elf;
pub mod fdt;
mod load;
pub mod sbi;
pub mod tree;

pub use load::{BootError, Entry, load};
