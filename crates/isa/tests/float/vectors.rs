//! Results and flags worked out by hand from IEEE 754 and the RISC-V manual.

use isa::float::{self, F32, F64, Flags, Format, Rounding};

use crate::operation::Operation;

const NX: u8 = 1;
const UF: u8 = 2;
const OF: u8 = 4;
const DZ: u8 = 8;
const NV: u8 = 16;

const RNE: Rounding = Rounding::NearestEven;
const RTZ: Rounding = Rounding::TowardZero;
const RDN: Rounding = Rounding::Down;
const RUP: Rounding = Rounding::Up;
const RMM: Rounding = Rounding::NearestMaxMagnitude;

const NAN: u64 = 0x7ff8_0000_0000_0000;
const NAN_PAYLOAD: u64 = 0xfff8_0000_0000_1234;
const SIGNALLING: u64 = 0x7ff0_0000_0000_0001;
const INF: u64 = 0x7ff0_0000_0000_0000;
const MAX: u64 = 0x7fef_ffff_ffff_ffff;
const MIN_NORMAL: u64 = 0x0010_0000_0000_0000;
const MIN_SUBNORMAL: u64 = 1;
const NEGATIVE: u64 = 1 << 63;
const ONE: u64 = 0x3ff0_0000_0000_0000;
const TWO: u64 = 0x4000_0000_0000_0000;
const THREE: u64 = 0x4008_0000_0000_0000;
/// 2^-53, half a unit in the last place of one.
const HALF_ULP: u64 = 0x3ca0_0000_0000_0000;

/// Checks result and flags in one rounding mode.
#[track_caller]
fn check<F: Format>(operation: Operation, rm: Rounding, operands: [u64; 3], expected: (u64, u8)) {
    let mut flags = Flags::default();
    let result = operation.run::<F>(operands, rm, &mut flags);
    assert!(
        (result, flags.bits()) == expected,
        "{operation:?} {rm:?} {operands:x?}: {result:#x} {:#x}, not {expected:x?}",
        flags.bits()
    );
}

/// Checks doubles in every rounding mode: one expected result a mode, in the order of their encodings.
#[track_caller]
fn check_modes(operation: Operation, operands: [u64; 3], expected: [u64; 5], flags: u8) {
    for (rm, expected) in Rounding::ALL.into_iter().zip(expected) {
        check::<F64>(operation, rm, operands, (expected, flags));
    }
}

/// Checks that no rounding mode matters.
#[track_caller]
fn check_any(operation: Operation, operands: [u64; 3], expected: u64, flags: u8) {
    check_modes(operation, operands, [expected; 5], flags);
}

#[test]
fn encodings_of_rounding_modes_and_flags() {
    assert_eq!(
        [0, 1, 2, 3, 4].map(Rounding::from_bits),
        Rounding::ALL.map(Some)
    );
    assert_eq!([5, 6, 7, 8, 255].map(Rounding::from_bits), [None; 5]);
    let flags = [Flags::NX, Flags::UF, Flags::OF, Flags::DZ, Flags::NV];
    assert_eq!(flags.map(Flags::bits), [NX, UF, OF, DZ, NV]);
    assert_eq!(Flags::from_bits(0xff).bits(), 0x1f);
}

