//! Machines that nobody protects: run, recorded, replayed; and the conventions of the public test suites.

use crate::pair::COUNTER;
use eventlog::record::{Frame, RecordReader, RecordWriter};
use eventlog::{Entry, Event};
use machine::Input;
use node::engine::EngineChoice;
use node::unprotected::{
    Ending, RecordOptions, ReplayOptions, ReplaySummary, RunOptions, record, replay, run,
};
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
        memory_bytes: 16 << 20,
        ..VmOptions::new(EngineChoice::default())
    }
}

/// Not a test of its own: the process that is recorded.
#[test]
fn run_process() {
    if let Ok(directory) = std::env::var(RUN_DIRECTORY) {
        let directory = Path::new(&directory);
        let options = RecordOptions {
            vm: VmOptions {
                confined: true,
                ..vm(directory.join("counter.bin"))
            },
            file: directory.join("record"),
            force: false,
            snapshot_every: Some(Duration::from_millis(50)),
            digest_positions: None,
        };
        assert_eq!(record(&options).unwrap().ending, Ending::Quit);
    }
}

fn replay_file(
    file: &Path,
    change: impl FnOnce(&mut ReplayOptions),
) -> anyhow::Result<ReplaySummary> {
    let mut options = ReplayOptions {
        file: file.to_owned(),
        verify: true,
        from_snapshot: 0,
        engine: EngineChoice::default(),
        confined: false,
    };
    change(&mut options);
    replay(&options, &mut |_| Ok(()))
}

/// A record of a guest that counted to 20.
fn record_of_counting(directory: &Path) -> PathBuf {
    let image: Vec<u8> = COUNTER.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(directory.join("counter.bin"), image).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "unprotected::run_process", "--nocapture"])
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
        // So that there is time for snapshots.
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(child.wait().unwrap().success());
    directory.join("record")
}

#[test]
fn a_record_is_repeated_to_the_same_state_in_every_way() {
    let directory = tempfile::tempdir().unwrap();
    let file = record_of_counting(directory.path());
    let whole = replay_file(&file, |_| {}).unwrap();
    assert_eq!(whole.divergence, None);
    assert!(whole.digests >= 2 && whole.snapshots >= 2, "{whole:?}");
    for block_cache in [true, false] {
        let other = replay_file(&file, |options| {
            options.engine = EngineChoice::Interpreter { block_cache };
        });
        let other = other.unwrap();
        assert_eq!((other.state, other.divergence), (whole.state, None));
    }
    let midway = replay_file(&file, |options| options.from_snapshot = 1).unwrap();
    assert_eq!((midway.state, midway.divergence), (whole.state, None));
    assert!(midway.positions.0 > whole.positions.0 && midway.entries < whole.entries);
    assert_eq!(midway.positions.1, whole.positions.1);
}

#[test]
fn a_damaged_record_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let file = record_of_counting(directory.path());
    let check = |file: &Path, text: &str| {
        let message = format!("{:#}", replay_file(file, |_| {}).unwrap_err());
        assert!(message.contains(text), "{message}");
    };
    let bytes = fs::read(&file).unwrap();
    let damaged = directory.path().join("damaged");
    fs::write(&damaged, &bytes[..bytes.len() - 5]).unwrap();
    check(
        &damaged,
        "there is no difference): truncated record: it ends at offset",
    );
    let mut flipped = bytes.clone();
    // Within the description of the machine, so that it is no frame's length.
    flipped[30] ^= 4;
    fs::write(&damaged, flipped).unwrap();
    check(&damaged, "corrupt record at offset");
    fs::write(
        &damaged,
        rewrite(&bytes, |frame| {
            if let Frame::Header(header) = frame {
                header.semantics += 1;
            }
        }),
    )
    .unwrap();
    let other = machine::SEMANTICS + 1;
    check(&damaged, &format!("whose machines have semantics {other}"));
    fs::write(&damaged, "no record").unwrap();
    check(&damaged, "no Futago record");
    check(&directory.path().join("missing"), "cannot be opened");
    let error = replay_file(&file, |options| options.from_snapshot = 999).unwrap_err();
    assert!(format!("{error:#}").contains("no snapshot 999"));
}

#[test]
fn an_input_that_was_changed_is_a_divergence() {
    let directory = tempfile::tempdir().unwrap();
    let file = record_of_counting(directory.path());
    let changed = directory.path().join("changed");
    change_the_last_key(&fs::read(&file).unwrap(), &changed);
    let summary = replay_file(&changed, |_| {}).unwrap();
    let divergence = summary.divergence.unwrap();
    assert!(
        divergence.after < divergence.at && !divergence.what.is_empty(),
        "{divergence:?}"
    );
}

/// Writes a record like this one, in which another key was typed last.
fn change_the_last_key(record: &[u8], to: &Path) {
    let typed = |bytes: &[u8]| match Entry::decode(bytes).unwrap().event {
        Event::Input(Input::Console(_)) => 1,
        _ => 0,
    };
    let mut keys = 0;
    rewrite(record, |frame| {
        if let Frame::Entries(entries) = frame {
            keys += entries.iter().map(|bytes| typed(bytes)).sum::<usize>();
        }
    });
    let changed = rewrite(record, |frame| {
        let Frame::Entries(entries) = frame else {
            return;
        };
        for bytes in entries {
            let mut entry = Entry::decode(bytes).unwrap();
            if let Event::Input(Input::Console(typed)) = &mut entry.event {
                keys -= 1;
                if keys == 0 {
                    typed.push(b'!');
                    *bytes = entry.encode().unwrap();
                }
            }
        }
    });
    fs::write(to, changed).unwrap();
}

/// The record with its frames changed, and whole again.
fn rewrite(record: &[u8], mut change: impl FnMut(&mut Frame)) -> Vec<u8> {
    let mut reader = RecordReader::new();
    reader.feed(record);
    let mut out = Vec::new();
    let mut writer = None;
    while let Some(mut frame) = reader.next_frame().unwrap() {
        change(&mut frame);
        match frame {
            Frame::Header(header) => {
                writer = Some(RecordWriter::new(&header, &mut out).unwrap());
            }
            Frame::Snapshot(snapshot) => {
                writer
                    .as_mut()
                    .unwrap()
                    .snapshot(snapshot.position, &snapshot.state, &mut out)
                    .unwrap();
            }
            Frame::Entries(entries) => writer
                .as_mut()
                .unwrap()
                .entries_batch(&entries, &mut out)
                .unwrap(),
            Frame::End(end) => writer
                .take()
                .unwrap()
                .end(end.position, &end.digest, &mut out)
                .unwrap(),
        }
    }
    out
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
        })
        .unwrap()
        .ending
    };
    assert_eq!(run_with(1), Ending::Code(0));
    assert_eq!(
        fs::read_to_string(&signature).unwrap(),
        "90abcdef\n12345678\n"
    );
    assert_eq!(run_with(7 << 1 | 1), Ending::Code(7));
}
