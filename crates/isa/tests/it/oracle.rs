//! `qemu-riscv64` as an oracle: the same program image runs there and in the test machine, up to one
//! `write` system call with its results.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binutils::tool;
use crate::machine::{Exit, Machine};

const BASE: u64 = 0x1_0000;
const MEMORY_BYTES: usize = 32 << 20;
const STEPS: usize = 1 << 24;

/// What the program writes, here and by QEMU. `source` is its text from `_start` on; it ends in a
/// `write` to standard output and an `exit`. `name` must differ between tests.
pub(crate) fn run_both(name: &str, source: &str) -> (Vec<u8>, Vec<u8>) {
    let source = format!(".section .image, \"awx\"\n.globl _start\n_start:\n{source}");
    let (elf, image) = build(name, &source);
    let ours = run_here(&image).unwrap_or_else(|exit| panic!("{name}: {exit:?}"));
    let theirs = run(Command::new("qemu-riscv64").arg(elf));
    assert_eq!(ours.len(), theirs.len(), "{name}");
    (ours, theirs)
}

/// The end of a program: writes `length` bytes from `start` on.
pub(crate) fn write_and_exit(start: &str, length: &str) -> String {
    format!(
        "li a7, 64\nli a0, 1\nla a1, {start}\nli a2, {length}\necall\nli a7, 93\nli a0, 0\necall\n"
    )
}

/// The executable, and its memory image from `BASE` on.
fn build(name: &str, source: &str) -> (PathBuf, Vec<u8>) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = |extension: &str| directory.join(format!("{name}.{extension}"));
    let (text, object, elf, image) = (path("s"), path("o"), path("elf"), path("image"));
    std::fs::write(&text, source).expect("the directory for temporary files is writable");
    run(tool("as")
        .args(["-march=rv64gc", "-mno-relax", "-o"])
        .args([&object, &text]));
    let base = format!("--section-start=.image={BASE:#x}");
    run(tool("ld").args([&base, "-o"]).args([&elf, &object]));
    run(tool("objcopy")
        .args(["-O", "binary", "-j", ".image"])
        .args([&elf, &image]));
    #[expect(
        clippy::disallowed_methods,
        reason = "a test of the outside reads its own files"
    )]
    let image = std::fs::read(&image).expect("objcopy has written it");
    (elf, image)
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{command:?} cannot be started ({error}): \
             apt-get install binutils-riscv64-linux-gnu qemu-user"
        )
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {} {errors}",
        output.status
    );
    output.stdout
}

/// Runs the image up to its first system call, a `write`, and returns what it would write.
fn run_here(image: &[u8]) -> Result<Vec<u8>, Option<Exit>> {
    let mut machine = Machine::new(BASE, MEMORY_BYTES);
    machine.memory[..image.len()].copy_from_slice(image);
    match machine.run(STEPS) {
        Some(Exit::EnvironmentCall) => {}
        exit => return Err(exit),
    }
    let start = (machine.x[11] - BASE) as usize;
    let length = machine.x[12] as usize;
    Ok(machine.memory[start..start + length].to_vec())
}
