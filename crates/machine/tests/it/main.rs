//! Tests of the machine from outside.

mod device_tree;
mod hostile;
