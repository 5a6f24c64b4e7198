//! Code whose translation is long.

use isa::Op;
use isa::csr;

use crate::image::{Image, Plain, address};

const SSTATUS: i32 = csr::SSTATUS as i32;

/// Blocks that are as long as a block may be, of instructions that take much host code each, in a first version and a
/// second, and back to the first of them.
fn run(op: Op, csr: i32) {
    let mut image = Image(vec![0; 0x3000]);
    let end = image.code(0, &address(2, 0x2000));
    // The float unit is on.
    let end = image.code(
        end,
        &[
            (Op::Lui, 28, 0, 0, 0x6000),
            (Op::Csrrs, 0, 28, 0, csr::MSTATUS.into()),
        ],
    );
    image.code(end, &[(Op::Jal, 0, 0, 0, 0x1000 - end as i32)]);
    let mut body: Vec<Plain> = Vec::new();
    for _ in 0..4 {
        body.extend([(Op::Ld, 10, 2, 0, 0), (Op::Ld, 11, 2, 0, 8)]);
        body.extend([(op, 5, 6, 0, csr); 240]);
        body.push((Op::Beq, 0, 0, 2, 4));
    }
    body.extend([(Op::Addi, 7, 7, 0, 1), (Op::Sd, 0, 2, 7, 16)]);
    let at = image.code(0x1000, &body);
    image.code(at, &[(Op::Jal, 0, 0, 0, 0x1000 - at as i32)]);
    assert!(image.run(0x2010) > 1);
}

#[test]
fn by_status() {
    run(Op::Csrrs, SSTATUS);
    run(Op::Csrrw, SSTATUS);
}

#[test]
fn by_float_flags() {
    run(Op::Csrrs, csr::FCSR.into());
}

/// Every instruction of a region, which lies in one block, leaves it in its own way.
#[test]
fn by_accesses() {
    let mut image = Image(vec![0; 0x3000]);
    let end = image.code(0, &address(2, 0x2000));
    image.code(end, &[(Op::Jal, 0, 0, 0, 0x1000 - end as i32)]);
    let mut body: Vec<Plain> = Vec::new();
    for index in 0..120 {
        let register = 8 + index % 20;
        body.push((Op::Ld, register as u8, 2, 0, 8 * index));
        body.push((Op::Sd, 0, 2, register as u8, 8 * index + 8));
    }
    body.extend([(Op::Addi, 7, 7, 0, 1), (Op::Sd, 0, 2, 7, 0)]);
    let at = image.code(0x1000, &body);
    image.code(at, &[(Op::Jal, 0, 0, 0, 0x1000 - at as i32)]);
    assert!(image.run(0x2000) > 1);
}
