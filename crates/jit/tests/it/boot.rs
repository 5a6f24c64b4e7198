//! Lockstep on the first part of a boot of Debian; `cargo xtask lockstep --boot` goes to the prompt.

use std::path::Path;

use torture::boot;
use torture::lockstep::{Stride, Way, interpreter};

use crate::engines;

/// Into the kernel's own initialisation, with paging, interrupts and patched code.
const POSITIONS: u64 = 200_000_000;

#[expect(clippy::disallowed_methods, reason = "the guest lies in files")]
fn file(name: &str) -> Vec<u8> {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.guest");
    match std::fs::read(guest.join(name)) {
        Ok(bytes) => bytes,
        Err(error) => panic!("{name} of the guest is missing ({error}): run `cargo xtask setup`"),
    }
}

#[test]
fn agrees_on_the_start_of_debian() {
    let guest = boot::guest(file("kernel"), file("initrd"));
    let ways = [
        Way::new("interpreter", &interpreter, Stride::Whole),
        Way::new("translator", &engines::usual, Stride::Whole),
    ];
    match boot::run(
        &guest,
        &ways,
        "no prompt so soon",
        POSITIONS,
        &mut |_, _| {},
    ) {
        Ok(reached) => assert!(reached.position >= POSITIONS && reached.spoke),
        Err(divergence) => panic!("{divergence}"),
    }
}
