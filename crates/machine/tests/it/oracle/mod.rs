//! Bare-metal programs (`tests/guest/oracle`) that print what they see, run on this machine and on
//! `qemu-system-riscv64`: the two must say the same, but for the differences that are listed with a reason.

mod differences;
mod programs;
mod streams;

use std::path::{Path, PathBuf};
use std::process::Command;

use machine::{
    BoardConfig, Boot, Clock, Firmware, Input, Interpreter, InterpreterOptions, Machine, Output,
    Position, Stop, StopRequest,
};

use differences::Version;

/// Beyond this a program is taken to hang.
const POSITIONS_MAX: u64 = 400_000_000;
const MEMORY_MEGABYTES: u64 = 64;

/// The processor of QEMU that this machine is like. Version 7 cannot name all extensions.
fn processor(version: Version) -> &'static str {
    match version {
        Version::Seven => "rv64,h=false,sstc=true,debug=false",
        Version::Ten => {
            "rv64i,m=true,a=true,f=true,d=true,c=true,zicsr=true,zifencei=true,zicntr=true,zihpm=true,\
             s=true,u=true,mmu=true,pmp=true,sv39=true,sv48=true,sstc=true,debug=false"
        }
    }
}

/// Compiles the C or assembly file `source`, with the runtime, to an ELF file.
fn compile(name: &str, source: &Path) -> PathBuf {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest/oracle");
    let elf = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("oracle-{name}-{}.elf", std::process::id()));
    let mut command = Command::new("riscv64-linux-gnu-gcc");
    command
        .args(
            "-march=rv64gc -mabi=lp64d -mcmodel=medany -O1 -ffreestanding -fno-builtin".split(' '),
        )
        .args("-nostdlib -static -no-pie -fno-pic -Wall -Werror -Wl,--build-id=none".split(' '))
        .args(["-Wl,-Ttext=0x80000000", "-Wl,-N", "-Wa,-mno-relax", "-I"])
        .arg(&guest)
        .arg("-o")
        .args([&elf, &guest.join("runtime.S")])
        .arg(source);
    run(&mut command, "gcc-riscv64-linux-gnu");
    elf
}

fn run(command: &mut Command, package: &str) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} cannot be started ({error}): apt-get install {package}")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {} {errors}",
        output.status
    );
    String::from_utf8(output.stdout).expect("the programs print ASCII")
}

/// The transcript by QEMU.
fn theirs(version: Version, elf: &Path) -> String {
    let mut command = Command::new("timeout");
    command
        .args("300 qemu-system-riscv64 -M virt -smp 1 -display none -monitor none".split(' '))
        .args(["-global", "virtio-mmio.force-legacy=false"])
        .args(["-serial", "stdio", "-m"])
        .arg(MEMORY_MEGABYTES.to_string())
        .args(["-cpu", processor(version), "-bios"])
        .arg(elf);
    run(
        command.stdin(std::process::Stdio::null()),
        "qemu-system-misc",
    )
}

/// The transcript by this machine. When it waits, the clock jumps.
fn ours(elf: &[u8]) -> String {
    let board = BoardConfig {
        memory_bytes: MEMORY_MEGABYTES << 20,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(elf.to_vec()),
        ..Boot::default()
    };
    let engine = Interpreter::new(InterpreterOptions::default());
    let mut machine =
        Machine::boot(&board, &boot, Box::new(engine)).expect("a bare-metal program boots");
    let mut transcript = Vec::new();
    loop {
        let stop = machine.run(Position(machine.position().0 + 1_000_000));
        for output in machine.take_outputs() {
            if let Output::Console(bytes) = output {
                transcript.extend_from_slice(&bytes);
            }
        }
        match stop {
            Stop::Reached | Stop::Output => {}
            Stop::Idle => {
                let time = machine
                    .timer_deadline()
                    .expect("the program waits for a timer");
                let rate = machine.clock().rate;
                machine
                    .apply(Input::Clock(Clock { time, rate }))
                    .expect("a clock is always taken");
            }
            Stop::PowerOff | Stop::Reset => break,
        }
        assert!(
            machine.position().0 < POSITIONS_MAX,
            "hangs at {:#x} after {}",
            machine.hart().pc,
            String::from_utf8_lossy(&transcript)
        );
    }
    assert_eq!(machine.stop_request(), Some(StopRequest::PowerOff));
    String::from_utf8(transcript).expect("the programs print ASCII")
}

/// Runs a program on both, and compares line by line.
fn check(name: &str, source: &Path, allowed: &str) {
    let version = Version::installed();
    let path = compile(name, source);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test reads what the compiler has just written"
    )]
    let elf = std::fs::read(&path).expect("the compiler has written it");
    let ours = ours(&elf);
    for line in ours.lines() {
        // `?` is what no hart may do, `<` what only QEMU does: that must not agree by accident.
        let (_, value) = line.split_once(" = ").expect("key and value");
        assert!(!value.contains(['?', '<']), "{name}: {line}");
    }
    let theirs = theirs(version, &path);
    std::fs::remove_file(&path).expect("the file is ours");
    let wrong = differences::compare(version, &ours, &theirs, allowed);
    assert!(
        wrong.is_empty(),
        "{name}: {} differences\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
