//! Platform-level interrupt controller: 95 level-triggered sources, and two contexts, M and S of the hart
//! (RISC-V PLIC specification 1.0, with the sizes and the claim rule of QEMU's `virt` board).

use serde::{Deserialize, Serialize};

/// Number of interrupt sources and the reserved source 0.
const SOURCES: usize = 96;
const WORDS: usize = SOURCES / 32;
/// Priorities and thresholds go from 0 to 7.
const PRIORITY_MASK: u32 = 7;

const PENDING: u64 = 0x1000;
const ENABLE: u64 = 0x2000;
const ENABLE_STRIDE: u64 = 0x80;
const CONTEXT: u64 = 0x20_0000;
const CONTEXT_STRIDE: u64 = 0x1000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Context {
    enable: [u32; WORDS],
    threshold: u32,
}

/// Which notification a context gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Machine external interrupt.
    Machine = 0,
    /// Supervisor external interrupt.
    Supervisor = 1,
}

/// The PLIC's registers and gateways.
///
/// A gateway turns a high line into one pending request; the next follows when the request has been completed
/// and the line is still (or again) high.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plic {
    /// One per source.
    priority: Vec<u32>,
    level: [u32; WORDS],
    pending: [u32; WORDS],
    claimed: [u32; WORDS],
    contexts: [Context; 2],
}

impl Default for Plic {
    fn default() -> Plic {
        Plic {
            priority: vec![0; SOURCES],
            level: [0; WORDS],
            pending: [0; WORDS],
            claimed: [0; WORDS],
            contexts: Default::default(),
        }
    }
}

impl Plic {
    /// Says whether this state can have come from a PLIC.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn check(&self) -> Result<(), super::BadState> {
        if self.priority.len() == SOURCES {
            Ok(())
        } else {
            Err(super::BadState {
                device: "the PLIC",
                what: "wrong number of priorities",
            })
        }
    }

    /// Sets the line of source `irq` (1 to 95).
    pub(crate) fn set_line(&mut self, irq: u32, high: bool) {
        let (word, bit) = ((irq / 32) as usize, 1 << (irq % 32));
        if high {
            let new = bit & !self.level[word];
            self.level[word] |= bit;
            self.pending[word] |= new & !self.claimed[word];
        } else {
            self.level[word] &= !bit;
        }
    }

    /// The request with the highest priority above the context's threshold; the lowest number wins a tie.
    fn best(&self, context: usize) -> Option<u32> {
        let context = &self.contexts[context];
        let mut best = None;
        let mut above = context.threshold;
        for word in 0..WORDS {
            let mut requests = self.pending[word] & !self.claimed[word] & context.enable[word];
            while requests != 0 {
                let irq = word as u32 * 32 + requests.trailing_zeros();
                requests &= requests - 1;
                if self.priority[irq as usize] > above {
                    above = self.priority[irq as usize];
                    best = Some(irq);
                }
            }
        }
        best
    }

    /// Whether the external interrupt of `target` is raised.
    pub(crate) fn raised(&self, target: Target) -> bool {
        self.best(target as usize).is_some()
    }

    fn claim(&mut self, context: usize) -> u32 {
        let Some(irq) = self.best(context) else {
            return 0;
        };
        let (word, bit) = ((irq / 32) as usize, 1 << (irq % 32));
        self.pending[word] &= !bit;
        self.claimed[word] |= bit;
        irq
    }

    fn complete(&mut self, irq: u32) {
        if irq == 0 || irq as usize >= SOURCES {
            return;
        }
        let (word, bit) = ((irq / 32) as usize, 1 << (irq % 32));
        if self.claimed[word] & bit != 0 {
            self.claimed[word] &= !bit;
            self.pending[word] |= self.level[word] & bit;
        }
    }

    /// Reads the 32-bit register at `offset`; absent ones are 0. Reading the claim register claims.
    pub(crate) fn load(&mut self, offset: u64) -> u32 {
        match Register::at(offset) {
            Some(Register::Priority(irq)) => self.priority[irq],
            Some(Register::Pending(word)) => self.pending[word],
            Some(Register::Enable(context, word)) => self.contexts[context].enable[word],
            Some(Register::Threshold(context)) => self.contexts[context].threshold,
            Some(Register::Claim(context)) => self.claim(context),
            None => 0,
        }
    }

    /// Writes the 32-bit register at `offset`. Writing the claim register completes.
    pub(crate) fn store(&mut self, offset: u64, value: u32) {
        match Register::at(offset) {
            Some(Register::Priority(0)) | Some(Register::Pending(_)) | None => {}
            Some(Register::Priority(irq)) => self.priority[irq] = value & PRIORITY_MASK,
            Some(Register::Enable(context, word)) => {
                // Source 0 does not exist.
                let mask = if word == 0 { !1 } else { !0 };
                self.contexts[context].enable[word] = value & mask;
            }
            Some(Register::Threshold(context)) => {
                self.contexts[context].threshold = value & PRIORITY_MASK;
            }
            Some(Register::Claim(_)) => self.complete(value),
        }
    }
}

