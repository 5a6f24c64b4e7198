//! `htif`, driven by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::run("htif", bytes));
