//! The engine: finds or makes code for where the hart is, and forgets code that was overwritten or must make room.

use std::io;

use machine::engine::step;
use machine::hart::{Access, Trapped};
use machine::ram::PAGE_BYTES;
use machine::{Core, Engine, Position};

use crate::arena::{Arena, Entries};
use crate::cache::Cache;
use crate::host::{self, Reason, Thunks};
use crate::{Options, Unsupported};

/// Executes translated code.
pub struct Translator {
    arena: Arena,
    thunks: Thunks,
    cache: Cache,
    /// For the memory of the machine that is executed.
    entries: Option<Entries>,
    /// Kept for its capacity.
    buffer: Vec<u8>,
}

impl Translator {
    /// A translator without code.
    ///
    /// # Errors
    /// The host gives no memory for code, or the cache is too small.
    pub fn new(options: Options) -> Result<Translator, Unsupported> {
        let (thunks, code) = Thunks::make();
        let cache = Cache::new(options.cache_bytes, code.len())?;
        let mut arena = Arena::new(options.cache_bytes).map_err(Unsupported::Memory)?;
        arena.write(0, &code);
        Ok(Translator {
            arena,
            thunks,
            cache,
            entries: None,
            buffer: Vec::new(),
        })
    }
}

impl Engine for Translator {
    fn run(&mut self, core: &mut Core, limit: Position) {
        if self.entries.is_none() {
            let entries = Entries::new(core.bus.ram.len());
            self.entries = Some(entries.expect("the host has room for a table it need not fill"));
        }
        let entries = self.entries.as_mut().expect("made just now");
        todo!()
    }
}
