//! Snapshots: hostile bytes.

use machine::{Input, Machine, Position, Snapshot, SnapshotError};

use crate::bare_metal::{assemble, boot, engine};

fn bytes() -> Vec<u8> {
    let mut machine = boot(&assemble("interrupts"), true);
    machine.run(Position(300));
    machine.apply(Input::Synchronize).expect("always possible");
    machine.snapshot().to_bytes()
}

/// Puts a right checksum under changed bytes.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let len = bytes.len() - 32;
    let hash = blake3::hash(&bytes[..len]);
    bytes[len..].copy_from_slice(hash.as_bytes());
    bytes
}

#[test]
fn damage_is_an_error() {
    let bytes = bytes();
    assert!(Snapshot::from_bytes(&bytes).is_ok());
    for len in [0, 7, 8, 13, bytes.len() / 2, bytes.len() - 1] {
        assert!(Snapshot::from_bytes(&bytes[..len]).is_err(), "{len}");
    }
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    assert_eq!(
        Snapshot::from_bytes(&flipped).err(),
        Some(SnapshotError::Checksum)
    );
    let mut newer = bytes;
    newer[8] = 4;
    assert_eq!(
        Snapshot::from_bytes(&seal(newer)).err(),
        Some(SnapshotError::Version(4))
    );
    assert_eq!(
        Snapshot::from_bytes(b"something else").err(),
        Some(SnapshotError::Magic)
    );
}

/// Whatever is in a snapshot with a right checksum, restoring it ends in a machine that runs or an error.
#[test]
fn sealed_nonsense_does_no_harm() {
    let bytes = bytes();
    for at in (10..bytes.len() - 32).step_by(1 + bytes.len() / 400) {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let Ok(snapshot) = Snapshot::from_bytes(&seal(changed)) else {
                continue;
            };
            if let Ok(mut machine) = Machine::restore(&snapshot, engine(true)) {
                let until = Position(machine.position().0.saturating_add(2000));
                machine.run(until);
            }
        }
    }
}

#[test]
#[should_panic(expected = "a snapshot follows Synchronize")]
fn without_synchronize() {
    let mut machine = boot(&assemble("interrupts"), true);
    machine.run(Position(300));
    machine.snapshot();
}
