//! The way into translated code and back.
#![allow(unsafe_code)]

use std::mem;

use machine::{Board, Cpu, Position};

use super::conventions::reason;
use super::thunks::Thunks;
use super::{exceptions, layout};
use crate::arena::{Arena, Entries};

/// Why translated code was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The hart is where it should go on, if it should.
    LookUp,
    /// Too few positions are left for the next block.
    Tail,
    /// The next instruction is to be interpreted.
    Step,
    /// As `LookUp`, and the jump at this arena offset, in the same page, wants to be directed there.
    Link(u32),
}

#[repr(C)]
pub(crate) struct Exit {
    reason: u64,
    link: u64,
}

impl Exit {
    fn reason(&self) -> Reason {
        match self.reason {
            reason::TAIL => Reason::Tail,
            reason::STEP => Reason::Step,
            reason::LINK => Reason::Link(self.link as u32),
            _ => Reason::LookUp,
        }
    }
}

type Enter = extern "sysv64" fn(
    *mut u8,
    *const machine::mmu::Fast,
    u64,
    usize,
    usize,
    usize,
    usize,
    *mut Board,
) -> Exit;

/// Executes from the hart's address on, for which `code` was translated, up to `limit`.
pub(crate) fn enter(
    arena: &Arena,
    entries: &Entries,
    thunks: &Thunks,
    cpu: &mut Cpu,
    board: &mut Board,
    code: u32,
    limit: Position,
) -> Reason {
    let left = limit.0 - cpu.hart.position.0;
    cpu.hart.position = limit;
    cpu.hart.pc &= !0xfff;
    let fast = cpu.tlb.fast_ptr();
    let start = arena.address();
    let memory = board.ram.base_address();
    // SAFETY: the thunk was made by `Thunks::make` for this signature and lies in the executable mapping, which
    // outlives the call.
    let enter: Enter = unsafe { mem::transmute(start + thunks.enter as usize) };
    let cpu: *mut Cpu = cpu;
    let board: *mut Board = board;
    // In bounds: the origin is in the register file.
    let state = cpu.cast::<u8>().wrapping_add(layout::ORIGIN);
    exceptions::discard();
    let exit = enter(
        state,
        fast,
        left,
        start + code as usize,
        entries.address(),
        start,
        memory,
        board,
    );
    // SAFETY: translated code has returned, and nobody else has the cpu.
    exceptions::harvest(unsafe { &mut *cpu });
    exit.reason()
}
