//! The conventions of the public RISC-V test suites, by programs in the style of their environments
//! (`tests/guest`): what `futago run` returns and writes for a pass, a failure and a signature.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Assembles `tests/guest/NAME.S` so that check `fail` fails; 0 is none. `test` says for whom.
pub(crate) fn assemble(test: &str, name: &str, fail: u32) -> PathBuf {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest");
    let elf = temporary(&format!("{test}-{name}-{fail}.elf"));
    let run = Command::new("riscv64-linux-gnu-gcc")
        .args(
            "-nostdlib -static -no-pie -fno-pic -march=rv64gc -mabi=lp64d -mcmodel=medany"
                .split(' '),
        )
        .arg(format!("-Wa,--defsym,FAIL={fail}"))
        .arg("-Wl,--build-id=none,--no-warn-rwx-segments")
        .arg("-T")
        .arg(guest.join("suite.ld"))
        .arg("-o")
        .args([&elf, &guest.join(format!("{name}.S"))])
        .output()
        .expect("riscv64-linux-gnu-gcc must be installed: Debian package gcc-riscv64-linux-gnu");
    assert!(
        run.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    elf
}

fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

/// What `futago run` and `record` say on standard output under both engines, with `keys` typed, and how they end. A replay
/// of the record is equal.
fn by_words(name: &str, fail: u32, keys: &str, said: &str, status: i32, why: &str) {
    let elf = assemble("words", name, fail);
    let (typed, record) = (
        temporary(&format!("{name}-{fail}-keys")),
        temporary(&format!("{name}-{fail}-record")),
    );
    std::fs::write(&typed, keys).expect("the directory for temporary files is writable");
    for engine in ["interpreter", "translator"] {
        // No record takes the place of another.
        let _ = std::fs::remove_file(&record);
        for record in [None, Some(&record)] {
            let mut command = Command::new("timeout");
            command.arg("60").arg(env!("CARGO_BIN_EXE_futago"));
            match record {
                Some(file) => command.arg("record").arg(file),
                None => command.arg("run"),
            };
            command
                .args(["--engine", engine, "--memory", "64M", "--bios"])
                .arg(&elf)
                .stdin(std::fs::File::open(&typed).expect("it was just written"));
            let output = command.output().expect("coreutils are installed");
            let errors = String::from_utf8_lossy(&output.stderr);
            let out = String::from_utf8_lossy(&output.stdout);
            assert_eq!(out, said, "{name}, {fail}, {engine}: {errors}");
            assert_eq!(
                output.status.code(),
                Some(status),
                "{name}, {fail}: {errors}"
            );
            assert!(errors.contains(why), "{name}, {fail}: {errors}");
        }
        let replay = Command::new(env!("CARGO_BIN_EXE_futago"))
            .args(["replay", "--verify", "--engine", "interpreter"])
            .arg(&record)
            .output()
            .expect("the program is built");
        let out = String::from_utf8_lossy(&replay.stdout);
        assert!(replay.status.success(), "{name}, {fail}, {engine}: {out}");
    }
    for file in [elf, typed, record] {
        std::fs::remove_file(&file).expect("the file is ours");
    }
}

#[test]
fn programs_that_speak_to_spike() {
    by_words("says-by-htif", 0, "", "ok\n", 0, "");
    let said = "hello\n".repeat(8) + "k";
    by_words("htif", 0, "k", &said, 5, "ended with code 5");
}

#[test]
fn what_no_host_can_do_ends_the_program() {
    for (fail, why) in [
        (1, "system call 1024, which is not there"),
        (2, "device 2, command 0, which is not there"),
        (3, "the text of a write at 0x1000"),
        (4, "for a `write` of 18446744073709551615 bytes at once"),
        (5, "a system call at 0x1000"),
        (6, "left 64 answers in `fromhost` untaken"),
    ] {
        by_words("htif", fail, "", "", 1, why);
    }
}

/// The exit status of `futago run --bios ELF …`, and what it says.
fn run(elf: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("timeout");
    command
        .arg("60")
        .arg(env!("CARGO_BIN_EXE_futago"))
        .args(["run", "--memory", "64M", "--net", "none", "--bios"])
        .arg(elf)
        .args(more);
    let output = command.output().expect("coreutils are installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

fn check(name: &str, fail: u32, wanted: i32) {
    let elf = assemble("check", name, fail);
    let (status, said) = run(&elf, &[]);
    assert_eq!(status, Some(wanted), "{name}, {fail}: {said}");
    std::fs::remove_file(&elf).expect("the file is ours");
}

#[test]
fn physical_addresses() {
    check("physical", 0, 0);
    for number in 2..=6 {
        check("physical", number, number.cast_signed());
    }
}

#[test]
fn virtual_addresses() {
    check("virtual", 0, 0);
    check("virtual", 2, 2);
}

#[test]
fn the_signature() {
    let elf = assemble("signature", "physical", 0);
    let file = temporary("signature");
    let name = file.to_str().expect("cargo's directories are text");
    let (status, said) = run(&elf, &["--signature", name]);
    assert_eq!(status, Some(0), "{said}");
    let text = std::fs::read_to_string(&file).expect("the signature was written");
    // The product; the cause of the trap; the instruction; what nobody wrote.
    let words = "0000002a 00000000 00000002 00000000 340026f3 00000000 deadbeef 00000000";
    assert_eq!(text, words.replace(' ', "\n") + "\n");
    std::fs::remove_file(&file).expect("the file is ours");
    std::fs::remove_file(&elf).expect("the file is ours");

    let elf = assemble("signature", "virtual", 0);
    let (status, said) = run(&elf, &["--signature", name]);
    assert_eq!(status, Some(1), "it has no signature: {said}");
    assert!(said.contains("begin_signature"), "{said}");
    assert!(!file.exists());
    std::fs::remove_file(&elf).expect("the file is ours");
}

/// A raw image of `tests/guest/NAME.S`, as `--kernel`, under both engines.
fn raw(name: &str, more: &[&str], wanted: &str) {
    let elf = assemble("raw", name, 0);
    let image = temporary(&format!("{name}.bin"));
    let made = Command::new("riscv64-linux-gnu-objcopy")
        .args(["-O", "binary"])
        .args([&elf, &image])
        .status()
        .expect("riscv64-linux-gnu-objcopy must be installed: Debian package binutils-riscv64-linux-gnu");
    assert!(made.success());
    for engine in ["interpreter", "translator"] {
        let output = Command::new("timeout")
            .arg("60")
            .arg(env!("CARGO_BIN_EXE_futago"))
            .args(["run", "--engine", engine, "--memory", "64M", "--kernel"])
            .arg(&image)
            .args(more)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("coreutils are installed");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{engine}: {errors}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
    }
    for file in [elf, image] {
        std::fs::remove_file(&file).expect("the file is ours");
    }
}

#[test]
fn raw_kernels() {
    raw("raw", &[], "S 80200000\n");
    raw("raw", &["--bios", "default"], "S 80200000\n");
    raw("raw", &["--bios", "none"], "M 80000000\n");
}
