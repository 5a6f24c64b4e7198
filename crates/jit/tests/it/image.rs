//! Small guests, written by hand, on all engines.

use isa::{Insn, Op};
use machine::config::MEMORY_BYTES_MIN;
use machine::{BoardConfig, Boot, Clock, Firmware, GuestAddr, Input, Position};
use torture::lockstep::{Guest, Lockstep, Origin, Pace, Stride, Way, reference};

use crate::engines::{bounded, small, usual};

pub(crate) const START: u64 = 0x8000_0000;
const POSITIONS: u64 = 20_000;

/// Operation, `rd`, `rs1`, `rs2`, and the immediate operand.
pub(crate) type Plain = (Op, u8, u8, u8, i32);

/// The memory of the guest, from its start on.
pub(crate) struct Image(pub(crate) Vec<u8>);

impl Image {
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Instructions of 4 bytes each; returns where they end.
    pub(crate) fn code(&mut self, at: usize, insns: &[Plain]) -> usize {
        let mut at = at;
        for &(op, rd, rs1, rs2, imm) in insns {
            let insn = Insn {
                rd,
                rs1,
                rs2,
                imm,
                ..Insn::new(op)
            };
            self.put(at, &insn.encode().to_le_bytes());
            at += 4;
        }
        at
    }

    /// At `at`, goes back to `start`.
    pub(crate) fn repeat(&mut self, at: usize, start: usize) {
        self.code(at, &[(Op::Jal, 0, 0, 0, start as i32 - at as i32)]);
    }

    /// Runs it on all engines; returns the sum that it left at an offset.
    pub(crate) fn run(self, sum: u64) -> u64 {
        let board = BoardConfig {
            memory_bytes: MEMORY_BYTES_MIN,
            ..BoardConfig::default()
        };
        let boot = Boot {
            firmware: Firmware::Image(self.0),
            ..Boot::default()
        };
        let clock = Clock {
            time: 0,
            rate: 1 << 32,
        };
        let guest = Guest {
            origin: Origin::Boot(Box::new(board), Box::new(boot)),
            inputs: vec![(Position(0), Input::Clock(clock))],
        };
        let ways = [
            Way::new("reference", &reference, Stride::Whole),
            Way::new("translator", &usual, Stride::Whole),
            Way::new("translator that looks often", &small, Stride::Whole),
            Way::new("translator with little room", &bounded, Stride::Whole),
        ];
        let pace = Pace {
            registers: 997,
            digests: 4999,
        };
        let mut lockstep = Lockstep::new(&guest, &ways, pace);
        if let Err(divergence) = lockstep.run(POSITIONS) {
            panic!("{divergence}");
        }
        let mut bytes = [0; 8];
        let place = GuestAddr(START + sum);
        (lockstep.reference().read_memory(place, &mut bytes)).expect("it is in memory");
        u64::from_le_bytes(bytes)
    }
}

/// `x[rd]` = an address in the first 2 GiB above [`START`], the low 12 bits 0.
pub(crate) fn address(rd: u8, offset: u64) -> [Plain; 3] {
    let upper = ((START + offset) as u32).cast_signed();
    [
        (Op::Lui, rd, 0, 0, upper),
        (Op::Slli, rd, rd, 0, 32),
        (Op::Srli, rd, rd, 0, 32),
    ]
}
