//! The programs of hostile guests: random code in a place where it can do something.
//!
//! ```text
//! base + 0       a Linux Image's header, whose first instruction jumps over it
//!      + 0x40    prologue: sets up CSRs and registers from the table, enters a mode
//!      + 0x200   table of initial values
//!      + 0x800   trap handlers, for M and for S: back into the code, behind what trapped
//!      + 0x1000  page tables: root, middle, leaves with random entries
//!      + 0x4000  code
//!      + 0x8000  data
//! ```

use isa::csr;
use isa::table::TABLE;

use super::Bytes;
use machine::ram::RAM_BASE;

const TABLE_AT: usize = 0x200;
const PROLOGUE_AT: usize = 0x40;
const MACHINE_HANDLER: usize = 0x800;
const SUPERVISOR_HANDLER: usize = 0x900;
const ROOT: usize = 0x1000;
const MIDDLE: usize = 0x2000;
const LEAVES: usize = 0x3000;
const CODE: usize = 0x4000;
/// A power of two, to which [`CODE`] is aligned: handlers cut addresses to it.
const CODE_BYTES: usize = 0x4000;
const DATA: usize = 0x8000;
const IMAGE_BYTES: usize = 0xa000;
/// Where the built-in firmware is asked to put a kernel.
const KERNEL_OFFSET: u64 = 0x20_0000;

const SV39: u64 = 8 << 60;
/// A leaf that allows all to the supervisor; with [`USER`], to user programs instead.
const LEAF: u64 = 0xcf;
const USER: u64 = 0x10;

/// CSRs that change what other instructions do.
const CSRS: [u16; 26] = [
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
    csr::MCOUNTINHIBIT,
    csr::MEPC,
    csr::MIP,
    csr::PMPCFG0,
    csr::PMPADDR0 + 1,
    csr::MCYCLE,
    csr::MINSTRET,
    csr::TIME,
];

/// Registers that point somewhere, devices twice.
const BASES: [u32; 16] = [2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 13, 14, 14, 15, 15, 16];

/// A program, and how it starts.
pub(super) struct Program {
    pub(super) image: Vec<u8>,
    /// It starts in S-mode, as a kernel of the built-in firmware.
    pub(super) kernel: bool,
}

struct Image {
    bytes: Vec<u8>,
    at: usize,
    table: usize,
    base: u64,
}

impl Image {
    fn put(&mut self, word: u32) {
        self.bytes[self.at..self.at + 4].copy_from_slice(&word.to_le_bytes());
        self.at += 4;
    }

