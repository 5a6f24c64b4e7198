//! The interpreter.

use isa::{Insn, decode, execute};

use super::Engine;
use super::blocks::Blocks;
use super::operations::Attempt;
use crate::Position;
use crate::board::Board;
use crate::cpu::{ACCESS_COST, Cpu};
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
const DECODE_COST: u64 = 1024;

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
    fn run(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position) {
        if board.ram.has_stale() {
            for page in board.ram.take_stale() {
                self.blocks.drop_page(page);
            }
        }
        cpu.faults.begun = true;
        while !cpu.attention && cpu.hart.position < limit {
            if !self.options.block_cache {
                step(cpu, board);
                continue;
            }
            let pc = cpu.hart.pc;
            let Some(offset) = cpu.tlb.fetch_hit(pc) else {
                look_up(cpu, board);
                continue;
            };
            if let Some(block) = self.blocks.get(offset) {
                let left = limit.0 - cpu.hart.position.0;
                let len = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                run_block(cpu, board, &block[..len], pc);
                continue;
            }
            cpu.charge(DECODE_COST);
            cpu.faults.begun = false;
            let decoded = self.blocks.decode(&mut board.ram, offset);
            cpu.faults.begun = true;
            match decoded {
                Some(true) => cpu.tlb.slow_stores_to(offset / PAGE_BYTES * PAGE_BYTES),
                Some(false) => {}
                None => step(cpu, board),
            }
        }
        cpu.faults.begun = false;
    }
}

/// No jump: instructions are at even addresses.
const NO_JUMP: u64 = 1;

/// Executes instructions that follow each other in memory from `pc` on, as many as can be.
#[inline(always)]
fn run_block(cpu: &mut Cpu, board: &mut Board, insns: &[Insn], mut pc: u64) {
    let mut position = cpu.hart.position.0;
    let mut attempt = Attempt {
        cpu,
        board,
        jump: NO_JUMP,
    };
    for insn in insns {
        attempt.cpu.hart.pc = pc;
        attempt.cpu.hart.position = Position(position);
        pc = pc.wrapping_add(insn.length.into());
        if let Err(Trapped) = execute(&mut attempt, insn) {
            attempt.cpu.take_exception(attempt.board, insn.bits);
            return;
        }
        position += 1;
        if attempt.cpu.attention {
            break;
        }
    }
    attempt.cpu.hart.pc = if attempt.jump == NO_JUMP {
        pc
    } else {
        attempt.jump
    };
    attempt.cpu.hart.position = Position(position);
}

/// Looks up the translation of where the hart is, for an engine that finds no fast one: it is there then, or the attempt
/// at the instruction is over.
#[cold]
pub fn look_up(cpu: &mut Cpu, board: &mut Board) {
    let pc = cpu.hart.pc;
    let begun = std::mem::replace(&mut cpu.faults.begun, true);
    if let Err(Trapped) = cpu.translate(board, Access::Fetch, pc, 2) {
        cpu.take_exception(board, 0);
    } else if cpu.tlb.fetch_hit(pc).is_none() {
        step(cpu, board);
    }
    cpu.faults.begun = begun;
}

/// Fetches, decodes and executes one instruction: for any engine, where it has nothing better.
#[cold]
pub fn step(cpu: &mut Cpu, board: &mut Board) {
    let begun = std::mem::replace(&mut cpu.faults.begun, true);
    cpu.charge(ACCESS_COST);
    match fetch(cpu, board) {
        Ok(insn) => execute_one(cpu, board, &insn),
        Err(Trapped) => cpu.take_exception(board, 0),
    }
    cpu.faults.begun = begun;
}

/// Executes one decoded instruction, that at the hart's `pc`, with everything that follows: for any engine,
/// where it has nothing better.
#[inline(never)]
pub fn execute_one(cpu: &mut Cpu, board: &mut Board, insn: &Insn) {
    let pc = cpu.hart.pc;
    run_block(cpu, board, std::slice::from_ref(insn), pc);
}

fn fetch(cpu: &mut Cpu, board: &mut Board) -> Result<Insn, Trapped> {
    let pc = cpu.hart.pc;
    let low = cpu.fetch(board, pc)?;
    if Insn::length_of(low) == 2 {
        return Ok(decode(low.into()).with_sink());
    }
    let high = cpu.fetch(board, pc.wrapping_add(2))?;
    Ok(decode(u32::from(high) << 16 | u32::from(low)).with_sink())
}
