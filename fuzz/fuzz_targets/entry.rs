//! Any bytes decode to an entry with exactly these bytes, or to an error.
#![no_main]

use eventlog::Entry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    decode(bytes);
    // Few inputs have the right checksum: also try with one.
    let sealed = [bytes, &crc32c::crc32c(bytes).to_le_bytes()].concat();
    decode(&sealed);
});

fn decode(bytes: &[u8]) {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode().as_deref(), Ok(bytes));
    }
}
