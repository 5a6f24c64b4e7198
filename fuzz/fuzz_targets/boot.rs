//! Any bytes as kernel, firmware and device tree: loaded, or refused by an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine::boot::fdt::Tree;
use machine::{Boot, Bus, Firmware, boot, hostile};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tree) = Tree::parse(bytes) {
        let _ = tree.to_blob();
    }
    let board = hostile::board();
    for firmware in [Firmware::BuiltIn, Firmware::Image(bytes.to_vec())] {
        let boot = Boot {
            firmware,
            kernel: Some(bytes.to_vec()),
            ..Boot::default()
        };
        let mut bus = Bus::new(&board).expect("the board is possible");
        let _ = boot::load(&mut bus, &board, &boot);
    }
});
