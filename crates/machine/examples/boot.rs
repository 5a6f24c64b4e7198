//! Boots a kernel with the interpreter and shows its console: for developers. The wall clock is read here,
//! to print the speed.
//!
//! `boot KERNEL [INITRD] [--bios FILE] [--append WORDS] [--until TEXT] [--mips]`
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

use std::io::Write;
use std::time::Instant;

use machine::{
    BoardConfig, Boot, Clock, Firmware, Input, Interpreter, InterpreterOptions, Machine, NetConfig,
    Output, Position, Stop,
};

fn main() {
    let mut args = std::env::args().skip(1);
    let mut files = Vec::new();
    let mut boot = Boot {
        append: Some("console=ttyS0 earlycon=uart8250,mmio,0x10000000".to_owned()),
        ..Boot::default()
    };
    let mut until = None;
    let mut cache = true;
    while let Some(arg) = args.next() {
        let mut value = || args.next().expect("this option needs a value");
        match arg.as_str() {
            "--bios" => {
                boot.firmware = Firmware::Image(std::fs::read(value()).expect("firmware"));
            }
            "--append" => boot.append = Some(value()),
            "--until" => until = Some(value()),
            "--no-cache" => cache = false,
            _ => files.push(std::fs::read(&arg).expect("a readable file")),
        }
    }
    let mut files = files.into_iter();
    boot.kernel = files.next();
    boot.initrd = files.next();
    let board = BoardConfig {
        memory_bytes: 1 << 30,
        net: vec![NetConfig {
            mac: [0x52, 0x54, 0, 0x12, 0x34, 0x56],
        }],
        ..BoardConfig::default()
    };
    let engine = Interpreter::new(InterpreterOptions { block_cache: cache });
    let mut machine = Machine::boot(&board, &boot, Box::new(engine)).expect("a machine that boots");
    let start = Instant::now();
    let mut seen = Vec::new();
    loop {
        let next = Position(machine.position().0 + 10_000_000);
        let stop = machine.run(next);
        for output in machine.take_outputs() {
            if let Output::Console(bytes) = output {
                std::io::stdout().write_all(&bytes).expect("a terminal");
                seen.extend_from_slice(&bytes);
            }
        }
        std::io::stdout().flush().expect("a terminal");
        if until.as_ref().is_some_and(|text| contains(&seen, text)) {
            break;
        }
        match stop {
            Stop::Idle => match machine.timer_deadline() {
                // Nothing to wait for: time jumps.
                Some(time) if time < u64::MAX / 2 => {
                    let rate = machine.clock().rate;
                    machine
                        .apply(Input::Clock(Clock { time, rate }))
                        .expect("a clock");
                }
                _ => break,
            },
            Stop::PowerOff | Stop::Reset => break,
            Stop::Reached | Stop::Output => {}
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let millions = machine.position().0 as f64 / 1e6;
    eprintln!(
        "\n{millions:.1} M instructions in {seconds:.2} s: {:.0} MIPS",
        millions / seconds
    );
    eprintln!("pc {:#x}, {:?}", machine.hart().pc, machine.stop_request());
}

fn contains(seen: &[u8], text: &str) -> bool {
    seen.windows(text.len())
        .any(|window| window == text.as_bytes())
}
