//! Emission of host code: where values are, what is known of them, and how code goes on.

use isa::{Binary, Insn, SINK};

use super::asm::{Alu, Asm, B32, B64, Cond, RAX, RCX, RDX, Reg, Rm, Site};
use super::cold::{Cold, Leave};
use super::float::Floats;
use super::helpers::Record;
use super::layout;
use super::map::{Map, float_home, home};
use super::memory::Access;
use super::near::Near;
use super::region::Region;
use super::registers::Holding;
use super::thunks::{self, Thunks};

/// A value that is where it is, or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    Const(u64),
    /// In a guest register.
    X(u8),
    /// In a guest float register.
    F(u8),
    /// In RAX.
    Temp,
}

/// A value, or how to compute it: code is emitted where its destination is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Leaf(Leaf),
    /// Address of the page of code plus this.
    Pc(i64),
    Binary(Binary, Leaf, Leaf),
    /// Already in the destination register of the instruction.
    Done,
}

/// Why an instruction is not translated further.
#[derive(Debug)]
pub(super) enum Exit {
    /// It is left to a helper.
    Helper,
}

/// What is known of a register, within a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Const(u64),
    Pc(i64),
}

/// What is known at a place in a block, however it was reached.
#[derive(Clone, Default)]
pub(super) struct Facts {
    pub(super) known: [Option<Known>; 32],
    /// Registers that are words, sign-extended, one bit each: known in regions only.
    pub(super) words: u32,
    /// What is known of values, in regions only.
    pub(super) near: [Option<Near>; 32],
    pub(super) floats: Floats,
}

/// A jump within the page.
pub(super) struct Link {
    pub(super) site: Site,
    /// The target's offset in the page.
    pub(super) target: u16,
}

