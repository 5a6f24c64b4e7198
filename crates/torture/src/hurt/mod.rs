//! Guests that are written to hurt: whatever makes a host wait or keep much, again and again. Each is a round of scenes
//! in M-mode; what traps ends its scene, and the next begins.
//!
//! ```text
//! memory + 0          entry, handler, scenes
//!        + DATA       what scenes load and store; rings and their buffers
//!        + SAVE       the handler's own, see below
//!        + TABLES     page tables: two roots, a middle, leaves
//!        + PLAYGROUND code that is written at run time, up to the end of memory
//! ```

mod code;
mod devices;
mod rings;
mod translation;

use crate::generate::Random;
use isa::Op;
use isa::csr;

use super::assembler::{Assembler, Label};
use super::lockstep::{
    Divergence, Guest, Lockstep, Origin, Pace, Reached, Stride, Way, interpreter, reference,
};
use super::{Bytes, board, guest};
use machine::hart::csr::status;
use machine::ram::RAM_BASE;
use machine::{Boot, Firmware, Input, Position};

/// How far a guest runs where several ways are compared.
pub const POSITIONS: u64 = 30_000;
const PACE: Pace = Pace {
    registers: 997,
    digests: 9973,
};

const SCENES_MAX: u8 = 6;
/// Jumps reach as far.
const CODE_BYTES_MAX: usize = 1 << 20;

const DATA: u64 = RAM_BASE + 0x20_0000;
const SAVE: u64 = RAM_BASE + 0x2f_0000;
const TABLES: u64 = RAM_BASE + 0x30_0000;
const PLAYGROUND: u64 = RAM_BASE + 0x40_0000;

// At SAVE: two registers, where the next scene starts, and whether it is only the instruction that is skipped.
const SAVED: i32 = 0;
const NEXT: i32 = 8;
const SKIP: i32 = 16;

const MSTATUS: i32 = csr::MSTATUS as i32;
const MIE: i32 = csr::MIE as i32;
const MTVEC: i32 = csr::MTVEC as i32;
const MSCRATCH: i32 = csr::MSCRATCH as i32;
const MEPC: i32 = csr::MEPC as i32;
const MCAUSE: i32 = csr::MCAUSE as i32;
const SATP: i32 = csr::SATP as i32;

const CLINT: u64 = 0x200_0000;
const MTIMECMP: u64 = CLINT + 0x4000;
const MTIME: u64 = CLINT + 0xbff8;
const PLIC: u64 = 0xc00_0000;
const UART: u64 = 0x1000_0000;
const VIRTIO: u64 = 0x1000_1000;

// Registers that scenes find: the data and the playground. The others are theirs, but the handler's two.
const DATA_BASE: u8 = 8;
const CODE_BASE: u8 = 9;
const COUNT: u8 = 27;
const HANDLER_ONE: u8 = 30;
const HANDLER_TWO: u8 = 31;

/// What writes a guest: bytes decide what it is made of, and a seed among them what that is filled with.
struct Writer<'a, 'b> {
    code: Assembler,
    bytes: &'b mut Bytes<'a>,
    random: Random,
}

impl Writer<'_, '_> {
    /// Does it again and again, with a count that goes down. The body has less than 4 KiB.
    fn repeat(&mut self, times: u64, body: impl FnOnce(&mut Self)) {
        self.code.constant(COUNT, times);
        let again = self.code.here();
        body(self);
        self.code.addi(COUNT, COUNT, -1);
        self.code.branch(Op::Bne, COUNT, 0, again);
    }

    /// Stores a word of a constant to a constant address. x5 and x6 are used up.
    fn poke(&mut self, op: Op, address: u64, value: u64) {
        self.code.constant(5, address);
        self.code.constant(6, value);
        self.code.store(op, 6, 5, 0);
    }

    /// From here on, what traps is skipped (or no more): instructions have 4 bytes.
    fn skip_traps(&mut self, skip: bool) {
        self.poke(Op::Sd, SAVE + SKIP as u64, u64::from(skip));
    }

    /// Lets time pass.
    fn idle_away(&mut self, turns: u64) {
        self.code.constant(5, turns);
        let again = self.code.here();
        self.code.addi(5, 5, -1);
        self.code.branch(Op::Bne, 5, 0, again);
    }
}

/// The guest that `data` spells.
pub fn guest(data: &[u8]) -> Guest {
    let mut bytes = Bytes(data);
    let seed = u64::from(bytes.word()) << 32 | u64::from(bytes.word());
    let inputs = inputs(&mut bytes);
    let mut writer = Writer {
        code: Assembler::default(),
        bytes: &mut bytes,
        random: Random::new(seed),
    };
    program(&mut writer);
    let image = writer.code.finish();
    assert!(image.len() <= CODE_BYTES_MAX, "jumps reach all scenes");
    let boot = Boot {
        firmware: Firmware::Image(image),
        ..Boot::default()
    };
    Guest {
        origin: Origin::Boot(Box::new(board()), Box::new(boot)),
        inputs,
    }
}

