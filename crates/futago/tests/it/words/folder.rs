//! The folder in which each chapter begins: what a user may have there, whole and wrong.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bad_input::{Files, configuration};
use crate::process::futago;

/// Bytes of the sections that follow the headers of `image`.
const SECTION_BYTES: u32 = 0x2000;
/// Where the first of them begins.
const HEADERS_BYTES: u32 = 0x1000;

/// `j .`
const SPINS: [u32; 1] = [0x0000_006f];
/// lui t0, 0x10000; li t1, 10; sb t1, 0(t0); wfi; j -4.
const IDLES: [u32; 5] = [
    0x1000_02b7,
    0x00a0_0313,
    0x0062_8023,
    0x1050_0073,
    0xffdf_f06f,
];
/// lui t0, 0x100; lui t1, 7; addi t1, t1, 0x777; sw t1, 0(t0): the finisher device's word for a reset.
const RESETS: [u32; 4] = [0x0010_02b7, 0x0000_7337, 0x7773_0313, 0x0062_a023];
/// lui t0, 0x10000; li t1, 10; sb t1, 0(t0); j -4.
const LINES: [u32; 4] = [0x1000_02b7, 0x00a0_0313, 0x0062_8023, 0xffdf_f06f];

/// Files that are made once, for all chapters.
pub(super) struct Folder {
    files: Files,
}

/// A copy of them, for one chapter.
pub(super) struct Place {
    directory: tempfile::TempDir,
    /// Port and socket that another program has.
    port: UdpSocket,
    _socket: UnixListener,
}

impl Folder {
    /// Makes:
    ///
    /// ```text
    /// off.bin, text          a guest that switches itself off at once; a text
    /// spin.bin, lines.bin    guests that do nothing, and say empty lines, without end
    /// idle.bin               one that says an empty line, and waits
    /// reset.bin              one that asks for a reset
    /// image                  the head of a Linux image, whole; it is not started
    /// keys/, arbiter/        of the machine `m` and its node `a`; a store
    /// node.toml              a configuration that works with them
    /// record, otherwise      of off.bin; the same with another final state at its end
    /// empty, directory/, huge (20 GiB), fifo, dead.sock, taken.sock
    /// ```
    pub(super) fn new() -> Self {
        let files = Files::new();
        fs::write(files.path("node.toml"), configuration(&files)).unwrap();
        fs::remove_dir(files.path("empty")).unwrap();
        fs::write(files.path("empty"), "").unwrap();
        fs::create_dir(files.path("directory")).unwrap();
        fs::write(files.path("image"), image()).unwrap();
        let guest = |name: &str, code: &[u32]| {
            let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
            fs::write(files.path(name), bytes).unwrap();
        };
        guest("spin.bin", &SPINS);
        guest("idle.bin", &IDLES);
        guest("lines.bin", &LINES);
        guest("reset.bin", &RESETS);
        let huge = File::create(files.path("huge")).unwrap();
        huge.set_len(20 << 30).unwrap();
        let [record, guest] = ["record", "off.bin"].map(|name| files.text(name));
        let made = futago(&["record", &record, "--memory", "16M", "--bios", &guest]).output();
        assert!(made.unwrap().status.success());
        let other = other_end(fs::read(&record).unwrap());
        fs::write(files.path("otherwise"), other).unwrap();
        Self { files }
    }

    pub(super) fn copy(&self) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let from = self.files.path(".");
        let copied = Command::new("cp")
            .args(["--recursive", "--sparse=always"])
            .args([&from, directory.path()])
            .status();
        assert!(copied.unwrap().success());
        let path = |name: &str| directory.path().join(name);
        drop(UnixListener::bind(path("dead.sock")).unwrap());
        let socket = UnixListener::bind(path("taken.sock")).unwrap();
        let fifo = Command::new("mkfifo").arg(path("fifo")).status();
        assert!(fifo.unwrap().success());
        Place {
            port: UdpSocket::bind("127.0.0.1:0").unwrap(),
            _socket: socket,
            directory,
        }
    }
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The address of a UDP port that is taken.
    pub(super) fn taken_port(&self) -> String {
        self.port.local_addr().unwrap().to_string()
    }

    /// Where programs are looked for: ours first.
    pub(super) fn search_path(&self) -> String {
        let own = PathBuf::from(env!("CARGO_BIN_EXE_futago"));
        let own = own.parent().expect("a program is in a directory");
        let others = std::env::var("PATH").unwrap_or_default();
        format!("{}:{others}", own.display())
    }
}

/// A record whose end frame says another hash of the final state (see `eventlog::record`).
fn other_end(mut record: Vec<u8>) -> Vec<u8> {
    const MAGIC_BYTES: usize = 8;
    const HEAD_BYTES: usize = 9;
    let (mut at, mut next) = (0, MAGIC_BYTES);
    while next < record.len() {
        at = next;
        let length = record[at + 1..].first_chunk().unwrap();
        next = at + HEAD_BYTES + u32::from_le_bytes(*length) as usize;
    }
    // Behind two numbers.
    record[at + HEAD_BYTES + 16] ^= 1;
    let bytes = record[at..at + 5].iter().chain(&record[at + HEAD_BYTES..]);
    let checksum = bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg())
        })
    });
    record[at + 5..at + HEAD_BYTES].copy_from_slice(&(!checksum).to_le_bytes());
    record
}

/// The head of a Linux image with an EFI stub, which says how long the file is.
fn image() -> Vec<u8> {
    let mut image = vec![0; (HEADERS_BYTES + SECTION_BYTES) as usize];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(16, &(1_u64 << 20).to_le_bytes());
    put(48, b"RISCV\0\0\0RSC\x05");
    put(60, &64_u32.to_le_bytes());
    put(64, b"PE\0\0");
    // Sections, and the size of the optional header.
    put(64 + 6, &1_u16.to_le_bytes());
    put(64 + 20, &160_u16.to_le_bytes());
    let section = 64 + 24 + 160;
    put(section, b".text");
    put(section + 16, &SECTION_BYTES.to_le_bytes());
    put(section + 20, &HEADERS_BYTES.to_le_bytes());
    image
}