/// Code in the making, for one page.
pub(super) struct Emitter<'a> {
    pub(super) asm: Asm,
    pub(super) thunks: &'a Thunks,
    pub(super) map: Map,
    /// The offset in memory of the page.
    pub(super) page: u64,
    pub(super) insn: Insn,
    /// The offset in the page of the instruction.
    pub(super) offset: u16,
    /// Positions paid for in advance, from this instruction on.
    pub(super) ahead: u8,
    pub(super) facts: Facts,
    /// How the block gets at memory.
    pub(super) access: Access,
    /// The region of hot code that is emitted, if it is one.
    pub(super) region: Option<Region>,
    /// The word that the present instruction results in is left without its extension.
    pub(super) narrow: bool,
    /// Jumps of the present instruction to where a helper executes it.
    exact: Vec<Site>,
    pub(super) cold: Vec<Cold>,
    pub(super) links: Vec<Link>,
    /// Records, and the arena offsets where they go.
    pub(super) records: Vec<(u32, Record)>,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(asm: Asm, thunks: &'a Thunks, page: u64) -> Emitter<'a> {
        Emitter {
            asm,
            thunks,
            map: Map::default(),
            page,
            insn: Insn::illegal(0, 2),
            offset: 0,
            ahead: 0,
            facts: Facts::default(),
            access: Access::default(),
            region: None,
            narrow: false,
            exact: Vec::new(),
            cold: Vec::new(),
            links: Vec::new(),
            records: Vec::new(),
        }
    }

    /// One instruction, whose place was set.
    pub(super) fn instruction(&mut self) {
        let insn = self.insn;
        if let Err(Exit::Helper) = isa::execute(self, &insn) {
            self.helper();
        }
        self.end_float();
        if !self.exact.is_empty() {
            // By the helper.
            self.asm.rcx_touched = true;
            self.cold.push(Cold::Exact {
                sites: std::mem::take(&mut self.exact),
                back: self.asm.here(),
                record: self.record(),
            });
        }
    }

    /// Where the jump at `site` is taken, a helper executes the instruction. In the first version of a block,
    /// the second does it.
    pub(super) fn exactly_if(&mut self, site: Site) {
        if self.is_straight() {
            self.exact.push(site);
        } else {
            self.elsewhere(site);
        }
    }

    /// Whether this code has helpers execute what is off its straight path, and goes on.
    pub(super) fn is_straight(&self) -> bool {
        self.access.plans.is_empty() && self.region.is_none()
    }

    /// Where the jump at `site` is taken, other code executes this instruction and the rest of the block.
    pub(super) fn elsewhere(&mut self, site: Site) {
        if self.region.is_some() {
            self.leave_region(site);
        } else {
            self.access.to_second.push((site, self.access.index));
        }
    }

    /// Has the instruction executed by a helper.
    fn helper(&mut self) {
        if self.region.is_some() {
            let site = self.asm.jump();
            return self.leave_region(site);
        }
        let record = self.asm.lea_site(RCX);
        self.asm.call_to(self.thunks.execute);
        self.cold.push(Cold::Record {
            site: record,
            record: self.record(),
        });
        let written = usize::from(self.insn.rd & 31);
        self.facts.known[written] = None;
        let is_float = self.insn.op.is_float();
        self.facts.floats.helped(self.insn.rd, is_float);
    }

    pub(super) fn record(&self) -> Record {
        Record {
            insn: self.insn,
            page: self.page,
            offset: self.offset,
            ahead: self.ahead,
            ends: self.insn.op.flow().leaves(),
        }
    }

    /// Where a value that is somewhere can be read.
    pub(super) fn operand(&self, leaf: Leaf) -> Rm {
        match leaf {
            Leaf::X(guest) => match self.map.host(guest) {
                Some(host) => host.into(),
                None => home(guest).into(),
            },
            Leaf::F(guest) => float_home(guest).into(),
            Leaf::Temp => RAX.into(),
            Leaf::Const(_) => unreachable!("constants are operands of their own kind"),
        }
    }

    /// `dst = leaf`.
    pub(super) fn fetch(&mut self, dst: Reg, leaf: Leaf) {
        match leaf {
            Leaf::Const(value) => self.asm.mov_imm(dst, value),
            _ => {
                let operand = self.operand(leaf);
                if operand != Rm::Reg(dst) {
                    self.asm.mov(B64, dst, operand);
                }
            }
        }
    }

    /// The register that the result of the instruction should be computed in.
    pub(super) fn destination(&self, rd: u8) -> Reg {
        if rd == SINK {
            return RAX;
        }
        self.map.host(rd).unwrap_or(RAX)
    }

    /// A value as one that is somewhere. Computed values go to RAX.
    pub(super) fn settle(&mut self, value: Value) -> Leaf {
        match value {
            Value::Leaf(leaf) => leaf,
            Value::Pc(offset) => {
                self.page_address(RAX, offset);
                Leaf::Temp
            }
            Value::Binary(op, a, b) => {
                self.compute(RAX, op, a, b);
                Leaf::Temp
            }
            Value::Done => unreachable!("the result of a load goes to a register"),
        }
    }

    /// `dst` = address of the page plus `offset`.
    pub(super) fn page_address(&mut self, dst: Reg, offset: i64) {
        self.asm.mov(B64, dst, layout::PC);
        match i32::try_from(offset) {
            Ok(0) => {}
            Ok(offset) => self.asm.alu_imm(Alu::Add, B64, dst, offset),
            Err(_) => {
                self.asm.mov_imm(RDX, offset.cast_unsigned());
                self.asm.alu(Alu::Add, B64, dst, RDX);
            }
        }
    }

    /// Goes on at an offset from the start of the page.
    pub(super) fn jump_to_offset(&mut self, target: i64) {
        self.settle_registers();
        if self.region.is_some() {
            let site = self.asm.jump();
            return self.direct_in_region(site, target);
        }
        match u16::try_from(target) {
            Ok(target @ 0..4096) => {
                let site = self.asm.jump();
                self.links.push(Link { site, target });
            }
            _ => self.cross(target),
        }
    }

    /// Goes on in another page.
    pub(super) fn cross(&mut self, target: i64) {
        self.page_address(RAX, target & !0xfff);
        let offset = (target & 0xfff) as u16;
        thunks::jump_across(&mut self.asm, offset, self.thunks.miss);
    }

    pub(super) fn branch_to_offset(&mut self, cond: Cond, target: i64) {
        self.settle_registers();
        let site = self.asm.jump_if(cond);
        if self.region.is_some() {
            return self.direct_in_region(site, target);
        }
        match u16::try_from(target) {
            Ok(target @ 0..4096) => self.links.push(Link { site, target }),
            _ => self.cold.push(Cold::Leave(Leave {
                sites: vec![site],
                target,
                ..Leave::default()
            })),
        }
    }

    pub(super) fn here(&self) -> i64 {
        self.offset.into()
    }

    /// Moves a result to memory, if its register lives there.
    pub(super) fn put(&mut self, register: u8, host: Option<Reg>, from: Reg) {
        if host.is_none() {
            self.asm.store(home(register), from);
        }
    }

    /// Takes the positions of a block, or leaves at its start. `offset` is that of its first instruction.
    pub(super) fn pay(&mut self, positions: u8, offset: u16) {
        self.asm
            .alu_imm(Alu::Sub, B64, super::asm::R15, positions.into());
        let site = self.asm.jump_if(Cond::Below);
        self.cold.push(Cold::Tail {
            site,
            positions,
            offset,
            holding: self.holding(),
        });
    }

    /// What host registers hold.
    pub(super) fn holding(&self) -> Holding {
        (self.region.as_ref()).map_or_else(Holding::default, |region| *region.registers.now())
    }

    /// Leaves the instruction at `offset` to the interpreter.
    pub(super) fn leave_to_interpreter(&mut self, offset: u16) {
        self.asm.mov_imm(RAX, offset.into());
        self.asm.jump_to(self.thunks.step);
    }

    /// `dst` = the low word of itself, sign-extended, unless that is put off.
    pub(super) fn extend_word(&mut self, dst: Reg) {
        if self.narrow {
            return;
        }
        self.asm.load_extended(2, true, dst, dst);
    }

    /// `dst = 1` if the condition holds, else 0.
    pub(super) fn set_if(&mut self, dst: Reg, cond: Cond) {
        self.asm.set(cond, RAX);
        self.asm.load_extended(0, false, dst, RAX);
    }

    /// Zero.
    pub(super) fn clear(&mut self, dst: Reg) {
        self.asm.alu(Alu::Xor, B32, dst, dst);
    }
}
