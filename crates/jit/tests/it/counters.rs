//! What `minstret` counts.

use isa::Op;
use isa::csr;

use crate::image::{Image, Plain, address};

/// No CSR has this number.
const ABSENT: i32 = 0x5a8;
const MINSTRET: i32 = csr::MINSTRET as i32;
const HANDLER: i32 = 0x400;

/// Each way to trap, and WFI, which retires (a timer interrupt is pending, and not enabled).
#[test]
fn what_traps_does_not_retire() {
    let mut image = Image(vec![0; 0x2000]);
    let mut at = image.code(0, &address(5, 0));
    let timer: [Plain; 1] = [(Op::Csrrwi, 0, 0, 0, csr::MIE.into())];
    at = image.code(at, &timer);
    at = image.code(
        at,
        &[
            (Op::Addi, 6, 5, 0, HANDLER),
            (Op::Csrrw, 0, 6, 0, csr::MTVEC.into()),
        ],
    );
    let start = at;
    at = image.code(
        at,
        &[
            (Op::Csrrs, 10, 0, 0, MINSTRET),
            (Op::Ecall, 0, 0, 0, 0),
            (Op::Ebreak, 0, 0, 0, 0),
            // Nothing is there.
            (Op::Ld, 11, 0, 0, 0),
            (Op::Sd, 0, 0, 11, 0),
            // Misaligned.
            (Op::LrW, 11, 9, 0, 0),
            // No such register.
            (Op::Csrrs, 11, 0, 0, ABSENT),
            (Op::Csrrs, 12, 0, 0, MINSTRET),
            (Op::Sub, 12, 12, 10, 0),
            (Op::Addi, 9, 0, 0, 1),
            (Op::Sd, 0, 5, 12, 0x700),
        ],
    );
    image.repeat(at, start);
    image.code(
        HANDLER as usize,
        &[
            (Op::Csrrs, 7, 0, 0, csr::MEPC.into()),
            (Op::Addi, 7, 7, 0, 4),
            (Op::Csrrw, 0, 7, 0, csr::MEPC.into()),
            (Op::Mret, 0, 0, 0, 0),
        ],
    );
    // The first of the two reads, and six times the handler.
    assert_eq!(image.run(0x700), 1 + 6 * 4);
}
