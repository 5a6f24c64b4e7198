//! The one door for developers: demo, test, ci, tidy, sim, bench, bless.

fn main() {}