#[test]
fn addition() {
    use Operation::{Add, Sub};
    check_any(Add, [ONE, ONE, 0], TWO, 0);
    check_any(Sub, [THREE, TWO, 0], ONE, 0);
    // A tie between one and its successor, on either side of zero.
    check_modes(
        Add,
        [ONE, HALF_ULP, 0],
        [ONE, ONE, ONE, ONE + 1, ONE + 1],
        NX,
    );
    let n = NEGATIVE;
    let minus = [ONE, ONE, ONE + 1, ONE, ONE + 1].map(|bits| bits | n);
    check_modes(Sub, [ONE | n, HALF_ULP, 0], minus, NX);
    // From an odd significand the tie goes up.
    check_modes(
        Add,
        [ONE + 1, HALF_ULP, 0],
        [ONE + 2, ONE + 1, ONE + 1, ONE + 2, ONE + 2],
        NX,
    );
    // Far below the last place only directed rounding moves.
    check_modes(
        Add,
        [ONE, MIN_SUBNORMAL, 0],
        [ONE, ONE, ONE, ONE + 1, ONE],
        NX,
    );
    check_modes(
        Sub,
        [ONE, MIN_SUBNORMAL, 0],
        [ONE, ONE - 1, ONE - 1, ONE, ONE],
        NX,
    );
    // Exact cancellation gives +0, and -0 when rounding down.
    check_modes(Sub, [ONE, ONE, 0], [0, 0, n, 0, 0], 0);
    check_modes(Add, [0, n, 0], [0, 0, n, 0, 0], 0);
    check_any(Add, [n, n, 0], n, 0);
    check_any(Sub, [n, 0, 0], n, 0);
    // A subnormal sum is exact and raises nothing.
    check_any(Sub, [MIN_NORMAL, 1, 0], MIN_NORMAL - 1, 0);
    check_any(Add, [MIN_NORMAL - 1, 1, 0], MIN_NORMAL, 0);
    check_modes(Add, [MAX, MAX, 0], [INF, MAX, MAX, INF, INF], OF | NX);
    let below = [INF | n, MAX | n, INF | n, MAX | n, INF | n];
    check_modes(Sub, [MAX | n, MAX, 0], below, OF | NX);
}

#[test]
fn infinities_and_nans_in_addition() {
    use Operation::{Add, Sub};
    check_any(Add, [INF, MAX | NEGATIVE, 0], INF, 0);
    check_any(Sub, [ONE, INF, 0], INF | NEGATIVE, 0);
    check_any(Sub, [INF, INF, 0], NAN, NV);
    check_any(Add, [INF, INF, 0], INF, 0);
    for operation in [Add, Sub, Operation::Mul, Operation::Div] {
        check_any(operation, [NAN_PAYLOAD, ONE, 0], NAN, 0);
        check_any(operation, [INF, NAN_PAYLOAD, 0], NAN, 0);
        check_any(operation, [SIGNALLING, ONE, 0], NAN, NV);
        check_any(operation, [NAN, SIGNALLING | NEGATIVE, 0], NAN, NV);
    }
}

#[test]
fn multiplication() {
    use Operation::Mul;
    check_any(Mul, [TWO, THREE | NEGATIVE, 0], 0xc018_0000_0000_0000, 0);
    check_any(Mul, [0, MAX | NEGATIVE, 0], NEGATIVE, 0);
    check_any(Mul, [INF, 0, 0], NAN, NV);
    check_any(Mul, [INF | NEGATIVE, MIN_SUBNORMAL, 0], INF | NEGATIVE, 0);
    check_modes(Mul, [MAX, TWO, 0], [INF, MAX, MAX, INF, INF], OF | NX);
    // (1 + 2^-52)^2 = 1 + 2^-51 + 2^-104.
    let square = [ONE + 2, ONE + 2, ONE + 2, ONE + 3, ONE + 2];
    check_modes(Mul, [ONE + 1, ONE + 1, 0], square, NX);
    // Half the smallest number is a tie between it and zero.
    let half = 0x3fe0_0000_0000_0000;
    check_modes(Mul, [MIN_SUBNORMAL, half, 0], [0, 0, 0, 1, 1], UF | NX);
    // An exact subnormal product underflows without a flag.
    check_any(Mul, [MIN_NORMAL, half, 0], MIN_NORMAL >> 1, 0);
}

