//! Tests of the machine from outside.

mod bare_metal;
mod chaos;
mod csrs;
mod device_tree;
mod hostile;
mod hurt;
mod oracle;
mod programs;
mod snapshots;
mod trials;
