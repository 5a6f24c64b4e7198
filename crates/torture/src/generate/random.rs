//! A small generator of random numbers (SplitMix64), so that a seed means the same everywhere.

/// The state of the generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// A number below `bound`, which is not 0 and far below 2⁶⁴.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// An element of `choices`, which is not empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// An integer that is likely to be special: small, near a power of two, or any.
    pub fn integer(&mut self) -> u64 {
        let near = (self.below(5) as u64).wrapping_sub(2);
        match self.below(4) {
            0 => near,
            1 => (1u64 << self.below(64)).wrapping_add(near),
            2 => (u64::MAX << self.below(64)).wrapping_add(near),
            _ => self.bits(),
        }
    }

    /// A float register that is likely to be special: a double or a boxed single that is zero, infinite,
    /// NaN, subnormal, near one, an integer or any; sometimes an improperly boxed one.
    pub fn float(&mut self) -> u64 {
        let double = self.one_in(2);
        let (exponent_bits, fraction_bits) = if double { (11, 52) } else { (8, 23) };
        let exponent_max = (1u64 << exponent_bits) - 1;
        let bias = exponent_max >> 1;
        let exponent = match self.below(6) {
            0 => 0,
            1 => exponent_max,
            2 => bias + self.below(66) as u64,
            3 => bias + 2 - self.below(5) as u64,
            4 => [1, exponent_max - 1][self.below(2)],
            _ => self.bits() & exponent_max,
        };
        let fraction_mask = (1u64 << fraction_bits) - 1;
        let fraction = match self.below(4) {
            0 => 0,
            1 => 1 << self.below(fraction_bits),
            2 => fraction_mask << self.below(fraction_bits),
            _ => self.bits(),
        } & fraction_mask;
        let sign = self.bits() & 1;
        let bits = (sign << exponent_bits | exponent) << fraction_bits | fraction;
        if double || self.one_in(32) {
            bits
        } else {
            bits | 0xffff_ffff_0000_0000
        }
    }
}