#[test]
fn tininess_is_detected_after_rounding() {
    use Operation::Mul;
    // 2^-1022 (1 - 2^-53) has 53 bits: exact but for the bound on the exponent, hence tiny in every mode.
    let below_one = ONE - 1;
    check_modes(
        Mul,
        [MIN_NORMAL, below_one, 0],
        [
            MIN_NORMAL,
            MIN_NORMAL - 1,
            MIN_NORMAL - 1,
            MIN_NORMAL,
            MIN_NORMAL,
        ],
        UF | NX,
    );
    // (2^-1022 + 2^-1074)(1 - 2^-53) = 2^-1022 (1 + 2^-53 - 2^-105) rounds to a normal number.
    check::<F64>(Mul, RNE, [MIN_NORMAL + 1, below_one, 0], (MIN_NORMAL, NX));
    // 2^-1022 (1 - 2^-104) lies between 1 - 2^-53 and 1: rounding up makes it normal, and not tiny.
    let operands = [MIN_NORMAL + 1, ONE - 2, 0];
    check::<F64>(Mul, RNE, operands, (MIN_NORMAL, NX));
    check::<F64>(Mul, RMM, operands, (MIN_NORMAL, NX));
    check::<F64>(Mul, RUP, operands, (MIN_NORMAL, NX));
    check::<F64>(Mul, RDN, operands, (MIN_NORMAL - 1, UF | NX));
    check::<F64>(Mul, RTZ, operands, (MIN_NORMAL - 1, UF | NX));
}

#[test]
fn division() {
    use Operation::Div;
    let third = 0x3fd5_5555_5555_5555;
    check_modes(
        Div,
        [ONE, THREE, 0],
        [third, third, third, third + 1, third],
        NX,
    );
    check_any(Div, [THREE, TWO, 0], 0x3ff8_0000_0000_0000, 0);
    check_any(Div, [ONE, NEGATIVE, 0], INF | NEGATIVE, DZ);
    check_any(Div, [INF, 0, 0], INF, 0);
    check_any(Div, [0, 0, 0], NAN, NV);
    check_any(Div, [INF, INF, 0], NAN, NV);
    check_any(Div, [ONE | NEGATIVE, INF, 0], NEGATIVE, 0);
    check_any(Div, [0, THREE, 0], 0, 0);
    check_modes(
        Div,
        [MAX, MIN_SUBNORMAL, 0],
        [INF, MAX, MAX, INF, INF],
        OF | NX,
    );
    check_modes(Div, [MIN_SUBNORMAL, MAX, 0], [0, 0, 0, 1, 0], UF | NX);
}

#[test]
fn square_root() {
    use Operation::Sqrt;
    let root = 0x3ff6_a09e_667f_3bcc;
    check_modes(
        Sqrt,
        [TWO, 0, 0],
        [root + 1, root, root, root + 1, root + 1],
        NX,
    );
    check_any(Sqrt, [0x4022_0000_0000_0000, 0, 0], THREE, 0);
    check_any(Sqrt, [NEGATIVE, 0, 0], NEGATIVE, 0);
    check_any(Sqrt, [ONE | NEGATIVE, 0, 0], NAN, NV);
    check_any(Sqrt, [INF, 0, 0], INF, 0);
    check_any(Sqrt, [INF | NEGATIVE, 0, 0], NAN, NV);
    check_any(Sqrt, [SIGNALLING, 0, 0], NAN, NV);
    // The smallest subnormal, 2^-1074, has the root 2^-537.
    check_any(Sqrt, [MIN_SUBNORMAL, 0, 0], 486 << 52, 0);
}

