//! Instructions of ratified extensions that RV64GC does not have: enough of them to tell whoever built a program what it
//! was built for. Nothing here is executed.

/// An instruction of another extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    /// As the assembler writes it; of a whole family, what it is.
    pub mnemonic: &'static str,
    /// The extension, as the manual names it.
    pub extension: &'static str,
}

/// The bits that are compared, what they are, the instruction, and its extension.
type Row = (u32, u32, &'static str, &'static str);

const REGISTERS: u32 = 0xfe00_707f;
const ONE_SOURCE: u32 = 0xfff0_707f;
const SHIFT: u32 = 0xfc00_707f;
const WIDTH: u32 = 0x0000_707f;
const FENCE: u32 = 0xfe00_7fff;
const FLOAT: u32 = 0x0600_007f;
const OPCODE: u32 = 0x0000_007f;
const WHOLE: u32 = !0;

/// The first row that fits counts.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    (REGISTERS, 0x2000_2033, "sh1add", "Zba"),
    (REGISTERS, 0x2000_4033, "sh2add", "Zba"),
    (REGISTERS, 0x2000_6033, "sh3add", "Zba"),
    (REGISTERS, 0x0800_003b, "add.uw", "Zba"),
    (REGISTERS, 0x2000_203b, "sh1add.uw", "Zba"),
    (REGISTERS, 0x2000_403b, "sh2add.uw", "Zba"),
    (REGISTERS, 0x2000_603b, "sh3add.uw", "Zba"),
    (SHIFT, 0x0800_101b, "slli.uw", "Zba"),
    (REGISTERS, 0x4000_7033, "andn", "Zbb"),
    (REGISTERS, 0x4000_6033, "orn", "Zbb"),
    (REGISTERS, 0x4000_4033, "xnor", "Zbb"),
    (REGISTERS, 0x0a00_4033, "min", "Zbb"),
    (REGISTERS, 0x0a00_5033, "minu", "Zbb"),
    (REGISTERS, 0x0a00_6033, "max", "Zbb"),
    (REGISTERS, 0x0a00_7033, "maxu", "Zbb"),
    (REGISTERS, 0x6000_1033, "rol", "Zbb"),
    (REGISTERS, 0x6000_5033, "ror", "Zbb"),
    (SHIFT, 0x6000_5013, "rori", "Zbb"),
    (REGISTERS, 0x6000_103b, "rolw", "Zbb"),
    (REGISTERS, 0x6000_503b, "rorw", "Zbb"),
    (REGISTERS, 0x6000_501b, "roriw", "Zbb"),
    (ONE_SOURCE, 0x6000_1013, "clz", "Zbb"),
    (ONE_SOURCE, 0x6010_1013, "ctz", "Zbb"),
    (ONE_SOURCE, 0x6020_1013, "cpop", "Zbb"),
    (ONE_SOURCE, 0x6000_101b, "clzw", "Zbb"),
    (ONE_SOURCE, 0x6010_101b, "ctzw", "Zbb"),
    (ONE_SOURCE, 0x6020_101b, "cpopw", "Zbb"),
    (ONE_SOURCE, 0x6040_1013, "sext.b", "Zbb"),
    (ONE_SOURCE, 0x6050_1013, "sext.h", "Zbb"),
    (ONE_SOURCE, 0x0800_403b, "zext.h", "Zbb"),
    (ONE_SOURCE, 0x2870_5013, "orc.b", "Zbb"),
    (ONE_SOURCE, 0x6b80_5013, "rev8", "Zbb"),
    (REGISTERS, 0x4800_1033, "bclr", "Zbs"),
    (REGISTERS, 0x4800_5033, "bext", "Zbs"),
    (REGISTERS, 0x6800_1033, "binv", "Zbs"),
    (REGISTERS, 0x2800_1033, "bset", "Zbs"),
    (SHIFT, 0x4800_1013, "bclri", "Zbs"),
    (SHIFT, 0x4800_5013, "bexti", "Zbs"),
    (SHIFT, 0x6800_1013, "binvi", "Zbs"),
    (SHIFT, 0x2800_1013, "bseti", "Zbs"),
    (REGISTERS, 0x0a00_1033, "clmul", "Zbc"),
    (REGISTERS, 0x0a00_2033, "clmulr", "Zbc"),
    (REGISTERS, 0x0a00_3033, "clmulh", "Zbc"),
    (REGISTERS, 0x0800_4033, "pack", "Zbkb"),
    (REGISTERS, 0x0800_7033, "packh", "Zbkb"),
    (REGISTERS, 0x0800_403b, "packw", "Zbkb"),
    (ONE_SOURCE, 0x6870_5013, "brev8", "Zbkb"),
    (REGISTERS, 0x0e00_5033, "czero.eqz", "Zicond"),
    (REGISTERS, 0x0e00_7033, "czero.nez", "Zicond"),
    (0xfff0_7fff, 0x0000_200f, "cbo.inval", "Zicbom"),
    (0xfff0_7fff, 0x0010_200f, "cbo.clean", "Zicbom"),
    (0xfff0_7fff, 0x0020_200f, "cbo.flush", "Zicbom"),
    (0xfff0_7fff, 0x0040_200f, "cbo.zero", "Zicboz"),
    (0xf800_007f, 0x2800_002f, "amocas", "Zacas"),
    (WHOLE, 0x00d0_0073, "wrs.nto", "Zawrs"),
    (WHOLE, 0x01d0_0073, "wrs.sto", "Zawrs"),
    (FENCE, 0x1600_0073, "sinval.vma", "Svinval"),
    (WHOLE, 0x1800_0073, "sfence.w.inval", "Svinval"),
    (WHOLE, 0x1810_0073, "sfence.inval.ir", "Svinval"),
    (FENCE, 0x2200_0073, "hfence.vvma", "H"),
    (FENCE, 0x6200_0073, "hfence.gvma", "H"),
    (WIDTH, 0x0000_4073, "a hypervisor's load or store", "H"),
    (WIDTH, 0x0000_1007, "flh", "Zfh"),
    (WIDTH, 0x0000_1027, "fsh", "Zfh"),
    (FLOAT, 0x0400_0053, "half-precision arithmetic", "Zfh"),
    (WIDTH, 0x0000_4007, "flq", "Q"),
    (WIDTH, 0x0000_4027, "fsq", "Q"),
    (FLOAT, 0x0600_0053, "quadruple-precision arithmetic", "Q"),
    (WIDTH, 0x0000_7057, "vset(i)vl(i)", "V"),
    (OPCODE, 0x0000_0057, "vector arithmetic", "V"),
    (WIDTH, 0x0000_0007, "a vector load", "V"),
    (WIDTH, 0x0000_5007, "a vector load", "V"),
    (WIDTH, 0x0000_6007, "a vector load", "V"),
    (WIDTH, 0x0000_7007, "a vector load", "V"),
    (WIDTH, 0x0000_0027, "a vector store", "V"),
    (WIDTH, 0x0000_5027, "a vector store", "V"),
    (WIDTH, 0x0000_6027, "a vector store", "V"),
    (WIDTH, 0x0000_7027, "a vector store", "V"),
];

