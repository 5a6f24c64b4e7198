//! What fuzzing runs: any bytes go in; a target returns, or panics where a promise is broken.

use eventlog::Entry;
use eventlog::record::{Frame, RecordError, RecordReader};
use jit::{Options, Translator};
use machine::boot::fdt::Tree;
use machine::hostile::lockstep::{Stride, Way};
use machine::{Boot, Bus, Engine, Firmware, boot, hostile};

/// A target's name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, each with a file of its name for cargo-fuzz.
pub const TARGETS: [Target; 7] = [
    ("boot", boot_files),
    ("bus", bus),
    ("entry", entry),
    ("guest", guest),
    ("message", message),
    ("record", record),
    ("snapshot", snapshot),
];

/// Any bytes as kernel, firmware and device tree: loaded, or refused by an error.
pub fn boot_files(bytes: &[u8]) {
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
}

/// A hostile guest at the devices.
pub fn bus(bytes: &[u8]) {
    hostile::bus::run(bytes);
}

/// Any bytes decode to an entry with exactly these bytes, or to an error.
pub fn entry(bytes: &[u8]) {
    decode_entry(bytes);
    // Few inputs have the right checksum: also try with one.
    decode_entry(&[bytes, &crc32c::crc32c(bytes).to_le_bytes()].concat());
}

fn decode_entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode().as_deref(), Ok(bytes));
    }
}

/// A guest that executes anything, also translated: it gets at nothing but its own memory, and every way agrees.
pub fn guest(bytes: &[u8]) {
    let usual = || translator(Options::default());
    let small = || {
        translator(Options {
            cache_bytes: 1 << 20,
            // The guests are short: as good as all of their code is translated anew.
            glance: 1,
        })
    };
    let ways = [
        Way::new("translator", &usual, Stride::Whole),
        Way {
            restore: true,
            ..Way::new("restored translator with 1 MiB", &small, Stride::Fixed(5))
        },
    ];
    if let Err(divergence) = hostile::guest::compare(bytes, &ways) {
        panic!("{divergence}");
    }
}

fn translator(options: Options) -> Box<dyn Engine> {
    Box::new(Translator::new(options).expect("fuzzing takes a host that can be translated for"))
}

/// What a peer sends on the log channel.
pub fn message(bytes: &[u8]) {
    node::transport::hostile::run(bytes);
}

/// Any bytes, in any pieces, are a record or an error; the pieces do not matter.
pub fn record(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = read_record(bytes, bytes.len().max(1));
    assert_eq!(read_record(bytes, usize::from(*piece).max(1)), whole);
}

fn read_record(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, RecordError> {
    let mut reader = RecordReader::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.feed(piece);
        while let Some(frame) = reader.next_frame()? {
            frames.push(frame);
        }
    }
    reader.finish()?;
    Ok(frames)
}

/// Bytes that claim to be a machine.
pub fn snapshot(bytes: &[u8]) {
    hostile::snapshot::run(bytes);
}
