//! Translation: guest code where the hart is becomes a plan, and the plan code for the arena.

use machine::{Board, Cpu};

use crate::arena::{Arena, Entries};
use crate::host::{self, Code, Scratch, Thunks};
use crate::plan::{self, PAGE, Page, Plan, STRADDLING, Source, TRACE_MAX, Target, Trace, Tracer};

/// Where a translation is to be: at an offset in the arena, in so many bytes.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) start: u32,
    pub(crate) bytes: usize,
}

/// Translates, for one host.
pub(crate) struct Frontend {
    pub(crate) thunks: Thunks,
    target: Target,
    tracer: Tracer,
    // Kept for their capacity.
    plan: Plan,
    scratch: Scratch,
    buffer: Vec<u8>,
}

/// Code for the arena.
pub(crate) struct Translation {
    code: Code,
    /// Bytes that were made in vain, since not all fitted.
    vain: usize,
    /// The offset in memory of another page that it depends on.
    pub(crate) depends_on: Option<usize>,
}

impl Translation {
    /// Bytes that were made, also those that are not in it.
    pub(crate) fn made(&self) -> usize {
        self.vain + self.code.bytes.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.code.bytes.len()
    }

    pub(crate) fn place(&self, arena: &mut Arena) {
        self.code.place(arena);
    }
}

/// A region of hot code.
pub(crate) struct Hot {
    pub(crate) translation: Translation,
    /// Offsets in memory of instructions, and the code that now is for them.
    pub(crate) entries: Vec<(usize, u32)>,
}

impl Frontend {
    pub(crate) fn new(thunks: Thunks) -> Frontend {
        let target = host::target(&thunks);
        Frontend {
            thunks,
            target,
            tracer: Tracer::new(target),
            plan: Plan::default(),
            scratch: Scratch::default(),
            buffer: Vec::new(),
        }
    }

    /// Takes a translation's memory back, for the next one.
    pub(crate) fn recycle(&mut self, translation: Translation) {
        self.buffer = translation.code.bytes;
        self.buffer.clear();
    }

    /// Translates what is at `offset` in memory, and what follows it: as much of it as there is room for. What does not fit
    /// is tried again with half the instructions, down to one; if that does not fit, there is code that leaves it to the
    /// interpreter.
    pub(crate) fn trace(
        &mut self,
        (cpu, board): (&mut Cpu, &mut Board),
        entries: &mut Entries,
        offset: usize,
        room: Room,
    ) -> Translation {
        let (page, start) = (offset / PAGE * PAGE, offset % PAGE);
        let source = Source {
            page: Page {
                bytes: board.ram.page(page / PAGE),
            },
            next_page: next_page(cpu).and_then(|next| Some((next, board.ram.load(next)?))),
            has_code: |at| entries.get(page + at) != 0,
        };
        let mut limit = TRACE_MAX;
        let mut vain = 0;
        let (trace, code) = loop {
            let trace = match limit {
                0 => self.tracer.leave(start as u16, &mut self.plan),
                _ => self.tracer.plan(&source, start, limit, &mut self.plan),
            };
            let buffer = std::mem::take(&mut self.buffer);
            let code = self.emit(page, entries, room, buffer);
            if !code.is_full || limit == 0 {
                break (trace, code);
            }
            vain += code.bytes.len();
            self.buffer = code.bytes;
            self.buffer.clear();
            limit /= 2;
        };
        self.note(&trace, &code, (cpu, board), entries, page);
        Translation {
            code,
            vain,
            depends_on: trace.depends_on,
        }
    }

    /// Translates the region that the instruction at `offset` in memory is in, if it is worth it and there is room; else
    /// says how many bytes were made in vain.
    pub(crate) fn region(
        &mut self,
        (cpu, board): (&mut Cpu, &mut Board),
        entries: &Entries,
        offset: usize,
        room: Room,
    ) -> Result<Hot, usize> {
        let (page, start) = (offset / PAGE * PAGE, (offset % PAGE) as u16);
        let source = Page {
            bytes: board.ram.page(page / PAGE),
        };
        let is_worth =
            plan::plan_region(source, start, &self.target, &mut self.plan, &mut |_, _| {});
        if !is_worth {
            return Err(0);
        }
        let code = self.emit(page, entries, room, Vec::new());
        if code.is_full {
            return Err(code.bytes.len());
        }
        let mut places = Vec::with_capacity(self.plan.blocks.len());
        for (block, code) in self.plan.blocks.iter().zip(&code.entries) {
            let start = page + usize::from(block.start);
            note_code(cpu, board, start, usize::from(block.end - block.start));
            places.push((start, *code));
        }
        Ok(Hot {
            translation: Translation {
                code,
                vain: 0,
                depends_on: None,
            },
            entries: places,
        })
    }

    fn emit(&mut self, page: usize, entries: &Entries, room: Room, buffer: Vec<u8>) -> Code {
        let entry = |target| entries.get(page + usize::from(target));
        let room = (room.start, room.bytes);
        let (plan, scratch) = (&self.plan, &mut self.scratch);
        host::emit(
            plan,
            &self.thunks,
            page as u64,
            room,
            buffer,
            entry,
            scratch,
        )
    }

    /// Makes a trace what is executed, in the page at an offset in memory.
    fn note(
        &self,
        trace: &Trace,
        code: &Code,
        (cpu, board): (&mut Cpu, &mut Board),
        entries: &mut Entries,
        page: usize,
    ) {
        for (block, code) in self.plan.blocks.iter().zip(&code.entries) {
            entries.set(page + usize::from(block.start), *code);
        }
        if let Some(first) = self.plan.blocks.first() {
            let first = usize::from(first.start);
            note_code(cpu, board, page + first, trace.end - first);
        }
        if let Some(other) = trace.depends_on {
            note_code(cpu, board, other, 2);
        }
    }
}

/// Tells memory that there is code of `len` bytes at `offset`, all in one page.
fn note_code(cpu: &mut Cpu, board: &mut Board, offset: usize, len: usize) {
    if board.ram.note_code(offset, len) {
        cpu.tlb.slow_stores_to(offset / PAGE * PAGE);
    }
}

/// The offset in memory of the page behind the hart's, if it is among the fast translations.
fn next_page(cpu: &Cpu) -> Option<usize> {
    let next = (cpu.hart.pc & !0xfff).wrapping_add(PAGE as u64);
    cpu.tlb.fetch_hit(next)
}

/// Whether the instruction at `offset` in memory, where the hart is, can be translated: not if it straddles the end of
/// its page, and the other half is not at hand.
pub(crate) fn is_at_hand(cpu: &Cpu, board: &Board, offset: usize) -> bool {
    offset % PAGE != STRADDLING
        || board.ram.instruction(offset).is_some()
        || next_page(cpu).is_some()
}