/// The same for compressed instructions.
#[rustfmt::skip]
const COMPRESSED: &[Row] = &[
    (0xe003, 0x8000, "a compressed load or store of bytes", "Zcb"),
    (0xfc63, 0x9c41, "c.mul", "Zcb"),
    (0xfc63, 0x9c61, "a compressed extension", "Zcb"),
];

/// Which instruction `bits` are that RV64GC does not have, if it is a known one. Compressed ones have zeros above bit 15.
#[must_use]
pub fn absent(bits: u32) -> Option<Absent> {
    let table = if bits & 3 == 3 { TABLE } else { COMPRESSED };
    let row = table
        .iter()
        .find(|(mask, value, ..)| bits & mask == *value)?;
    Some(Absent {
        mnemonic: row.2,
        extension: row.3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, decode};

    #[test]
    fn nothing_that_is_here_is_called_absent() {
        for (mask, value, mnemonic, _) in TABLE.iter().chain(COMPRESSED) {
            assert_eq!(value & !mask, 0, "{mnemonic}");
            // Whatever the other bits are.
            for others in [0, !0, 0x5555_5555, 0xaaaa_aaaa, 0x00b5_0593] {
                let bits = value | others & !mask;
                let bits = if value & 3 == 3 { bits } else { bits & 0xffff };
                assert_eq!(decode(bits).op, Op::Illegal, "{mnemonic}: {bits:#x}");
                assert!(absent(bits).is_some());
            }
        }
    }

    #[test]
    fn names() {
        let name = |bits| absent(bits).map(|absent| (absent.mnemonic, absent.extension));
        // As the GNU assembler encodes sh2add a0, a1, a2; rev8 a0, a0; bseti a0, a0, 63; c.mul s0, s1; add a0, a0, a0.
        assert_eq!(name(0x20c5_c533), Some(("sh2add", "Zba")));
        assert_eq!(name(0x6b85_5513), Some(("rev8", "Zbb")));
        assert_eq!(name(0x2bf5_1513), Some(("bseti", "Zbs")));
        assert_eq!(name(0x9c45), Some(("c.mul", "Zcb")));
        assert_eq!(name(0x00a5_0533), None);
        assert_eq!(name(0), None);
    }
}
