//! Generated streams against `qemu-riscv64`: the same program image runs there and in the test machine,
//! and must leave the same registers, float flags and memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use isa::generate::{self, Class, Options, Random, SCRATCH_ABOVE, SCRATCH_BELOW};

use crate::binutils::tool;
use crate::machine::{Exit, Machine};

const BASE: u64 = 0x1_0000;
const MEMORY_BYTES: usize = 1 << 20;

#[test]
fn everything_at_once() {
    check(0..16, 3000, &Options::default());
}

#[test]
fn integers() {
    let weights = vec![
        (Class::Integer, 3),
        (Class::Multiply, 2),
        (Class::Compressed, 1),
    ];
    check(
        100..104,
        3000,
        &Options {
            weights,
            ..Options::default()
        },
    );
}

#[test]
fn floats() {
    let weights = vec![
        (Class::Float, 4),
        (Class::FloatMemory, 4),
        (Class::FloatControl, 1),
    ];
    check(
        200..216,
        3000,
        &Options {
            weights,
            misaligned: false,
            ..Options::default()
        },
    );
}

/// Runs the streams of `seeds` on both sides.
fn check(seeds: std::ops::Range<u64>, count: usize, options: &Options) {
    for seed in seeds {
        let (elf, image) = build(seed, &program(seed, count, options));
        let ours = run_here(&image).unwrap_or_else(|exit| panic!("seed {seed}: {exit:?}"));
        let theirs = run_there(&elf);
        assert_eq!(ours.len(), theirs.len(), "seed {seed}");
        for (number, (ours, theirs)) in ours.chunks(8).zip(theirs.chunks(8)).enumerate() {
            let place = match number {
                0..32 => format!("x{number}"),
                32..64 => format!("f{}", number - 32),
                64 => "fcsr".to_string(),
                _ => format!("scratch byte {}", (number - 65) * 8),
            };
            assert!(
                ours == theirs,
                "seed {seed}: {place} is {ours:02x?}, by QEMU {theirs:02x?} (little-endian)"
            );
        }
    }
}

/// Loads random registers, runs the stream, stores the registers and writes everything to standard
/// output.
fn program(seed: u64, count: usize, options: &Options) -> String {
    let mut random = Random::new(!seed);
    let stream = generate::code(&generate::stream(seed, count, options));
    let mut source =
        ".section .image, \"awx\"\n.globl _start\n_start: la x31, registers\nfscsr x0\n"
            .to_string();
    let mut put = |line: String| {
        source.push_str(&line);
        source.push('\n');
    };
    for number in 0..32 {
        put(format!("fld f{number}, 256 + 8 * {number}(x31)"));
    }
    for number in 1..32 {
        put(format!("ld x{number}, 8 * {number}(x31)"));
    }
    put("j stream\n.balign 4\nstream:".to_string());
    for byte in stream {
        put(format!(".byte {byte}"));
    }
    put("la x2, output".to_string());
    for number in 0..32 {
        put(format!(
            "sd x{number}, 8 * {number}(x2)\nfsd f{number}, 256 + 8 * {number}(x2)"
        ));
    }
    put("frcsr x1\nsd x1, 512(x2)".to_string());
    put(format!(
        "li a7, 64\nli a0, 1\nmv a1, x2\nli a2, 520 + {SCRATCH_BELOW} + {SCRATCH_ABOVE}"
    ));
    put("ecall\nli a7, 93\nli a0, 0\necall\n.balign 16\nregisters:".to_string());
    for number in 0..32 {
        put(match number {
            2 | 8 => format!(".quad scratch + {SCRATCH_BELOW}"),
            _ => format!(".quad {:#x}", random.integer()),
        });
    }
    for _ in 0..32 {
        put(format!(".quad {:#x}", random.float()));
    }
    // So that the scratch area is aligned to 16 bytes.
    put(".balign 16\n.quad 0\noutput: .fill 65, 8, 0\nscratch:".to_string());
    for _ in 0..(SCRATCH_BELOW + SCRATCH_ABOVE) / 8 {
        put(format!(".quad {:#x}", random.float()));
    }
    source
}

/// The executable, and its memory image from `BASE` on.
fn build(seed: u64, source: &str) -> (PathBuf, Vec<u8>) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = |extension: &str| directory.join(format!("oracle-{seed}.{extension}"));
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

fn run_there(elf: &Path) -> Vec<u8> {
    run(Command::new("qemu-riscv64").arg(elf))
}

/// Runs the image up to its first system call, a `write`, and returns what it would write.
fn run_here(image: &[u8]) -> Result<Vec<u8>, Option<Exit>> {
    let mut machine = Machine::new(BASE, MEMORY_BYTES);
    machine.memory[..image.len()].copy_from_slice(image);
    match machine.run(100_000) {
        Some(Exit::EnvironmentCall) => {}
        exit => return Err(exit),
    }
    let start = (machine.x[11] - BASE) as usize;
    let length = machine.x[12] as usize;
    Ok(machine.memory[start..start + length].to_vec())
}