#[test]
fn fused_multiply_and_add() {
    use Operation::{MultiplyAdd, MultiplySub, NegatedMultiplyAdd, NegatedMultiplySub};
    let (n, six) = (NEGATIVE, 0x4018_0000_0000_0000);
    check_any(MultiplyAdd, [ONE, TWO, ONE], THREE, 0);
    check_any(MultiplySub, [TWO, TWO, ONE], THREE, 0);
    check_any(NegatedMultiplySub, [TWO, THREE, 0], six | n, 0);
    check_any(NegatedMultiplyAdd, [ONE, TWO, ONE], THREE | n, 0);
    // The low half of (1 + 2^-52)^2 survives only when the product is not rounded: 2^-104.
    check_any(
        MultiplySub,
        [ONE + 1, ONE + 1, ONE + 2],
        (1023 - 104) << 52,
        0,
    );
    // A sum just above a tie, by less than any double of its size.
    let above = [ONE + 1, ONE, ONE, ONE + 1, ONE + 1];
    check_modes(MultiplyAdd, [HALF_ULP, ONE + 1, ONE], above, NX);
    // Infinity times zero is invalid, whatever the addend.
    check_any(MultiplyAdd, [INF, 0, ONE], NAN, NV);
    check_any(MultiplyAdd, [0, INF | n, NAN_PAYLOAD], NAN, NV);
    check_any(MultiplyAdd, [INF, ONE, NAN_PAYLOAD], NAN, 0);
    check_any(MultiplyAdd, [ONE, ONE, SIGNALLING], NAN, NV);
    check_any(MultiplyAdd, [INF, ONE, INF | n], NAN, NV);
    check_any(MultiplyAdd, [INF, TWO, INF], INF, 0);
    check_any(MultiplyAdd, [MAX, MAX, INF | n], INF | n, 0);
    // The signs of zero.
    check_modes(MultiplySub, [ONE, TWO, TWO], [0, 0, n, 0, 0], 0);
    check_modes(MultiplyAdd, [0, ONE | n, 0], [0, 0, n, 0, 0], 0);
    check_any(MultiplyAdd, [0, ONE | n, n], n, 0);
    check_any(MultiplyAdd, [0, ONE, ONE], ONE, 0);
    // A product below every double.
    check_modes(MultiplyAdd, [1, 1, 0], [0, 0, 0, 1, 0], UF | NX);
    check_modes(
        MultiplyAdd,
        [MAX, MAX, 1],
        [INF, MAX, MAX, INF, INF],
        OF | NX,
    );
}

#[test]
fn minimum_and_maximum() {
    use Operation::{Max, Min};
    let n = NEGATIVE;
    for (a, b) in [(0, n), (n, 0)] {
        check_any(Min, [a, b, 0], n, 0);
        check_any(Max, [a, b, 0], 0, 0);
    }
    for (a, b) in [(ONE, TWO | n), (TWO | n, ONE)] {
        check_any(Min, [a, b, 0], TWO | n, 0);
        check_any(Max, [a, b, 0], ONE, 0);
    }
    check_any(Min, [INF | n, TWO | n, 0], INF | n, 0);
    check_any(Max, [INF | n, TWO | n, 0], TWO | n, 0);
    for operation in [Min, Max] {
        check_any(operation, [NAN_PAYLOAD, ONE, 0], ONE, 0);
        check_any(operation, [ONE, SIGNALLING, 0], ONE, NV);
        check_any(operation, [NAN_PAYLOAD, NAN_PAYLOAD, 0], NAN, 0);
        check_any(operation, [SIGNALLING, NAN, 0], NAN, NV);
    }
}

#[test]
fn comparisons() {
    use Operation::{Equal, Less, LessOrEqual};
    let n = NEGATIVE;
    // (a, b, a == b, a < b, a <= b)
    let cases = [
        (ONE, TWO, 0, 1, 1),
        (TWO, ONE, 0, 0, 0),
        (ONE, ONE, 1, 0, 1),
        (0, n, 1, 0, 1),
        (n, 0, 1, 0, 1),
        (TWO | n, ONE | n, 0, 1, 1),
        (ONE | n, 1, 0, 1, 1),
        (1 | n, 0, 0, 1, 1),
        (INF | n, INF, 0, 1, 1),
    ];
    for (a, b, equal, less, less_or_equal) in cases {
        check_any(Equal, [a, b, 0], equal, 0);
        check_any(Less, [a, b, 0], less, 0);
        check_any(LessOrEqual, [a, b, 0], less_or_equal, 0);
    }
    check_any(Equal, [NAN, NAN, 0], 0, 0);
    check_any(Equal, [ONE, SIGNALLING, 0], 0, NV);
    check_any(Less, [NAN, ONE, 0], 0, NV);
    check_any(LessOrEqual, [ONE, NAN, 0], 0, NV);
}

