//! An established pair while its port is flooded by strangers.

use crate::transport::{Node, append, check, identities, start_config};
use node::transport::TransportEvent;
use replication::{LeaveReason, Message, TransferId};
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Datagrams that strangers send while the pair works: more than any allowance or buffer holds.
const JUNK: u64 = 300_000;
/// A second, if they can.
const JUNK_PER_SECOND: u64 = 100_000;
/// Most that the process may grow, in KiB: less than the junk, and less than the connections that it pretends to open.
const GROWTH_KIB_MAX: u64 = 64 << 10;

/// Noise of several kinds: random bytes, the first packets of connections that nobody means, and packets of connections that
/// are not.
fn junk(number: u64) -> Vec<u8> {
    let mut bytes = number
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .to_le_bytes()
        .repeat(if number.is_multiple_of(4) { 150 } else { 8 });
    match number % 4 {
        // A long header of QUIC 1 for an Initial, with connection identities of 8 bytes.
        0 => {
            bytes[..6].copy_from_slice(&[0xc0, 0, 0, 0, 1, 8]);
            bytes[14..24].copy_from_slice(&[8, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
            bytes[24..26].copy_from_slice(&[0x44, 0x90]);
        }
        1 => bytes[0] = 0x40 | bytes[0] & 0x3f,
        2 => bytes.truncate((number % 60) as usize),
        _ => {}
    }
    bytes
}

/// Sends junk until told to stop, not faster than it should, and says how much it has sent.
fn flood(to: SocketAddr, sent: &AtomicU64, stop: &AtomicBool) {
    let sockets: Vec<_> = (1..=8)
        .map(|host| UdpSocket::bind(SocketAddr::from(([127, 0, 66, host], 0))).unwrap())
        .collect();
    let begun = Instant::now();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = begun.elapsed().as_micros() as u64 * JUNK_PER_SECOND / 1_000_000;
        let end = due.min(number + 1000);
        while number < end {
            // What the kernel has no room for was sent all the same.
            let _ = sockets[number as usize % sockets.len()].send_to(&junk(number), to);
            number += 1;
        }
        sent.store(number, Ordering::Relaxed);
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn message(node: &mut Node) -> Message {
    match node.next().await {
        TransportEvent::Message { message, .. } => message,
        other => panic!("expected a message, got {other:?}"),
    }
}

/// One entry there, its acknowledgement back.
async fn round_trip(a: &mut Node, b: &mut Node, index: u64) -> Duration {
    let begun = Instant::now();
    a.transport.send(b.id, append(index, 1));
    assert_eq!(message(b).await, append(index, 1));
    let leave = Message::Leave {
        transfer: Some(TransferId(index.into())),
        reason: LeaveReason::PoweredOff,
    };
    b.transport.send(a.id, leave.clone());
    assert_eq!(message(a).await, leave);
    begun.elapsed()
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |thousandths: usize| times[(times.len() - 1) * thousandths / 1000];
    format!(
        "p50 {:?}, p99 {:?}, most {:?} of {}",
        at(500),
        at(990),
        at(1000),
        times.len()
    )
}

/// Tells a copy of this test binary that it is the pair.
const IS_PAIR: &str = "FUTAGO_TEST_FLOODED_PAIR";

/// In a process of its own, so that what it holds can be told.
#[test]
fn junk_neither_parts_a_pair_nor_fills_its_memory() {
    let said = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "flood::pair_process", "--nocapture"])
        .env(IS_PAIR, "yes")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    println!("{text}{}", String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && text.contains("dropped unseen"));
}

/// Not a test of its own: the pair that is flooded.
#[test]
fn pair_process() {
    if std::env::var_os(IS_PAIR).is_none() {
        return;
    }
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let ours = identities(keys.path(), &["a", "b"]);
        let free = |host| {
            let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 7, host], 0))).unwrap();
            socket.local_addr().unwrap()
        };
        let (at_a, at_b) = (free(21), free(22));
        let node = |index: usize, listen, peer: SocketAddr| {
            start_config(&ours[index], 1 + index as u64, |config| {
                config.listen = listen;
                config.peers = vec![peer.into()];
                config.idle_timeout = Duration::from_secs(20);
            })
        };
        let (mut a, mut b) = (node(0, at_a, at_b), node(1, at_b, at_a));
        a.expect_connected().await;
        b.expect_connected().await;
        let mut index = 0;
        let mut calm = Vec::new();
        for _ in 0..2000 {
            index += 1;
            calm.push(round_trip(&mut a, &mut b, index).await);
        }
        let before = resident_kib();
        let (sent, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let flooder = {
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            std::thread::spawn(move || flood(at_a, &sent, &stop))
        };
        let begun = Instant::now();
        let mut besieged = Vec::new();
        while sent.load(Ordering::Relaxed) < JUNK {
            index += 1;
            besieged.push(round_trip(&mut a, &mut b, index).await);
        }
        let took = begun.elapsed();
        stop.store(true, Ordering::Relaxed);
        flooder.join().unwrap();
        let grown = resident_kib().saturating_sub(before);
        let counters = a.transport.counters();
        println!(
            "{JUNK} datagrams of junk in {took:?}, {} of them dropped unseen; round trips before: {}; meanwhile: {}; grown by {grown} KiB",
            counters.strangers_dropped,
            quantiles(&mut calm),
            quantiles(&mut besieged),
        );
        assert!(counters.strangers_dropped > 0);
        assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
        // Nothing but messages came, so nobody was disconnected; and the log still goes through.
        round_trip(&mut a, &mut b, index + 1).await;
    });
}
