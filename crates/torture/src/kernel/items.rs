//! What the program does between branches: an instruction, or a few that belong together. Those that may trap for good are
//! 4 bytes long, as the kernel goes on behind them.

use crate::generate::Random;
use isa::compressed::COMPRESSED;
use isa::csr;
use isa::table::{Row, TABLE};
use isa::{Format, Insn, Op, decode};

use super::PAGE;
use super::body::Writer;
use crate::floats::is_float;
use machine::config::MEMORY_BYTES_MIN;
use machine::hart::csr::status;
use machine::ram::RAM_BASE;

/// What an item is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    Integer,
    Multiply,
    Rotation,
    Compressed,
    Index,
    Load,
    Store,
    Atomic,
    Float,
    FreshFloat,
    FloatMemory,
    FloatControl,
    Counter,
    Fence,
    Status,
    Trap,
    Slot,
    Patch,
}

pub(super) const ITEMS: [Item; 18] = [
    Item::Integer,
    Item::Multiply,
    Item::Rotation,
    Item::Compressed,
    Item::Index,
    Item::Load,
    Item::Store,
    Item::Atomic,
    Item::Float,
    Item::FreshFloat,
    Item::FloatMemory,
    Item::FloatControl,
    Item::Counter,
    Item::Fence,
    Item::Status,
    Item::Trap,
    Item::Slot,
    Item::Patch,
];

const FFLAGS: i32 = csr::FFLAGS as i32;
const FCSR: i32 = csr::FCSR as i32;
const SSTATUS: i32 = csr::SSTATUS as i32;
/// CSRs that do not exist, or not in all modes.
const FORBIDDEN: [u16; 5] = [
    csr::MSCRATCH,
    csr::SSCRATCH,
    csr::MHARTID,
    csr::SCOUNTEREN,
    0x5ff,
];
/// Addresses at which nothing is, or a device that does not mind, or at the edges of memory.
const WILD: [u64; 10] = [
    0,
    0x7000_0000,
    0x200_bff8,
    0x1000_0005,
    0x7fff_ffff_f000,
    u64::MAX - 3,
    RAM_BASE - 1,
    MEMORY_END - 8,
    MEMORY_END - 3,
    MEMORY_END,
];
const MEMORY_END: u64 = RAM_BASE + MEMORY_BYTES_MIN;

fn is_multiplication(row: &Row) -> bool {
    row.format == Format::Register && row.matching >> 25 == 1
}

fn is_integer(row: &Row) -> bool {
    use Format::*;
    let formats = matches!(row.format, Upper | Immediate | Shift | ShiftWord | Register);
    formats && !is_multiplication(row)
}

fn is_fence(row: &Row) -> bool {
    matches!(row.format, Format::Fence | Format::FenceInstruction)
}

/// A row of the table that `wanted` wants.
fn row(random: &mut Random, wanted: impl Fn(&Row) -> bool) -> &'static Row {
    let rows: Vec<&Row> = TABLE.iter().filter(|row| wanted(row)).collect();
    random.pick(&rows)
}

/// An instruction that writes only to one of these registers, and never traps.
pub(super) fn tame_word(random: &mut Random, tame: &[u8]) -> u32 {
    let row = row(random, |row| is_integer(row) || is_multiplication(row));
    let rd = u32::from(random.pick(tame));
    (row.matching | random.bits() as u32 & !row.mask) & !(31 << 7) | rd << 7
}