    fn double(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Loads a value from the table, by opcode 0x03 (integer) or 0x07 (float). x31 points to the prologue.
    fn load(&mut self, opcode: u32, register: u32, value: u64) {
        let offset = (self.table - PROLOGUE_AT) as u32;
        self.double(self.table, value);
        self.table += 8;
        self.put(offset << 20 | 31 << 15 | 3 << 12 | register << 7 | opcode);
    }

    fn set_csr(&mut self, csr: u32, value: u64) {
        self.load(0x03, 1, value);
        self.put(csrrw(0, csr, 1));
    }

    fn address(&self, at: usize) -> u64 {
        self.base + at as u64
    }

    /// A handler that goes on behind what trapped, wherever that was, at this place of the code. x30 and x31
    /// rest in CSRs meanwhile.
    fn handler(&mut self, at: usize, scratch: u32, value: u32, epc: u32, back: u32) {
        self.at = at;
        self.put(csrrw(31, scratch, 31));
        self.put(csrrw(30, value, 30));
        self.put(epc << 20 | 2 << 12 | 31 << 7 | 0x73);
        self.put(addi(31, 31, 4));
        // The lowest 14 bits.
        self.put(50 << 20 | 31 << 15 | 1 << 12 | 31 << 7 | 0x13);
        self.put(50 << 20 | 31 << 15 | 5 << 12 | 31 << 7 | 0x13);
        let distance = CODE - self.at;
        let pages = (distance + 0x800) >> 12;
        self.put((pages as u32) << 12 | 30 << 7 | 0x17);
        self.put(addi(30, 30, distance as i32 - (pages << 12) as i32));
        self.put(31 << 20 | 30 << 15 | 31 << 7 | 0x33);
        self.put(csrrw(0, epc, 31));
        self.put(csrrw(30, value, 30));
        self.put(csrrw(31, scratch, 31));
        self.put(back);
    }
}

fn csrrw(rd: u32, csr: u32, rs1: u32) -> u32 {
    csr << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x73
}

fn addi(rd: u32, rs1: u32, value: i32) -> u32 {
    (value as u32) << 20 | rs1 << 15 | rd << 7 | 0x13
}

/// `jal x0`, forward.
fn jump(distance: u32) -> u32 {
    (distance & 0x7fe) << 20 | (distance >> 11 & 1) << 20 | distance & 0xf_f000 | 0x6f
}

/// Spells the program of these bytes; what it needs of them is used up.
pub(super) fn program(bytes: &mut Bytes<'_>, code_bytes: usize) -> Program {
    let options = bytes.byte();
    let kernel = options & 1 != 0;
    let base = RAM_BASE + if kernel { KERNEL_OFFSET } else { 0 };
    let mut image = Image {
        bytes: vec![0; IMAGE_BYTES],
        at: 0,
        table: TABLE_AT,
        base,
    };
    image.put(jump(PROLOGUE_AT as u32));
    image.double(8, KERNEL_OFFSET);
    image.double(16, IMAGE_BYTES as u64);
    image.bytes[56..60].copy_from_slice(b"RSC\x05");
    image.handler(
        MACHINE_HANDLER,
        csr::MSCRATCH.into(),
        csr::MTVAL.into(),
        csr::MEPC.into(),
        0x3020_0073,
    );
    image.handler(
        SUPERVISOR_HANDLER,
        csr::SSCRATCH.into(),
        csr::STVAL.into(),
        csr::SEPC.into(),
        0x1020_0073,
    );
    page_tables(&mut image, bytes, options & 2 != 0);
    prologue(&mut image, bytes, options);
    code(&mut image.bytes[CODE..CODE + CODE_BYTES], bytes, code_bytes);
    Program {
        image: image.bytes,
        kernel,
    }
}

fn page_tables(image: &mut Image, bytes: &mut Bytes<'_>, user: bool) {
    let branch = |address: u64| address >> 2 | 1;
    let gigapage = RAM_BASE >> 2 | LEAF | if user { USER } else { 0 };
    image.double(ROOT + 2 * 8, gigapage);
    image.double(ROOT, branch(image.address(MIDDLE)));
    image.double(MIDDLE, branch(image.address(LEAVES)));
    image.double(MIDDLE + 8, gigapage);
    let first = image.base >> 12;
    for entry in 0..16 {
        let flags = u64::from(bytes.byte());
        let page = first + u64::from(bytes.byte() % 16);
        // Every fourth has any flags; reserved bits are set rarely.
        let flags = match flags % 4 {
            0 => flags >> 2 | u64::from(bytes.byte()) << 56,
            _ => LEAF | flags & USER,
        };
        image.double(LEAVES + entry * 8, page << 10 | flags);
    }
}

fn prologue(image: &mut Image, bytes: &mut Bytes<'_>, options: u8) {
    let kernel = options & 1 != 0;
    image.at = PROLOGUE_AT;
    image.put(31 << 7 | 0x17);
    let tables = image.address(ROOT) >> 12;
    let satp = |asid: u64| SV39 | asid << 44 | tables;
    let code = image.address(CODE);
    let interrupts = u64::from(bytes.byte());
    image.set_csr(csr::STVEC.into(), image.address(SUPERVISOR_HANDLER));
    if !kernel {
        image.set_csr(csr::MTVEC.into(), image.address(MACHINE_HANDLER));
        image.set_csr(csr::PMPADDR0.into(), u64::MAX >> 10);
        image.set_csr(csr::PMPCFG0.into(), 0x1f);
        image.set_csr(csr::MCOUNTEREN.into(), 7);
        image.set_csr(csr::MEDELEG.into(), u64::from(bytes.half()));
        image.set_csr(csr::MIDELEG.into(), interrupts << 1 & 0x222);
        image.set_csr(csr::MIE.into(), interrupts << 4 & 0xaaa);
    }
    if options & 4 != 0 {
        image.set_csr(csr::SATP.into(), satp(1));
    }
    // Float state on, the mode to enter, and interrupts allowed there.
    let floats = 3 << 13;
    let enter = if kernel {
        image.set_csr(
            csr::SSTATUS.into(),
            floats | u64::from(options & 8 != 0) << 8 | 1 << 5,
        );
        image.set_csr(csr::SEPC.into(), code);
        0x1020_0073
    } else {
        let mode = [3, 1, 1, 0][usize::from(options >> 3 & 3)];
        image.set_csr(csr::MSTATUS.into(), floats | mode << 11 | 1 << 7 | 1 << 5);
        image.set_csr(csr::MEPC.into(), code);
        0x3020_0073
    };
    for register in 0..8 {
        let value = u64::from(bytes.word());
        image.load(0x07, register, value << 32 | value);
    }
    let data = image.address(DATA);
    let values = [
        code,                      // ra
        data + 0x800,              // sp
        data + 0xffd,              // gp
        image.address(LEAVES),     // tp
        data,                      // t0
        code + 0x100,              // t1
        0x2ff8,                    // t2, in the leaves
        satp(1),                   // s0
        satp(2),                   // s1
        0x1ffd,                    // a0
        0x20_0100,                 // a1
        image.address(LEAVES) + 8, // a2
        0x200_4000,                // a3, CLINT
        0x1000_0000,               // a4, UART
        0x1000_1000,               // a5, virtio
        0xc20_1000,                // a6, PLIC
        0xa0802,                   // a7
        u64::MAX,                  // s2
        0x222,                     // s3
        u64::from(bytes.half()),   // s4
    ];
    for (register, value) in (1..).zip(values).skip(1) {
        image.load(0x03, register, value);
    }
    image.load(0x03, 1, values[0]);
    image.put(enter);
    assert!(image.at <= TABLE_AT && image.table <= MACHINE_HANDLER);
}

/// Fills the code region with instructions, over and over.
fn code(region: &mut [u8], bytes: &mut Bytes<'_>, code_bytes: usize) {
    let mut code = Vec::new();
    let end = bytes.0.len().saturating_sub(code_bytes);
    while bytes.0.len() > end && code.len() + 4 <= region.len() {
        let kind = bytes.byte();
        if kind.is_multiple_of(8) {
            code.extend_from_slice(&bytes.half().to_le_bytes());
        } else {
            code.extend_from_slice(&instruction(kind, bytes).to_le_bytes());
        }
    }
    if code.is_empty() {
        return;
    }
    for (place, byte) in region.iter_mut().zip(code.iter().cycle()) {
        *place = *byte;
    }
}

/// An instruction of the table with any operands, most often with those that make sense.
fn instruction(kind: u8, bytes: &mut Bytes<'_>) -> u32 {
    let number = usize::from(bytes.byte());
    // Often a load or a store.
    let mut memory = (TABLE.iter()).filter(|row| matches!(row.matching & 0x7f, 0x03 | 0x23));
    let row = match kind % 8 {
        1 | 2 => memory.nth(number % 11),
        _ => TABLE.get(number % TABLE.len()),
    };
    let row = row.expect("there are seven loads and four stores");
    let mut operands = bytes.word();
    let opcode = row.matching & 0x7f;
    if opcode == 0x73 && row.mask >> 20 == 0 {
        let csr = CSRS[(operands >> 20) as usize % CSRS.len()];
        operands = operands & 0xf_ffff | u32::from(csr) << 20;
    } else if matches!(opcode, 0x03 | 0x07 | 0x23 | 0x27 | 0x2f) && kind & 0x60 != 0 {
        // A base that points somewhere.
        let base = BASES[(operands >> 15) as usize % BASES.len()];
        operands = operands & !(31 << 15) | base << 15;
        if kind & 0x80 != 0 {
            let store = matches!(opcode, 0x23 | 0x27);
            operands &= if store { 0x01ff_f07f } else { 0x000f_ffff };
        }
    } else if matches!(opcode, 0x63 | 0x6f) && kind & 0x60 != 0 {
        // Short jumps forward.
        operands &= if opcode == 0x63 {
            0x01ff_ff7f
        } else {
            0x00ff_0fff
        };
    }
    if kind & 0x18 != 0 && !matches!(opcode, 0x23 | 0x27 | 0x63) {
        // Pointers stay.
        operands = operands & !(31 << 7) | (20 + (operands >> 7) % 12) << 7;
    }
    row.matching | operands & !row.mask
}
