//! What translated code calls for everything that is off the straight path. Helpers see the hart whole, execute one
//! instruction as the interpreter does, and say how to go on.
//!
//! None may unwind into translated code, which nobody can unwind: each contains its panics.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use isa::{Access, Insn, Op};
use machine::engine::{execute_one, step};
use machine::hart::Trapped;
use machine::{Board, Cpu, Position};

use super::conventions::verdict;
use super::exceptions;

/// An instruction, for the helper that executes or completes it. It lies in the arena, beside the code.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Record {
    pub(super) insn: Insn,
    /// The offset in memory of its page.
    pub(super) page: u64,
    /// Its offset in the page.
    pub(super) offset: u16,
    /// Positions that its block was charged for: from this instruction on.
    pub(super) charged: u8,
    /// It never goes on behind itself.
    pub(super) ends: bool,
}

/// In RAX and RDX.
#[repr(C)]
pub(super) struct Reply {
    value: u64,
    verdict: u64,
}

/// The state in which translated code left the hart.
struct Paused<'a> {
    cpu: &'a mut Cpu,
    board: &'a mut Board,
    page: u64,
    limit: Position,
}

impl<'a> Paused<'a> {
    /// Makes the hart one that is about to execute the instruction.
    fn new(cpu: &'a mut Cpu, board: &'a mut Board, record: &Record, left: u64) -> Paused<'a> {
        let hart = &mut cpu.hart;
        let (page, limit) = (hart.pc, hart.position);
        hart.pc = page.wrapping_add(record.offset.into());
        hart.position = Position(
            limit
                .0
                .wrapping_sub(left)
                .wrapping_sub(record.charged.into()),
        );
        Paused {
            cpu,
            board,
            page,
            limit,
        }
    }

    /// Back to translated code, behind the instruction.
    fn go_on(self, value: u64) -> Reply {
        self.cpu.hart.pc = self.page;
        self.cpu.hart.position = self.limit;
        Reply {
            value,
            verdict: verdict::CONTINUE,
        }
    }

    /// To wherever the hart is now.
    fn resume(self) -> Reply {
        let left = self.limit.0.saturating_sub(self.cpu.hart.position.0);
        if self.cpu.attention || left == 0 {
            return Reply {
                value: 0,
                verdict: verdict::LEAVE,
            };
        }
        self.cpu.hart.position = self.limit;
        Reply {
            value: left,
            verdict: verdict::RESUME,
        }
    }

    fn trap(self, record: &Record) -> Reply {
        self.cpu.take_exception(self.board, record.insn.bits);
        self.resume()
    }

    /// Counts the instruction, which is done with.
    fn step(self, record: &Record) -> Reply {
        let hart = &mut self.cpu.hart;
        hart.pc = hart.pc.wrapping_add(record.insn.length.into());
        hart.position.0 += 1;
        self.resume()
    }
}

/// What it costs to leave translated code for an instruction, and to come back. Loads and stores cost what they look up.
const HELP_EFFORT: u64 = 32;

/// What a helper does. If it panics, the hart is about to execute the instruction, and translated code is left: the machine
/// decides how to go on. `harvested` says that the host's float exceptions are the helper's own.
fn contained(cpu: &mut Cpu, harvested: bool, help: impl FnOnce(&mut Cpu) -> Reply) -> Reply {
    match catch_unwind(AssertUnwindSafe(|| help(cpu))) {
        Ok(reply) => reply,
        Err(panic) => {
            if harvested {
                exceptions::discard();
            }
            cpu.interrupted(&*panic);
            Reply {
                value: 0,
                verdict: verdict::LEAVE,
            }
        }
    }
}

/// A load that no fast translation has: gives the value as the instruction extends it.
extern "sysv64" fn load(
    cpu: *mut Cpu,
    address: u64,
    record: *const Record,
    left: u64,
    board: *mut Board,
) -> Reply {
    // SAFETY: the engine lends cpu and board to translated code for the run, which passes them on and touches nothing until
    // this returns; the record was written beside the code by the translator, and stays as long as that.
    let (cpu, board, record) = unsafe { (&mut *cpu, &mut *board, &*record) };
    contained(cpu, false, |cpu| {
        load_for(cpu, board, address, record, left)
    })
}