impl Writer<'_> {
    pub(super) fn item(&mut self, item: Item) {
        match item {
            Item::Integer => self.one(is_integer),
            Item::Multiply => self.one(is_multiplication),
            Item::Float => self.one(is_float),
            Item::FreshFloat => self.fresh_float(),
            Item::Fence => self.one(is_fence),
            Item::Rotation => self.rotation(),
            Item::Compressed => self.compressed(),
            Item::Index => self.access_by_index(),
            Item::Load => self.memory(&[Format::Load]),
            Item::Store => self.memory(&[Format::Store]),
            Item::FloatMemory => self.memory(&[Format::FloatLoad, Format::FloatStore]),
            Item::Atomic => self.atomic(),
            Item::FloatControl => self.float_control(),
            Item::Counter => {
                let rd = self.free();
                let csr = i32::from(csr::CYCLE) + self.random.below(3) as i32;
                self.code.imm(Op::Csrrs, rd, 0, csr);
            }
            Item::Status => self.status(),
            Item::Trap => self.trap(),
            Item::Slot => self.slot(),
            Item::Patch => self.patch(),
        }
    }

    /// A row that is wanted with any operands, but nothing written to registers that are kept.
    fn drawn(&mut self, wanted: impl Fn(&Row) -> bool) -> Insn {
        let row = row(self.random, wanted);
        loop {
            let insn = decode(row.matching | self.random.bits() as u32 & !row.mask);
            // Reserved rounding modes are illegal: now and then that is what is wanted.
            let meant = insn.op == row.op || self.random.one_in(200);
            if meant && !self.spoils(&insn) {
                return insn;
            }
        }
    }

    fn spoils(&self, insn: &Insn) -> bool {
        insn.op.format().writes_x() && insn.rd != 0 && self.kept >> insn.rd & 1 != 0
    }

    fn one(&mut self, wanted: impl Fn(&Row) -> bool) {
        let insn = self.drawn(wanted);
        self.code.word(insn.bits);
        if self.random.one_in(2) {
            self.remember(&insn);
        }
    }

    /// Adds the result to the sum that stays.
    fn remember(&mut self, insn: &Insn) {
        if insn.op.format().writes_x() {
            self.code.reg(Op::Add, self.sum, self.sum, insn.rd);
        } else if self.random.one_in(2) {
            let register = self.free();
            self.code.reg(Op::FmvXD, register, insn.rd, 0);
            self.code.reg(Op::Add, self.sum, self.sum, register);
        }
    }

    /// A float instruction on operands from memory, and what exceptions it raises.
    fn fresh_float(&mut self) {
        let insn = self.drawn(is_float);
        for operand in [insn.rs1, insn.rs2, insn.rs3] {
            let (base, reach) = self.base();
            let op = self.random.pick(&[Op::Fld, Op::Fld, Op::Flw]);
            let offset = (self.random.bits() as i32) & reach & !7;
            self.code.imm(op, operand, base, offset);
        }
        self.code.imm(Op::Csrrwi, 0, 0, FFLAGS);
        self.code.word(insn.bits);
        let flags = self.free();
        self.code.imm(Op::Csrrs, flags, 0, FFLAGS);
        self.code.reg(Op::Add, self.sum, self.sum, flags);
        self.remember(&insn);
    }

    /// Two shifts that are put together, most often as a rotation.
    fn rotation(&mut self) {
        let (bits, shifts) = if self.random.one_in(3) {
            (64, [Op::Slli, Op::Srli])
        } else {
            (32, [Op::Slliw, Op::Srliw])
        };
        let by = 1 + self.random.below(bits - 1) as i32;
        let other = if self.random.one_in(8) {
            1 + self.random.below(bits - 1) as i32
        } else {
            bits as i32 - by
        };
        let first = self.free();
        let second = self.other_than(first);
        let swap = self.random.below(2);
        // Compilers shift the source itself where it is not needed any more, and several rotations at a time.
        let any = self.random.below(32) as u8;
        let source = self.random.pick(&[second, any]);
        self.code.imm(shifts[swap], first, source, by);
        match self.random.below(6) {
            0 | 1 => self.one(is_integer),
            2 => self.rotation(),
            _ => {}
        }
        self.code.imm(shifts[1 - swap], second, source, other);
        if self.random.one_in(3) {
            let formats = [Format::Load, Format::Store, Format::FloatLoad];
            self.memory(&formats);
        }
        let op = self.random.pick(&[Op::Or, Op::Xor, Op::Add, Op::Addw]);
        let free = self.free();
        let result = self.random.pick(&[first, second, free]);
        self.code.reg(op, result, first, second);
        if self.random.one_in(3) {
            self.code.imm(Op::Addiw, result, result, 0);
        }
        if self.random.one_in(2) {
            self.code.reg(Op::Add, self.sum, self.sum, result);
        }
    }

    /// An access near to a base, by an index that is masked.
    fn access_by_index(&mut self) {
        let base = self.random.pick(&self.bases);
        let index = self.free();
        let source = self.random.below(32) as u8;
        let mask = self.random.pick(&[1, 0x3f, 0xff, 0x1f8, 0x7f8]);
        self.code.imm(Op::Andi, index, source, mask);
        if mask < 0x100 && self.random.one_in(2) {
            let by = 1 + self.random.below(3) as i32;
            self.code.imm(Op::Slli, index, index, by);
        }
        let free = self.free();
        let address = self.random.pick(&[index, free]);
        if self.random.one_in(2) {
            self.code.reg(Op::Add, address, index, base);
        } else {
            self.code.reg(Op::Add, address, base, index);
        }
        let formats = [
            Format::Load,
            Format::Load,
            Format::Store,
            Format::FloatLoad,
            Format::FloatStore,
        ];
        for _ in 0..1 + self.random.below(2) {
            let format = self.random.pick(&formats);
            let mut insn = self.drawn(|row| row.format == format);
            if insn.rd == address && insn.op.format().writes_x() {
                insn.rd = index;
            }
            insn.rs1 = address;
            insn.imm &= if self.random.one_in(4) { 15 } else { 8 };
            self.code.insn(insn.assembled());
            self.remember(&insn);
        }
    }

    /// No jumps; memory operands are relative to a base.
    fn compressed(&mut self) {
        loop {
            let row = &COMPRESSED[self.random.below(COMPRESSED.len())];
            let mut bits = row.matching | self.random.bits() as u16 & !row.mask;
            let mut insn = decode(bits.into());
            use Format::*;
            if matches!(insn.op.format(), Load | Store | FloatLoad | FloatStore) {
                if insn.rs1 != 2 {
                    // The field for x8 to x15.
                    let base = self.random.pick(&self.bases);
                    bits = bits & !0x380 | u16::from(base & 7) << 7;
                    insn = decode(bits.into());
                }
                if !self.bases.contains(&insn.rs1) {
                    continue;
                }
            }
            if !insn.op.flow().ends_block() && !self.spoils(&insn) {
                return self.code.half(bits);
            }
        }
    }

    /// A register with an address in the data, and how far an access to it may go from there, either way.
    fn base(&mut self) -> (u8, i32) {
        let base = self.random.pick(&self.bases);
        if !self.random.one_in(4) {
            return (base, 2047);
        }
        // By a register's value.
        let register = self.free();
        let source = self.random.below(32) as u8;
        self.code.imm(Op::Andi, register, source, 0x3ff);
        self.code.reg(Op::Add, register, register, base);
        (register, 1023)
    }

    fn memory(&mut self, formats: &[Format]) {
        let (rs1, reach) = self.base();
        let mut insn = self.drawn(|row| formats.contains(&row.format));
        insn.rs1 = rs1;
        insn.imm = match self.random.below(3) {
            0 => insn.imm & reach & !7,
            1 => insn.imm % 16,
            _ => insn.imm.clamp(-reach - 1, reach),
        };
        self.code.insn(insn.assembled());
    }

    fn atomic(&mut self) {
        let base = self.bases[0];
        let address = self.free();
        let offset = (self.random.bits() as i32 >> 21) & !7;
        let odd = i32::from(self.random.one_in(10));
        self.code.addi(address, base, offset + odd);
        let mut insn =
            self.drawn(|row| matches!(row.format, Format::Atomic | Format::LoadReserved));
        insn.rs1 = address;
        let reserve = match insn.op {
            Op::ScW => Op::LrW,
            Op::ScD => Op::LrD,
            _ => return self.code.insn(insn.assembled()),
        };
        if !self.random.one_in(4) {
            let loaded = self.other_than(address);
            self.code.imm(reserve, loaded, address, 0);
            if self.random.one_in(3) {
                self.one(|row| row.op == Op::Fence);
            }
        }
        self.code.insn(insn.assembled());
    }

    fn other_than(&mut self, register: u8) -> u8 {
        loop {
            let other = self.free();
            if other != register {
                return other;
            }
        }
    }

    fn float_control(&mut self) {
        let rd = self.free();
        let rs1 = self.random.below(32) as u8;
        match self.random.below(4) {
            0 => {
                let op = self
                    .random
                    .pick(&[Op::Csrrw, Op::Csrrs, Op::Csrrc, Op::Csrrsi]);
                self.code.imm(op, rd, rs1, FFLAGS);
            }
            // A valid rounding mode.
            1 => {
                let mode = self.random.below(5) as u8;
                self.code.imm(Op::Csrrwi, rd, mode, csr::FRM.into());
            }
            2 => self.code.imm(Op::Csrrs, rd, 0, FCSR),
            _ => self.code.imm(Op::Csrrs, rd, 0, FFLAGS),
        }
    }

    /// Illegal in U-mode.
    fn status(&mut self) {
        let bits = self.free();
        let rd = self.random.pick(&[0, bits]);
        let mask = self.random.pick(&[
            status::SUM,
            status::MXR,
            status::FS,
            status::SUM | status::MXR,
            1 << 13,
        ]);
        let op = self.random.pick(&[Op::Csrrs, Op::Csrrc]);
        self.code.constant(bits, mask);
        self.code.imm(op, rd, bits, SSTATUS);
    }

    fn trap(&mut self) {
        let register = self.free();
        match self.random.below(9) {
            0 | 1 => self.code.bare(Op::Ecall),
            2 => self.code.bare(Op::Ebreak),
            3 => self
                .code
                .word(self.random.pick(&[0, u32::MAX, 0x0000_707b])),
            4 => self.code.bare(Op::Wfi),
            5 => {
                let wild = self.random.pick(&WILD);
                let op = self
                    .random
                    .pick(&[Op::Lb, Op::Lhu, Op::Lw, Op::Ld, Op::Fld]);
                self.code.constant(register, wild);
                self.code.imm(op, register, register, 0);
            }
            6 => {
                let wild =
                    self.random
                        .pick(&[0x7000_0000, RAM_BASE - 1, MEMORY_END - 8, MEMORY_END - 3]);
                let op = self.random.pick(&[Op::Sb, Op::Sh, Op::Sw, Op::Sd, Op::Fsw]);
                self.code.constant(register, wild);
                self.code.store(op, register, register, 0);
            }
            // Illegal here or there.
            7 => {
                let csr = self.random.pick(&FORBIDDEN);
                self.code.imm(Op::Csrrs, register, 0, csr.into());
            }
            _ => {
                let operands =
                    self.random
                        .pick(&[[0, 0], [self.bases[0], 0], [self.bases[1], register]]);
                self.code.reg(Op::SfenceVma, 0, operands[0], operands[1]);
            }
        }
    }

    /// One of those that are left, sometimes across the next border of a page.
    fn slot(&mut self) {
        let open = self
            .slots
            .iter()
            .find(|slot| self.code.place_of(**slot).is_none());
        let Some(slot) = open.copied() else {
            return;
        };
        let left = PAGE - self.code.len() % PAGE;
        if left < 768 {
            for _ in 0..(left - 2) / 2 {
                self.code.half(1);
            }
        }
        self.code.place(slot);
        self.slot_here();
    }

    /// Two instructions whose immediate operands may be anything.
    pub(super) fn slot_here(&mut self) {
        for _ in 0..2 {
            let rd = self.random.pick(&self.tame);
            let op = self.random.pick(&[Op::Addi, Op::Xori]);
            let (rs1, imm) = (self.random.below(32) as u8, self.random.bits() as i32 >> 20);
            self.code.imm(op, rd, rs1, imm);
        }
    }

    /// A store into a slot, whose effect comes at once; often the slot follows.
    fn patch(&mut self) {
        let (place, value) = self.two_free();
        let number = self.random.below(self.slots.len());
        self.code.address(place, self.slots[number]);
        if self.random.one_in(2) {
            // The bits of an immediate operand are turned.
            let second = 4 * self.random.below(2) as i32;
            let (load, store, offset, bits) = self.random.pick(&[
                (Op::Lbu, Op::Sb, 3, 0x5a),
                (Op::Lhu, Op::Sh, 2, 0x700),
                (Op::Lw, Op::Sw, 0, -1 << 20),
            ]);
            let other = loop {
                let other = self.free();
                if other != place && other != value {
                    break other;
                }
            };
            self.code.constant(other, i64::from(bits).cast_unsigned());
            self.code.imm(load, value, place, offset + second);
            self.code.reg(Op::Xor, value, value, other);
            self.code.store(store, value, place, offset + second);
        } else {
            let [one, two] = [(); 2].map(|()| tame_word(self.random, &self.tame));
            if self.random.one_in(3) {
                self.code
                    .constant(value, u64::from(two) << 32 | u64::from(one));
                self.code.store(Op::Sd, value, place, 0);
            } else {
                self.code.constant(value, u64::from(one));
                let second = 4 * self.random.below(2) as i32;
                self.code.store(Op::Sw, value, place, second);
            }
        }
        match self.random.below(4) {
            0 => self.code.bare(Op::FenceI),
            1 if self.code.place_of(self.slots[number]).is_none() => {
                self.code.place(self.slots[number]);
                self.slot_here();
            }
            _ => {}
        }
    }
}
