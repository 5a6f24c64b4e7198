//! A hostile guest at the devices: `machine::hostile` panics where a promise of the bus is broken.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    machine::hostile::run(bytes);
});