fn load_for(cpu: &mut Cpu, board: &mut Board, address: u64, record: &Record, left: u64) -> Reply {
    let paused = Paused::new(cpu, board, record, left);
    let Access { width, signed } = accessed(&record.insn);
    match paused.cpu.load(paused.board, address, width) {
        Err(Trapped) => paused.trap(record),
        Ok(value) => {
            let value = if signed {
                width.sign_extend(value)
            } else {
                value
            };
            if !paused.cpu.attention {
                return paused.go_on(value);
            }
            let hart = &mut paused.cpu.hart;
            match record.insn.op {
                Op::Flw => hart.f[usize::from(record.insn.rd)] = isa::box_single(value as u32),
                Op::Fld => hart.f[usize::from(record.insn.rd)] = value,
                _ => hart.x[usize::from(record.insn.rd)] = value,
            }
            paused.step(record)
        }
    }
}

/// A store that no fast translation has.
extern "sysv64" fn store(
    cpu: *mut Cpu,
    address: u64,
    record: *const Record,
    left: u64,
    board: *mut Board,
    value: u64,
) -> Reply {
    // SAFETY: as in `load`.
    let (cpu, board, record) = unsafe { (&mut *cpu, &mut *board, &*record) };
    contained(cpu, false, |cpu| {
        store_for(cpu, board, address, record, left, value)
    })
}

fn store_for(
    cpu: &mut Cpu,
    board: &mut Board,
    address: u64,
    record: &Record,
    left: u64,
    value: u64,
) -> Reply {
    let paused = Paused::new(cpu, board, record, left);
    let Access { width, .. } = accessed(&record.insn);
    match paused.cpu.store(paused.board, address, width, value) {
        Err(Trapped) => paused.trap(record),
        Ok(()) if paused.cpu.attention => paused.step(record),
        Ok(()) => paused.go_on(0),
    }
}

/// Any instruction.
extern "sysv64" fn execute(
    cpu: *mut Cpu,
    _: u64,
    record: *const Record,
    left: u64,
    board: *mut Board,
) -> Reply {
    // SAFETY: as in `load`.
    let (cpu, board, record) = unsafe { (&mut *cpu, &mut *board, &*record) };
    let harvested = record.insn.op.is_float() || reads_flags(&record.insn);
    contained(cpu, harvested, |cpu| execute_for(cpu, board, record, left))
}

fn execute_for(cpu: &mut Cpu, board: &mut Board, record: &Record, left: u64) -> Reply {
    let paused = Paused::new(cpu, board, record, left);
    let cpu = &mut *paused.cpu;
    cpu.charge(HELP_EFFORT);
    let behind = cpu.hart.pc.wrapping_add(record.insn.length.into());
    let float = record.insn.op.is_float();
    if float || reads_flags(&record.insn) {
        exceptions::harvest(cpu);
    }
    execute_one(cpu, paused.board, &record.insn);
    if float {
        exceptions::discard();
    }
    let goes_on = !record.ends
        && !cpu.attention
        && cpu.hart.pc == behind
        && cpu.tlb.fetch_hit(paused.page) == Some(record.page as usize);
    if goes_on {
        paused.go_on(0)
    } else {
        paused.resume()
    }
}

/// The instructions of a block that are left, as the interpreter executes them.
extern "sysv64" fn rest(
    cpu: *mut Cpu,
    _: u64,
    record: *const Record,
    left: u64,
    board: *mut Board,
) -> Reply {
    // SAFETY: as in `load`.
    let (cpu, board, record) = unsafe { (&mut *cpu, &mut *board, &*record) };
    contained(cpu, true, |cpu| rest_for(cpu, board, record, left))
}

fn rest_for(cpu: &mut Cpu, board: &mut Board, record: &Record, left: u64) -> Reply {
    exceptions::harvest(cpu);
    let paused = Paused::new(cpu, board, record, left);
    for _ in 0..record.charged {
        step(paused.cpu, paused.board);
        if paused.cpu.attention {
            break;
        }
    }
    exceptions::discard();
    paused.resume()
}

/// An access to `fflags`, `frm` or `fcsr`.
fn reads_flags(insn: &Insn) -> bool {
    (Op::Csrrw..=Op::Csrrci).contains(&insn.op) && matches!(insn.csr(), 1..=3)
}

/// What a load or store accesses.
fn accessed(insn: &Insn) -> Access {
    insn.op.access().expect("only loads and stores get here")
}

pub(super) fn address_of_load() -> usize {
    load as *const () as usize
}

pub(super) fn address_of_store() -> usize {
    store as *const () as usize
}

pub(super) fn address_of_execute() -> usize {
    execute as *const () as usize
}

pub(super) fn address_of_rest() -> usize {
    rest as *const () as usize
}
