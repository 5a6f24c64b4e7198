//! The conventions of the public RISC-V test suites, by programs in the style of their environments
//! (`tests/guest`): what `futago run` returns and writes for a pass, a failure and a signature.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Assembles `tests/guest/NAME.S` so that check `fail` fails; 0 is none. `test` says for whom.
fn assemble(test: &str, name: &str, fail: u32) -> PathBuf {
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
