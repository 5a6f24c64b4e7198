//! Which guest registers host registers hold in a region of hot code, instruction by instruction.
//!
//! Between the blocks of a region the same guest registers are held: those that it uses most. Within a block a
//! host register is given to another guest register if that saves accesses to memory. Whatever leaves the region
//! puts everything back to where it is between all other blocks.

use isa::{Format, Insn};

use super::asm::{Asm, B64};
use super::emit::{Emitter, Known};
use super::lazy::Lazy;
use super::map::{Map, PINNED, home};
use super::words;

/// Host registers that hold guest registers.
const HOSTS: usize = PINNED.len();

/// What the host registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    /// Guest registers; 0 is none.
    guests: [u8; HOSTS],
    /// The home of the guest register may have another value.
    dirty: [bool; HOSTS],
    /// Only the low word is as it should be: the upper half is to be made its sign.
    pending: [bool; HOSTS],
}

impl Default for Holding {
    /// What they hold between blocks of which no region is made.
    fn default() -> Holding {
        Holding {
            guests: PINNED.map(|(guest, _)| guest),
            dirty: [true; HOSTS],
            pending: [false; HOSTS],
        }
    }
}

impl Holding {
    /// The guest registers with the highest weights, which are how often each is used. `written` has a bit for
    /// each that is.
    pub(super) fn heaviest(weights: &[u32; 32], written: u32) -> Holding {
        let mut holding = Holding::default();
        let mut others: Vec<u8> = (1..32)
            .filter(|guest| weights[usize::from(*guest)] > 0 && holding.place(*guest).is_none())
            .collect();
        others.sort_by_key(|guest| std::cmp::Reverse(weights[usize::from(*guest)]));
        for guest in others {
            let lightest = (0..HOSTS)
                .min_by_key(|place| weights[usize::from(holding.guests[*place])])
                .expect("there are host registers");
            if weights[usize::from(guest)] <= weights[usize::from(holding.guests[lightest])] {
                break;
            }
            holding.guests[lightest] = guest;
            holding.dirty[lightest] = written & 1 << guest != 0;
        }
        holding
    }

    fn place(&self, guest: u8) -> Option<usize> {
        self.guests.iter().position(|held| *held == guest)
    }

    pub(super) fn map(&self) -> Map {
        let held = (self.guests.iter().zip(PINNED)).map(|(guest, (_, host))| (*guest, host));
        Map::new(held.filter(|(guest, _)| *guest != 0))
    }

    /// Extends all words that are pending.
    pub(super) fn extend_all(&mut self, asm: &mut Asm) {
        for (place, (_, host)) in PINNED.into_iter().enumerate() {
            if std::mem::take(&mut self.pending[place]) {
                words::extend(asm, host);
            }
        }
    }

    /// Notes that a register, if it is held, has all of a new value.
    pub(super) fn overwrite(&mut self, guest: u8) {
        if let Some(place) = self.place(guest) {
            self.dirty[place] = true;
            self.pending[place] = false;
        }
    }

    /// Emits what makes `self` of `from`: moves to and from memory, which leave the flags as they are.
    pub(super) fn take_over(&self, from: &Holding, asm: &mut Asm) {
        let mut from = *from;
        from.extend_all(asm);
        for (place, (_, host)) in PINNED.into_iter().enumerate() {
            let (old, new) = (from.guests[place], self.guests[place]);
            if old != 0 && from.dirty[place] && (old != new || !self.dirty[place]) {
                asm.store(home(old), host);
            }
        }
        for (place, (_, host)) in PINNED.into_iter().enumerate() {
            let (old, new) = (from.guests[place], self.guests[place]);
            if new != 0 && old != new {
                asm.mov(B64, host, home(new));
            }
        }
    }
}

/// How often instructions use a register.
pub(super) fn uses(block: &[Insn], guest: u8) -> u32 {
    let counts = |insn: &Insn| (insn.reads_x() >> guest & 1) + (insn.writes_x() >> guest & 1);
    block.iter().map(counts).sum()
}

/// Whether nobody will know what a register has: the block goes on to overwrite it, and cannot be left before.
/// The first instruction of `rest` is the present one, which does not read it.
pub(super) fn is_dead(guest: u8, rest: &[Insn]) -> bool {
    for (index, insn) in rest.iter().enumerate() {
        if !is_plain(insn) || index > 0 && insn.reads_x() >> guest & 1 != 0 {
            return false;
        }
        if insn.writes_x() >> guest & 1 != 0 {
            return true;
        }
    }
    false
}

/// Whether an instruction does nothing but to compute an integer, and cannot fail.
fn is_plain(insn: &Insn) -> bool {
    matches!(
        insn.op.format(),
        Format::Upper | Format::Immediate | Format::Shift | Format::ShiftWord | Format::Register
    ) && insn.writes_x() != 0
}

/// A place for another register.
#[derive(Clone, Copy)]
struct Vacancy {
    place: usize,
    /// Whether what is there is wanted no more.
    dead: bool,
}

/// The state of registers while a region is emitted.
pub(super) struct Registers {
    /// Between the blocks of the region.
    pub(super) between: Holding,
    /// Before the present instruction.
    now: Holding,
    /// A place whose guest register gets its value by the present instruction.
    coming: Option<(usize, u8)>,
    /// Shifts that were put off, in that order: one in place is behind all others of its source.
    pub(super) lazies: Vec<Lazy>,
}

