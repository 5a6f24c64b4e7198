//! Operands at which float operations do something special.

use torture::generate::Random;

const DOUBLES: [u64; 34] = [
    0,
    1,
    2,
    0x000f_ffff_ffff_ffff,
    0x0010_0000_0000_0000,
    0x0010_0000_0000_0001,
    0x001f_ffff_ffff_ffff,
    0x0020_0000_0000_0000,
    0x1e60_0000_0000_0000,
    0x3690_0000_0000_0000,
    0x36a0_0000_0000_0001,
    0x380f_ffff_ffff_ffff,
    0x380f_ffff_e000_0000,
    0x380f_ffff_f000_0000,
    0x3810_0000_0000_0000,
    0x3ca0_0000_0000_0000,
    0x3cb0_0000_0000_0000,
    0x3fdf_ffff_ffff_ffff,
    0x3fe0_0000_0000_0000,
    0x3fef_ffff_ffff_ffff,
    0x3ff0_0000_0000_0000,
    0x3ff0_0000_0000_0001,
    0x3ff8_0000_0000_0000,
    0x4008_0000_0000_0000,
    0x47ef_ffff_e000_0000,
    0x47ef_ffff_f000_0000,
    0x5fe0_0000_0000_0000,
    0x7fdf_ffff_ffff_ffff,
    0x7fe0_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0x7ff0_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0x7ff8_0000_0000_0000,
    0x7ffc_1234_5678_9abc,
];

const SINGLES: [u32; 26] = [
    0,
    1,
    2,
    0x007f_ffff,
    0x0080_0000,
    0x0080_0001,
    0x00ff_ffff,
    0x0100_0000,
    0x1f80_0000,
    0x3300_0000,
    0x3380_0000,
    0x3eff_ffff,
    0x3f00_0000,
    0x3f7f_ffff,
    0x3f80_0000,
    0x3f80_0001,
    0x3fc0_0000,
    0x4040_0000,
    0x5f7f_ffff,
    0x7eff_ffff,
    0x7f00_0000,
    0x7f7f_ffff,
    0x7f80_0000,
    0x7f80_0001,
    0x7fc0_0000,
    0x7fe1_2345,
];

/// Powers of two at which integers end, as doubles and singles: to be shifted a little.
const BORDERS: [i32; 6] = [31, 32, 52, 53, 63, 64];

fn boxed(single: u32) -> u64 {
    0xffff_ffff_0000_0000 | u64::from(single)
}

/// What a float register may hold.
pub(crate) fn float(random: &mut Random) -> u64 {
    let sign = random.bits() & 1;
    match random.below(16) {
        0..=4 => sign << 63 | random.pick(&DOUBLES),
        5..=8 => boxed((sign as u32) << 31 | random.pick(&SINGLES)),
        9 => {
            let exponent = random.pick(&BORDERS) as u64 + 1023;
            let near = (sign << 63 | exponent << 52).wrapping_add(random.below(5) as u64);
            near.wrapping_sub(2)
        }
        10 => {
            let exponent = random.pick(&BORDERS) as u32 + 127;
            boxed(((sign as u32) << 31 | exponent << 23).wrapping_add(random.below(5) as u32) - 2)
        }
        // Small numbers with halves.
        11 => (random.below(9) as f64 / 2.0 - 2.0).to_bits(),
        12 => boxed((random.below(9) as f32 / 2.0 - 2.0).to_bits()),
        // Near one, so that sums and products are inexact by little.
        13 => sign << 63 | (0x3fe + random.bits() % 3) << 52 | random.bits() >> 12,
        14 => boxed(
            (sign as u32) << 31 | (0x7e + random.below(3) as u32) << 23 | random.bits() as u32 >> 9,
        ),
        _ => random.float(),
    }
}
