//! Registers of a trace: each guest register is where it is between all blocks.

use super::listing::Plan;
use super::step::{Place, Section, Step, To};
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
        for step in plan.steps.iter_mut().chain(&mut plan.aside) {
            self.place(step);
        }
        // A jump to another page is made in line, and one that depends on a condition beside.
        for index in 0..plan.steps.len() {
            if let Step::Branch(To::Offset(target)) = plan.steps[index] {
                plan.steps[index] = Step::Branch(self.far(plan, target));
            }
        }
        let mut index = 0;
        while index < plan.aside.len() {
            if let Step::Branch(To::Offset(target)) = plan.aside[index] {
                plan.aside[index] = Step::Branch(self.far(plan, target));
            }
            index += 1;
        }
    }

    fn far(&self, plan: &mut Plan, target: i64) -> To {
        let section: Section = plan.add_section(&[Step::Cross(target)]);
        To::Section(section)
    }

    fn place(&self, step: &mut Step) {
        let to = |place: &mut Place| {
            if let Place::X(guest) = *place {
                *place = self.places[usize::from(guest)];
            }
        };
        step.reads_mut(|place, _| to(place));
        if let Some(place) = step.dst_mut() {
            to(place);
        }
        match step {
            Step::Jump(to) | Step::Branch(to) => {
                if let To::Offset(target @ 0..4096) = *to {
                    *to = To::Page(target as u16);
                }
            }
            _ => {}
        }
        if let Step::Jump(To::Offset(target)) = *step {
            *step = Step::Cross(target);
        }
    }
}
