//! The float environment of an operation: how it rounds, and the exceptions that accrue.

/// How a result that has no exact representation is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rounding {
    /// To the nearest value, ties to even (RNE, 0).
    #[default]
    NearestEven,
    /// Towards zero (RTZ, 1).
    TowardZero,
    /// Towards minus infinity (RDN, 2).
    Down,
    /// Towards plus infinity (RUP, 3).
    Up,
    /// To the nearest value, ties away from zero (RMM, 4).
    NearestMaxMagnitude,
}

impl Rounding {
    /// All modes, in the order of their encodings.
    pub const ALL: [Rounding; 5] = [
        Rounding::NearestEven,
        Rounding::TowardZero,
        Rounding::Down,
        Rounding::Up,
        Rounding::NearestMaxMagnitude,
    ];

    /// The mode with this encoding in `frm`; `None` for the reserved encodings and for the dynamic
    /// one (7), which names `frm` itself.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Rounding> {
        match bits {
            0 => Some(Rounding::NearestEven),
            1 => Some(Rounding::TowardZero),
            2 => Some(Rounding::Down),
            3 => Some(Rounding::Up),
            4 => Some(Rounding::NearestMaxMagnitude),
            _ => None,
        }
    }
}

/// A set of accrued exceptions, in the layout of `fflags`. Operations add to it and never remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u8);

impl Flags {
    /// Inexact.
    pub const NX: Flags = Flags(1);
    /// Underflow: tiny after rounding, and inexact.
    pub const UF: Flags = Flags(2);
    /// Overflow.
    pub const OF: Flags = Flags(4);
    /// Division of a finite number by zero.
    pub const DZ: Flags = Flags(8);
    /// Invalid operation.
    pub const NV: Flags = Flags(16);

    /// The flags in the low five bits of `fflags`; other bits are dropped.
    #[inline]
    pub const fn from_bits(bits: u8) -> Flags {
        Flags(bits & 0x1f)
    }

    /// The value of `fflags`.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Adds all of `other`.
    #[inline]
    pub const fn insert(&mut self, other: Flags) {
        self.0 |= other.0;
    }

    /// Whether all of `other` are set.
    #[inline]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}
