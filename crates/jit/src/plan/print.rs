//! Plans in words, for people and tests: virtual registers are `x10`, slots `r3`, homes `[x10]`, the temporary `t`.

use std::fmt::{self, Display, Formatter};

use super::listing::Plan;
use super::parts::{Access, Address, Miss, Operand, Place, Reload, Section, Shift, To};
use super::step::Step;

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Place::Nowhere => write!(f, "_"),
            Place::X(guest) => write!(f, "x{guest}"),
            Place::Slot(slot) => write!(f, "r{slot}"),
            Place::Home(guest) => write!(f, "[x{guest}]"),
            Place::Temp => write!(f, "t"),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Operand::Const(value) if value < 10 => write!(f, "{value}"),
            Operand::Const(value) => write!(f, "{value:#x}"),
            Operand::At(place) => write!(f, "{place}"),
            Operand::F(guest) => write!(f, "f{guest}"),
        }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:+}", self.base, self.offset)
    }
}

impl Display for Section {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "section {}", self.0)
    }
}

impl Display for Miss {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Miss::Helper => write!(f, "helper"),
            Miss::Rest => write!(f, "rest"),
            Miss::Again => write!(f, "again"),
            Miss::Exit(section) => write!(f, "{section}"),
        }
    }
}

impl Display for To {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            To::Offset(offset) => write!(f, "{offset:#x}?"),
            To::Page(offset) => write!(f, "{offset:#x}"),
            To::Block(number) => write!(f, "block {number}"),
            To::Section(section) => write!(f, "{section}"),
        }
    }
}

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Access::Alone => write!(f, "alone"),
            Access::BasePage(place) => write!(f, "page of {place}"),
            Access::First {
                pointer,
                keep,
                span,
                distance,
            } => {
                let kept = if keep { ", kept" } else { "" };
                write!(
                    f,
                    "first of p{pointer} for {span} bytes{kept}, at +{distance}"
                )
            }
            Access::Member {
                pointer,
                distance,
                reload,
            } => {
                let how = match reload {
                    Reload::Not => "",
                    Reload::Kept => ", reloaded",
                    Reload::Lost => ", lost",
                };
                write!(f, "p{pointer} +{distance}{how}")
            }
        }
    }
}

impl Display for Shift {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Shift {
            op,
            guest,
            source,
            by,
        } = self;
        write!(f, "x{guest} = {op:?}(x{source}, {by})")
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Step::Charge { positions, exit } => write!(f, "charge {positions}, or {exit}"),
            Step::Spill { guest, slot } => write!(f, "[x{guest}] = r{slot}"),
            Step::Fill { guest, slot } => write!(f, "r{slot} = [x{guest}]"),
            Step::Extend(slots) => write!(f, "extend {slots:#b}"),
            Step::Set { dst, value } => write!(f, "{dst} = {}", Operand::Const(value)),
            Step::Move { dst, src } => write!(f, "{dst} = {src}"),
            Step::PageAddress { dst, offset } => write!(f, "{dst} = page {offset:+}"),
            Step::Link { dst, offset } => write!(f, "link {dst} = page {offset:+}"),
            Step::Compute {
                op,
                dst,
                a,
                b,
                narrow,
            } => {
                let narrow = if narrow { ", narrow" } else { "" };
                write!(f, "{dst} = {op:?}({a}, {b}){narrow}")
            }
            Step::Rotate {
                dst,
                src,
                by,
                word,
                narrow,
            } => {
                let bits = if word { 32 } else { 64 };
                let narrow = if narrow { ", narrow" } else { "" };
                write!(f, "{dst} = Rotate{bits}({src}, {by}){narrow}")
            }
            Step::Defer(shift) => write!(f, "defer {shift}"),
            Step::Due(shift) => write!(f, "due {shift}"),
            Step::Materialize { op, dst, src, by } => {
                write!(f, "materialize {dst} = {op:?}({src}, {by})")
            }
            Step::Load {
                width,
                dst,
                address,
                access,
                miss,
                ..
            } => write!(f, "{dst} = {width:?} at {address} ({access}), or {miss}"),
            Step::LoadFloat {
                precision,
                dst,
                address,
                access,
                miss,
            } => write!(
                f,
                "f{dst} = {precision:?} at {address} ({access}), or {miss}"
            ),
            Step::Store {
                width,
                value,
                address,
                access,
                miss,
            } => write!(f, "{width:?} at {address} = {value} ({access}), or {miss}"),
            Step::Compare { comparison, a, b } => write!(f, "compare {a} {comparison:?} {b}"),
            Step::Branch(to) => write!(f, "branch to {to}"),
            Step::Jump(to) => write!(f, "jump to {to}"),
            Step::Target { base, offset } => write!(f, "t = target {base} {offset:+}"),
            Step::JumpTo(target) => write!(f, "jump to what {target} has"),
            Step::Cross(target) => write!(f, "cross to {target:#x}"),
            ref step => write!(f, "{step:?}"),
        }
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            self.line(step, f)?;
        }
        for number in 0..self.sections.len() as u16 {
            writeln!(f, "section {number}:")?;
            for step in self.section(Section(number)) {
                self.line(step, f)?;
            }
        }
        Ok(())
    }
}

impl Plan {
    fn line(&self, step: &Step, f: &mut Formatter<'_>) -> fmt::Result {
        match *step {
            Step::Block(number) | Step::Entry(number) => {
                let start = self.blocks[usize::from(number)].start;
                let what = match step {
                    Step::Block(_) => "block",
                    _ => "entry of block",
                };
                writeln!(f, "{what} {number} at {start:#x}:")
            }
            Step::Insn(number) | Step::Guest(number) => {
                let planned = &self.insns[usize::from(number)];
                let guest = match step {
                    Step::Guest(_) => "guest ",
                    _ => "",
                };
                writeln!(f, "  {:03x}: {guest}{}", planned.offset, planned.insn)
            }
            step => writeln!(f, "    {step}"),
        }
    }
}
