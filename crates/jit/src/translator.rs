//! The engine: finds or makes code for where the hart is, and forgets code that was overwritten or must make room.

use machine::engine::{look_up, step};
use machine::ram::PAGE_BYTES;
use machine::{Board, Cpu, Engine, Position};

use crate::arena::{Arena, Entries};
use crate::cache::Cache;
use crate::host::{self, Reason, Thunks};
use crate::options::{
    Forgetting, Observer, Options, TRANSLATION_BYTES_MAX, Unsupported, pages_max,
};
use crate::plan::REGION_MAX;
use crate::profile::Seen;
use crate::straddled::Straddled;
use crate::translate::{Frontend, Room, is_at_hand};

/// Positions that any block can be paid with.
const BLOCK_MAX: u64 = REGION_MAX as u64;
/// Room for code that leaves an instruction to the interpreter, and then some.
const TRANSLATION_BYTES_MIN: usize = 64;
/// What a byte of host code costs to make, in units of [`Cpu::charge`].
const BYTE_EFFORT: u64 = 10;
/// To look which instructions of a page are a region, whether or not they are.
const FIND_EFFORT: u64 = 32 << 10;

/// Executes translated code.
pub struct Translator {
    arena: Arena,
    frontend: Frontend,
    cache: Cache,
    /// For the memory of the machine that is executed.
    entries: Option<Entries>,
    glance: u64,
    /// The position of the next glance, or a little before.
    next_glance: u64,
    /// Where the hart was when it was looked at, and how often.
    seen: Seen,
    straddled: Straddled,
    /// Pages with code at a time.
    pages_max: usize,
    observer: Option<Observer>,
}

impl Translator {
    /// A translator without code.
    ///
    /// # Errors
    /// The host gives no memory for code, or the cache is too small.
    pub fn new(options: Options) -> Result<Translator, Unsupported> {
        let bounds = options.bounds;
        let is_sound = (TRANSLATION_BYTES_MIN..=TRANSLATION_BYTES_MAX)
            .contains(&bounds.translation_bytes)
            && bounds.translation_bytes.is_multiple_of(16)
            && bounds.pages > 0
            && bounds.straddled > 0;
        if !is_sound {
            return Err(Unsupported::Bounds(bounds));
        }
        let (thunks, code) = Thunks::make();
        let cache = Cache::new(options.cache_bytes, code.len(), bounds.translation_bytes)?;
        let mut arena = Arena::new(options.cache_bytes).map_err(Unsupported::Memory)?;
        arena.write(0, &code);
        Ok(Translator {
            arena,
            frontend: Frontend::new(thunks),
            cache,
            entries: None,
            glance: options.glance,
            next_glance: 0,
            seen: Seen::default(),
            straddled: Straddled::new(bounds.straddled),
            pages_max: bounds.pages.min(pages_max(options.cache_bytes)),
            observer: None,
        })
    }

    /// Takes at once the table for a machine with so much memory, which otherwise is made when that first runs: whoever is
    /// about to start one can still say that there is no room.
    ///
    /// # Errors
    /// The host gives no memory for it.
    pub fn reserve(&mut self, memory_bytes: u64) -> Result<(), Unsupported> {
        let entries = Entries::new(memory_bytes, self.pages_max).map_err(Unsupported::Memory)?;
        self.entries = Some(entries);
        Ok(())
    }

    /// Lets an observer see when, and for how long, room is made for new code.
    pub fn observe_forgetting(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }
}

impl Translator {
    /// Forgets the code of a page.
    fn drop_page(&mut self, page: u32) {
        if let Some(entries) = &mut self.entries {
            entries.clear_page(page as usize);
        }
        self.seen.forget(page);
        self.straddled.forget(page);
    }

    /// Forgets the code of a page that was overwritten, and that of others which depends on it.
    fn drop_stale(&mut self, page: u32) {
        self.drop_page(page);
        while let Some(page) = self.straddled.before(page) {
            self.drop_page(page);
        }
    }

    /// Makes room in the table for entries of a page.
    fn make_place(&mut self, page: usize) {
        while let Some(first) = (self.entries.as_ref()).and_then(|entries| entries.in_the_way(page))
        {
            self.drop_page(first);
            if let Some(entries) = &mut self.entries {
                entries.give_back();
            }
        }
    }

    /// Forgets some of the oldest code, as much as new code makes necessary, so that there is room for a translation.
    /// Returns whether code may now be overwritten: what was known of places in the arena is void.
    fn make_room(&mut self) -> bool {
        let Some(first) = self.cache.forget() else {
            return self.go_on_if_full();
        };
        let mut pages = 0;
        self.observe(Forgetting::Begins);
        let mut next = Some(first);
        while let Some(page) = next {
            self.drop_page(page);
            pages += 1;
            next = self.cache.forget();
        }
        self.observe(Forgetting::Ends { pages });
        self.go_on_if_full()
    }

    fn go_on_if_full(&mut self) -> bool {
        let is_full = !self.cache.has_room();
        if is_full {
            let full = self.cache.go_on();
            self.arena.give_back_view(full);
        }
        is_full
    }

    fn observe(&mut self, what: Forgetting) {
        if let Some(observer) = &mut self.observer {
            observer(what);
        }
    }

