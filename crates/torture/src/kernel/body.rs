//! The program above the kernel: how it branches, loops and calls. It never ends, and rarely leaves its way, whatever is
//! patched.

use crate::generate::Random;
use isa::Op;

use super::items::ITEMS;
use super::supervisor::PATCHES_MAX;
use super::{FAR, PAGE, PAGES, Patch, Setting};
use crate::assembler::{Assembler, Label};

/// Instructions that patches replace come in slots of two.
const SLOTS: usize = 8;
/// Structures in structures.
const DEPTH_MAX: usize = 3;
/// What is kept free at the end for what is begun before it.
const ROOM_BYTES: usize = 6 * PAGE / 4;

const BRANCHES: [Op; 6] = [Op::Beq, Op::Bne, Op::Blt, Op::Bge, Op::Bltu, Op::Bgeu];

/// A program and how it starts.
pub(super) struct Program {
    pub(super) code: Vec<u8>,
    /// Its first instruction.
    pub(super) entry: usize,
    pub(super) registers: [u64; 32],
    /// Exactly [`PATCHES_MAX`].
    pub(super) patches: Vec<Patch>,
}

/// Structures, beside the items that follow each other.
#[derive(Clone, Copy)]
enum Structure {
    If,
    Loop,
    Call,
    Table,
}

const STRUCTURES: [Structure; 4] = [
    Structure::If,
    Structure::Loop,
    Structure::Call,
    Structure::Table,
];

/// A program in the making.
pub(super) struct Writer<'a> {
    pub(super) random: &'a mut Random,
    pub(super) code: Assembler,
    /// Registers that hold what must stay: a bit each.
    pub(super) kept: u32,
    /// Registers that point into the data: into the middle of a page, and at a border.
    pub(super) bases: [u8; 2],
    /// A sum of results: whatever is wrong once stays visible.
    pub(super) sum: u8,
    /// Registers that are never kept.
    pub(super) tame: Vec<u8>,
    pub(super) slots: Vec<Label>,
    /// How often each item and structure is chosen.
    weights: [usize; ITEMS.len() + STRUCTURES.len()],
    /// For the calls of the program and those of its functions.
    links: [u8; 2],
    functions: [Vec<Label>; 2],
    /// No structure starts behind this.
    end: usize,
}

/// The program that the kernel runs.
pub(super) fn program(random: &mut Random, setting: Setting) -> Program {
    let order = shuffled(random);
    let mut code = Assembler::default();
    // Anywhere in the first page, most often near its end, so that what follows straddles.
    let anywhere = random.below(2048);
    for _ in 0..random.pick(&[0, 1, 2020, 2030, 2040, anywhere]) {
        code.half(1);
    }
    let entry = code.len();
    let slots = (0..SLOTS).map(|_| code.label()).collect();
    let functions = [(); 2].map(|()| (0..random.below(4)).map(|_| code.label()).collect());
    let weights = std::array::from_fn(|_| random.pick(&[0, 0, 1, 1, 4, 16]));
    let bytes = random.pick(&[100, 400, 2000, 6000, 16000]);
    let mut writer = Writer {
        kept: order[..5]
            .iter()
            .fold(1, |kept, register| kept | 1 << register),
        bases: [order[0], order[1]],
        links: [order[2], order[3]],
        sum: order[4],
        tame: order[5..11].to_vec(),
        slots,
        weights,
        functions,
        end: entry + bytes,
        code,
        random,
    };
    writer.write();
    writer.finish(entry, setting)
}

/// The registers but x0 in any order; x1 and x2 often come where calls and compressed instructions want them.
fn shuffled(random: &mut Random) -> Vec<u8> {
    let mut order: Vec<u8> = (1..32).collect();
    for index in 0..order.len() {
        let other = index + random.below(order.len() - index);
        order.swap(index, other);
    }
    for (index, wanted) in [(0, 2), (1, 8), (2, 1), (3, 5)] {
        if random.one_in(2) {
            let at = (order.iter().position(|register| *register == wanted))
                .expect("every register is there");
            order.swap(index, at);
        }
    }
    order
}

