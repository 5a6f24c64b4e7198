//! From the meaning of guest instructions to steps: the translator's [`isa::Context`]. Constants, and addresses in the page
//! of code, are known from here on, within a block.

use isa::csr;
use isa::{Amo, Binary, Comparison, Context, CsrAccess, FloatOp, Insn, Op, Precision, SINK, Width};

use super::float::{Floats, operation};
use super::listing::Planned;
use super::parts::{Access, Address, Csr, FloatUnit, Miss, Operand, Place, To};
use super::step::Step;
use super::target::Target;

/// A value, or how to compute it: the step is made where its destination is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Leaf(Operand),
    /// Address of the page of code plus this.
    Pc(i64),
    Binary(Binary, Operand, Operand),
    /// Already where the instruction has its result.
    Done,
}

/// Why an instruction has no steps of its own.
#[derive(Debug)]
pub(crate) enum Exit {
    /// It is left to a helper.
    Helper,
}

/// What is known of a register, within a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Const(u64),
    Pc(i64),
}

/// What is known of registers, within a block. Of those that are not, the value means nothing.
#[derive(Default)]
pub(crate) struct Facts {
    /// Registers that are constants, one bit each; that are addresses in the page of code.
    constants: u32,
    addresses: u32,
    values: [u64; 32],
}

impl Facts {
    fn of(&self, guest: u8) -> Option<Known> {
        let value = self.values[usize::from(guest)];
        match (self.constants >> guest & 1, self.addresses >> guest & 1) {
            (0, 0) => None,
            (0, _) => Some(Known::Pc(value.cast_signed())),
            _ => Some(Known::Const(value)),
        }
    }

    fn note(&mut self, guest: u8, known: Option<Known>) {
        let bit = 1 << guest;
        (self.constants, self.addresses) = (self.constants & !bit, self.addresses & !bit);
        match known {
            None => {}
            Some(Known::Const(value)) => {
                self.constants |= bit;
                self.values[usize::from(guest)] = value;
            }
            Some(Known::Pc(offset)) => {
                self.addresses |= bit;
                self.values[usize::from(guest)] = offset.cast_unsigned();
            }
        }
    }
}

/// Plans the instructions of a block, one by one.
pub(crate) struct Lowering<'a> {
    target: &'a Target,
    steps: &'a mut Vec<Step>,
    /// In a region no helper is called, so that nobody changes behind our back what is known.
    in_region: bool,
    insn: Insn,
    offset: u16,
    facts: &'a mut Facts,
    floats: Floats,
    /// The instruction may be executed by others.
    shared: bool,
}

impl<'a> Lowering<'a> {
    /// At the start of a block, whose steps go to `steps`; `facts` are those of another block.
    pub(crate) fn new(
        target: &'a Target,
        facts: &'a mut Facts,
        steps: &'a mut Vec<Step>,
        in_region: bool,
    ) -> Self {
        (facts.constants, facts.addresses) = (0, 0);
        Lowering {
            target,
            steps,
            in_region,
            insn: Insn::illegal(0, 2),
            offset: 0,
            facts,
            floats: Floats::default(),
            shared: false,
        }
    }

    /// Adds a step that is no instruction's, but perhaps a change of a register of which more was known.
    pub(crate) fn pass(&mut self, step: Step, changed: Option<u8>) {
        if let Some(guest) = changed {
            self.facts.note(guest, None);
        }
        self.steps.push(step);
    }

    /// Adds the steps of an instruction, by its number in the plan.
    pub(crate) fn instruction(&mut self, number: u16, planned: &Planned) {
        (self.insn, self.offset, self.shared) = (planned.insn, planned.offset, false);
        self.steps.push(Step::Insn(number));
        let insn = planned.insn;
        if let Err(Exit::Helper) = isa::execute(self, &insn) {
            self.steps.push(Step::Helper);
            if !self.in_region {
                self.facts.note(insn.rd & 31, None);
                self.floats.helped(insn.rd, insn.op.is_float());
            }
        }
        if self.shared {
            self.steps.push(Step::Behind);
        }
    }

    fn here(&self) -> i64 {
        self.offset.into()
    }

    /// Where the result of the instruction goes.
    fn destination(&self) -> Place {
        match self.insn.rd {
            0 | SINK => Place::Nowhere,
            rd => Place::X(rd),
        }
    }

    /// Adds a step which others may execute the instruction instead of.
    fn share(&mut self, step: Step) {
        self.shared = true;
        self.steps.push(step);
    }

    /// The two steps of the target of an indirect jump become one: the link may overwrite the register.
    fn jump_target(&mut self, op: Binary, a: Value, b: Operand) -> Value {
        let Operand::Const(b) = b else {
            unreachable!("the target is a register plus a constant, made even")
        };
        match a {
            Value::Pc(offset) => Value::Pc(offset & b.cast_signed()),
            Value::Leaf(Operand::Const(a)) => Value::Leaf(Operand::Const(op.evaluate(a, b))),
            Value::Leaf(Operand::At(Place::X(guest))) => {
                if let Some(Known::Pc(offset)) = self.facts.of(guest) {
                    return Value::Pc(offset.wrapping_add(b.cast_signed()));
                }
                self.steps.push(Step::Target {
                    base: Operand::x(guest),
                    offset: i32::try_from(b.cast_signed()).expect("an immediate"),
                });
                Value::Leaf(Operand::At(Place::Temp))
            }
            // Made even by the same step.
            done => done,
        }
    }
}