#[test]
fn classes() {
    let n = NEGATIVE;
    let values = [
        INF | n,
        ONE | n,
        1 | n,
        n,
        0,
        MIN_NORMAL - 1,
        MIN_NORMAL,
        INF,
        SIGNALLING,
        NAN_PAYLOAD,
    ];
    for (bit, value) in values.into_iter().enumerate() {
        assert_eq!(float::classify::<F64>(value), 1 << bit, "{value:#x}");
    }
    let singles = [
        0xff80_0000,
        0xbf80_0000,
        0x807f_ffff,
        0x8000_0000,
        0,
        1,
        0x0080_0000,
        0x7f80_0000,
        0x7fbf_ffff,
        0x7fc0_0000,
    ];
    for (bit, value) in singles.into_iter().enumerate() {
        assert_eq!(float::classify::<F32>(value), 1 << bit, "{value:#x}");
    }
}

#[test]
fn rounding_to_integers() {
    use Operation::ToI32;
    // Halves, and a little more or less, in each mode.
    let cases: [(f64, [i64; 5]); 8] = [
        (0.5, [0, 0, 0, 1, 1]),
        (1.5, [2, 1, 1, 2, 2]),
        (2.5, [2, 2, 2, 3, 3]),
        (2.25, [2, 2, 2, 3, 2]),
        (2.75, [3, 2, 2, 3, 3]),
        (-0.5, [0, 0, -1, 0, -1]),
        (-2.5, [-2, -2, -3, -2, -3]),
        (-2.75, [-3, -2, -3, -2, -3]),
    ];
    for (value, expected) in cases {
        check_modes(
            ToI32,
            [value.to_bits(), 0, 0],
            expected.map(|value| value as u64),
            NX,
        );
    }
}

#[test]
fn bounds_of_integers() {
    use Operation::{ToI32, ToI64, ToU32, ToU64};
    let (high, low) = (i32::MAX as u64, i64::from(i32::MIN) as u64);
    let all = u64::MAX;
    // Operation, lowest and highest result, where `fcvt.wu` sign-extends.
    let bounds = [
        (ToI32, low, high),
        (ToU32, 0, all),
        (ToI64, 1 << 63, i64::MAX as u64),
        (ToU64, 0, all),
    ];
    for (operation, lowest, highest) in bounds {
        for nan in [NAN, NAN_PAYLOAD, SIGNALLING, INF, MAX] {
            check_any(operation, [nan, 0, 0], highest, NV);
        }
        check_any(operation, [INF | NEGATIVE, 0, 0], lowest, NV);
        check_any(operation, [MAX | NEGATIVE, 0, 0], lowest, NV);
        check_any(operation, [NEGATIVE, 0, 0], 0, 0);
    }
    let bits = |value: f64| [value.to_bits(), 0, 0];
    check_any(ToI32, bits(2147483647.0), high, 0);
    check_any(ToI32, bits(2147483648.0), high, NV);
    check_any(ToI32, bits(-2147483648.0), low, 0);
    check::<F64>(ToI32, RTZ, bits(2147483647.5), (high, NX));
    check::<F64>(ToI32, RNE, bits(2147483647.5), (high, NV));
    check::<F64>(ToI32, RTZ, bits(-2147483648.5), (low, NX));
    check::<F64>(ToI32, RDN, bits(-2147483648.5), (low, NV));
    check_any(ToI64, bits(-9223372036854775808.0), 1 << 63, 0);
    check_any(ToI64, bits(9223372036854775808.0), i64::MAX as u64, NV);
    check_any(ToU64, bits(18446744073709549568.0), u64::MAX - 2047, 0);
    check_any(ToU64, bits(18446744073709551616.0), u64::MAX, NV);
    check_any(ToU32, bits(4294967295.0), all, 0);
    check::<F64>(ToU32, RUP, bits(4294967295.5), (all, NV));
    check::<F64>(ToU32, RDN, bits(4294967295.5), (all, NX));
    // Below zero an unsigned result is inexact as long as it rounds to zero.
    check::<F64>(ToU32, RTZ, bits(-0.75), (0, NX));
    check::<F64>(ToU64, RUP, bits(-0.75), (0, NX));
    check::<F64>(ToU64, RNE, bits(-0.75), (0, NV));
    check::<F64>(ToU64, RTZ, bits(-1.0), (0, NV));
    check::<F64>(ToU32, RDN, [MIN_SUBNORMAL | NEGATIVE, 0, 0], (0, NV));
}

