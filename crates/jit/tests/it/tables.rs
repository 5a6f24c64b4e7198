//! Page tables that change without a fence.

use isa::Op;
use isa::csr;

use crate::image::{Image, Plain, START, address};

const SATP: i32 = csr::SATP as i32;
const MSTATUS: i32 = csr::MSTATUS as i32;
/// What is translated: two pages, by two tables.
const DATA: u8 = 20;

/// `satp` as it is for one of the tables, in an address space of its own or not; a load; and the sum so far.
fn look(table: u8, space: u8) -> [Plain; 5] {
    [
        (Op::Add, 7, table, space, 0),
        (Op::Csrrw, 0, 7, 0, SATP),
        (Op::Ld, 10, DATA, 0, 0),
        (Op::Slli, 11, 11, 0, 4),
        (Op::Add, 11, 11, 10, 0),
    ]
}

#[test]
fn translations_are_forgotten_with_the_table_unless_each_has_its_space() {
    let mut image = Image(vec![0; 0xc000]);
    for (table, data, value) in [(0x4000, 0xa000, 1), (0x7000, 0xb000, 2)] {
        let entry = |to: usize, flags: u64| ((START + to as u64) >> 2 | flags).to_le_bytes();
        image.put(table, &entry(table + 0x1000, 1));
        image.put(table + 0x1000, &entry(table + 0x2000, 1));
        image.put(table + 0x2000 + 8, &entry(data, 0xc7));
        image.put(data, &[value]);
    }
    let mut at = 0;
    for (rd, table) in [(5, 0x4000), (6, 0x7000)] {
        at = image.code(at, &address(rd, table));
        at = image.code(
            at,
            &[
                (Op::Srli, rd, rd, 0, 12),
                (Op::Addi, 28, 0, 0, 1),
                (Op::Slli, 28, 28, 0, 63),
                (Op::Add, rd, rd, 28, 0),
            ],
        );
    }
    at = image.code(
        at,
        &[
            // The first and the second space.
            (Op::Addi, 21, 0, 0, 1),
            (Op::Slli, 21, 21, 0, 44),
            (Op::Slli, 22, 21, 0, 1),
            (Op::Lui, DATA, 0, 0, 0x1000),
            // All memory is open to S-mode, as which loads act.
            (Op::Addi, 28, 0, 0, -1),
            (Op::Srli, 28, 28, 0, 10),
            (Op::Csrrw, 0, 28, 0, csr::PMPADDR0.into()),
            (Op::Csrrwi, 0, 0x1f, 0, csr::PMPCFG0.into()),
            (Op::Lui, 29, 0, 0, 0x2_0000),
            (Op::Lui, 28, 0, 0, 0x1000),
            (Op::Srli, 28, 28, 0, 1),
            (Op::Add, 29, 29, 28, 0),
        ],
    );
    let start = at;
    at = image.code(
        at,
        &[(Op::Addi, 11, 0, 0, 0), (Op::Csrrs, 0, 29, 0, MSTATUS)],
    );
    for (table, space) in [(5, 0), (6, 0), (5, 0), (5, 21)] {
        at = image.code(at, &look(table, space));
    }
    // By way of the second space, the other table comes to the first, which still has what it had.
    at = image.code(at, &look(6, 22)[..2]);
    at = image.code(at, &look(6, 21));
    at = image.code(at, &[(Op::Csrrc, 0, 29, 0, MSTATUS)]);
    at = image.code(at, &address(12, 0xa000));
    at = image.code(at, &[(Op::Sd, 0, 12, 11, 8)]);
    image.repeat(at, start);
    assert_eq!(image.run(0xa008), 0x1_2111);
}
