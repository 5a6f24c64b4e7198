//! An instruction that straddles two pages, of which the second is overwritten, or is another one.

use isa::{Insn, Op};
use machine::board::MEMORY_BYTES_MIN;
use machine::hostile::lockstep::{Guest, Lockstep, Origin, Pace, Stride, Way, reference};
use machine::{Board, Boot, Clock, Firmware, GuestAddr, Input, Position};

use crate::engines::{small, usual};

const START: u64 = 0x8000_0000;
const POSITIONS: u64 = 20_000;

/// The memory of the guest, from its start on.
struct Image(Vec<u8>);

impl Image {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Instructions of 4 bytes each; returns where they end.
    fn code(&mut self, at: usize, insns: &[(Op, u8, u8, u8, i32)]) -> usize {
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

    /// Runs it on all engines; returns the sum that it left at an offset.
    fn run(self, sum: u64) -> u64 {
        let board = Board {
            memory_bytes: MEMORY_BYTES_MIN,
            ..Board::default()
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
fn address(rd: u8, offset: u64) -> [(Op, u8, u8, u8, i32); 3] {
    let upper = ((START + offset) as u32).cast_signed();
    [
        (Op::Lui, rd, 0, 0, upper),
        (Op::Slli, rd, rd, 0, 32),
        (Op::Srli, rd, rd, 0, 32),
    ]
}

#[test]
fn its_second_half_is_overwritten() {
    let mut image = Image(vec![0; 0x2000]);
    let end = image.code(0, &address(5, 0x1000));
    image.code(end, &[(Op::Jal, 0, 0, 0, 0xff2 - end as i32)]);
    let end = image.code(
        0xff2,
        &[
            (Op::Add, 11, 11, 10, 0),
            (Op::Addi, 8, 8, 0, 1),
            (Op::Addi, 7, 7, 0, 1),
            // This one straddles.
            (Op::Addi, 10, 10, 0, 2),
            (Op::Sd, 0, 5, 11, 0x700),
            (Op::Andi, 28, 8, 0, 7),
            (Op::Bne, 0, 28, 0, 16),
            // Its immediate operand is 2 or 3 by turns.
            (Op::Lhu, 6, 5, 0, 0),
            (Op::Xori, 6, 6, 0, 0x10),
            (Op::Sh, 0, 5, 6, 0),
        ],
    );
    image.code(end, &[(Op::Jal, 0, 0, 0, 0xff2 - end as i32)]);
    assert_ne!(image.run(0x1700), 0);
}

#[test]
fn its_second_half_is_in_one_page_or_another() {
    const ROOT: usize = 0x4000;
    const ALIAS: i32 = 0x1_0000;
    let mut image = Image(vec![0; 0x7000]);
    // M-mode: S-mode is to go on at 0xff2, with paging.
    let mut at = image.code(0, &address(5, ROOT as u64));
    at = image.code(
        at,
        &[
            (Op::Srli, 5, 5, 0, 12),
            (Op::Addi, 6, 0, 0, 1),
            (Op::Slli, 6, 6, 0, 63),
            (Op::Or, 5, 5, 6, 0),
            (Op::Csrrw, 0, 5, 0, 0x180),
            (Op::Lui, 5, 0, 0, 0x1000),
            (Op::Srli, 5, 5, 0, 1),
            (Op::Csrrs, 0, 5, 0, 0x300),
            (Op::Lui, 9, 0, 0, 0x1000),
            (Op::Addi, 9, 9, 0, 0xff2 - 0x1000),
            (Op::Csrrw, 0, 9, 0, 0x341),
            (Op::Lui, 31, 0, 0, ALIAS),
            (Op::Lui, 30, 0, 0, 0x2_0000),
            // All memory is open to S-mode.
            (Op::Addi, 6, 0, 0, -1),
            (Op::Srli, 6, 6, 0, 10),
            (Op::Csrrw, 0, 6, 0, 0x3b0),
            (Op::Csrrwi, 0, 0x1f, 0, 0x3a0),
            (Op::Mret, 0, 0, 0, 0),
        ],
    );
    assert!(at < 0xff2);
    image.code(
        0xff2,
        &[
            (Op::Add, 11, 11, 10, 0),
            (Op::Sd, 0, 30, 11, 0),
            (Op::Addi, 7, 7, 0, 1),
        ],
    );
    // What straddles adds 1 or 2, and the rest goes on at the other alias.
    for (page, addend) in [(0x2000, 2), (0x1000, 1)] {
        let end = image.code(0xffe, &[(Op::Addi, 10, 10, 0, addend)]);
        let second = image.0[0x1000..end].to_vec();
        image.put(page, &second);
        let rest = [(Op::Xor, 9, 9, 31, 0), (Op::Jalr, 0, 9, 0, 0)];
        image.code(page + 2, &rest);
    }
    let entry = |to: usize, flags: u64| ((START + to as u64) >> 2 | flags).to_le_bytes();
    image.put(ROOT, &entry(ROOT + 0x1000, 1));
    image.put(ROOT + 0x1000, &entry(ROOT + 0x2000, 1));
    for (page, to) in [
        (0, 0),
        (1, 0x1000),
        (0x10, 0),
        (0x11, 0x2000),
        (0x20, 0x3000),
    ] {
        image.put(ROOT + 0x2000 + 8 * page, &entry(to, 0xcf));
    }
    assert_ne!(image.run(0x3000), 0);
}
