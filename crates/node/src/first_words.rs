//! Tells people why a guest may be silent: the first instruction that was illegal before it said anything, and a hart that will
//! never do anything again.

use machine::Machine;
use std::time::{Duration, Instant};

/// Firmware tries out instructions before its first words; those follow sooner than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for the guest's first words.
#[derive(Debug, Default)]
pub(crate) struct FirstWords {
    /// When an illegal instruction is told, if nothing is said until then.
    due: Option<Instant>,
    told: bool,
    rest_told: bool,
}

impl FirstWords {
    /// To be called now and then while the machine runs.
    pub(crate) fn look(&mut self, machine: &Machine) {
        if !self.rest_told && machine.waits_for_good() {
            self.rest_told = true;
            tracing::warn!(
                "the guest stands still for good: its only hart has stopped, or waits with all interrupts off that could wake it"
            );
        }
        if self.told {
            return;
        }
        match (machine.first_illegal(), self.due) {
            (None, _) => self.due = None,
            (Some(_), None) => self.due = Some(Instant::now() + PATIENCE),
            (Some(_), Some(due)) if Instant::now() >= due => self.tell(machine),
            (Some(_), Some(_)) => {}
        }
    }

    /// When to look again, whatever the machine does.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.told)
    }

    /// The machine has ended, or the word is due.
    pub(crate) fn tell(&mut self, machine: &Machine) {
        if let Some(illegal) = machine.first_illegal()
            && !self.told
        {
            self.told = true;
            tracing::warn!(
                "the guest has said nothing, and executed an instruction that trapped as illegal: {illegal}"
            );
        }
    }
}