#[test]
fn integers_to_floats() {
    use Operation::{FromI32, FromI64, FromU32, FromU64};
    for operation in [FromI32, FromU32, FromI64, FromU64] {
        check_any(operation, [0, 0, 0], 0, 0);
        check_any(operation, [3, 0, 0], THREE, 0);
    }
    check_any(FromI32, [u64::MAX, 0, 0], ONE | NEGATIVE, 0);
    check_any(FromU32, [u64::MAX, 0, 0], 4294967295f64.to_bits(), 0);
    let two_64 = 1087 << 52;
    check_modes(
        FromU64,
        [u64::MAX, 0, 0],
        [two_64, two_64 - 1, two_64 - 1, two_64, two_64],
        NX,
    );
    check_any(
        FromI64,
        [1 << 63, 0, 0],
        (-9223372036854775808f64).to_bits(),
        0,
    );
    // 2^24 + 1 is a tie in single precision.
    let (even, odd) = (0x4b80_0000, 0x4b80_0001);
    for (rm, expected) in [
        (RNE, even),
        (RTZ, even),
        (RDN, even),
        (RUP, odd),
        (RMM, odd),
    ] {
        check::<F32>(FromI32, rm, [(1 << 24) + 1, 0, 0], (expected, NX));
    }
}

#[test]
fn between_the_formats() {
    use Operation::Convert;
    check::<F32>(Convert, RNE, [1, 0, 0], ((1023 - 149) << 52, 0));
    check::<F32>(Convert, RNE, [0xff80_0000, 0, 0], (INF | NEGATIVE, 0));
    check::<F32>(Convert, RNE, [0xffc0_1234, 0, 0], (NAN, 0));
    check::<F32>(Convert, RNE, [0x7f80_0001, 0, 0], (NAN, NV));
    check::<F64>(Convert, RNE, [SIGNALLING, 0, 0], (0x7fc0_0000, NV));
    check::<F64>(Convert, RNE, [NAN_PAYLOAD, 0, 0], (0x7fc0_0000, 0));
    check_any(Convert, [NEGATIVE, 0, 0], 0x8000_0000, 0);
    let (inf, max) = (0x7f80_0000, 0x7f7f_ffff);
    check_modes(Convert, [MAX, 0, 0], [inf, max, max, inf, inf], OF | NX);
    check_modes(Convert, [MIN_NORMAL, 0, 0], [0, 0, 0, 1, 0], UF | NX);
    // Next below 2^-126: rounds to it, from a value that is not tiny after rounding.
    let below = 2f64.powi(-126).to_bits() - 1;
    let normal = 0x0080_0000;
    for (rm, result, flags) in [
        (RNE, normal, NX),
        (RUP, normal, NX),
        (RTZ, normal - 1, UF | NX),
    ] {
        check::<F64>(Convert, rm, [below, 0, 0], (result, flags));
    }
}
