//! Where two ways to execute one guest part: found by executing it again and again.

use std::fmt;

use super::difference::differences;
use super::side::Side;
use super::{Guest, Pace, Way};
use machine::hart::{Hart, register_name};

/// Two ways to execute one guest do not give the same.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// The names of the ways: what is right, and what differs from it.
    pub ways: [String; 2],
    /// The last position at which both are known to be equal, and the first at which they are not.
    pub between: (u64, u64),
    /// The first instruction after which they differ, if a second execution showed the same.
    pub first: Option<Box<Instruction>>,
    /// What differs, after that instruction if it is known: what is right, and what was found.
    pub differences: Vec<String>,
}

/// An instruction and the state before it.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// Its text, or why there is none.
    pub text: String,
    /// Registers before it.
    pub before: Hart,
    /// Where execution rightly goes on: shows whether it trapped, or an interrupt came before it.
    pub next: u64,
}

impl Divergence {
    /// Two ways (what is right first) were equal at the one and differ at the other position of `between`, where `sides`
    /// are now. The search executes one of `guests` again: the first that shows it.
    pub(super) fn find<'g>(
        guests: impl Iterator<Item = &'g Guest>,
        pace: Pace,
        between: (u64, u64),
        [one, two]: [&mut Side<'_>; 2],
    ) -> Divergence {
        let ways = [one.way(), two.way()];
        let mut divergence = Divergence {
            ways: ways.map(|way| way.name.to_owned()),
            between,
            first: None,
            differences: all_differences(one, two),
        };
        for guest in guests {
            let search = Search {
                guest,
                ways,
                pace,
                agreed: between.0,
            };
            if !search.differences_at(between.1).is_empty() {
                divergence.narrow(&search);
                break;
            }
        }
        divergence
    }

    fn narrow(&mut self, search: &Search<'_>) {
        let (mut low, mut high) = self.between;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if search.differences_at(middle).is_empty() {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.between = (low, high);
        self.first = Some(Box::new(search.instruction_at(low)));
        self.differences = search.differences_at(high);
    }
}

fn all_differences(one: &mut Side<'_>, two: &mut Side<'_>) -> Vec<String> {
    let mut found = differences(one.machine_mut(), two.machine_mut());
    found.extend(one.compare(two));
    found
}

/// Both ways again, from the start.
struct Search<'a> {
    guest: &'a Guest,
    ways: [Way<'a>; 2],
    pace: Pace,
    /// Up to here they run as they ran before.
    agreed: u64,
}

impl<'a> Search<'a> {
    fn side(&self, way: Way<'a>, position: u64) -> Side<'a> {
        let mut side = Side::new(self.guest, way);
        side.keep_pace(self.pace, position.min(self.agreed));
        side.forget();
        side.run(position);
        side
    }

    fn differences_at(&self, position: u64) -> Vec<String> {
        let [mut one, mut two] = self.ways.map(|way| self.side(way, position));
        all_differences(&mut one, &mut two)
    }

    fn instruction_at(&self, position: u64) -> Instruction {
        let mut side = self.side(self.ways[0], position);
        let before = side.machine().hart().clone();
        side.run(position + 1);
        let next = side.machine().hart().pc;
        // This one is fetched by a machine that goes no further: a fetch changes what is cached.
        let mut side = self.side(self.ways[0], position);
        let text = match side.machine_mut().instruction() {
            Some(insn) => insn.to_string(),
            None => "cannot be fetched".to_owned(),
        };
        Instruction { text, before, next }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [right, wrong] = &self.ways;
        let (low, high) = self.between;
        writeln!(
            out,
            "{wrong} differs from {right}: equal at {low}, not at {high}"
        )?;
        match &self.first {
            Some(first) => write!(out, "{first}")?,
            None => writeln!(out, "executed again from the start, they do not differ")?,
        }
        writeln!(out, "differences ({right}, then {wrong}):")?;
        for difference in &self.differences {
            writeln!(out, "  {difference}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, pc) = (self.before.mode, self.before.pc);
        writeln!(
            out,
            "first instruction: {:#x} in {mode:?} mode: {}; next {:#x}",
            pc, self.text, self.next
        )?;
        writeln!(out, "registers before it, if not zero:")?;
        for (index, value) in self.before.registers().iter().enumerate() {
            if *value != 0 {
                writeln!(out, "  {}: {value:#x}", register_name(index))?;
            }
        }
        Ok(())
    }
}
