//! From the meaning of one instruction to host code: the translator's [`isa::Context`].

use isa::{Amo, Binary, Comparison, Context, CsrAccess, FloatOp, Insn, Op, Precision, SINK, Width};

use super::asm::{Alu, Asm, B32, B64, Cond, RAX, RCX, RDX, Reg, Rm, Site, at};
use super::cold::Cold;
use super::float::Floats;
use super::helpers::{self, Record};
use super::layout;
use super::map::{Map, float_home, home};
use super::memory::Access;
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
enum Known {
    Const(u64),
    Pc(i64),
}

/// What is known at a place in a block, however it was reached.
#[derive(Clone, Default)]
pub(super) struct Facts {
    known: [Option<Known>; 32],
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
        if self.access.plans.is_empty() {
            self.exact.push(site);
        } else {
            self.access.to_second.push((site, self.access.index));
        }
    }

    /// Has the instruction executed by a helper.
    fn helper(&mut self) {
        let record = self.asm.lea_site(RCX);
        self.asm.call_to(self.thunks.execute);
        self.cold.push(Cold::Record {
            site: record,
            record: self.record(),
        });
        let written = usize::from(self.insn.rd & 31);
        self.facts.known[written] = None;
        let is_float = helpers::is_float(self.insn.op);
        self.facts.floats.helped(self.insn.rd, is_float);
    }

    pub(super) fn record(&self) -> Record {
        Record {
            insn: self.insn,
            page: self.page,
            offset: self.offset,
            ahead: self.ahead,
            ends: matches!(
                self.insn.op,
                Op::Ecall | Op::Ebreak | Op::Sret | Op::Mret | Op::Wfi | Op::Illegal
            ),
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
    fn page_address(&mut self, dst: Reg, offset: i64) {
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

    fn branch_to_offset(&mut self, cond: Cond, target: i64) {
        let site = self.asm.jump_if(cond);
        match u16::try_from(target) {
            Ok(target @ 0..4096) => self.links.push(Link { site, target }),
            _ => self.cold.push(Cold::Cross { site, target }),
        }
    }

    fn here(&self) -> i64 {
        self.offset.into()
    }
}

/// A value that was read from a register, or is known.
fn in_register(value: Value) -> Leaf {
    match value {
        Value::Leaf(leaf) => leaf,
        _ => unreachable!("operands are read from registers"),
    }
}

impl Context for Emitter<'_> {
    type Value = Value;
    type Condition = (Comparison, Leaf, Leaf);
    type Exit = Exit;

    fn constant(&mut self, value: u64) -> Value {
        Value::Leaf(Leaf::Const(value))
    }

    fn read_x(&mut self, register: u8) -> Value {
        Value::Leaf(match (register, self.facts.known[usize::from(register)]) {
            (0, _) => Leaf::Const(0),
            (_, Some(Known::Const(value))) => Leaf::Const(value),
            _ => Leaf::X(register),
        })
    }

    fn write_x(&mut self, register: u8, value: Value) {
        if register == 0 || register == SINK {
            return;
        }
        let host = self.map.host(register);
        // Not RAX, which may hold the target of a jump.
        let temp = if self.insn.op == Op::Jalr { RCX } else { RAX };
        let dst = host.unwrap_or(temp);
        let mut known = None;
        match value {
            Value::Done => {}
            Value::Leaf(Leaf::Const(value)) => {
                known = Some(Known::Const(value));
                match i32::try_from(value.cast_signed()) {
                    Ok(short) if host.is_none() => self.asm.store_imm(3, home(register), short),
                    _ => {
                        self.asm.mov_imm(dst, value);
                        self.put(register, host, dst);
                    }
                }
            }
            Value::Leaf(leaf) => {
                self.fetch(dst, leaf);
                self.put(register, host, dst);
            }
            Value::Pc(offset) => {
                known = Some(Known::Pc(offset));
                self.page_address(dst, offset);
                self.put(register, host, dst);
            }
            Value::Binary(op, a, b) => {
                self.compute(dst, op, a, b);
                self.put(register, host, dst);
            }
        }
        self.facts.known[usize::from(register)] = known;
    }

    fn read_f(&mut self, register: u8) -> Value {
        Value::Leaf(Leaf::F(register))
    }

    fn write_f(&mut self, _: u8, value: Value) {
        self.write_float(value);
    }

    fn pc_relative(&mut self, offset: i32) -> Value {
        Value::Pc(self.here() + i64::from(offset))
    }

    fn binary(&mut self, op: Binary, a: Value, b: Value) -> Value {
        if self.insn.op == Op::Jalr {
            return self.jump_target(op, a, b);
        }
        // A single that was loaded is already boxed.
        if let Value::Done = a {
            return a;
        }
        let (a, b) = (self.settle(a), self.settle(b));
        match (op, a, b) {
            (_, Leaf::Const(a), Leaf::Const(b)) => Value::Leaf(Leaf::Const(op.evaluate(a, b))),
            (Binary::Add | Binary::Or | Binary::Xor, leaf, Leaf::Const(0))
            | (Binary::Add | Binary::Or | Binary::Xor, Leaf::Const(0), leaf) => Value::Leaf(leaf),
            _ => Value::Binary(op, a, b),
        }
    }

    fn compare(&mut self, comparison: Comparison, a: Value, b: Value) -> Self::Condition {
        (comparison, self.settle(a), self.settle(b))
    }

    fn branch(&mut self, (comparison, a, b): Self::Condition, offset: i32) {
        let target = self.here() + i64::from(offset);
        if let (Leaf::Const(a), Leaf::Const(b)) = (a, b) {
            if comparison.evaluate(a, b) {
                self.jump_to_offset(target);
            }
            return;
        }
        let cond = self.compare_leaves(comparison, a, b);
        self.branch_to_offset(cond, target);
    }

    fn jump(&mut self, offset: i32) {
        self.jump_to_offset(self.here() + i64::from(offset));
    }

    fn jump_to(&mut self, target: Value) {
        match target {
            Value::Pc(offset) => self.jump_to_offset(offset),
            target => {
                let leaf = self.settle(target);
                self.fetch(RAX, leaf);
                thunks::indirect_jump(&mut self.asm, self.thunks.miss);
            }
        }
    }

    fn load(&mut self, width: Width, signed: bool, address: Value) -> Result<Value, Exit> {
        if helpers::is_float(self.insn.op) {
            return Ok(self.load_float(address, width));
        }
        let dst = self.destination(self.insn.rd);
        if !self.load_in_group(width, signed, dst) {
            let address = self.address(address);
            self.load_from(address, width, signed, dst);
        }
        Ok(if dst == RAX {
            Value::Leaf(Leaf::Temp)
        } else {
            Value::Done
        })
    }

    fn store(&mut self, width: Width, address: Value, value: Value) -> Result<(), Exit> {
        let value = in_register(value);
        if !self.store_in_group(width, value) {
            let address = self.address(address);
            self.store_to(address, width, value);
        }
        Ok(())
    }

    fn load_reserved(&mut self, width: Width, _: Value) -> Result<Value, Exit> {
        let address = self.atomic_address();
        self.load_reserved_at(width, address);
        Ok(Value::Done)
    }

    fn store_conditional(&mut self, width: Width, _: Value, value: Value) -> Result<Value, Exit> {
        let (address, value) = (self.atomic_address(), in_register(value));
        self.store_conditional_at(width, address, value);
        Ok(Value::Done)
    }

    fn amo(&mut self, amo: Amo, width: Width, _: Value, operand: Value) -> Result<Value, Exit> {
        let (address, operand) = (self.atomic_address(), in_register(operand));
        self.amo_at(amo, width, address, operand);
        Ok(Value::Done)
    }

    fn csr(&mut self, csr: u16, access: CsrAccess, operand: Value) -> Result<Value, Exit> {
        self.csr_access(csr, access, in_register(operand))
    }

    fn require_float(&mut self) -> Result<(), Exit> {
        self.float_ready();
        Ok(())
    }

    fn float(
        &mut self,
        op: FloatOp,
        precision: Precision,
        rm: u8,
        [a, ..]: [Value; 3],
    ) -> Result<Value, Exit> {
        self.float_operation(op, precision, rm, a)
    }

    fn environment_call(&mut self) -> Result<(), Exit> {
        Err(Exit::Helper)
    }

    fn breakpoint(&mut self) -> Result<(), Exit> {
        Err(Exit::Helper)
    }

    fn illegal(&mut self) -> Result<(), Exit> {
        Err(Exit::Helper)
    }

    fn machine_return(&mut self) -> Result<(), Exit> {
        Err(Exit::Helper)
    }

    fn supervisor_return(&mut self) -> Result<(), Exit> {
        Err(Exit::Helper)
    }

    fn wait_for_interrupt(&mut self) -> Result<(), Exit> {
        Err(Exit::Helper)
    }

    fn fence_translations(&mut self, _: Option<Value>, _: Option<Value>) -> Result<(), Exit> {
        Err(Exit::Helper)
    }

    /// There is one hart, and it sees its own accesses in order.
    fn fence_memory(&mut self) -> Result<(), Exit> {
        Ok(())
    }

    /// Stores into code act at once anyway.
    fn fence_instructions(&mut self) -> Result<(), Exit> {
        Ok(())
    }
}

impl Emitter<'_> {
    /// Moves a result to memory, if its register lives there.
    pub(super) fn put(&mut self, register: u8, host: Option<Reg>, from: Reg) {
        if host.is_none() {
            self.asm.store(home(register), from);
        }
    }

    /// The two steps of the target of an indirect jump, computed at once: the link may overwrite the register.
    fn jump_target(&mut self, op: Binary, a: Value, b: Value) -> Value {
        if let (Value::Leaf(leaf), Value::Leaf(Leaf::Const(b))) = (a, b) {
            if let Leaf::X(register) = leaf
                && op == Binary::Add
                && let Some(Known::Pc(offset)) = self.facts.known[usize::from(register)]
            {
                return Value::Pc(offset.wrapping_add(b.cast_signed()));
            }
            if let Leaf::Const(a) = leaf {
                return Value::Leaf(Leaf::Const(op.evaluate(a, b)));
            }
            self.fetch(RAX, leaf);
            let op = if op == Binary::Add {
                Alu::Add
            } else {
                Alu::And
            };
            let imm = i32::try_from(b.cast_signed()).expect("an immediate or a mask");
            if (op, imm) != (Alu::Add, 0) {
                self.asm.alu_imm(op, B64, RAX, imm);
            }
            return Value::Leaf(Leaf::Temp);
        }
        match (a, b) {
            (Value::Pc(offset), Value::Leaf(Leaf::Const(mask))) => {
                Value::Pc(offset & mask.cast_signed())
            }
            _ => unreachable!("the target is a register plus a constant, made even"),
        }
    }

    /// A virtual address: the register that holds it.
    pub(super) fn address(&mut self, address: Value) -> Reg {
        match address {
            Value::Leaf(Leaf::X(guest)) if let Some(host) = self.map.host(guest) => host,
            Value::Leaf(leaf) => {
                self.fetch(RAX, leaf);
                RAX
            }
            Value::Binary(Binary::Add, base, Leaf::Const(offset)) => {
                let offset = i32::try_from(offset.cast_signed()).expect("an immediate");
                self.address_of(base, offset)
            }
            value => {
                self.settle(value);
                RAX
            }
        }
    }

    /// The virtual address `base + offset`: the register that holds it.
    pub(super) fn address_of(&mut self, base: Leaf, offset: i32) -> Reg {
        match self.operand(base) {
            Rm::Reg(base) if offset == 0 => return base,
            Rm::Reg(base) => self.asm.lea(B64, RAX, at(base, offset)),
            base => {
                self.asm.mov(B64, RAX, base);
                if offset != 0 {
                    self.asm.alu_imm(Alu::Add, B64, RAX, offset);
                }
            }
        }
        RAX
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
        });
    }

    /// Leaves the instruction at `offset` to the interpreter.
    pub(super) fn leave_to_interpreter(&mut self, offset: u16) {
        self.asm.mov_imm(RAX, offset.into());
        self.asm.jump_to(self.thunks.step);
    }

    /// Emits a comparison of a value with zero or another; returns the condition under which it holds.
    pub(super) fn compare_leaves(&mut self, comparison: Comparison, a: Leaf, b: Leaf) -> Cond {
        if let Leaf::Const(value) = a {
            // The operands change places.
            let cond = match comparison {
                Comparison::Equal => Cond::Equal,
                Comparison::NotEqual => Cond::NotEqual,
                Comparison::Less => Cond::Greater,
                Comparison::GreaterEqual => Cond::LessEqual,
                Comparison::LessUnsigned => Cond::Above,
                Comparison::GreaterEqualUnsigned => Cond::BelowEqual,
            };
            self.compare_with(b, value);
            return cond;
        }
        match b {
            Leaf::Const(value) => self.compare_with(a, value),
            _ => match (self.operand(a), self.operand(b)) {
                (Rm::Reg(a), b) => self.asm.alu(Alu::Cmp, B64, a, b),
                (Rm::Mem(a), Rm::Reg(b)) => self.asm.alu_to(Alu::Cmp, B64, a, b),
                (a, b) => {
                    self.asm.mov(B64, RDX, a);
                    self.asm.alu(Alu::Cmp, B64, RDX, b);
                }
            },
        }
        match comparison {
            Comparison::Equal => Cond::Equal,
            Comparison::NotEqual => Cond::NotEqual,
            Comparison::Less => Cond::Less,
            Comparison::GreaterEqual => Cond::GreaterEqual,
            Comparison::LessUnsigned => Cond::Below,
            Comparison::GreaterEqualUnsigned => Cond::AboveEqual,
        }
    }

    fn compare_with(&mut self, leaf: Leaf, value: u64) {
        let operand = match leaf {
            Leaf::Const(constant) => {
                self.asm.mov_imm(RDX, constant);
                Rm::Reg(RDX)
            }
            leaf => self.operand(leaf),
        };
        match (i32::try_from(value.cast_signed()), operand) {
            (Ok(0), Rm::Reg(reg)) => self.asm.test(B64, reg, reg),
            (Ok(short), operand) => self.asm.alu_imm(Alu::Cmp, B64, operand, short),
            (Err(_), operand) => {
                // Compared the other way round, the condition would be another.
                let reg = match operand {
                    Rm::Reg(reg) => reg,
                    operand => {
                        self.asm.mov(B64, RDX, operand);
                        RDX
                    }
                };
                self.asm.mov_imm(RCX, value);
                self.asm.alu(Alu::Cmp, B64, reg, RCX);
            }
        }
    }

    /// `dst` = the low word of itself, sign-extended.
    pub(super) fn extend_word(&mut self, dst: Reg) {
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
