//! What fuzzing runs: any bytes go in; a target returns, or panics where a promise is broken.

mod protocol;
mod replay;
mod stops;
mod tree;

use bytes::BytesMut;
use eventlog::Entry;
use eventlog::record::{Frame, RecordError, RecordReader};
use jit::{Options, Translator};
use torture::lockstep::{Stride, Way};
use machine::{Boot, Board, Engine, Firmware, boot};

use protocol::protocol;
use replay::replay;
pub use stops::{Memory, Stops};
use tree::tree;

/// Something that takes any bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: a file of this name is there for cargo-fuzz.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8], &mut Stops),
    /// Its part of the time, beside those of the others.
    pub weight: u32,
}

/// All targets.
pub const TARGETS: [Target; 17] = [
    target("arbiter", arbiter, 1),
    target("boot", boot_files, 1),
    target("bus", bus, 2),
    target("config", config, 1),
    target("control", control, 1),
    target("entry", entry, 1),
    target("frame", frame, 1),
    target("guest", guest, 3),
    target("htif", htif, 1),
    target("hurt", hurt, 6),
    target("message", message, 1),
    target("protocol", protocol, 3),
    target("record", record, 1),
    target("replay", replay, 2),
    target("snapshot", snapshot, 1),
    target("switch", switch, 2),
    target("tree", tree, 1),
];

const fn target(name: &'static str, run: fn(&[u8], &mut Stops), weight: u32) -> Target {
    Target { name, run, weight }
}

/// The target of a name, on one input: for cargo-fuzz, which measures by itself.
///
/// # Panics
/// If there is none, or a promise is broken.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("each file has a target").run)(bytes, &mut Stops::default());
}

/// An arbiter's record: decoded, and the same when written, or refused.
fn arbiter(bytes: &[u8], stops: &mut Stops) {
    let text = String::from_utf8_lossy(bytes);
    stops.time(|| {
        if let Ok(record) = node::arbiter::parse_record(&text) {
            assert_eq!(node::arbiter::render_record(&record), text);
        }
        // With a right checksum, few are refused for that.
        let body = format!("futago-arbiter 1\n{text}\n");
        let sealed = format!("{body}blake3 {}\n", blake3::hash(body.as_bytes()));
        let _ = node::arbiter::parse_record(&sealed);
    });
}

/// A configuration: understood, or refused in words.
fn config(bytes: &[u8], stops: &mut Stops) {
    let text = String::from_utf8_lossy(bytes);
    let example = node::Config::example("a", "b").expect("nodes may be called so");
    // The example with something else in its midst is understood more often.
    let at = bytes.first().map_or(0, |byte| usize::from(*byte)) * example.len() / 256;
    let at = (0..=at).rev().find(|at| example.is_char_boundary(*at));
    let (head, tail) = example.split_at(at.unwrap_or(0));
    stops.time(|| {
        let _ = node::Config::parse(&text);
        let _ = node::Config::parse(&format!("{head}{text}{tail}"));
    });
}

/// A request to a node's control socket.
fn control(bytes: &[u8], stops: &mut Stops) {
    stops.time(|| {
        let _ = serde_json::from_slice::<node::control::Request>(bytes);
        let _ = serde_json::from_slice::<node::control::Answer>(bytes);
    });
}

/// What a port of the switch receives, in any pieces: the same frames, or an end.
fn frame(bytes: &[u8], stops: &mut Stops) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let frames = |piece: usize| {
        let (mut received, mut frames) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece.max(1)) {
            received.extend_from_slice(piece);
            while let Some(frame) = node::switch::take_frame(&mut received)? {
                frames.push(frame);
            }
        }
        Ok::<_, node::switch::FrameError>(frames)
    };
    stops.time(|| assert_eq!(frames(usize::from(*piece)), frames(bytes.len())));
}

