//! Round-to-nearest-even results against the host's own arithmetic.
//!
//! The host decides the value only; the flags are checked by the vectors and by QEMU.

use isa::float::{self, F32, F64, Flags, Format, Rounding, convert, exact};
use proptest::prelude::*;

use crate::draw::Draw;
use crate::operation::Operation;

/// The host's result, with every NaN made canonical.
fn host32(operation: Operation, operands: [u64; 3]) -> u64 {
    let [a, b, c] = operands.map(|bits| f32::from_bits(bits as u32));
    let result = match operation {
        Operation::Add => a + b,
        Operation::Sub => a - b,
        Operation::Mul => a * b,
        Operation::Div => a / b,
        Operation::Sqrt => a.sqrt(),
        Operation::MultiplyAdd => a.mul_add(b, c),
        _ => panic!("{operation:?} is not the host's"),
    };
    if result.is_nan() {
        F32::NAN
    } else {
        result.to_bits().into()
    }
}

fn host64(operation: Operation, operands: [u64; 3]) -> u64 {
    let [a, b, c] = operands.map(f64::from_bits);
    let result = match operation {
        Operation::Add => a + b,
        Operation::Sub => a - b,
        Operation::Mul => a * b,
        Operation::Div => a / b,
        Operation::Sqrt => a.sqrt(),
        Operation::MultiplyAdd => a.mul_add(b, c),
        _ => panic!("{operation:?} is not the host's"),
    };
    if result.is_nan() {
        F64::NAN
    } else {
        result.to_bits()
    }
}

fn exact_result<F: Format>(operation: Operation, operands: [u64; 3]) -> u64 {
    let rm = Rounding::NearestEven;
    let flags = &mut Flags::default();
    let [a, b, c] = operands.map(F::narrow);
    F::widen(match operation {
        Operation::Add => exact::add::<F>(a, b, rm, flags),
        Operation::Sub => exact::sub::<F>(a, b, rm, flags),
        Operation::Mul => exact::mul::<F>(a, b, rm, flags),
        Operation::Div => exact::div::<F>(a, b, rm, flags),
        Operation::Sqrt => exact::sqrt::<F>(a, rm, flags),
        _ => exact::fused_multiply_add::<F>(a, b, c, rm, flags),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    #[test]
    fn arithmetic_is_that_of_the_host(seed: u64) {
        let mut draw = Draw::new(seed);
        for operation in [
            Operation::Add,
            Operation::Sub,
            Operation::Mul,
            Operation::Div,
            Operation::Sqrt,
            Operation::MultiplyAdd,
        ] {
            let operands = draw.operands::<F32>(operation);
            let ours = exact_result::<F32>(operation, operands);
            prop_assert_eq!(ours, host32(operation, operands), "{:?} {:x?}", operation, operands);
            let operands = draw.operands::<F64>(operation);
            let ours = exact_result::<F64>(operation, operands);
            prop_assert_eq!(ours, host64(operation, operands), "{:?} {:x?}", operation, operands);
        }
    }

    #[test]
    fn conversions_are_those_of_the_host(seed: u64) {
        let (mut draw, rm) = (Draw::new(seed), Rounding::NearestEven);
        let flags = &mut Flags::default();
        let integer = draw.integer();
        prop_assert_eq!(float::from_i64::<F64>(integer as i64, rm, flags), (integer as i64 as f64).to_bits());
        prop_assert_eq!(float::from_u64::<F64>(integer, rm, flags), (integer as f64).to_bits());
        prop_assert_eq!(float::from_i64::<F32>(integer as i64, rm, flags), (integer as i64 as f32).to_bits());
        prop_assert_eq!(float::from_u64::<F32>(integer, rm, flags), (integer as f32).to_bits());
        let [bits, ..] = draw.operands::<F64>(Operation::Convert);
        let value = f64::from_bits(bits);
        if !value.is_nan() {
            prop_assert_eq!(convert::<F64, F32>(bits, rm, flags), (value as f32).to_bits());
            let truncated = float::to_i64::<F64>(bits, Rounding::TowardZero, flags);
            prop_assert_eq!(truncated, value as i64);
            let truncated = float::to_u32::<F64>(bits, Rounding::TowardZero, flags);
            prop_assert_eq!(truncated, value as u32);
        }
        let bits = draw.float::<F32>() as u32;
        let value = f32::from_bits(bits);
        if !value.is_nan() {
            prop_assert_eq!(convert::<F32, F64>(bits, rm, flags), f64::from(value).to_bits());
        }
    }
}
