//! What the simple operations compute, as plain functions on 64-bit register values. An interpreter
//! calls `evaluate`; a translator matches on the operation and emits code that gives the same.

/// A pure operation of two register values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// `a << b[5:0]`.
    ShiftLeft,
    /// `a >> b[5:0]`, zeros shifted in.
    ShiftRight,
    /// `a >> b[5:0]`, sign bits shifted in.
    ShiftRightSigned,
    /// 1 if `a < b`, signed, else 0.
    Less,
    /// 1 if `a < b`, unsigned, else 0.
    LessUnsigned,
    /// The sign-extended low word of `a + b`.
    AddWord,
    /// The sign-extended low word of `a - b`.
    SubtractWord,
    /// The sign-extended low word of `a << b[4:0]`.
    ShiftLeftWord,
    /// `a[31:0] >> b[4:0]`, zeros shifted in, as a sign-extended word.
    ShiftRightWord,
    /// `a[31:0] >> b[4:0]`, sign bits shifted in, as a sign-extended word.
    ShiftRightSignedWord,
    /// Lower half of `a × b`.
    Multiply,
    /// Upper half of `a × b`, both signed.
    MultiplyHigh,
    /// Upper half of `a × b`, `a` signed and `b` unsigned.
    MultiplyHighSignedUnsigned,
    /// Upper half of `a × b`, both unsigned.
    MultiplyHighUnsigned,
    /// `a ÷ b` toward zero, signed; -1 if `b` is 0, `a` on overflow.
    Divide,
    /// `a ÷ b`, unsigned; all ones if `b` is 0.
    DivideUnsigned,
    /// Remainder with the sign of `a`; `a` if `b` is 0, 0 on overflow.
    Remainder,
    /// Remainder, unsigned; `a` if `b` is 0.
    RemainderUnsigned,
    /// The sign-extended low word of `a × b`.
    MultiplyWord,
    /// As `Divide`, on low words.
    DivideWord,
    /// As `DivideUnsigned`, on low words, the result sign-extended.
    DivideUnsignedWord,
    /// As `Remainder`, on low words.
    RemainderWord,
    /// As `RemainderUnsigned`, on low words, the result sign-extended.
    RemainderUnsignedWord,
    /// Boxed single `a` with the sign of boxed single `b`. An improperly boxed operand is the
    /// canonical NaN.
    SignSingle,
    /// Boxed single `a` with the opposite of the sign of boxed single `b`.
    SignNegatedSingle,
    /// Boxed single `a` with its sign flipped if boxed single `b` is negative.
    SignXorSingle,
    /// Double `a` with the sign of `b`.
    SignDouble,
    /// Double `a` with the opposite of the sign of `b`.
    SignNegatedDouble,
    /// Double `a` with its sign flipped if `b` is negative.
    SignXorDouble,
}

const SIGN_SINGLE: u64 = 1 << 31;
const SIGN_DOUBLE: u64 = 1 << 63;

/// The upper half of a register that holds a single: a single is boxed in ones.
pub(crate) const BOX: u64 = 0xffff_ffff_0000_0000;

/// The single in a float register: the canonical NaN if it is not properly boxed.
#[inline(always)]
#[must_use]
pub(crate) fn unbox_single(register: u64) -> u32 {
    if register & BOX == BOX {
        register as u32
    } else {
        0x7fc0_0000
    }
}

/// A single as a float register holds it.
#[inline(always)]
#[must_use]
pub fn box_single(single: u32) -> u64 {
    BOX | u64::from(single)
}

#[inline(always)]
fn word(value: u32) -> u64 {
    i64::from(value.cast_signed()).cast_unsigned()
}