enum Register {
    Priority(usize),
    Pending(usize),
    Enable(usize, usize),
    Threshold(usize),
    Claim(usize),
}

impl Register {
    fn at(offset: u64) -> Option<Register> {
        let word = |from: u64| {
            let word = ((offset - from) / 4) as usize;
            (word < WORDS).then_some(word)
        };
        if offset < PENDING {
            let irq = (offset / 4) as usize;
            return (irq < SOURCES).then_some(Register::Priority(irq));
        }
        if offset < ENABLE {
            return word(PENDING).map(Register::Pending);
        }
        for context in 0..2 {
            let enable = ENABLE + context * ENABLE_STRIDE;
            if (enable..enable + ENABLE_STRIDE).contains(&offset) {
                return word(enable).map(|word| Register::Enable(context as usize, word));
            }
            match offset.checked_sub(CONTEXT + context * CONTEXT_STRIDE) {
                Some(0) => return Some(Register::Threshold(context as usize)),
                Some(4) => return Some(Register::Claim(context as usize)),
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S_CLAIM: u64 = CONTEXT + CONTEXT_STRIDE + 4;

    fn with_uart() -> Plic {
        let mut plic = Plic::default();
        plic.store(10 * 4, 1);
        plic.store(ENABLE + ENABLE_STRIDE, 1 << 10);
        plic
    }

    #[test]
    fn claim_and_complete_of_a_level() {
        let mut plic = with_uart();
        plic.set_line(10, true);
        assert!(plic.raised(Target::Supervisor) && !plic.raised(Target::Machine));
        assert_eq!(plic.load(PENDING), 1 << 10);
        assert_eq!(plic.load(S_CLAIM), 10);
        assert!(!plic.raised(Target::Supervisor));
        assert_eq!(plic.load(S_CLAIM), 0);
        // Still high at completion: a new request.
        plic.store(S_CLAIM, 10);
        assert_eq!(plic.load(S_CLAIM), 10);
        plic.set_line(10, false);
        plic.store(S_CLAIM, 10);
        assert_eq!(plic.load(S_CLAIM), 0);
        // High again while claimed: pending only after completion.
        plic.set_line(10, true);
        assert_eq!(plic.load(S_CLAIM), 10);
        plic.set_line(10, false);
        plic.set_line(10, true);
        assert!(!plic.raised(Target::Supervisor));
        plic.store(S_CLAIM, 10);
        assert!(plic.raised(Target::Supervisor));
    }

    #[test]
    fn completing_what_was_not_claimed_requests_nothing() {
        let mut plic = with_uart();
        plic.set_line(10, true);
        plic.store(S_CLAIM, 11);
        plic.store(S_CLAIM, 4000);
        plic.store(S_CLAIM, 0);
        assert_eq!(plic.load(PENDING), 1 << 10);
    }

    #[test]
    fn priority_threshold_and_ties() {
        let mut plic = Plic::default();
        plic.store(ENABLE, 0xffff_ffff);
        assert_eq!(plic.load(ENABLE), 0xffff_fffe);
        for irq in [3, 5, 9] {
            plic.set_line(irq, true);
        }
        plic.store(5 * 4, 2);
        plic.store(9 * 4, 2);
        plic.store(3 * 4, 8 | 1);
        assert_eq!(plic.load(3 * 4), 1);
        let claim = CONTEXT + 4;
        assert_eq!(plic.load(claim), 5);
        plic.store(CONTEXT, 1);
        assert_eq!(plic.load(claim), 9);
        assert_eq!(plic.load(claim), 0, "source 3 is not above the threshold");
        plic.store(CONTEXT, 0);
        assert_eq!(plic.load(claim), 3);
    }

    #[test]
    fn every_offset_is_harmless() {
        let mut plic = Plic::default();
        for offset in (0..0x4000).chain(CONTEXT..CONTEXT + 0x4000).step_by(4) {
            plic.store(offset, 0xffff_ffff);
            plic.load(offset);
        }
        assert_eq!(plic.check(), Ok(()));
    }
}
