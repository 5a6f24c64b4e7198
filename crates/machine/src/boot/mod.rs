//! Starting the machine: what goes where in memory, the device tree, and the built-in SBI.

pub mod sbi;