impl Binary {
    /// The result on 64-bit register values.
    #[inline(always)]
    #[must_use]
    pub fn evaluate(self, a: u64, b: u64) -> u64 {
        let (signed_a, signed_b) = (a.cast_signed(), b.cast_signed());
        let (word_a, word_b) = (a as u32, b as u32);
        let (signed_word_a, signed_word_b) = (word_a.cast_signed(), word_b.cast_signed());
        match self {
            Binary::Add => a.wrapping_add(b),
            Binary::Subtract => a.wrapping_sub(b),
            Binary::And => a & b,
            Binary::Or => a | b,
            Binary::Xor => a ^ b,
            // `wrapping_shl` and `wrapping_shr` take the shift amount modulo the width.
            Binary::ShiftLeft => a.wrapping_shl(word_b),
            Binary::ShiftRight => a.wrapping_shr(word_b),
            Binary::ShiftRightSigned => signed_a.wrapping_shr(word_b).cast_unsigned(),
            Binary::Less => u64::from(signed_a < signed_b),
            Binary::LessUnsigned => u64::from(a < b),
            Binary::AddWord => word(word_a.wrapping_add(word_b)),
            Binary::SubtractWord => word(word_a.wrapping_sub(word_b)),
            Binary::ShiftLeftWord => word(word_a.wrapping_shl(word_b)),
            Binary::ShiftRightWord => word(word_a.wrapping_shr(word_b)),
            Binary::ShiftRightSignedWord => {
                word(signed_word_a.wrapping_shr(word_b).cast_unsigned())
            }
            Binary::Multiply => a.wrapping_mul(b),
            Binary::MultiplyHigh => {
                ((i128::from(signed_a) * i128::from(signed_b)) >> 64).cast_unsigned() as u64
            }
            Binary::MultiplyHighSignedUnsigned => {
                ((i128::from(signed_a) * i128::from(b)) >> 64).cast_unsigned() as u64
            }
            Binary::MultiplyHighUnsigned => ((u128::from(a) * u128::from(b)) >> 64) as u64,
            Binary::Divide => match signed_b {
                0 => u64::MAX,
                _ => signed_a.wrapping_div(signed_b).cast_unsigned(),
            },
            Binary::DivideUnsigned => a.checked_div(b).unwrap_or(u64::MAX),
            Binary::Remainder => match signed_b {
                0 => a,
                _ => signed_a.wrapping_rem(signed_b).cast_unsigned(),
            },
            Binary::RemainderUnsigned => a.checked_rem(b).unwrap_or(a),
            Binary::MultiplyWord => word(word_a.wrapping_mul(word_b)),
            Binary::DivideWord => match signed_word_b {
                0 => u64::MAX,
                _ => word(signed_word_a.wrapping_div(signed_word_b).cast_unsigned()),
            },
            Binary::DivideUnsignedWord => word(word_a.checked_div(word_b).unwrap_or(u32::MAX)),
            Binary::RemainderWord => match signed_word_b {
                0 => word(word_a),
                _ => word(signed_word_a.wrapping_rem(signed_word_b).cast_unsigned()),
            },
            Binary::RemainderUnsignedWord => word(word_a.checked_rem(word_b).unwrap_or(word_a)),
            Binary::SignSingle => {
                let (a, b) = (box_single(unbox_single(a)), u64::from(unbox_single(b)));
                a & !SIGN_SINGLE | b & SIGN_SINGLE
            }
            Binary::SignNegatedSingle => {
                let (a, b) = (box_single(unbox_single(a)), u64::from(unbox_single(b)));
                a & !SIGN_SINGLE | !b & SIGN_SINGLE
            }
            Binary::SignXorSingle => {
                let (a, b) = (box_single(unbox_single(a)), u64::from(unbox_single(b)));
                a ^ b & SIGN_SINGLE
            }
            Binary::SignDouble => a & !SIGN_DOUBLE | b & SIGN_DOUBLE,
            Binary::SignNegatedDouble => a & !SIGN_DOUBLE | !b & SIGN_DOUBLE,
            Binary::SignXorDouble => a ^ b & SIGN_DOUBLE,
        }
    }
}

/// What a conditional branch tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `a = b`.
    Equal,
    /// `a ≠ b`.
    NotEqual,
    /// `a < b`, signed.
    Less,
    /// `a ≥ b`, signed.
    GreaterEqual,
    /// `a < b`, unsigned.
    LessUnsigned,
    /// `a ≥ b`, unsigned.
    GreaterEqualUnsigned,
}

impl Comparison {
    /// The result on 64-bit register values.
    #[inline(always)]
    #[must_use]
    pub fn evaluate(self, a: u64, b: u64) -> bool {
        match self {
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::Less => a.cast_signed() < b.cast_signed(),
            Comparison::GreaterEqual => a.cast_signed() >= b.cast_signed(),
            Comparison::LessUnsigned => a < b,
            Comparison::GreaterEqualUnsigned => a >= b,
        }
    }
}

/// The size of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Half,
    /// 4 bytes.
    Word,
    /// 8 bytes.
    Double,
}

impl Width {
    /// 1, 2, 4 or 8.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Width::Byte => 1,
            Width::Half => 2,
            Width::Word => 4,
            Width::Double => 8,
        }
    }

    /// `value` cut to this width and sign-extended to 64 bits.
    #[inline(always)]
    #[must_use]
    pub const fn sign_extend(self, value: u64) -> u64 {
        let unused = 64 - 8 * self.bytes() as u32;
        ((value << unused).cast_signed() >> unused).cast_unsigned()
    }
}

/// What an atomic read-modify-write puts into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amo {
    /// The operand.
    Swap,
    /// The sum.
    Add,
    /// Bitwise exclusive or.
    Xor,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// The smaller, signed.
    Minimum,
    /// The larger, signed.
    Maximum,
    /// The smaller, unsigned.
    MinimumUnsigned,
    /// The larger, unsigned.
    MaximumUnsigned,
}

impl Amo {
    /// What memory holds afterwards, given what it held and the operand. Only the low `width` of the
    /// arguments counts, and only that of the result is to be stored.
    #[inline(always)]
    #[must_use]
    pub fn evaluate(self, width: Width, old: u64, operand: u64) -> u64 {
        // Sign extension keeps the order of both signed and unsigned values.
        let (a, b) = (width.sign_extend(old), width.sign_extend(operand));
        match self {
            Amo::Swap => b,
            Amo::Add => a.wrapping_add(b),
            Amo::Xor => a ^ b,
            Amo::And => a & b,
            Amo::Or => a | b,
            Amo::Minimum => a.cast_signed().min(b.cast_signed()).cast_unsigned(),
            Amo::Maximum => a.cast_signed().max(b.cast_signed()).cast_unsigned(),
            Amo::MinimumUnsigned => a.min(b),
            Amo::MaximumUnsigned => a.max(b),
        }
    }
}
