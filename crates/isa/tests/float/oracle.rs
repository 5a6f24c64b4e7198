//! Every operation on hard operands, against QEMU's RISC-V in user mode executing the instruction itself.

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};

use isa::float::{F32, F64, Flags, Rounding};

use crate::draw::Draw;
use crate::operation::Operation;

const RECORDS_PER_RUN: usize = 200_000;
/// Records of one `cargo test`, unless `FUTAGO_FLOAT_RECORDS` asks for more.
const RECORDS: usize = 400_000;

#[derive(Debug, Clone, Copy)]
struct Record {
    operation: Operation,
    is_double: bool,
    rm: Rounding,
    /// The value of `fflags` before.
    accrued: u8,
    operands: [u64; 3],
}

impl Record {
    fn draw(draw: &mut Draw) -> Record {
        let operation = Operation::ALL[draw.below(Operation::ALL.len() as u64) as usize];
        let is_double = draw.below(2) == 1;
        let rm = Rounding::ALL[draw.below(5) as usize];
        let accrued = if draw.below(4) == 0 {
            draw.below(32) as u8
        } else {
            0
        };
        let operands = if is_double {
            draw.operands::<F64>(operation)
        } else {
            draw.operands::<F32>(operation)
        };
        Record {
            operation,
            is_double,
            rm,
            accrued,
            operands,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let rm = Rounding::ALL
            .iter()
            .position(|&rm| rm == self.rm)
            .expect("ALL holds every mode");
        let head = [
            self.operation as u8,
            self.is_double.into(),
            rm as u8,
            self.accrued,
            0,
            0,
            0,
            0,
        ];
        let operands = self
            .operands
            .iter()
            .flat_map(|operand| operand.to_le_bytes());
        head.into_iter().chain(operands).collect()
    }

    fn run(&self) -> (u64, u8) {
        let mut flags = Flags::from_bits(self.accrued);
        let result = if self.is_double {
            self.operation
                .run::<F64>(self.operands, self.rm, &mut flags)
        } else {
            self.operation
                .run::<F32>(self.operands, self.rm, &mut flags)
        };
        (result, flags.bits())
    }

    /// The part of a register that the result occupies: a single is boxed in it.
    fn mask(&self) -> u64 {
        let op = self.operation as u8;
        let gives_float = op <= Operation::Max as u8 || op >= Operation::FromI32 as u8;
        let gives_double = self.is_double != (self.operation == Operation::Convert);
        if gives_float && !gives_double {
            u32::MAX.into()
        } else {
            u64::MAX
        }
    }
}

fn output_of(command: &mut Command, package: &str) -> Output {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{program} is missing: install the Debian package {package}")
        }
        output => output.unwrap_or_else(|error| panic!("{program} did not start: {error}")),
    };
    let status = output.status;
    assert!(
        status.success(),
        "{program}: {status}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn build_guest() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("float-guest");
    output_of(
        Command::new("riscv64-linux-gnu-gcc")
            .args(["-O1", "-static", "-nostdlib", "-ffreestanding"])
            .args(["-march=rv64gc", "-mabi=lp64d", "-o"])
            .arg(&program)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guest/float.c")),
        "gcc-riscv64-linux-gnu",
    );
    program
}

fn answers(guest: &Path, records: &[Record]) -> Vec<(u64, u8)> {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("float-records-{}", process::id()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .expect("the directory for tests' files is writable");
    fs::remove_file(&path).expect("the file was just made");
    let bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
    file.write_all(&bytes)
        .expect("there is room for the records");
    file.rewind().expect("a file can seek");
    let output = output_of(
        Command::new("qemu-riscv64").arg(guest).stdin(file),
        "qemu-user",
    )
    .stdout;
    assert_eq!(output.len(), records.len() * 16, "one answer a record");
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    output
        .chunks(16)
        .map(|answer| (word(&answer[..8]), word(&answer[8..]) as u8))
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's length is no part of a replica"
)]
fn record_count() -> usize {
    match std::env::var("FUTAGO_FLOAT_RECORDS") {
        Ok(count) => count.parse().expect("FUTAGO_FLOAT_RECORDS is a number"),
        Err(_) => RECORDS,
    }
}

#[test]
fn every_result_and_flag_is_that_of_qemu() {
    let guest = build_guest();
    let count = record_count();
    let mut different = Vec::new();
    let mut seen_flags = 0;
    for seed in 0..count.div_ceil(RECORDS_PER_RUN) as u64 {
        let mut draw = Draw::new(seed << 32);
        let records: Vec<_> = (0..RECORDS_PER_RUN)
            .map(|_| Record::draw(&mut draw))
            .collect();
        for (record, (result, flags)) in records.iter().zip(answers(&guest, &records)) {
            let theirs = (result & record.mask(), flags);
            let ours = record.run();
            seen_flags |= flags & !record.accrued;
            if ours != theirs {
                different.push(format!(
                    "seed {seed}: {record:x?}\n ours {ours:x?} QEMU {theirs:x?}"
                ));
            }
        }
    }
    assert_eq!(seen_flags, 0x1f, "the records reach every flag");
    let shown = &different[..different.len().min(20)];
    assert!(
        different.is_empty(),
        "{} records differ:\n{}",
        different.len(),
        shown.join("\n")
    );
}
