//! Generated instruction streams in M-mode: registers, float flags and memory at their end. The programs are
//! made here, and are run by a routine of `tests/guest/oracle/stream.inc`.

use std::path::Path;

use torture::generate::{self, Class, Options, Random, SCRATCH_ABOVE, SCRATCH_BELOW};

use super::check;

#[test]
fn everything_at_once() {
    streams("everything", 0..6, &Options::default());
}

#[test]
fn floats() {
    let weights = vec![
        (Class::Float, 4),
        (Class::FloatMemory, 3),
        (Class::FloatControl, 1),
    ];
    let options = Options {
        weights,
        ..Options::default()
    };
    streams("floats", 200..206, &options);
}

#[test]
fn memory_and_jumps() {
    let weights = vec![
        (Class::Memory, 4),
        (Class::Atomic, 2),
        (Class::Branch, 2),
        (Class::Jump, 2),
        (Class::Compressed, 3),
        (Class::Fence, 1),
    ];
    let options = Options {
        weights,
        ..Options::default()
    };
    streams("memory", 300..306, &options);
}

/// One program runs the streams of all `seeds`, one after the other.
fn streams(name: &str, seeds: std::ops::Range<u64>, options: &Options) {
    let mut source =
        ".include \"stream.inc\"\n.option norelax\n.globl main\nmain: addi sp, sp, -16\nsd ra, 0(sp)\n"
            .to_owned();
    let mut put = |line: String| {
        source.push_str(&line);
        source.push('\n');
    };
    for seed in seeds.clone() {
        put(format!(
            "li a0, {seed}\nla a1, registers{seed}\nla a2, stream{seed}\nla a3, scratch{seed}\ncall run_stream"
        ));
    }
    put("ld ra, 0(sp)\naddi sp, sp, 16\nret".to_owned());
    for seed in seeds {
        let mut random = Random::new(!seed);
        put(format!(".balign 4\nstream{seed}:"));
        for byte in generate::code(&generate::stream(seed, 3000, options)) {
            put(format!(".byte {byte}"));
        }
        put("j stream_ends".to_owned());
        put(format!(".data\n.balign 16\nregisters{seed}:"));
        for number in 0..32 {
            put(match number {
                2 | 8 => format!(".quad scratch{seed} + {SCRATCH_BELOW}"),
                _ => format!(".quad {:#x}", random.integer()),
            });
        }
        for _ in 0..32 {
            put(format!(".quad {:#x}", random.float()));
        }
        put(format!(".balign 16\nscratch{seed}:"));
        for _ in 0..(SCRATCH_BELOW + SCRATCH_ABOVE) / 8 {
            put(format!(".quad {:#x}", random.float()));
        }
        put(".text".to_owned());
    }
    let mut path = Path::new(env!("CARGO_TARGET_TMPDIR")).to_path_buf();
    path.push(format!("oracle-{name}-{}.S", std::process::id()));
    std::fs::write(&path, source).expect("the directory for temporary files is writable");
    check(name, &path, "");
    std::fs::remove_file(&path).expect("the file is ours");
}
