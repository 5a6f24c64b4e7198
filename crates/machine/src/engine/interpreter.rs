//! The interpreter.

use isa::{Insn, decode, execute};

use super::Engine;
use super::blocks::Blocks;
use super::operations::Step;
use crate::Position;
use crate::core::{ACCESS_EFFORT, Core};
use crate::hart::{Access, Trapped};
use crate::ram::PAGE_BYTES;

/// How the interpreter works. The results are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterpreterOptions {
    /// Keep decoded code; else every instruction is fetched and decoded anew.
    pub block_cache: bool,
}

impl Default for InterpreterOptions {
    fn default() -> InterpreterOptions {
        InterpreterOptions { block_cache: true }
    }
}

/// To decode a block.
const DECODE_EFFORT: u64 = 1024;

/// Executes instructions one by one, from decoded blocks.
pub struct Interpreter {
    options: InterpreterOptions,
    blocks: Blocks,
}

impl Interpreter {
    /// An interpreter without decoded code.
    pub fn new(options: InterpreterOptions) -> Interpreter {
        Interpreter {
            options,
            blocks: Blocks::default(),
        }
    }
}

impl Engine for Interpreter {
    fn run(&mut self, core: &mut Core, limit: Position) {
        if core.bus.ram.has_stale() {
            for page in core.bus.ram.take_stale() {
                self.blocks.drop_page(page);
            }
        }
        core.faults.begun = true;
        while !core.attention && core.hart.position < limit {
            if !self.options.block_cache {
                step(core);
                continue;
            }
            let pc = core.hart.pc;
            let Some(offset) = core.tlb.fetch_hit(pc) else {
                look_up(core);
                continue;
            };
            if let Some(block) = self.blocks.get(offset) {
                let left = limit.0 - core.hart.position.0;
                let len = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                run_block(core, &block[..len], pc);
                continue;
            }
            core.spend(DECODE_EFFORT);
            core.faults.begun = false;
            let decoded = self.blocks.decode(&mut core.bus.ram, offset);
            core.faults.begun = true;
            match decoded {
                Some(true) => core.tlb.slow_stores_to(offset / PAGE_BYTES * PAGE_BYTES),
                Some(false) => {}
                None => step(core),
            }
        }
        core.faults.begun = false;
    }
}

/// No jump: instructions are at even addresses.
const NO_JUMP: u64 = 1;

/// Executes instructions that follow each other in memory from `pc` on, as many as can be.
#[inline(always)]
fn run_block(core: &mut Core, insns: &[Insn], mut pc: u64) {
    let mut position = core.hart.position.0;
    let mut step = Step {
        core,
        jump: NO_JUMP,
    };
    for insn in insns {
        step.core.hart.pc = pc;
        step.core.hart.position = Position(position);
        pc = pc.wrapping_add(insn.length.into());
        if let Err(Trapped) = execute(&mut step, insn) {
            step.core.take_exception(insn.bits);
            return;
        }
        position += 1;
        if step.core.attention {
            break;
        }
    }
    step.core.hart.pc = if step.jump == NO_JUMP { pc } else { step.jump };
    step.core.hart.position = Position(position);
}

/// Looks up the translation of where the hart is, for an engine that finds no fast one: it is there then, or the attempt
/// at the instruction is over.
#[cold]
pub fn look_up(core: &mut Core) {
    let pc = core.hart.pc;
    let begun = std::mem::replace(&mut core.faults.begun, true);
    if let Err(Trapped) = core.translate(Access::Fetch, pc, 2) {
        core.take_exception(0);
    } else if core.tlb.fetch_hit(pc).is_none() {
        step(core);
    }
    core.faults.begun = begun;
}

/// Fetches, decodes and executes one instruction: for any engine, where it has nothing better.
#[cold]
pub fn step(core: &mut Core) {
    let begun = std::mem::replace(&mut core.faults.begun, true);
    core.spend(ACCESS_EFFORT);
    match fetch(core) {
        Ok(insn) => execute_one(core, &insn),
        Err(Trapped) => core.take_exception(0),
    }
    core.faults.begun = begun;
}

/// Executes one decoded instruction, that at the hart's `pc`, with everything that follows: for any engine,
/// where it has nothing better.
#[inline(never)]
pub fn execute_one(core: &mut Core, insn: &Insn) {
    let pc = core.hart.pc;
    run_block(core, std::slice::from_ref(insn), pc);
}

fn fetch(core: &mut Core) -> Result<Insn, Trapped> {
    let pc = core.hart.pc;
    let low = core.fetch(pc)?;
    if Insn::length_of(low) == 2 {
        return Ok(decode(low.into()).with_sink());
    }
    let high = core.fetch(pc.wrapping_add(2))?;
    Ok(decode(u32::from(high) << 16 | u32::from(low)).with_sink())
}
