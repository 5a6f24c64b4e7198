//! The only source of chance in a simulation: everything follows from one seed.

/// A small, fast generator (SplitMix64): the same seed gives the same run on every host.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// A generator that starts from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low < high, "an empty range has no number to choose");
        low + self.bits() % (high - low)
    }

    /// True `thousandths` times out of a thousand.
    pub(crate) fn chance(&mut self, thousandths: u64) -> bool {
        self.bits() % 1000 < thousandths
    }

    /// One of `choices`.
    pub(crate) fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.between(0, choices.len() as u64);
        &choices[usize::try_from(index).expect("an index fits usize")]
    }

    /// A generator for a part of the simulation, so that a change in one part leaves the others alone.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.bits())
    }
}
