//! Junk on a node's UDP port: noise, and datagrams that look like the beginning of a QUIC connection.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Datagrams a second that are aimed at.
pub(super) const RATE: u64 = 100_000;
/// They come from so many addresses.
const SOURCES: usize = 64;
/// An Initial packet fills at least so much (RFC 9000, 14.1).
const INITIAL_BYTES: usize = 1200;
const NOISE_BYTES: usize = 200;
const TURN: Duration = Duration::from_millis(1);

/// A thread that sends until it is told to end.
pub(super) struct Flood {
    over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Flood {
    /// Begins to send to these addresses, in turns.
    pub(super) fn start(targets: Vec<SocketAddr>) -> Result<Self> {
        let sources = (0..SOURCES).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
        let sources = sources
            .collect::<Result<Vec<_>, _>>()
            .context("no UDP port is free")?;
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = std::thread::Builder::new()
            .name("junk".to_owned())
            .spawn(move || send(&sources, &targets, &told))?;
        Ok(Self { over, thread })
    }

    /// Ends it; returns how many datagrams were sent.
    pub(super) fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn send(sources: &[UdpSocket], targets: &[SocketAddr], over: &AtomicBool) -> u64 {
    let begun = Instant::now();
    let mut sent = 0u64;
    let mut packet = [0u8; INITIAL_BYTES];
    while !over.load(Ordering::Relaxed) {
        let due = begun.elapsed().as_micros() as u64 * RATE / 1_000_000;
        while sent < due {
            let bytes = junk(&mut packet, sent);
            let source = &sources[sent as usize % sources.len()];
            let target = targets[sent as usize / sources.len() % targets.len()];
            // What the kernel does not take is lost, as junk may be.
            let _ = source.send_to(bytes, target);
            sent += 1;
        }
        sleep(TURN);
    }
    sent
}

/// The next datagram: one in eight asks for a connection, each time for another.
fn junk(packet: &mut [u8; INITIAL_BYTES], number: u64) -> &[u8] {
    for (index, piece) in packet.chunks_mut(8).enumerate() {
        let mixed = (number ^ (index as u64) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        piece.copy_from_slice(&mixed.to_le_bytes()[..piece.len()]);
    }
    if !number.is_multiple_of(8) {
        return &packet[..NOISE_BYTES];
    }
    // A long header, type Initial, version 1, both connection identities of 8 bytes, no token (RFC 9000, 17.2.2).
    packet[0] = 0xc3;
    packet[1..5].copy_from_slice(&1u32.to_be_bytes());
    packet[5] = 8;
    packet[14] = 8;
    packet[23] = 0;
    packet[24..26].copy_from_slice(&(0x4000 | (INITIAL_BYTES - 26) as u16).to_be_bytes());
    &packet[..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_datagram_is_like_the_one_before() {
        let (mut one, mut other) = ([0; INITIAL_BYTES], [0; INITIAL_BYTES]);
        assert_ne!(junk(&mut one, 8), junk(&mut other, 16));
        assert_ne!(junk(&mut one, 1), junk(&mut other, 2));
        assert_eq!(junk(&mut one, 8).len(), INITIAL_BYTES);
    }
}
