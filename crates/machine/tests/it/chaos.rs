//! Random code with random page tables and inputs: nothing panics, and every way of execution agrees.

use isa::csr;
use isa::table::{Op, TABLE};
use machine::{Clock, Input};

use crate::bare_metal::{agree, assemble_flat};

/// Where `chaos.S` expects them, from the start of memory.
const CODE: usize = 0x1_0000;
const START: usize = 0x1_ffd8;
const LEAVES: usize = 0x2_0000;
const END: usize = 0x4_0000;
/// Random instructions in a program.
const INSNS: usize = 700;
const POSITIONS: u64 = 6000;
const PROGRAMS: u64 = 100;

/// CSRs worth accessing: those that change what other instructions do.
const CSRS: [u16; 24] = [
    csr::FFLAGS,
    csr::FCSR,
    csr::SSTATUS,
    csr::SIE,
    csr::STVEC,
    csr::SEPC,
    csr::SIP,
    csr::STIMECMP,
    csr::SATP,
    csr::SATP,
    csr::SATP,
    csr::MSTATUS,
    csr::MSTATUS,
    csr::MEDELEG,
    csr::MIDELEG,
    csr::MIE,
    csr::MTVEC,
    csr::MENVCFG,
    csr::MEPC,
    csr::MIP,
    csr::PMPCFG0,
    csr::PMPADDR0 + 1,
    csr::MINSTRET,
    csr::TIME,
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// An instruction of the table with random operands; registers mostly those that `chaos.S` sets.
fn instruction(random: &mut Random) -> u32 {
    let row = loop {
        let row = &TABLE[random.below(TABLE.len() as u64) as usize];
        // These end most programs too early.
        if !matches!(row.op, Op::Wfi | Op::Jalr | Op::Mret | Op::Sret) || random.one_in(10) {
            break row;
        }
    };
    let mut operands = random.next() as u32;
    let opcode = row.matching & 0x7f;
    if opcode == 0x73 && row.mask >> 20 == 0 {
        let csr = CSRS[random.below(CSRS.len() as u64) as usize];
        operands = operands & 0xf_ffff | u32::from(csr) << 20;
        // Mostly from the registers that hold sensible values.
        let source = 8 + random.below(12) as u32;
        operands = operands & !(31 << 15) | source << 15;
    } else if matches!(opcode, 0x03 | 0x07 | 0x23 | 0x27 | 0x2f) {
        // A base that points somewhere, and mostly a small offset.
        let base = [5, 6, 7, 10, 11, 12, 13, 16][random.below(8) as usize];
        operands = operands & !(31 << 15) | base << 15;
        if !random.one_in(4) {
            operands &= 0x07ff_ffff;
        }
    } else if matches!(opcode, 0x63 | 0x6f) && !random.one_in(4) {
        // Short jumps forward.
        operands &= if opcode == 0x63 {
            0x01ff_ff7f
        } else {
            0x03ff_0fff & 0x00ff_ffff
        };
    }
    // Destinations: keep most of the pointers.
    if !random.one_in(3) {
        operands = operands & !(31 << 7) | (20 + random.below(11) as u32) << 7;
    }
    row.matching | operands & !row.mask
}

fn program(prologue: &[u8], random: &mut Random) -> Vec<u8> {
    assert!(prologue.len() <= CODE);
    let mut image = prologue.to_vec();
    image.resize(END, 0);
    let mut at = CODE;
    for _ in 0..INSNS {
        if random.one_in(6) {
            let half = (random.next() as u16) & !3 | random.below(3) as u16;
            image[at..at + 2].copy_from_slice(&half.to_le_bytes());
            at += 2;
        } else {
            image[at..at + 4].copy_from_slice(&instruction(random).to_le_bytes());
            at += 4;
        }
    }
    // Start in any mode, mostly with paging; the bits of mstatus are MPRV, SUM, MXR, FS and MPP.
    let mode = [0, 1, 1, 3][random.below(4) as usize];
    let user_page = if mode == 0 { 0x10 } else { 0 };
    let status = random.next() & 0xe_0000 | 3 << 13 | mode << 11;
    let paging = u64::from(!random.one_in(4));
    let delegated = if random.one_in(2) { random.next() } else { 0 };
    let enabled = if random.one_in(3) { random.next() } else { 0 };
    let words = image[START..LEAVES].chunks_exact_mut(8);
    for (bytes, word) in words.zip([status, user_page, paging, delegated, enabled]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    // Back to the start: jr x1, if it still points there.
    image[at..at + 2].copy_from_slice(&0x8082_u16.to_le_bytes());
    for entry in image[LEAVES..LEAVES + 4096].chunks_exact_mut(8) {
        let page = 0x8_0010 + random.below(0x30);
        let flags = random.next() & 0xff | if random.one_in(5) { 0 } else { 0xcf };
        entry.copy_from_slice(&(page << 10 | flags).to_le_bytes());
    }
    image
}

fn inputs(random: &mut Random) -> Vec<(u64, Input)> {
    let mut list = Vec::new();
    let mut position = 0;
    loop {
        position += 1 + random.below(900);
        if position >= POSITIONS {
            return list;
        }
        let input = match random.below(4) {
            0 => Input::Console(vec![random.next() as u8]),
            1 => Input::Synchronize,
            _ => Input::Clock(Clock {
                time: random.below(1 << 20),
                rate: random.below(1 << 34),
            }),
        };
        list.push((position, input));
    }
}

#[test]
fn every_way_agrees() {
    let prologue = assemble_flat("chaos");
    for seed in 0..PROGRAMS {
        let mut random = Random(seed);
        let image = program(&prologue, &mut random);
        let inputs = inputs(&mut random);
        agree(
            &format!("chaos with seed {seed}"),
            &image,
            &inputs,
            POSITIONS,
        );
    }
}