impl Registers {
    pub(super) fn new(between: Holding) -> Registers {
        Registers {
            between,
            now: between,
            coming: None,
            lazies: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> &Holding {
        &self.now
    }

    /// Whether nobody needs what the host register of a guest register has.
    fn is_dead(&self, held: u8, rest: &[Insn]) -> bool {
        let shifted = |lazy: &Lazy| lazy.source == held && !lazy.is_in_place();
        is_dead(held, rest) && !self.lazies.iter().any(shifted)
    }

    /// The place that a register should get for the instructions from `index` on, if it is worth it: not one of those
    /// in `busy`.
    fn worth(&self, guest: u8, block: &[Insn], index: usize, busy: u32) -> Option<Vacancy> {
        let mut best: Option<(Vacancy, usize, u32)> = None;
        for place in 0..HOSTS {
            let held = self.now.guests[place];
            if busy >> held & 1 != 0 || self.coming.is_some_and(|(coming, _)| coming == place) {
                continue;
            }
            let mut next = usize::MAX;
            let mut needed = false;
            let dead = held == 0 || self.is_dead(held, &block[index..]);
            if !dead {
                let used = |insn: &Insn| (insn.reads_x() | insn.writes_x()) >> held & 1 != 0;
                match block[index..].iter().position(used) {
                    Some(distance) => {
                        next = index + distance;
                        needed = block[next].reads_x() >> held & 1 != 0;
                    }
                    None if self.between.guests[place] == held => {
                        next = block.len();
                        needed = true;
                    }
                    None => {}
                }
            }
            let cost = u32::from(!dead && self.now.dirty[place]) + u32::from(needed);
            if best.is_none_or(|(_, furthest, least)| {
                next > furthest || next == furthest && cost < least
            }) {
                best = Some((Vacancy { place, dead }, next, cost));
            }
        }
        let (vacancy, next, cost) = best?;
        let gain = uses(&block[index..next.min(block.len())], guest);
        (gain > cost).then_some(vacancy)
    }

    /// Guest registers that are words to be extended, one bit each.
    pub(super) fn pending(&self) -> u32 {
        (self.now.guests.iter().zip(self.now.pending))
            .filter(|(_, pending)| *pending)
            .fold(0, |all, (guest, _)| all | 1 << guest)
    }

    /// Extends words.
    pub(super) fn extend(&mut self, guests: u32, asm: &mut Asm) {
        for (place, (_, host)) in PINNED.into_iter().enumerate() {
            if self.now.pending[place] && guests >> self.now.guests[place] & 1 != 0 {
                words::extend(asm, host);
                self.now.pending[place] = false;
            }
        }
    }

    /// Notes that a register has all of a new value, wherever it is.
    pub(super) fn note_full(&mut self, guest: u8) {
        self.now.overwrite(guest);
    }

    fn clear(&mut self, Vacancy { place, dead }: Vacancy, asm: &mut Asm) {
        let (held, host) = (self.now.guests[place], PINNED[place].1);
        if dead {
            self.lazies.retain(|lazy| lazy.guest != held);
        } else {
            if self.now.pending[place] {
                words::extend(asm, host);
            }
            if self.now.dirty[place] {
                asm.store(home(held), host);
            }
        }
        self.now.guests[place] = 0;
        self.now.dirty[place] = false;
        self.now.pending[place] = false;
    }
}

impl Emitter<'_> {
    /// In a region: gives registers that the instruction uses a place, where that is worth it. `wanted` are those that
    /// it reads, one bit each. Returns whether its result goes to a host register.
    pub(super) fn give_places(&mut self, block: &[Insn], index: usize, wanted: u32) -> bool {
        let Some(region) = &mut self.region else {
            return false;
        };
        let registers = &mut region.registers;
        let insn = &block[index];
        let (mut read, written) = (wanted, insn.writes_x());
        for (guest, known) in self.facts.known.iter().enumerate() {
            if let Some(Known::Const(_)) = known {
                read &= !(1 << guest);
            }
        }
        let busy = read | written;
        for guest in (1..32).filter(|guest| read >> guest & 1 != 0) {
            if registers.now.place(guest).is_none()
                && let Some(vacancy) = registers.worth(guest, block, index, busy)
            {
                registers.clear(vacancy, &mut self.asm);
                self.asm.mov(B64, PINNED[vacancy.place].1, home(guest));
                registers.now.guests[vacancy.place] = guest;
            }
        }
        for guest in (1..32).filter(|guest| written >> guest & 1 != 0) {
            if registers.now.place(guest).is_none()
                && let Some(vacancy) = registers.worth(guest, block, index, busy)
            {
                registers.clear(vacancy, &mut self.asm);
                registers.coming = Some((vacancy.place, guest));
            }
        }
        self.map = registers.now.map();
        if let Some((place, guest)) = registers.coming {
            self.map.set(guest, PINNED[place].1);
        }
        registers.coming.is_some() || written != 0 && self.map.host(insn.rd).is_some()
    }

    /// In a region: notes that the instruction is done.
    pub(super) fn note_written(&mut self) {
        let written = self.insn.writes_x();
        let Some(region) = &mut self.region else {
            return;
        };
        let registers = &mut region.registers;
        if let Some((place, guest)) = registers.coming.take() {
            registers.now.guests[place] = guest;
        }
        registers
            .lazies
            .retain(|lazy| written >> lazy.guest & 1 == 0);
        for place in 0..HOSTS {
            if written >> registers.now.guests[place] & 1 != 0 {
                registers.now.dirty[place] = true;
                registers.now.pending[place] = self.narrow;
            }
        }
        self.narrow = false;
    }

    /// In a region: makes registers what they are between its blocks. The flags stay as they are. Nothing must have
    /// been put off.
    pub(super) fn settle_registers(&mut self) {
        if let Some(region) = &mut self.region {
            let registers = &mut region.registers;
            registers.between.take_over(&registers.now, &mut self.asm);
            registers.now = registers.between;
            self.map = registers.now.map();
        }
    }
}
