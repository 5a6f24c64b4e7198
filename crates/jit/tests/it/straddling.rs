//! An instruction that straddles two pages, of which the second is overwritten, or is another one.

use isa::Op;
use isa::csr;

use crate::image::{Image, START, address};

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
            (Op::Csrrw, 0, 5, 0, csr::SATP.into()),
            (Op::Lui, 5, 0, 0, 0x1000),
            (Op::Srli, 5, 5, 0, 1),
            (Op::Csrrs, 0, 5, 0, csr::MSTATUS.into()),
            (Op::Lui, 9, 0, 0, 0x1000),
            (Op::Addi, 9, 9, 0, 0xff2 - 0x1000),
            (Op::Csrrw, 0, 9, 0, csr::MEPC.into()),
            (Op::Lui, 31, 0, 0, ALIAS),
            (Op::Lui, 30, 0, 0, 0x2_0000),
            // All memory is open to S-mode.
            (Op::Addi, 6, 0, 0, -1),
            (Op::Srli, 6, 6, 0, 10),
            (Op::Csrrw, 0, 6, 0, csr::PMPADDR0.into()),
            (Op::Csrrwi, 0, 0x1f, 0, csr::PMPCFG0.into()),
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
