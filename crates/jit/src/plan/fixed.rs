//! Registers of a trace: each guest register is where it is between all blocks.

use super::listing::Plan;
use super::parts::{Place, To};
use super::step::Step;
use super::target::{SLOTS, Target};

/// Where each guest register is between blocks.
pub(crate) struct Fixed {
    places: [Place; 32],
}

impl Fixed {
    pub(crate) fn new(target: &Target) -> Fixed {
        let mut places = std::array::from_fn(|guest| Place::Home(guest as u8));
        for slot in 0..SLOTS {
            places[usize::from(target.pinned[slot])] = Place::Slot(slot as u8);
        }
        Fixed { places }
    }

    /// Gives all registers of a plan their places, and all jumps their targets.
    pub(crate) fn assign(&self, plan: &mut Plan) {
        let mut steps = std::mem::take(&mut plan.steps);
        for step in &mut steps {
            self.step(step, plan);
        }
        plan.steps = steps;
        // Sections that are added have no registers.
        for index in 0..plan.aside.len() {
            let mut step = plan.aside[index];
            self.step(&mut step, plan);
            plan.aside[index] = step;
        }
    }

    fn step(&self, step: &mut Step, plan: &mut Plan) {
        match *step {
            Step::Jump(To::Offset(target @ 0..4096)) => {
                *step = Step::Jump(To::Page(target as u16));
            }
            Step::Branch(To::Offset(target @ 0..4096)) => {
                *step = Step::Branch(To::Page(target as u16));
            }
            // To another page in line; where that depends on a condition, aside.
            Step::Jump(To::Offset(target)) => *step = Step::Cross(target),
            Step::Branch(To::Offset(target)) => {
                let section = plan.add_section(&[Step::Cross(target)]);
                *step = Step::Branch(To::Section(section));
            }
            _ => step.places_mut(|place, _| {
                if let Place::X(guest) = *place {
                    *place = self.places[usize::from(guest)];
                }
            }),
        }
    }
}