/// Any bytes as kernel and firmware: loaded, or refused by an error.
fn boot_files(bytes: &[u8], stops: &mut Stops) {
    let board = torture::board();
    for firmware in [Firmware::BuiltIn, Firmware::Image(bytes.to_vec())] {
        let boot = Boot {
            firmware,
            kernel: Some(bytes.to_vec()),
            ..Boot::default()
        };
        let mut bus = Board::new(&board).expect("the board is possible");
        stops.time(|| {
            let _ = boot::load(&mut bus, &board, &boot);
        });
    }
}

/// A hostile guest at the devices.
fn bus(bytes: &[u8], stops: &mut Stops) {
    stops.begin();
    torture::bus::run_watched(bytes, &mut |counts| stops.lap(counts));
}

/// Any bytes decode to an entry with exactly these bytes, or to an error.
fn entry(bytes: &[u8], stops: &mut Stops) {
    // Few inputs have the right checksum: also try with one.
    let sealed = [bytes, &crc32c::crc32c(bytes).to_le_bytes()].concat();
    stops.time(|| decode_entry(bytes));
    stops.time(|| decode_entry(&sealed));
}

fn decode_entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode().as_deref(), Ok(bytes));
    }
}

/// A guest that executes anything, also translated: it gets at nothing but its own memory, and every way agrees.
fn guest(bytes: &[u8], stops: &mut Stops) {
    stops.measure(&torture::guest::guest(bytes), measured());
    let [usual, small] = translators();
    let ways = ways(&usual, &small);
    if let Err(divergence) = torture::guest::compare(bytes, &ways) {
        panic!("{divergence}");
    }
}

/// A guest that is written to hurt: no run of it holds up its host, nor makes it keep much, and every way agrees.
fn hurt(bytes: &[u8], stops: &mut Stops) {
    stops.measure(&torture::hurt::guest(bytes), measured());
    let [usual, small] = translators();
    let ways = ways(&usual, &small);
    if let Err(divergence) = torture::hurt::compare(bytes, &ways) {
        panic!("{divergence}");
    }
}

/// The engine of guests that are measured. How much translated code is kept is the operator's to choose; here it is so little that
/// the rest shows, and that its bound is met.
fn measured() -> Box<dyn Engine> {
    translator(Options {
        cache_bytes: 8 << 20,
        ..Options::default()
    })
}

/// A program that speaks to its host.
fn htif(bytes: &[u8], stops: &mut Stops) {
    torture::htif::run(bytes, &mut |counts| stops.lap(counts));
}

/// Those at the ports of a switch.
fn switch(bytes: &[u8], stops: &mut Stops) {
    let memory = Memory::begin();
    node::switch::hostile::run(bytes, &mut |counts| stops.lap(counts));
    stops.memory_bytes = Some(memory.peak_bytes());
}

type Maker = fn() -> Box<dyn Engine>;

fn translators() -> [Maker; 2] {
    [
        || translator(Options::default()),
        || {
            translator(Options {
                cache_bytes: 1 << 20,
                // The guests are short: as good as all of their code is translated anew.
                glance: 1,
                ..Options::default()
            })
        },
    ]
}

fn ways<'a>(usual: &'a Maker, small: &'a Maker) -> [Way<'a>; 2] {
    [
        Way::new("translator", usual, Stride::Whole),
        Way {
            restore: true,
            ..Way::new("restored translator with 1 MiB", small, Stride::Fixed(5))
        },
    ]
}

fn translator(options: Options) -> Box<dyn Engine> {
    Box::new(Translator::new(options).expect("fuzzing takes a host that can be translated for"))
}

/// What a peer sends on the log channel.
fn message(bytes: &[u8], stops: &mut Stops) {
    stops.time(|| {
        node::transport::hostile::run(bytes);
    });
}

/// Any bytes, in any pieces, are a record or an error; the pieces do not matter.
fn record(bytes: &[u8], stops: &mut Stops) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = read_record(bytes, bytes.len().max(1));
    stops.time(|| assert_eq!(read_record(bytes, usize::from(*piece).max(1)), whole));
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

/// Bytes that claim to be a machine. What a restore costs is bounded by the transfer, not here.
fn snapshot(bytes: &[u8], _stops: &mut Stops) {
    torture::snapshot::run(bytes);
}
