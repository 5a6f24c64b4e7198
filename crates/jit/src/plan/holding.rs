//! What slots hold at a place in a region.

use super::parts::Place;
use super::step::Step;
use super::target::{SLOTS, Target};

/// What the slots hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Guest registers; 0 is none.
    pub(crate) guests: [u8; SLOTS],
    /// The home of the guest register may have another value.
    pub(crate) dirty: [bool; SLOTS],
}

impl Holding {
    /// What they hold between blocks of which no region is made.
    pub(crate) fn pinned(target: &Target) -> Holding {
        Holding {
            guests: target.pinned,
            dirty: [true; SLOTS],
        }
    }

    /// The guest registers with the highest weights, which are how often each is used. `written` has a bit for
    /// each that is.
    pub(crate) fn heaviest(target: &Target, weights: &[u32; 32], written: u32) -> Holding {
        let mut holding = Holding::pinned(target);
        let mut others: Vec<u8> = (1..32)
            .filter(|guest| weights[usize::from(*guest)] > 0 && holding.slot(*guest).is_none())
            .collect();
        others.sort_by_key(|guest| std::cmp::Reverse(weights[usize::from(*guest)]));
        for guest in others {
            let lightest = (0..SLOTS)
                .min_by_key(|slot| weights[usize::from(holding.guests[*slot])])
                .expect("there are slots");
            if weights[usize::from(guest)] <= weights[usize::from(holding.guests[lightest])] {
                break;
            }
            holding.guests[lightest] = guest;
            holding.dirty[lightest] = written & 1 << guest != 0;
        }
        holding
    }

    /// The slot of a guest register.
    pub(crate) fn slot(&self, guest: u8) -> Option<usize> {
        self.guests.iter().position(|held| *held == guest)
    }

    /// Where a guest register is.
    pub(crate) fn place(&self, guest: u8) -> Place {
        match self.slot(guest) {
            Some(slot) if guest != 0 => Place::Slot(slot as u8),
            _ => Place::Home(guest),
        }
    }

    /// Notes that a register, if it is held, has a new value.
    pub(crate) fn overwrite(&mut self, guest: u8) {
        if let Some(slot) = self.slot(guest) {
            self.dirty[slot] = true;
        }
    }

    /// Adds the moves that make `self` of `from`.
    pub(crate) fn take_over(&self, from: &Holding, steps: &mut Vec<Step>) {
        for slot in 0..SLOTS {
            let (old, new) = (from.guests[slot], self.guests[slot]);
            if old != 0 && from.dirty[slot] && (old != new || !self.dirty[slot]) {
                steps.push(Step::Spill {
                    guest: old,
                    slot: slot as u8,
                });
            }
        }
        for slot in 0..SLOTS {
            let (old, new) = (from.guests[slot], self.guests[slot]);
            if new != 0 && old != new {
                steps.push(Step::Fill {
                    guest: new,
                    slot: slot as u8,
                });
            }
        }
    }
}
