//! A program that says anything to its host by HTIF's two words, which may lie anywhere.

use super::{Bytes, board};
use machine::board::Board;
use machine::ram::RAM_BASE;
use machine::{GuestAddr, Input, Output, Position};

/// Where calls are written.
const CALLS: u64 = RAM_BASE + 0x2000;
/// Most that one look says: the text of a `write`.
const SAID_BYTES_MAX: usize = 64 << 10;

/// Does what `data` spells. `watch` is called around each look, as by [`super::bus::run_watched`].
///
/// # Panics
/// If a promise of the interface is broken: that is what it looks for.
pub fn run(data: &[u8], watch: &mut dyn FnMut(bool)) {
    let mut bytes = Bytes(data);
    let board = board();
    let mut bus = Board::new(&board).expect("the board is possible");
    let to_host = place(&mut bytes, &bus);
    let from_host = match bytes.byte() % 4 {
        0 => None,
        1 => Some(to_host),
        2 => Some(to_host.wrapping_add(u64::from(bytes.byte() % 8))),
        _ => Some(place(&mut bytes, &bus)),
    };
    bus.set_host_words(to_host, from_host);
    let mut at = Position(0);
    while !bytes.0.is_empty() && bus.stop().is_none() {
        match bytes.byte() % 8 {
            0..=2 => put(&mut bus, to_host, command(&mut bytes)),
            3 => write_call(&mut bus, &mut bytes),
            4 => {
                let keys = vec![bytes.byte(); usize::from(bytes.byte())];
                bus.apply(&Input::Console(keys), at.0)
                    .expect("so few keys are always possible");
            }
            5 => put(&mut bus, from_host.unwrap_or(CALLS), 0),
            _ => at = look(&mut bus, at, watch),
        }
    }
    if data.first().is_none_or(|byte| byte % 8 != 0) {
        // To copy all memory takes much longer than the rest.
        return;
    }
    let saved = bus.save(at.0);
    let mut restored = Board::restore(&board, bus.ram.clone(), saved.clone())
        .expect("what a program did can be restored");
    assert_eq!(restored.save(at.0), saved);
}

/// Looks where it is time to; says where it was.
fn look(bus: &mut Board, at: Position, watch: &mut dyn FnMut(bool)) -> Position {
    let Some(due) = bus.host_due() else {
        return at;
    };
    let at = due.max(at);
    watch(false);
    bus.look_at_host_words(at);
    watch(true);
    let said = bus.take_outputs();
    let said: usize = (said.iter())
        .map(|output| match output {
            Output::Console(bytes) => bytes.len(),
            Output::Frame { .. } => panic!("a console sends no frame"),
        })
        .sum();
    assert!(said <= SAID_BYTES_MAX, "{said} bytes in one look");
    assert!(
        bus.host_due().is_some_and(|next| next > at),
        "the next look is later"
    );
    at
}

/// An address, mostly in memory.
fn place(bytes: &mut Bytes<'_>, bus: &Board) -> u64 {
    let far = u64::from(bytes.half());
    match bytes.byte() % 8 {
        0 => RAM_BASE + bus.ram.len() - far % 16,
        1 => u64::from(bytes.word()) << (far % 33),
        // Over the call.
        2 => CALLS + far % 80,
        _ => RAM_BASE + far,
    }
}

fn command(bytes: &mut Bytes<'_>) -> u64 {
    let (device, command) = (u64::from(bytes.byte() % 3), u64::from(bytes.byte() % 3));
    let payload = match bytes.byte() % 4 {
        0 => u64::from(bytes.word()),
        1 => u64::from(bytes.word()) << 16,
        _ => CALLS + u64::from(bytes.byte() % 4) * 2,
    };
    device << 56 | command << 48 | payload & 0xffff_ffff_ffff
}

fn write_call(bus: &mut Board, bytes: &mut Bytes<'_>) {
    let number = match bytes.byte() % 8 {
        0 => 93,
        1 => u64::from(bytes.word()),
        _ => 64,
    };
    let text = place(bytes, bus);
    let len = match bytes.byte() % 8 {
        0 => u64::MAX - u64::from(bytes.half()),
        1 => 65_536 + u64::from(bytes.byte() % 2),
        _ => u64::from(bytes.half()),
    };
    let words = [number, u64::from(bytes.byte() % 4), text, len];
    for (place, word) in (CALLS..).step_by(8).zip(words) {
        put(bus, place, word);
    }
}

/// A word into memory; nothing happens outside.
fn put(bus: &mut Board, address: u64, word: u64) {
    let _ = bus.ram.write(GuestAddr(address), &word.to_le_bytes());
}
