//! Generated streams against QEMU: they must leave the same registers, float flags and memory.

use std::ops::Range;

use torture::generate::{self, Class, Options, Random, SCRATCH_ABOVE, SCRATCH_BELOW};

use crate::oracle::{run_both, write_and_exit};

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
fn check(seeds: Range<u64>, count: usize, options: &Options) {
    for seed in seeds {
        let source = program(seed, count, options);
        let (ours, theirs) = run_both(&format!("stream-{seed}"), &source);
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
    let mut source = "la x31, registers\nfscsr x0\n".to_string();
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
    put(write_and_exit(
        "output",
        &format!("520 + {SCRATCH_BELOW} + {SCRATCH_ABOVE}"),
    ));
    put(".balign 16\nregisters:".to_string());
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