    /// The code for what is at `offset` in memory, and whether other code was given up for it.
    #[cold]
    fn translate(&mut self, cpu: &mut Cpu, board: &mut Board, offset: usize) -> (u32, bool) {
        let others_gone = self.make_room();
        self.make_place(offset / PAGE_BYTES);
        let entries = self.entries.as_mut().expect("made when the run began");
        let start = self.cache.start();
        let room = Room {
            start,
            bytes: self.cache.room(),
        };
        let translation = (self.frontend).trace((&mut *cpu, board), entries, offset, room);
        translation.place(&mut self.arena);
        if let Some(other) = translation.depends_on {
            let other = (other / PAGE_BYTES) as u32;
            while let Some(page) = self.straddled.in_the_way(other) {
                self.drop_page(page);
            }
            self.straddled.note((offset / PAGE_BYTES) as u32, other);
        }
        self.cache
            .take(translation.len(), (offset / PAGE_BYTES) as u32);
        cpu.charge(translation.made() as u64 * BYTE_EFFORT);
        self.frontend.recycle(translation);
        (start, others_gone)
    }
}

impl Translator {
    /// Notes that the hart is at `offset` in memory; makes a region of hot code of what is seen there often.
    fn look(&mut self, cpu: &mut Cpu, board: &mut Board, offset: usize) {
        if !self.cache.has_room() || !self.seen.is_hot_now(offset) {
            return;
        }
        self.make_place(offset / PAGE_BYTES);
        let entries = self.entries.as_mut().expect("made when the run began");
        let room = Room {
            start: self.cache.start(),
            bytes: self.cache.room(),
        };
        cpu.charge(FIND_EFFORT);
        let hot = match (self.frontend).region((&mut *cpu, board), entries, offset, room) {
            Ok(hot) => hot,
            Err(vain) => return cpu.charge(vain as u64 * BYTE_EFFORT),
        };
        hot.translation.place(&mut self.arena);
        for (offset, code) in &hot.entries {
            let old = entries.get(*offset);
            if old != 0 {
                host::replace(&mut self.arena, old, *code);
            }
            entries.set(*offset, *code);
            self.seen.is_done(*offset);
        }
        cpu.charge(hot.translation.len() as u64 * BYTE_EFFORT);
        self.cache
            .take(hot.translation.len(), (offset / PAGE_BYTES) as u32);
    }
}

impl Engine for Translator {
    fn run(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position) {
        while !cpu.attention && cpu.hart.position < limit {
            self.run_about(cpu, board, limit);
        }
    }

    fn run_about(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position) {
        let start = cpu.hart.position;
        cpu.tlb.attach(&board.ram);
        let entries = self.entries.get_or_insert_with(|| {
            Entries::new(board.ram.len(), self.pages_max)
                .expect("the host has room for a table that is mostly empty")
        });
        assert_eq!(
            entries.memory_bytes(),
            board.ram.len(),
            "an engine is for one machine"
        );
        if board.ram.has_stale() {
            for page in board.ram.take_stale() {
                self.drop_stale(page);
            }
        }
        // A jump that wants to be directed to where the hart is.
        let mut wanting = None;
        // Where a translation was looked up: whoever runs further has done it, and whoever ends there has not.
        let mut filled_at = None;
        while !cpu.attention && cpu.hart.position < limit {
            let pc = cpu.hart.pc;
            let Some(offset) = cpu.tlb.fetch_hit(pc) else {
                filled_at = Some(cpu.hart.position);
                look_up(cpu, board);
                continue;
            };
            let position = cpu.hart.position.0;
            let ahead = self.next_glance.wrapping_sub(position);
            // Perhaps it is at another position of another time.
            if ahead <= BLOCK_MAX || ahead > self.glance + BLOCK_MAX {
                self.next_glance = position + self.glance + BLOCK_MAX;
                self.look(cpu, board, offset);
            }
            let entries = self.entries.as_ref().expect("made when the run began");
            let mut code = entries.get(offset);
            if code == 0 && !is_at_hand(cpu, board, offset) {
                wanting = None;
                step(cpu, board);
                continue;
            }
            if code == 0 {
                let (made, others_gone) = self.translate(cpu, board, offset);
                code = made;
                if others_gone {
                    wanting = None;
                }
            }
            if let Some(site) = wanting.take() {
                host::link(&mut self.arena, site, code);
            }
            let entries = self.entries.as_ref().expect("made when the run began");
            let until = limit.min(Position(self.next_glance));
            let thunks = &self.frontend.thunks;
            match host::enter(&self.arena, entries, thunks, cpu, board, code, until) {
                Reason::LookUp => {}
                Reason::Tail if limit.0 - cpu.hart.position.0 > BLOCK_MAX => {}
                // It was not paid for.
                Reason::Step if cpu.hart.position == until => {}
                Reason::Link(site) => wanting = Some(site),
                Reason::Step => step(cpu, board),
                // Nobody pays for less than a block.
                Reason::Tail
                    if cpu.hart.position > start && filled_at != Some(cpu.hart.position) =>
                {
                    return;
                }
                Reason::Tail => {
                    while !cpu.attention && cpu.hart.position < limit {
                        step(cpu, board);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
