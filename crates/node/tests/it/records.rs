//! Machines that nobody protects: run, recorded, replayed; and the conventions of the public test suites.

use crate::pair::COUNTER;
use node::config::MemorySize;
use node::replay::{ReplayOptions, replay};
use node::run::{RunEnd, RunOptions, run};
use node::vm::VmOptions;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tells a copy of this test binary to run the counter, and in which directory.
const RUN_DIRECTORY: &str = "FUTAGO_TEST_RUN_DIRECTORY";

fn vm(bios: PathBuf) -> VmOptions {
    VmOptions {
        bios: Some(bios),
        memory: MemorySize(16 << 20),
        ..VmOptions::default()
    }
}

/// Not a test of its own: the process that is recorded.
#[test]
fn run_process() {
    if let Ok(directory) = std::env::var(RUN_DIRECTORY) {
        let directory = Path::new(&directory);
        let options = RunOptions {
            vm: vm(directory.join("counter.bin")),
            record: Some(directory.join("record")),
            snapshot_every: Some(Duration::from_millis(50)),
            ..RunOptions::default()
        };
        assert_eq!(run(&options).unwrap(), RunEnd::Left);
    }
}

fn options(record: PathBuf) -> ReplayOptions {
    ReplayOptions {
        record,
        snapshot: 0,
        without_block_cache: false,
        console: false,
    }
}

/// A record of a guest that counted to 20.
fn record(directory: &Path) -> PathBuf {
    let image: Vec<u8> = COUNTER.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(directory.join("counter.bin"), image).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "records::run_process", "--nocapture"])
        .env(RUN_DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = child.stdin.take().unwrap();
    let mut said = child.stdout.take().unwrap();
    let mut byte = [0];
    for expected in 1..=20 {
        typed.write_all(b"k").unwrap();
        // The test harness talks on the same output, in letters.
        while {
            said.read_exact(&mut byte).unwrap();
            byte[0] != expected
        } {}
        std::thread::sleep(Duration::from_millis(5));
    }
    typed.write_all(b"\x01x").unwrap();
    assert!(child.wait().unwrap().success());
    directory.join("record")
}

#[test]
fn a_record_is_followed_to_the_same_state_in_every_way() {
    let directory = tempfile::tempdir().unwrap();
    let record = record(directory.path());
    let whole = replay(&options(record.clone())).unwrap();
    assert!(whole.digests >= 2 && whole.snapshots >= 2, "{whole:?}");
    let plain = replay(&ReplayOptions {
        without_block_cache: true,
        ..options(record.clone())
    })
    .unwrap();
    assert_eq!(plain, whole);
    let midway = replay(&ReplayOptions {
        snapshot: 1,
        ..options(record.clone())
    })
    .unwrap();
    assert!(midway.from > whole.from && midway.entries < whole.entries);
    assert_eq!(midway.to, whole.to);

    let check = |record: PathBuf, text: &str| {
        let message = format!("{:#}", replay(&options(record)).unwrap_err());
        assert!(message.contains(text), "{message}");
    };
    let bytes = fs::read(&record).unwrap();
    let damaged = directory.path().join("damaged");
    fs::write(&damaged, &bytes[..bytes.len() - 5]).unwrap();
    check(damaged.clone(), "can be followed to position");
    let mut flipped = bytes.clone();
    let at = bytes.len() * 3 / 4;
    flipped[at] ^= 4;
    fs::write(&damaged, flipped).unwrap();
    check(damaged.clone(), "offset");
    fs::write(&damaged, "no record").unwrap();
    check(damaged, "no Futago record");
    check(directory.path().join("missing"), "cannot open the record");
    let error = replay(&ReplayOptions {
        snapshot: 999,
        ..options(record.clone())
    })
    .unwrap_err();
    assert!(error.to_string().contains("there is no number 999"));
    let again = run(&RunOptions {
        vm: vm(directory.path().join("counter.bin")),
        record: Some(record),
        ..RunOptions::default()
    });
    assert!(format!("{:#}", again.unwrap_err()).contains("must not exist yet"));
}

/// A test program in the manner of the public suites, which writes `code` to `tohost`.
fn program(directory: &Path, code: u64) -> PathBuf {
    let source = directory.join("test.S");
    let text = format!(
        ".globl _start, tohost, begin_signature, end_signature\n\
         _start: li t0, 0x1234567890abcdef\nla t1, begin_signature\nsd t0, 0(t1)\n\
         li t0, {code}\nla t1, tohost\nsd t0, 0(t1)\n1: j 1b\n\
         .data\n.align 6\ntohost: .dword 0\n.align 6\nbegin_signature: .dword 0\nend_signature:\n"
    );
    fs::write(&source, text).unwrap();
    let elf = directory.join("test.elf");
    let built = Command::new("riscv64-linux-gnu-gcc")
        .args([
            "-nostdlib",
            "-static",
            "-no-pie",
            "-mcmodel=medany",
            "-Wl,-N,-Ttext=0x80000000,--build-id=none",
            "-o",
        ])
        .args([&elf, &source])
        .status()
        .expect("the cross compiler is installed (Debian: gcc-riscv64-linux-gnu)");
    assert!(built.success());
    elf
}

#[test]
fn a_test_program_ends_with_its_code_and_signature() {
    let directory = tempfile::tempdir().unwrap();
    let signature = directory.path().join("signature");
    let run_with = |code| {
        run(&RunOptions {
            vm: vm(program(directory.path(), code)),
            signature: Some(signature.clone()),
            ..RunOptions::default()
        })
        .unwrap()
    };
    assert_eq!(run_with(1), RunEnd::Test(0));
    assert_eq!(
        fs::read_to_string(&signature).unwrap(),
        "90abcdef\n12345678\n"
    );
    let failed = run_with(7 << 1 | 1);
    assert_eq!((failed, failed.code()), (RunEnd::Test(7), 7));
}

#[test]
fn wrong_files_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    fs::write(&text, "no kernel").unwrap();
    let check = |vm: VmOptions, expected: &str| {
        let error = run(&RunOptions {
            vm,
            ..RunOptions::default()
        })
        .unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains(expected), "{message}");
    };
    check(VmOptions::default(), "there is no kernel");
    check(
        VmOptions {
            kernel: Some(text),
            ..VmOptions::default()
        },
        "neither a RISC-V Linux Image nor an ELF",
    );
    check(
        VmOptions {
            kernel: Some(directory.path().join("none")),
            ..VmOptions::default()
        },
        "cannot read the kernel",
    );
    check(
        vm(directory.path().join("none")),
        "cannot read the firmware",
    );
}
