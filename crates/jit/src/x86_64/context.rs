//! From the meaning of one instruction to host code: the translator's [`isa::Context`].

use isa::{Amo, Binary, Comparison, Context, CsrAccess, FloatOp, Op, Precision, SINK, Width};

use super::asm::{Alu, B64, RAX, RCX};
use super::emit::{Emitter, Exit, Known, Leaf, Value};
use super::map::home;
use super::thunks;

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
        if self.insn.op.is_float() {
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
}
