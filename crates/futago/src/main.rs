//! The command line of Futago.

fn main() {}