/// Runs the guest that `data` spells in the ways that this crate has and in `more`.
///
/// # Errors
/// The first way that differs.
///
/// # Panics
/// If a promise of the machine is broken: that is what it looks for.
pub fn compare(data: &[u8], more: &[Way<'_>]) -> Result<Reached, Box<Divergence>> {
    let guest = guest(data);
    let own = [
        Way::new("reference", &reference, Stride::Whole),
        Way {
            restore: true,
            ..Way::new("restored interpreter", &interpreter, Stride::Fixed(1009))
        },
    ];
    Lockstep::new(&guest, &[&own, more].concat(), PACE).run(POSITIONS)
}

/// As those of a guest of any kind, and now and then more frames at once than there is room for.
fn inputs(bytes: &mut Bytes<'_>) -> Vec<(Position, Input)> {
    let mut inputs = guest::inputs(bytes);
    let kind = bytes.byte();
    if kind.is_multiple_of(4) {
        let last = inputs.last().map_or(0, |(position, _)| position.0);
        let frame = Input::Frame {
            device: 0,
            frame: vec![0x13; if kind & 4 == 0 { 60 } else { 9000 }],
        };
        for number in 0..300 {
            inputs.push((Position(last + 1 + number / 100 * 5000), frame.clone()));
        }
    }
    inputs
}

fn program(writer: &mut Writer<'_, '_>) {
    let handler = writer.code.label();
    let start = writer.code.label();
    writer.code.address(5, handler);
    writer.code.imm(Op::Csrrw, 0, 5, MTVEC);
    writer.code.constant(5, SAVE);
    writer.code.imm(Op::Csrrw, 0, 5, MSCRATCH);
    // All memory is open to S-mode and U-mode.
    writer.code.constant(5, u64::MAX >> 10);
    writer.code.imm(Op::Csrrw, 0, 5, csr::PMPADDR0.into());
    writer.code.imm(Op::Csrrwi, 0, 0x1f, csr::PMPCFG0.into());
    writer
        .code
        .constant(5, u64::from(writer.bytes.byte()) << 4 & 0xaaa);
    writer.code.imm(Op::Csrrw, 0, 5, MIE);
    writer.code.jump(0, start);
    // `mtvec` has no two lowest bits.
    writer.code.place(handler);
    write_handler(writer);
    writer.code.place(start);
    let count = 1 + writer.bytes.byte() % SCENES_MAX;
    for _ in 0..count {
        let next = writer.code.label();
        begin_scene(writer, next);
        let kind = writer.bytes.byte();
        write_scene(writer, kind);
        writer.code.place(next);
    }
    writer.code.jump(0, start);
}

/// Takes the timer, software and external interrupts away, for a while; ends the scene at a trap, or skips it.
fn write_handler(writer: &mut Writer<'_, '_>) {
    let pause = [1, 2, 5, 20, 100, 1000, 1000, 1000][usize::from(writer.bytes.byte() % 8)];
    let code = &mut writer.code;
    let (one, two) = (HANDLER_ONE, HANDLER_TWO);
    let [interrupt, skip, back] = [code.label(), code.label(), code.label()];
    code.imm(Op::Csrrw, two, two, MSCRATCH);
    code.store(Op::Sd, one, two, SAVED);
    code.imm(Op::Csrrs, one, 0, MCAUSE);
    code.branch(Op::Blt, one, 0, interrupt);
    code.imm(Op::Ld, one, two, SKIP);
    code.branch(Op::Bne, one, 0, skip);
    code.imm(Op::Ld, one, two, NEXT);
    code.imm(Op::Csrrw, 0, one, MEPC);
    // Back to M-mode, wherever it came from.
    code.constant(one, status::MPP);
    code.imm(Op::Csrrs, 0, one, MSTATUS);
    code.jump(0, back);
    code.place(skip);
    code.imm(Op::Csrrs, one, 0, MEPC);
    code.addi(one, one, 4);
    code.imm(Op::Csrrw, 0, one, MEPC);
    code.jump(0, back);
    code.place(interrupt);
    code.constant(one, MTIME);
    code.imm(Op::Ld, one, one, 0);
    code.addi(one, one, pause);
    code.store(Op::Sd, 5, two, 24);
    code.constant(5, MTIMECMP);
    code.store(Op::Sd, one, 5, 0);
    code.constant(5, CLINT);
    code.store(Op::Sw, 0, 5, 0);
    code.constant(5, PLIC + 0x20_0004);
    code.imm(Op::Lw, one, 5, 0);
    code.store(Op::Sw, one, 5, 0);
    code.imm(Op::Csrrwi, 0, 0, csr::MIP.into());
    code.imm(Op::Ld, 5, two, 24);
    code.place(back);
    code.imm(Op::Ld, one, two, SAVED);
    code.imm(Op::Csrrw, two, two, MSCRATCH);
    code.bare(Op::Mret);
}

fn begin_scene(writer: &mut Writer<'_, '_>, next: Label) {
    let code = &mut writer.code;
    code.address(5, next);
    code.constant(6, SAVE);
    code.store(Op::Sd, 5, 6, NEXT);
    code.store(Op::Sd, 0, 6, SKIP);
    // Floats on; interrupts as it comes; no paging.
    code.constant(5, status::MPRV | status::MIE);
    code.imm(Op::Csrrc, 0, 5, MSTATUS);
    code.constant(5, status::FS | u64::from(writer.bytes.byte() & 1) << 3);
    code.imm(Op::Csrrs, 0, 5, MSTATUS);
    code.imm(Op::Csrrw, 0, 0, SATP);
    code.constant(DATA_BASE, DATA);
    code.constant(CODE_BASE, PLAYGROUND);
}

fn write_scene(writer: &mut Writer<'_, '_>, kind: u8) {
    match kind % 16 {
        0 | 1 => code::swell(writer),
        2 | 3 => code::overwrite(writer),
        4 => code::straddle(writer),
        5 => code::reserve(writer),
        6 => code::scatter(writer),
        7 => devices::wait(writer),
        8 => devices::interrupt(writer),
        9 => devices::registers(writer),
        10 => devices::resets(writer),
        11 | 12 => translation::tables(writer),
        _ => rings::rings(writer),
    }
}
