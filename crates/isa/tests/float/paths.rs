//! The fast path against the exact one: same bits, same flags, on operands made to part them.

use isa::float::{self, F32, F64, Flags, Format, Rounding, exact};
use proptest::prelude::*;

use crate::draw::Draw;
use crate::operation::Operation;

const OPERATIONS: [Operation; 6] = [
    Operation::Add,
    Operation::Sub,
    Operation::Mul,
    Operation::Div,
    Operation::Sqrt,
    Operation::MultiplyAdd,
];

fn run_exact<F: Format>(
    operation: Operation,
    [a, b, c]: [F::Bits; 3],
    rm: Rounding,
    flags: &mut Flags,
) -> F::Bits {
    match operation {
        Operation::Add => exact::add::<F>(a, b, rm, flags),
        Operation::Sub => exact::sub::<F>(a, b, rm, flags),
        Operation::Mul => exact::mul::<F>(a, b, rm, flags),
        Operation::Div => exact::div::<F>(a, b, rm, flags),
        Operation::Sqrt => exact::sqrt::<F>(a, rm, flags),
        Operation::MultiplyAdd => exact::fused_multiply_add::<F>(a, b, c, rm, flags),
        _ => panic!("{operation:?} has one path only"),
    }
}

fn check<F: Format>(operation: Operation, operands: [u64; 3], accrued: u8) {
    let rm = Rounding::NearestEven;
    let (mut fast_flags, mut exact_flags) = (Flags::from_bits(accrued), Flags::from_bits(accrued));
    let fast = operation.run::<F>(operands, rm, &mut fast_flags);
    let exact = run_exact::<F>(operation, operands.map(F::narrow), rm, &mut exact_flags);
    assert_eq!(
        (fast, fast_flags),
        (F::widen(exact), exact_flags),
        "{operation:?} {operands:x?} with flags {accrued:#x}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    #[test]
    fn both_paths_agree_on_hard_operands(seed: u64, accrued in 0u8..32) {
        let mut draw = Draw::new(seed);
        for operation in OPERATIONS {
            check::<F32>(operation, draw.operands::<F32>(operation), accrued);
            check::<F64>(operation, draw.operands::<F64>(operation), accrued);
        }
    }

    #[test]
    fn both_paths_agree_on_any_operands(a: u64, b: u64, c: u64, accrued in 0u8..32) {
        for operation in OPERATIONS {
            check::<F32>(operation, [a, b, c].map(|bits| bits & 0xffff_ffff), accrued);
            check::<F64>(operation, [a, b, c], accrued);
        }
    }

    /// Significands around the same exponent: here the fast path is nearly always taken.
    #[test]
    fn both_paths_agree_on_everyday_operands(
        a in -1.0e6f64..1.0e6,
        b in -1.0e6f64..1.0e6,
        c in -1.0e6f64..1.0e6,
        sixteenths: bool,
        accrued in 0u8..32,
    ) {
        let rounded = |value: f64| if sixteenths { (value * 16.0).round() / 16.0 } else { value };
        let operands = [a, b, c].map(rounded);
        for operation in OPERATIONS {
            check::<F64>(operation, operands.map(f64::to_bits), accrued);
            check::<F32>(operation, operands.map(|value| (value as f32).to_bits().into()), accrued);
        }
    }
}

/// Every pair of patterns where few bits are set, at the exponents where the fast path begins and ends.
#[test]
fn both_paths_agree_where_the_fast_one_begins_and_ends() {
    fn check_all<F: Format>() {
        let top = F::EXPONENT_MAX as u64;
        let bias = F::BIAS as u64;
        let exponents = [
            0,
            1,
            2,
            3,
            bias - 1,
            bias,
            bias + 1,
            top - 3,
            top - 2,
            top - 1,
            top,
        ];
        let fractions = [0, 1, F::FRACTION_MASK >> 1, F::QUIET, F::FRACTION_MASK];
        let floats: Vec<u64> = exponents
            .iter()
            .flat_map(|exponent| fractions.map(|bits| exponent << F::FRACTION_BITS | bits))
            .flat_map(|magnitude| [magnitude, magnitude | F::SIGN])
            .collect();
        for &a in &floats {
            for &b in &floats {
                for operation in OPERATIONS {
                    for c in [0, F::SIGN | a, b, 1, F::INFINITY - 1] {
                        check::<F>(operation, [a, b, c], 0);
                    }
                    check::<F>(operation, [a, b, a ^ b ^ F::SIGN], Flags::NX.bits());
                }
            }
        }
    }
    check_all::<F32>();
    check_all::<F64>();
}

#[test]
fn accrued_flags_are_never_cleared() {
    let mut flags = Flags::from_bits(0x1f);
    let one = 1f64.to_bits();
    float::add::<F64>(one, one, Rounding::NearestEven, &mut flags);
    float::mul::<F64>(one, one, Rounding::Up, &mut flags);
    float::to_i32::<F64>(one, Rounding::Up, &mut flags);
    assert_eq!(flags.bits(), 0x1f);
}
