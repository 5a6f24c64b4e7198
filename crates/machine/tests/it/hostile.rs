//! Hostile guests and files: nothing panics, everything ends.

use machine::boot::fdt::Tree;
use machine::{Board, BoardConfig, Boot, Firmware, boot};
use proptest::prelude::*;
use torture::snapshot::Fate;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn guests(data in proptest::collection::vec(any::<u8>(), 0..6000)) {
        torture::bus::run(&data);
    }

    #[test]
    fn programs_that_speak_to_their_host(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        torture::htif::run(&data, &mut |_| {});
    }

    #[test]
    fn damaged_device_trees(changes in proptest::collection::vec(any::<(u16, u8)>(), 1..8)) {
        let tree = boot::tree::describe(&BoardConfig::default(), &[0; 32]);
        let mut blob = tree.to_blob().unwrap();
        for (at, value) in changes {
            let at = usize::from(at) % blob.len();
            blob[at] = value;
        }
        if let Ok(tree) = Tree::parse(&blob) {
            let _ = tree.to_blob();
        }
    }

    #[test]
    fn kernels(header in any::<[u8; 64]>(), magic in any::<bool>(), elf in any::<bool>()) {
        let mut image = header.to_vec();
        if magic {
            image[56..60].copy_from_slice(b"RSC\x05");
        }
        if elf {
            // 64-bit, little-endian, RISC-V; the table at its end has one entry.
            image[..6].copy_from_slice(b"\x7fELF\x02\x01");
            image[18..20].copy_from_slice(&[243, 0]);
            image[32..40].copy_from_slice(&[64, 0, 0, 0, 0, 0, 0, 0]);
            image[54..58].copy_from_slice(&[56, 0, 1, 0]);
            image.extend_from_slice(&header[..56]);
            image[64..68].copy_from_slice(&[1, 0, 0, 0]);
        }
        let board = torture::board();
        for firmware in [Firmware::BuiltIn, Firmware::Image(image.clone())] {
            let boot = Boot { firmware, kernel: Some(image.clone()), ..Boot::default() };
            let _ = boot::load(&mut Board::new(&board).unwrap(), &board, &boot);
        }
    }
}

/// The generator above would find nothing if it never got past the registers.
#[test]
fn guests_reach_the_devices() {
    let mut stream = blake3::Hasher::new().finalize_xof();
    let (mut sent, mut interrupted) = (0, 0);
    for _ in 0..200 {
        let mut data = vec![0; 4000];
        stream.fill(&mut data);
        let reached = torture::bus::run(&data);
        sent += usize::from(reached.outputs > 0);
        interrupted += usize::from(reached.interrupts > 0);
    }
    assert!(
        sent > 20 && interrupted > 20,
        "{sent} sent, {interrupted} interrupted"
    );
}

/// Bytes from which the generators make something: seeded, so that a failure is found again.
pub(crate) fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut data = vec![0; len];
    let mut stream = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    stream.fill(&mut data);
    data
}

#[test]
fn any_code() {
    let (mut far, mut spoke, mut modes) = (0, 0, 0);
    for seed in 0..100 {
        let reached = torture::guest::run(&random(seed, 600));
        far += usize::from(reached.position >= 3000);
        spoke += usize::from(reached.spoke);
        modes += reached.modes;
    }
    assert!(
        far > 40 && spoke > 0 && modes > 20,
        "{far} came far, {spoke} spoke, {modes} changes of mode"
    );
}

#[test]
fn forged_snapshots() {
    let (mut restored, mut impossible) = (0, 0);
    for seed in 0..500 {
        let mut data = random(seed, 40);
        data[0] = 1;
        match torture::snapshot::run(&data) {
            Fate::Refused => {}
            Fate::Impossible => impossible += 1,
            Fate::Restored => restored += 1,
        }
        data[0] = 0;
        assert_eq!(torture::snapshot::run(&data), Fate::Refused);
    }
    assert!(
        restored > 20 && impossible > 20,
        "{restored} restored, {impossible} impossible"
    );
}