impl Writer<'_> {
    fn write(&mut self) {
        let top = self.code.here();
        while self.code.len() < self.end {
            self.some(4, 0, 0);
        }
        self.code.jump(0, top);
        for level in [1, 2] {
            for function in self.functions[level - 1].clone() {
                self.pad();
                self.code.place(function);
                let count = 1 + self.random.below(12);
                self.end = self.code.len() + 400;
                self.some(count, 1, level);
                self.code.imm(Op::Jalr, 0, self.links[level - 1], 0);
            }
        }
        for slot in self.slots.clone() {
            if self.code.place_of(slot).is_none() {
                self.code.place(slot);
                self.slot_here();
            }
        }
    }

    fn finish(self, entry: usize, setting: Setting) -> Program {
        let Writer {
            random,
            code,
            slots,
            bases,
            tame,
            ..
        } = self;
        let mut registers = std::array::from_fn(|_| random.integer());
        let [_, data] = setting.places();
        let aliases = if setting.paged {
            [0, 0x1_0000, FAR]
        } else {
            [0; 3]
        };
        let page = 0x1000 * random.below(PAGES - 1) as u64;
        // Often the same page for both, which with far aliases takes turns in the caches of translations.
        let border = 0x1000 * (1 + random.below(PAGES - 1)) as u64;
        let border = random.pick(&[border, page, page + 0x1000]).max(0x1000);
        let near = random.below(17) as u64;
        let [one, two] = [(); 2].map(|()| data + random.pick(&aliases));
        registers[usize::from(bases[0])] = one + page + 0x800;
        registers[usize::from(bases[1])] = two + border + near - 8;
        let mut patches = Vec::new();
        for number in 0..PATCHES_MAX {
            let place = code
                .place_of(slots[number % SLOTS])
                .expect("all are placed");
            patches.push(Patch {
                offset: place + 4 * random.below(2),
                word: super::items::tame_word(random, &tame),
            });
        }
        let code = code.finish();
        Program {
            code,
            entry,
            registers,
            patches,
        }
    }

    /// Items and structures, about `count`, at a depth in structures and a level of functions.
    fn some(&mut self, count: usize, depth: usize, level: usize) {
        for _ in 0..count {
            let full = self.code.len() >= self.end;
            let sum: usize = self.weights.iter().sum();
            let mut rest = self.random.below(sum + 1);
            let place = self.weights.iter().position(|weight| {
                let found = rest < *weight;
                rest = rest.wrapping_sub(*weight);
                found
            });
            match place.unwrap_or(0) {
                item if item < ITEMS.len() => self.item(ITEMS[item]),
                _ if full || depth >= DEPTH_MAX => self.item(ITEMS[0]),
                place => self.structure(STRUCTURES[place - ITEMS.len()], depth, level),
            }
        }
    }

    fn structure(&mut self, structure: Structure, depth: usize, level: usize) {
        match structure {
            Structure::If => self.branch_over(depth, level),
            Structure::Loop => self.repeat(depth, level),
            Structure::Call => self.call(level),
            Structure::Table => self.table(depth, level),
        }
    }

    /// A branch over a few instructions, or into one of two ways.
    fn branch_over(&mut self, depth: usize, level: usize) {
        let (inside, otherwise, end) = (self.code.label(), self.code.label(), self.code.label());
        let op = self.random.pick(&BRANCHES);
        let [one, two] = [(); 2].map(|()| self.random.below(32) as u8);
        self.code.branch(op, one, two, inside);
        self.code.jump(0, otherwise);
        self.code.place(inside);
        let count = self.random.below(6);
        self.some(count, depth + 1, level);
        if self.random.one_in(2) {
            self.code.jump(0, end);
            self.code.place(otherwise);
            let count = self.random.below(4);
            self.some(count, depth + 1, level);
        } else {
            self.code.place(otherwise);
        }
        self.code.place(end);
    }

    /// A loop of one of the usual shapes.
    fn repeat(&mut self, depth: usize, level: usize) {
        let Some(counter) = self.keep() else {
            return;
        };
        let times = 1 + self.random.below([40, 12, 5, 3][depth]) as i32;
        let count = self.random.below(8);
        let shape = self.random.below(4);
        match shape {
            // Down to zero, tested at the end or, behind a jump to the test, first of all.
            0 | 1 => {
                let test = self.code.label();
                self.code.addi(counter, 0, times);
                if shape == 1 {
                    self.code.jump(0, test);
                }
                let top = self.code.here();
                self.some(count, depth + 1, level);
                self.code.addi(counter, counter, -1);
                self.code.place(test);
                let op = self.random.pick(&[Op::Bne, Op::Bne, Op::Blt]);
                let operands = if op == Op::Blt {
                    [0, counter]
                } else {
                    [counter, 0]
                };
                self.back(op, operands, top);
            }
            // Tested at the top, with a jump back.
            2 => {
                let (top, body, end) = (self.code.label(), self.code.label(), self.code.label());
                self.code.addi(counter, 0, times);
                self.code.place(top);
                self.code.branch(Op::Bne, counter, 0, body);
                self.code.jump(0, end);
                self.code.place(body);
                self.some(count, depth + 1, level);
                self.code.addi(counter, counter, -1);
                self.code.jump(0, top);
                self.code.place(end);
            }
            // Up to a limit in another register.
            _ => {
                let limit = self.keep();
                self.code.addi(counter, 0, -times);
                if let Some(limit) = limit {
                    self.code.addi(limit, 0, times);
                }
                let top = self.code.here();
                self.some(count, depth + 1, level);
                self.code.addi(counter, counter, 2);
                let op = self.random.pick(&[Op::Blt, Op::Bge]);
                let limit = limit.unwrap_or(0);
                let operands = if op == Op::Blt {
                    [counter, limit]
                } else {
                    [limit, counter]
                };
                self.back(op, operands, top);
                self.kept &= !(1 << limit) | 1;
            }
        }
        self.kept &= !(1 << counter);
    }

    /// A branch back, compressed where it can be.
    fn back(&mut self, op: Op, [one, two]: [u8; 2], top: Label) {
        let place = self.code.place_of(top).expect("the way back is known");
        let distance = self.code.len() - place;
        if op == Op::Bne && two == 0 && (8..16).contains(&one) && distance <= 256 {
            self.code.half(branch_not_zero(one, -(distance as i32)));
        } else if distance < 4000 {
            self.code.branch(op, one, two, top);
        } else {
            let (again, end) = (self.code.label(), self.code.label());
            self.code.branch(op, one, two, again);
            self.code.jump(0, end);
            self.code.place(again);
            self.code.jump(0, top);
            self.code.place(end);
        }
    }

    /// A call of a function of the next level.
    fn call(&mut self, level: usize) {
        let Some(functions) = self.functions.get(level) else {
            return;
        };
        if functions.is_empty() {
            return;
        }
        let function = functions[self.random.below(functions.len())];
        let link = self.links[level];
        match self.random.below(3) {
            0 => self.code.jump(link, function),
            1 => {
                let address = self.free();
                self.code.address(address, function);
                self.code.imm(Op::Jalr, link, address, 0);
            }
            _ => {
                self.code.address(link, function);
                self.code.imm(Op::Jalr, link, link, 0);
            }
        }
    }

    /// A jump by a table, as a `switch` makes.
    fn table(&mut self, depth: usize, level: usize) {
        let (index, place) = self.two_free();
        let table = self.code.label();
        let source = self.random.below(32) as u8;
        self.code.imm(Op::Andi, index, source, 3);
        self.code.imm(Op::Slli, index, index, 2);
        self.code.address(place, table);
        self.code.reg(Op::Add, place, place, index);
        self.code.imm(Op::Jalr, 0, place, 0);
        self.code.place(table);
        let ways = [(); 4].map(|()| self.code.label());
        for way in ways {
            self.code.jump(0, way);
        }
        for way in ways {
            self.code.place(way);
            let count = self.random.below(3);
            self.some(count, depth + 1, level);
        }
    }

    /// Another register to keep, if there are enough.
    fn keep(&mut self) -> Option<u8> {
        let register = self.free();
        if self.tame.contains(&register) || self.kept.count_ones() > 14 {
            return None;
        }
        self.kept |= 1 << register;
        Some(register)
    }

    /// A register that may be written: not x0.
    pub(super) fn free(&mut self) -> u8 {
        loop {
            let register = self.random.below(32) as u8;
            if self.kept >> register & 1 == 0 {
                return register;
            }
        }
    }

    pub(super) fn two_free(&mut self) -> (u8, u8) {
        let one = self.free();
        loop {
            let two = self.free();
            if two != one {
                return (one, two);
            }
        }
    }

    /// Sometimes the rest of the page.
    fn pad(&mut self) {
        let left = PAGE - self.code.len() % PAGE;
        let room = self.code.len() + left + ROOM_BYTES < PAGES * PAGE;
        if room && self.random.one_in(2) {
            let short = 2 * self.random.below(8);
            for _ in 0..(left.saturating_sub(short)) / 2 {
                self.code.half(1);
            }
        }
    }
}

/// `c.bnez`, by up to 256 bytes back.
fn branch_not_zero(register: u8, distance: i32) -> u16 {
    let bit = |from: u32, to: u32| (((distance >> from) & 1) as u16) << to;
    let bits = bit(8, 12) | bit(4, 11) | bit(3, 10) | bit(7, 6) | bit(6, 5) | bit(2, 4);
    0xe001 | bits | bit(1, 3) | bit(5, 2) | u16::from(register - 8) << 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use isa::decode;

    #[test]
    fn compressed_branches() {
        for distance in (-256..0).step_by(2) {
            let insn = decode(branch_not_zero(9, distance).into());
            assert_eq!((insn.op, insn.imm, insn.rs1), (Op::Bne, distance, 9));
        }
    }
}
