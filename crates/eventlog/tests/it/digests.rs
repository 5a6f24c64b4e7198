//! Digests of a guest that writes all of its memory again and again: in time, in pieces, and over every page.

use crate::guest::{MS, engine};
use eventlog::{Entry, Event, Recorder, RecorderConfig, ReplayState, Replayer};
use machine::{BoardConfig, Boot, DIGEST_PAGES_MAX, Digest, Firmware, Machine, Position};
use std::collections::VecDeque;

/// Stores a word to each page from 1 MiB on, 48 MiB of them, and begins again.
const WRITER: [u32; 8] = [
    0x0010_0297, // auipc t0, 0x100
    0x0000_1337, // lui t1, 1
    0x0300_03b7, // lui t2, 0x3000
    0x0053_83b3, // add t2, t2, t0
    0x0052_b023, // sd t0, 0(t0)
    0x0062_82b3, // add t0, t0, t1
    0xfe72_ece3, // bltu t0, t2, -8
    0xfe5f_f06f, // j -28
];
const PAGES: u64 = (48 << 20) / 4096;
/// The guest may write every page again in each of these.
const STEP: u64 = 10 * MS;
const STEP_POSITIONS: u64 = 40_000;

/// The writer, with one byte of its memory that it never writes.
fn boot(byte: u8) -> Machine {
    let board = BoardConfig {
        memory_bytes: 64 << 20,
        ..BoardConfig::default()
    };
    let mut image: Vec<u8> = WRITER.iter().flat_map(|word| word.to_le_bytes()).collect();
    image.resize((31 << 20) + 100, 0);
    image.push(byte);
    let boot = Boot {
        firmware: Firmware::Image(image),
        ..Boot::default()
    };
    Machine::boot(&board, &boot, engine()).unwrap()
}

/// The log of so many seconds, and when each digest was written.
fn record(seconds: u64) -> (Vec<Vec<u8>>, Vec<(u64, Digest)>) {
    let mut recorder = Recorder::new(boot(0), RecorderConfig::default());
    let (mut entries, mut digests) = (Vec::new(), Vec::new());
    for host in (0..seconds * 1_000 * MS).step_by(STEP as usize) {
        let step = recorder.step(host, &mut VecDeque::new(), STEP_POSITIONS);
        for bytes in step.entries {
            if let Event::Digest(digest) = Entry::decode(&bytes).unwrap().event {
                digests.push((host, *digest));
            }
            entries.push(bytes);
        }
    }
    (entries, digests)
}

#[test]
fn digests_come_in_time_and_cost_little_however_much_is_written() {
    let (_, digests) = record(12);
    let mut before = 0;
    let mut hashed = 0;
    for (host, digest) in &digests {
        assert!(host - before <= 5_000 * MS, "{before} .. {host}");
        before = *host;
        hashed += digest.pages_hashed();
        assert!(digest.pages_hashed() <= DIGEST_PAGES_MAX as u64);
    }
    assert!(before >= 7_000 * MS, "the last at {before}");
    let allowed = 12_000 * MS / RecorderConfig::default().digest_page_ticks;
    assert!(hashed <= allowed, "{hashed} pages, {allowed} allowed");
    assert!(
        hashed >= 5 * PAGES,
        "{hashed} of {PAGES} pages, again and again"
    );
}

#[test]
fn every_page_has_its_turn() {
    let (entries, _) = record(12);
    let mut replayer = Replayer::new(boot(1));
    for entry in &entries {
        replayer.push(entry, 0).unwrap();
    }
    let diverged = loop {
        match replayer.step(1_000_000).state {
            ReplayState::Running => {}
            ReplayState::Diverged(divergence) => break divergence,
            state => panic!("a byte that differs is not found: {state:?}"),
        }
    };
    assert!(diverged.at > Position(0));
    assert!(diverged.what[0].contains("a page among"), "{diverged:?}");
}