/// A value that was read from a register, or is known.
fn leaf(value: Value) -> Operand {
    match value {
        Value::Leaf(operand) => operand,
        _ => unreachable!("operands are read from registers"),
    }
}

/// A virtual address.
fn address(value: Value) -> Address {
    match value {
        Value::Binary(Binary::Add, base, Operand::Const(offset)) => Address {
            base,
            offset: i32::try_from(offset.cast_signed()).expect("an immediate"),
        },
        value => Address {
            base: leaf(value),
            offset: 0,
        },
    }
}

fn precision(width: Width) -> Precision {
    match width {
        Width::Word => Precision::Single,
        _ => Precision::Double,
    }
}

impl Context for Lowering<'_> {
    type Value = Value;
    type Condition = (Comparison, Operand, Operand);
    type Exit = Exit;

    fn constant(&mut self, value: u64) -> Value {
        Value::Leaf(Operand::Const(value))
    }

    fn read_x(&mut self, register: u8) -> Value {
        Value::Leaf(match (register, self.facts.of(register)) {
            (0, _) => Operand::Const(0),
            (_, Some(Known::Const(value))) => Operand::Const(value),
            _ => Operand::x(register),
        })
    }

    fn write_x(&mut self, register: u8, value: Value) {
        if register == 0 || register == SINK {
            return;
        }
        let dst = Place::X(register);
        let mut known = None;
        match value {
            Value::Done => {}
            Value::Leaf(Operand::Const(value)) => {
                known = Some(Known::Const(value));
                self.steps.push(Step::Set { dst, value });
            }
            Value::Leaf(src) => self.steps.push(Step::Move { dst, src }),
            Value::Pc(offset) => {
                known = Some(Known::Pc(offset));
                self.steps.push(match self.insn.op {
                    Op::Jalr => Step::Link { dst, offset },
                    _ => Step::PageAddress { dst, offset },
                });
            }
            Value::Binary(op, a, b) => self.steps.push(Step::Compute {
                op,
                dst,
                a,
                b,
                narrow: false,
            }),
        }
        self.facts.note(register, known);
    }

    fn read_f(&mut self, register: u8) -> Value {
        Value::Leaf(Operand::F(register))
    }

    fn write_f(&mut self, _: u8, value: Value) {
        let dst = self.insn.rd;
        match (self.insn.op, value) {
            // A load or an operation, complete.
            (_, Value::Done) => {}
            (_, Value::Binary(op, Operand::F(a), Operand::F(b))) => {
                let precision = match op {
                    Binary::SignSingle | Binary::SignNegatedSingle | Binary::SignXorSingle => {
                        Precision::Single
                    }
                    _ => Precision::Double,
                };
                self.need_boxes(precision, &[a, b]);
                self.steps.push(Step::FloatSign { op, dst, a, b });
                self.floats.written(dst, precision);
            }
            (Op::FmvWX, Value::Binary(Binary::Or, src, _)) => {
                self.steps.push(Step::FloatBits {
                    dst,
                    src,
                    single: true,
                });
                self.floats.written(dst, Precision::Single);
            }
            (op, value) => {
                // Of a single it is a known value, box included.
                self.steps.push(Step::FloatBits {
                    dst,
                    src: leaf(value),
                    single: false,
                });
                let precision = match op {
                    Op::FmvWX => Precision::Single,
                    _ => Precision::Double,
                };
                self.floats.written(dst, precision);
            }
        }
    }

    fn pc_relative(&mut self, offset: i32) -> Value {
        Value::Pc(self.here() + i64::from(offset))
    }

    fn binary(&mut self, op: Binary, a: Value, b: Value) -> Value {
        if self.insn.op == Op::Jalr {
            return self.jump_target(op, a, leaf(b));
        }
        // A single that was loaded is already boxed.
        if let Value::Done = a {
            return a;
        }
        match (op, leaf(a), leaf(b)) {
            (_, Operand::Const(a), Operand::Const(b)) => {
                Value::Leaf(Operand::Const(op.evaluate(a, b)))
            }
            (Binary::Add | Binary::Or | Binary::Xor, operand, Operand::Const(0))
            | (Binary::Add | Binary::Or | Binary::Xor, Operand::Const(0), operand) => {
                Value::Leaf(operand)
            }
            (op, a, b) => Value::Binary(op, a, b),
        }
    }

    fn compare(&mut self, comparison: Comparison, a: Value, b: Value) -> Self::Condition {
        (comparison, leaf(a), leaf(b))
    }

    fn branch(&mut self, (comparison, a, b): Self::Condition, offset: i32) {
        let to = To::Offset(self.here() + i64::from(offset));
        if let (Operand::Const(a), Operand::Const(b)) = (a, b) {
            if comparison.evaluate(a, b) {
                self.steps.push(Step::Jump(to));
            }
            return;
        }
        self.steps.push(Step::Compare { comparison, a, b });
        self.steps.push(Step::Branch(to));
    }

    fn jump(&mut self, offset: i32) {
        let to = To::Offset(self.here() + i64::from(offset));
        self.steps.push(Step::Jump(to));
    }

    fn jump_to(&mut self, target: Value) {
        self.steps.push(match target {
            Value::Pc(offset) => Step::Jump(To::Offset(offset)),
            target => Step::JumpTo(leaf(target)),
        });
    }

    fn load(&mut self, width: Width, signed: bool, from: Value) -> Result<Value, Exit> {
        let address = address(from);
        if self.insn.op.is_float() {
            let (precision, dst) = (precision(width), self.insn.rd);
            self.steps.push(Step::LoadFloat {
                precision,
                dst,
                address,
                access: Access::Alone,
                miss: Miss::Helper,
            });
            self.floats.written(dst, precision);
            return Ok(Value::Done);
        }
        let dst = self.destination();
        self.steps.push(Step::Load {
            width,
            signed,
            dst,
            address,
            access: Access::Alone,
            miss: Miss::Helper,
        });
        Ok(Value::Done)
    }

    fn store(&mut self, width: Width, to: Value, value: Value) -> Result<(), Exit> {
        self.steps.push(Step::Store {
            width,
            value: leaf(value),
            address: address(to),
            access: Access::Alone,
            miss: Miss::Helper,
        });
        Ok(())
    }

    fn load_reserved(&mut self, width: Width, _: Value) -> Result<Value, Exit> {
        self.share(Step::LoadReserved {
            width,
            dst: self.destination(),
            address: Place::X(self.insn.rs1),
            miss: Miss::Helper,
        });
        Ok(Value::Done)
    }

    fn store_conditional(&mut self, width: Width, _: Value, value: Value) -> Result<Value, Exit> {
        self.share(Step::StoreConditional {
            width,
            dst: self.destination(),
            address: Place::X(self.insn.rs1),
            value: leaf(value),
            miss: Miss::Helper,
        });
        Ok(Value::Done)
    }

    fn amo(&mut self, amo: Amo, width: Width, _: Value, operand: Value) -> Result<Value, Exit> {
        self.share(Step::Amo {
            amo,
            width,
            dst: self.destination(),
            address: Place::X(self.insn.rs1),
            operand: leaf(operand),
            miss: Miss::Helper,
        });
        Ok(Value::Done)
    }

    /// Those that kernels touch with each system call and lock, and the rounding mode, which libraries like to look at.
    fn csr(&mut self, number: u16, access: CsrAccess, operand: Value) -> Result<Value, Exit> {
        let csr = match number {
            csr::SSTATUS => Csr::Sstatus,
            csr::SSCRATCH => Csr::Sscratch,
            csr::SEPC => Csr::Sepc,
            csr::SCAUSE => Csr::Scause,
            csr::STVAL => Csr::Stval,
            csr::FRM if access == CsrAccess::Read => {
                self.require_float()?;
                return Ok(Value::Leaf(Operand::Const(0)));
            }
            _ => return Err(Exit::Helper),
        };
        self.share(Step::Csr {
            csr,
            access,
            dst: self.destination(),
            operand: leaf(operand),
            miss: Miss::Helper,
        });
        if csr == Csr::Sstatus && access != CsrAccess::Read {
            self.floats.helped(0, false);
        }
        Ok(Value::Done)
    }

    fn require_float(&mut self) -> Result<(), Exit> {
        let only_on = matches!(self.insn.op, Op::Fsw | Op::Fsd | Op::FmvXW | Op::FmvXD);
        let unit = if only_on {
            FloatUnit::On
        } else {
            FloatUnit::Ready
        };
        if self.floats.needs(unit) {
            let miss = Miss::Rest;
            self.share(Step::NeedFloat { unit, miss });
        }
        Ok(())
    }

    fn float(
        &mut self,
        op: FloatOp,
        precision: Precision,
        rm: u8,
        [a, ..]: [Value; 3],
    ) -> Result<Value, Exit> {
        // An operand that is read from a float register is named by the instruction.
        let integer = match a {
            Value::Leaf(operand) => operand,
            _ => unreachable!("operands are read from registers"),
        };
        let dst = self.destination();
        let planned = operation(op, precision, rm, &self.insn, dst, integer, self.target);
        let planned = planned.ok_or(Exit::Helper)?;
        self.need_boxes(planned.boxes, &planned.needed[..planned.needed_len]);
        self.shared |= planned.shared;
        self.steps.push(planned.step);
        if let Some(precision) = planned.written {
            self.floats.written(self.insn.rd, precision);
        }
        Ok(Value::Done)
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

impl Lowering<'_> {
    /// Makes sure that registers hold boxed singles, if that is what they should.
    fn need_boxes(&mut self, precision: Precision, floats: &[u8]) {
        for float in floats {
            if precision == Precision::Single && self.floats.needs_box(*float) {
                let (float, miss) = (*float, Miss::Rest);
                self.share(Step::NeedBox { float, miss });
            }
        }
    }
}
