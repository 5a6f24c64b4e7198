//! Operands that lie where floating point goes wrong, drawn from a seed.

use isa::float::{F32, F64, Format};

use crate::operation::Operation;

/// A stream of hard cases. Equal seeds give equal streams.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// An integer from `-radius` to `radius`.
    fn around_zero(&mut self, radius: u64) -> i64 {
        self.below(2 * radius + 1) as i64 - radius as i64
    }

    /// The operands of an operation in the format `F`.
    pub(crate) fn operands<F: Format>(&mut self, operation: Operation) -> [u64; 3] {
        if operation.takes_integer() {
            return [self.integer(), 0, 0];
        }
        let a = match operation {
            Operation::ToI32 | Operation::ToU32 | Operation::ToI64 | Operation::ToU64
                if self.below(4) != 0 =>
            {
                self.near_integer::<F>()
            }
            Operation::Convert if self.below(2) == 0 => self.near_single_tie::<F>(),
            Operation::Sqrt if self.below(4) == 0 => self.near_square::<F>(),
            _ => self.float::<F>(),
        };
        let b = self.related::<F>(a);
        let c = if operation.is_fused() {
            self.addend::<F>(a, b)
        } else {
            0
        };
        [a, b, c]
    }

    /// Any float of the format.
    pub(crate) fn float<F: Format>(&mut self) -> u64 {
        let sign = self.sign::<F>();
        match self.below(16) {
            0 => sign | self.special::<F>(),
            1 => self.bits() & (F::SIGN | (F::SIGN - 1)),
            2..=5 => sign | self.exponent::<F>() | self.bits() & F::FRACTION_MASK,
            _ => sign | self.exponent::<F>() | self.fraction(F::FRACTION_BITS),
        }
    }

    fn sign<F: Format>(&mut self) -> u64 {
        self.one_of(&[0, F::SIGN])
    }

    fn special<F: Format>(&mut self) -> u64 {
        self.one_of(&[
            0,
            1,
            F::FRACTION_MASK,
            F::FRACTION_MASK + 1,
            F::FRACTION_MASK + 2,
            F::INFINITY - 1,
            F::INFINITY,
            F::INFINITY + 1,
            F::NAN - 1,
            F::NAN,
            F::NAN + 1,
        ])
    }

    /// A biased exponent, in place: at the ends, near one, or anywhere.
    fn exponent<F: Format>(&mut self) -> u64 {
        let (bias, top) = (F::BIAS as i64, F::EXPONENT_MAX as i64);
        let precision = F::FRACTION_BITS as i64;
        let biased = match self.below(8) {
            0 => self.below(4) as i64,
            1 => top - 1 - self.below(4) as i64,
            2 | 3 => bias + self.around_zero(3),
            4 => bias + self.around_zero(F::FRACTION_BITS.into()),
            // Squares and square roots of the ends.
            5 => self.one_of(&[bias / 2, bias + bias / 2, precision]) + self.around_zero(3),
            _ => self.below(top as u64) as i64,
        };
        (biased.clamp(0, top - 1) as u64) << F::FRACTION_BITS
    }

    /// A pattern of `width` bits with few changes between zeros and ones.
    fn fraction(&mut self, width: u32) -> u64 {
        let mask = (1u64 << width) - 1;
        let pattern = match self.below(6) {
            0 => 0,
            1 => 1 << self.below(width.into()),
            2 => (1 << self.below(width.into())) - 1,
            3 => 1 << self.below(width.into()) | 1 << self.below(width.into()),
            4 => self.bits() << self.below(width.into()),
            _ => self.below(8),
        };
        (if self.below(3) == 0 {
            !pattern
        } else {
            pattern
        }) & mask
    }

    /// An operand that meets `a` in a tie, a cancellation, an overflow or an underflow.
    fn related<F: Format>(&mut self, a: u64) -> u64 {
        let sign = self.sign::<F>();
        let magnitude = a & (F::SIGN - 1);
        let exponent = (magnitude >> F::FRACTION_BITS) as i64;
        let with_exponent = |biased: i64, fraction: u64| {
            let biased = biased.clamp(0, F::EXPONENT_MAX as i64 - 1) as u64;
            biased << F::FRACTION_BITS | fraction
        };
        match self.below(8) {
            // Cancellation: a few units in the last place away.
            0 => sign | magnitude.wrapping_add_signed(self.around_zero(3)) & (F::SIGN - 1),
            // A sum whose rest is near one half.
            1 => {
                let gap = F::FRACTION_BITS as i64 + self.around_zero(3);
                sign | with_exponent(exponent - gap, self.fraction(F::FRACTION_BITS))
            }
            2 => {
                let gap = self.around_zero(F::FRACTION_BITS.into());
                sign | with_exponent(exponent - gap, self.fraction(F::FRACTION_BITS))
            }
            // A product, or a quotient, at one of the ends.
            3 | 4 => {
                let (bias, precision) = (F::BIAS as i64, F::FRACTION_BITS as i64);
                let end = self.one_of(&[0, 0, -precision / 2, -precision, bias * 2]);
                let end = end + self.around_zero(3);
                let biased = if self.below(2) == 0 {
                    end + bias - exponent
                } else {
                    exponent + bias - end
                };
                sign | with_exponent(biased, self.fraction(F::FRACTION_BITS))
            }
            _ => self.float::<F>(),
        }
    }

    /// An addend that meets the product in a cancellation or a tie.
    fn addend<F: Format>(&mut self, a: u64, b: u64) -> u64 {
        let single = F::FRACTION_BITS == F32::FRACTION_BITS;
        let product = if single {
            u64::from((f32::from_bits(a as u32) * f32::from_bits(b as u32)).to_bits())
        } else {
            (f64::from_bits(a) * f64::from_bits(b)).to_bits()
        };
        match self.below(6) {
            0 | 1 => {
                let near = product.wrapping_add_signed(self.around_zero(2)) ^ F::SIGN;
                near & (F::SIGN | (F::SIGN - 1))
            }
            2 | 3 => self.related::<F>(product),
            4 => self.sign::<F>() | self.special::<F>(),
            _ => self.float::<F>(),
        }
    }

    /// An integer at the edge of a width, of a power of two, or of a format's precision.
    pub(crate) fn integer(&mut self) -> u64 {
        let shift = self.below(64);
        let value = match self.below(5) {
            0 => self.bits() >> shift,
            1 => (1u64 << shift).wrapping_add_signed(self.around_zero(2)),
            2 => self.fraction(63) >> self.below(40),
            3 => {
                // A tie of either format, or next to one.
                let kept = self.one_of(&[24, 53]);
                let tie = (self.bits() >> (64 - kept) << 1 | 1) << self.below(64 - kept);
                tie.wrapping_add_signed(self.around_zero(1))
            }
            _ => self.one_of(&[
                0,
                i32::MAX as u64,
                u32::MAX.into(),
                i64::MAX as u64,
                u64::MAX,
            ]),
        };
        if self.below(2) == 0 {
            value
        } else {
            value.wrapping_neg()
        }
    }

    /// A float at an integer, at a half between two, or a few units in the last place beside.
    fn near_integer<F: Format>(&mut self) -> u64 {
        let exponent = match self.below(4) {
            0 => self.one_of(&[30, 31, 32, 62, 63, 64]),
            1 => self.around_zero(3),
            _ => self.below(66) as i64 - 1,
        };
        let drop = (F::FRACTION_BITS as i64 - exponent - self.below(2) as i64).max(0);
        let fraction = match self.below(3) {
            0 => self.bits() & F::FRACTION_MASK,
            1 => F::FRACTION_MASK,
            _ => 0,
        };
        let fraction = fraction >> drop.min(63) << drop.min(63) & F::FRACTION_MASK;
        let bits = ((F::BIAS as i64 + exponent) as u64) << F::FRACTION_BITS | fraction;
        self.sign::<F>() | bits.wrapping_add_signed(self.around_zero(1))
    }

    /// A double near the middle between two singles, or near the ends of single precision.
    fn near_single_tie<F: Format>(&mut self) -> u64 {
        if F::FRACTION_BITS == F32::FRACTION_BITS {
            return self.float::<F>();
        }
        let single = f32::from_bits(self.float::<F32>() as u32);
        let bits = f64::from(single).to_bits();
        let gap = F64::FRACTION_BITS - F32::FRACTION_BITS;
        // Subnormal singles have their half unit higher up.
        let half = 1 << (gap - 1 + self.below(26) as u32 * self.below(2) as u32).min(51);
        bits.wrapping_add(self.one_of(&[0, half, half << 1]))
            .wrapping_add_signed(self.around_zero(1))
    }

    /// The square of a number with half the precision, or its neighbour.
    fn near_square<F: Format>(&mut self) -> u64 {
        let half = (F::FRACTION_BITS - 1) / 2;
        let root = self.bits() >> (64 - half) | 1 << half;
        let square = root * root;
        let shift = F::FRACTION_BITS + square.leading_zeros() - 63;
        let exponent = F::BIAS as i64 + self.around_zero(F::BIAS as u64 - 2);
        let bits = (exponent as u64) << F::FRACTION_BITS | square << shift & F::FRACTION_MASK;
        bits.wrapping_add_signed(self.around_zero(1))
    }
}
