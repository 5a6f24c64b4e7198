//! Guests that nobody listens to, and guests that say nothing: neither may leave its user waiting, or wondering.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, Process, futago};
use crate::suite::assemble;

/// A guest in the background, with its standard output in a pipe, and what it logs in a file.
fn start(arguments: &[&str], log: &Path) -> Child {
    futago(arguments)
        .stdout(Stdio::piped())
        .stderr(File::create(log).unwrap())
        .spawn()
        .unwrap()
}

fn end_of(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it waits for somebody to read what it says");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_guest_does_not_wait_for_whoever_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let elf = assemble("unread", "flood", 0);
    let (log, record) = (
        directory.path().join("log"),
        directory.path().join("record"),
    );
    let record = record.to_str().unwrap();
    let bios = ["--memory", "64M", "--bios", elf.to_str().unwrap()];
    for engine in ["translator", "interpreter"] {
        // No record takes the place of another.
        let _ = std::fs::remove_file(record);
        for command in [&["run"][..], &["record", record]] {
            let arguments = [command, &["--engine", engine], &bios].concat();
            // The pipe stays open, and is never read.
            let mut child = start(&arguments, &log);
            let status = end_of(&mut child);
            let said = std::fs::read_to_string(&log).unwrap();
            assert!(status.success(), "{arguments:?}: {said}");
            assert!(
                said.contains("bytes of the guest's console were dropped"),
                "{arguments:?}: {said}"
            );
        }
    }
    std::fs::remove_file(&elf).unwrap();
}

#[test]
fn an_output_that_cannot_be_written_is_told_of_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (log, record) = (
        directory.path().join("log"),
        directory.path().join("record"),
    );
    let record = record.to_str().unwrap();
    // Less than the outlet's buffer, of which a pipe's first reader takes some.
    let elf = assemble("unwritable", "flood", 32);
    let bios = ["--memory", "64M", "--bios", elf.to_str().unwrap()];
    let full = format!(
        "{} bytes of the guest's console were dropped: standard output could not be written: no storage space",
        32 << 16
    );
    let closed = "whoever read standard output has closed it".to_owned();
    for (words, is_full) in [(full, true), (closed, false)] {
        for command in [&["run"][..], &["record", record]] {
            let _ = std::fs::remove_file(record);
            let out = if is_full {
                Stdio::from(File::options().write(true).open("/dev/full").unwrap())
            } else {
                Stdio::from(std::io::pipe().unwrap().1)
            };
            let mut child = futago(&[command, &bios].concat())
                .stdout(out)
                .stderr(File::create(&log).unwrap())
                .spawn()
                .unwrap();
            let status = end_of(&mut child);
            let said = std::fs::read_to_string(&log).unwrap();
            assert!(said.contains(&words), "{command:?}: {said}");
            assert_eq!(status.code(), Some(1), "{command:?}: {said}");
        }
    }
    std::fs::remove_file(&elf).unwrap();
}

#[test]
fn whoever_reads_has_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let elf = assemble("read", "flood", 32);
    let log = directory.path().join("log");
    let arguments = ["run", "--memory", "64M", "--bios", elf.to_str().unwrap()];
    let mut child = start(&arguments, &log);
    let mut all = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
    assert!(end_of(&mut child).success());
    assert_eq!(all.len(), 32 << 16);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "");
    std::fs::remove_file(&elf).unwrap();
}

/// What is logged of a guest that says `said`, and is illegal at once, by the time that it is ended.
fn silent(fail: u32, more: &[&str], said: &str, words: Option<&str>) {
    let directory = tempfile::tempdir().unwrap();
    let elf = assemble("silent", "silent", fail);
    let mut arguments = vec!["run", "--memory", "64M"];
    arguments.extend_from_slice(more);
    arguments.push(elf.to_str().unwrap());
    let mut guest = Process::start(&arguments, directory.path());
    match words {
        Some(words) => guest.wait_until(words, |guest| guest.err().contains(words)),
        None => guest.wait_until(said, |guest| guest.out().contains(said)),
    }
    let (status, guest) = guest.terminate();
    assert!(status.success(), "{}", guest.err());
    let lines = guest.err().lines().count();
    assert_eq!(lines, usize::from(words.is_some()), "{}", guest.err());
    assert_eq!(guest.out(), said);
    std::fs::remove_file(&elf).unwrap();
}

#[test]
fn why_a_guest_may_say_nothing_is_told_once() {
    for engine in ["interpreter", "translator"] {
        silent(
            0,
            &["--engine", engine, "--bios"],
            "",
            Some("sh1add (0x20c5a533) at 0x80000000 in M-mode, of extension Zba"),
        );
    }
    silent(
        1,
        &["--kernel"],
        "",
        Some("which only M-mode may execute: an image for M-mode is started with `--bios none`"),
    );
    silent(2, &["--bios"], "!", None);
}

/// `wfi`, and again: in M-mode, with no interrupt enabled.
const WAITS: [u32; 2] = [0x1050_0073, 0xffdf_f06f];
/// lui a7, 0x485; addi a7, a7, 0x34d; li a6, 1; ecall: the SBI stops the hart.
const STOPS: [u32; 4] = [0x0048_58b7, 0x34d8_8893, 0x0010_0813, 0x0000_0073];

#[test]
fn a_guest_that_stands_still_for_good_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    for (option, code) in [("--bios", &WAITS[..]), ("--kernel", &STOPS)] {
        let code: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        std::fs::write(&image, code).unwrap();
        for engine in ["interpreter", "translator"] {
            let arguments = ["run", "--engine", engine, option, image.to_str().unwrap()];
            let mut guest = Process::start(&arguments, directory.path());
            let words = "the guest stands still for good";
            guest.wait_until(words, |guest| guest.err().contains(words));
            let (status, guest) = guest.terminate();
            assert!(status.success(), "{}", guest.err());
            assert_eq!(guest.err().lines().count(), 1, "{}", guest.err());
        }
    }
}
