//! Bytes that claim to be a machine: refused by an error, or a machine that runs and can be saved again.

use super::{Bytes, board};
use machine::{
    Boot, Clock, Firmware, Input, Interpreter, InterpreterOptions, Machine, Output, Position,
    Snapshot,
};

/// How far a restored machine runs.
const POSITIONS: u64 = 300;
const HASH_BYTES: usize = 32;
/// An endless loop: `ld a0, (sp)`, `addi sp, sp, 8`, `sd a0, (sp)`, `j .-12`.
const LOOP: [u32; 4] = [0x0001_3503, 0x0081_0113, 0x00a1_3023, 0xff5f_f06f];

/// What became of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// No snapshot.
    Refused,
    /// A snapshot of an impossible machine.
    Impossible,
    /// A machine.
    Restored,
}

/// Reads `data` as a snapshot or, if its first byte is odd, as changes to a good one, and runs what comes out.
///
/// # Panics
/// If a promise of this crate is broken: that is what it looks for.
pub fn run(data: &[u8]) -> Fate {
    let mut bytes = Bytes(data);
    let forged = if bytes.byte() & 1 == 0 {
        bytes.0.to_vec()
    } else {
        changed(good(), &mut bytes)
    };
    let Ok(snapshot) = Snapshot::from_bytes(&forged) else {
        return Fate::Refused;
    };
    assert_eq!(snapshot.to_bytes(), forged, "one machine, one snapshot");
    // More than a test should allocate.
    if snapshot
        .config()
        .is_none_or(|board| board.memory_bytes > 64 << 20)
    {
        return Fate::Impossible;
    }
    let Ok(mut machine) = Machine::restore(&snapshot, engine()) else {
        return Fate::Impossible;
    };
    let until = machine.position().0.saturating_add(POSITIONS);
    for _ in 0..4 {
        machine.run(Position(until));
        let _: Vec<Output> = machine.take_outputs();
        let clock = Clock {
            time: machine.time().saturating_add(1000),
            rate: 1 << 32,
        };
        machine.apply(Input::Clock(clock)).expect("always possible");
        let frame = vec![0xff; 60];
        let _ = machine.apply(Input::Frame { device: 0, frame });
        let _ = machine.apply(Input::Console(b"x".to_vec()));
    }
    machine.apply(Input::Synchronize).expect("always possible");
    let _: Vec<Output> = machine.take_outputs();
    let again = machine.snapshot();
    Machine::restore(&again, engine()).expect("our own snapshot can be restored");
    Fate::Restored
}

fn engine() -> Box<Interpreter> {
    Box::new(Interpreter::new(InterpreterOptions::default()))
}

/// The snapshot of a machine that has run, with something in each device.
fn good() -> Vec<u8> {
    let code: Vec<u8> = LOOP.iter().flat_map(|word| word.to_le_bytes()).collect();
    let boot = Boot {
        firmware: Firmware::Image(code),
        ..Boot::default()
    };
    let mut machine = Machine::boot(&board(), &boot, engine()).expect("the program fits the board");
    machine.run(Position(100));
    let inputs = [
        Input::Console(b"typed".to_vec()),
        Input::Seed([7; 32]),
        Input::Synchronize,
    ];
    for input in inputs {
        machine.apply(input).expect("always possible");
    }
    machine.snapshot().to_bytes()
}

/// Puts bytes in the place of others, here and there, and a right checksum below.
fn changed(mut snapshot: Vec<u8>, bytes: &mut Bytes<'_>) -> Vec<u8> {
    snapshot.truncate(snapshot.len() - HASH_BYTES);
    for _ in 0..1 + bytes.byte() % 8 {
        let at = usize::from(bytes.half()) % snapshot.len();
        match bytes.byte() % 8 {
            0 => snapshot.truncate(at.max(10)),
            1 => snapshot.insert(at, bytes.byte()),
            2 => {
                snapshot.remove(at);
            }
            3 => snapshot[at] = 0xff,
            4 => snapshot[at] ^= 1 << (bytes.byte() % 8),
            _ => snapshot[at] = bytes.byte(),
        }
    }
    let hash = blake3::hash(&snapshot);
    snapshot.extend_from_slice(hash.as_bytes());
    snapshot
}
