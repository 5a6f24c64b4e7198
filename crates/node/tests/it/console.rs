//! Consoles of real nodes.

use crate::pair::Site;
use std::io::{Read, Write};

/// The end of what is typed ends the session, when all has been said.
#[test]
fn what_is_typed_faster_than_the_guest_reads_is_not_lost() {
    const TYPED: usize = 300_000;
    let site = Site::new(47);
    let (a, b) = site.start_pair();
    let mut console = a.console();
    let mut typing = console.get_ref().try_clone().unwrap();
    let typist = std::thread::spawn(move || {
        typing.write_all(&[b'x'; TYPED]).unwrap();
        typing.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut said = Vec::new();
    console.read_to_end(&mut said).unwrap();
    typist.join().unwrap();
    assert_eq!(said.len(), TYPED);
    let follows = |pair: &[u8]| pair[1] == pair[0].wrapping_add(1);
    assert!(said.windows(2).all(follows));

    // At the backup, it waits for the takeover.
    let mut console = b.console();
    console.get_mut().write_all(b"xx").unwrap();
    let left = b.console();
    left.get_ref().try_clone().unwrap().write_all(b"x").unwrap();
    drop(left);
    a.signal("-KILL");
    let last = *said.last().unwrap();
    let expected = [1, 2].map(|more| last.wrapping_add(more));
    while said[said.len() - 2..] != expected {
        let mut byte = [0];
        console.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
}
