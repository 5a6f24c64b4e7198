//! What is piped into a guest arrives, however fast it comes.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::process::{PATIENCE, futago};

/// For each byte typed at its serial port, this says the next number, as one byte.
const COUNTER: [u32; 8] = [
    0x1000_02b7, // lui t0, 0x10000
    0x0052_c303, // lbu t1, 5(t0)
    0x0013_7313, // andi t1, t1, 1
    0xfe03_0ce3, // beqz t1, -8
    0x0002_c303, // lbu t1, 0(t0)
    0x0014_0413, // addi s0, s0, 1
    0x0082_8023, // sb s0, 0(t0)
    0xfe9f_f06f, // j -24
];
const TYPED: usize = 300_000;

#[test]
fn nothing_of_what_is_piped_in_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let bios = directory.path().join("counter.bin");
    let image: Vec<u8> = COUNTER.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(&bios, image).unwrap();
    let mut guest = futago(&["run", "--memory", "16M", "--bios", bios.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = guest.stdin.take().unwrap();
    let typist = std::thread::spawn(move || keys.write_all(&[b'x'; TYPED]).unwrap());
    let mut ear = guest.stdout.take().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut said = vec![0; TYPED];
        tell.send(ear.read_exact(&mut said).map(|()| said))
    });
    let said = told.recv_timeout(PATIENCE);
    guest.kill().unwrap();
    guest.wait().unwrap();
    let said = said.expect("all is heard").unwrap();
    typist.join().unwrap();
    let follows = |pair: &[u8]| pair[1] == pair[0].wrapping_add(1);
    assert!(said[0] == 1 && said.windows(2).all(follows));
}
