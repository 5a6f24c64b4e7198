//! The instructions on general registers, jumps, and the bytes that all are made of.

/// A general register, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Reg(pub(in super::super) u8);

pub(in super::super) const RAX: Reg = Reg(0);
pub(in super::super) const RCX: Reg = Reg(1);
pub(in super::super) const RDX: Reg = Reg(2);
pub(in super::super) const RBX: Reg = Reg(3);
pub(in super::super) const RSP: Reg = Reg(4);
pub(in super::super) const RBP: Reg = Reg(5);
pub(in super::super) const RSI: Reg = Reg(6);
pub(in super::super) const RDI: Reg = Reg(7);
pub(in super::super) const R8: Reg = Reg(8);
pub(in super::super) const R9: Reg = Reg(9);
pub(in super::super) const R10: Reg = Reg(10);
pub(in super::super) const R11: Reg = Reg(11);
pub(in super::super) const R12: Reg = Reg(12);
pub(in super::super) const R13: Reg = Reg(13);
pub(in super::super) const R14: Reg = Reg(14);
pub(in super::super) const R15: Reg = Reg(15);

/// A place in memory: `base + index * scale + disp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Mem {
    pub(in super::super) base: Reg,
    /// Register (not RSP) and the logarithm of its scale.
    pub(in super::super) index: Option<(Reg, u8)>,
    pub(in super::super) disp: i32,
}

/// `[base + disp]`.
pub(in super::super) const fn at(base: Reg, disp: i32) -> Mem {
    Mem {
        base,
        index: None,
        disp,
    }
}

/// `[base + index * 2^scale + disp]`.
pub(in super::super) const fn indexed(base: Reg, index: Reg, scale: u8, disp: i32) -> Mem {
    Mem {
        base,
        index: Some((index, scale)),
        disp,
    }
}

/// An operand that may be a register or in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Rm {
    Reg(Reg),
    Mem(Mem),
    /// A place in the arena, by its offset.
    Code(u32),
}

impl From<Reg> for Rm {
    fn from(reg: Reg) -> Rm {
        Rm::Reg(reg)
    }
}

impl From<Mem> for Rm {
    fn from(mem: Mem) -> Rm {
        Rm::Mem(mem)
    }
}

/// Width of an operation on general registers. A 32-bit result is zero-extended by the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Bits {
    B32,
    B64,
}
pub(in super::super) use Bits::{B32, B64};

/// Two-operand arithmetic, by its number in the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Alu {
    Add = 0,
    Or = 1,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts, by their number in the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Shift {
    RotateRight = 1,
    Left = 4,
    Right = 5,
    RightSigned = 7,
}

/// One-operand arithmetic, by its number in the opcode. Multiplication and division act on RAX and RDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Unary {
    Not = 2,
    Neg = 3,
    Mul = 4,
    SignedMul = 5,
    Div = 6,
    SignedDiv = 7,
}

/// A condition, by its number in the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Cond {
    Overflow = 0,
    Below = 2,
    AboveEqual = 3,
    Equal = 4,
    NotEqual = 5,
    BelowEqual = 6,
    Above = 7,
    Negative = 8,
    Parity = 10,
    NoParity = 11,
    Less = 12,
    GreaterEqual = 13,
    LessEqual = 14,
    Greater = 15,
}

/// A jump whose target is not known yet: the arena offset of its 32-bit displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Site(pub(in super::super) u32);

/// Code in the making, to be placed at a known offset in the arena. It has room for so much: what does not fit is left
/// out, and from then on everything is, so that whoever asks [`Asm::is_full`] at the end knows whether all is there.
pub(in super::super) struct Asm {
    base: u32,
    bytes: Vec<u8>,
    /// Bytes that fit; none once something did not.
    room: usize,
    full: bool,
}

impl Asm {
    /// At an offset in the arena, in an empty buffer, for at most `room` bytes.
    pub(in super::super) fn new(base: u32, bytes: Vec<u8>, room: usize) -> Asm {
        Asm {
            base,
            bytes,
            room,
            full: false,
        }
    }

    /// Whether something did not fit: what is there is of no use.
    pub(in super::super) fn is_full(&self) -> bool {
        self.full
    }

    /// The arena offset of the next byte.
    pub(in super::super) fn here(&self) -> u32 {
        self.base + self.bytes.len() as u32
    }

    pub(in super::super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(in super::super) fn byte(&mut self, byte: u8) {
        if self.has_room(1) {
            self.bytes.push(byte);
        }
    }

    #[inline]
    pub(in super::super) fn bytes(&mut self, bytes: &[u8]) {
        if self.has_room(bytes.len()) {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Whether so many bytes fit. If they do not, none ever will.
    #[inline]
    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = self.bytes.len() + bytes <= self.room;
        if !fits {
            (self.full, self.room) = (true, 0);
        }
        fits
    }

    /// Fills up to a multiple of `align` with what is never executed.
    pub(in super::super) fn align(&mut self, align: usize) {
        let missing = (self.here() as usize).next_multiple_of(align) - self.here() as usize;
        for _ in 0..missing {
            self.byte(0xcc);
        }
    }

    fn imm32(&mut self, value: i32) {
        self.bytes(&value.to_le_bytes());
    }

    /// An instruction with a ModRM byte. `tail` is how many bytes of immediates follow. `wide` asks for 64
    /// bits, `low_byte` says that `reg` (or `rm`) is a byte register, which for some needs an empty prefix.
    pub(super) fn modrm(&mut self, form: Form<'_>, reg: u8, rm: Rm, tail: u32) {
        if let Some(prefix) = form.prefix {
            self.byte(prefix);
        }
        let (base, index) = match rm {
            Rm::Reg(base) => (base.0, 0),
            Rm::Mem(mem) => (mem.base.0, mem.index.map_or(0, |(index, _)| index.0)),
            Rm::Code(_) => (0, 0),
        };
        let rex = u8::from(form.wide) << 3 | reg >> 3 << 2 | index >> 3 << 1 | base >> 3;
        let needs_rex = form.low_byte && (reg >= 4 || matches!(rm, Rm::Reg(_)) && base >= 4);
        if rex != 0 || needs_rex {
            self.byte(0x40 | rex);
        }
        self.bytes(form.opcode);
        self.operand(reg, rm, tail);
    }

    /// ModRM and what belongs to it.
    pub(super) fn operand(&mut self, reg: u8, rm: Rm, tail: u32) {
        let field = (reg & 7) << 3;
        match rm {
            Rm::Reg(reg) => self.byte(0xc0 | field | reg.0 & 7),
            Rm::Code(target) => {
                self.byte(field | 5);
                let end = self.here() + 4 + tail;
                self.imm32(target.wrapping_sub(end).cast_signed());
            }
            Rm::Mem(mem) => {
                let short = i8::try_from(mem.disp).ok();
                let mode = match (mem.disp, short) {
                    (0, _) if mem.base.0 & 7 != 5 => 0,
                    (_, Some(_)) => 0x40,
                    _ => 0x80,
                };
                match mem.index {
                    Some((index, scale)) => {
                        self.byte(mode | field | 4);
                        self.byte(scale << 6 | (index.0 & 7) << 3 | mem.base.0 & 7);
                    }
                    None if mem.base.0 & 7 == 4 => {
                        self.byte(mode | field | 4);
                        self.byte(0x24);
                    }
                    None => self.byte(mode | field | mem.base.0 & 7),
                }
                match (mode, short) {
                    (0x40, Some(short)) => self.byte(short.cast_unsigned()),
                    (0x80, _) => self.imm32(mem.disp),
                    _ => {}
                }
            }
        }
    }

    /// `dst = dst op src`.
    pub(in super::super) fn alu(&mut self, op: Alu, bits: Bits, dst: Reg, src: impl Into<Rm>) {
        self.modrm(wide(bits, &[(op as u8) << 3 | 3]), dst.0, src.into(), 0);
    }

    /// `dst = dst op src`, with the result in memory (or for a comparison: nowhere).
    pub(in super::super) fn alu_to(&mut self, op: Alu, bits: Bits, dst: Mem, src: Reg) {
        self.modrm(wide(bits, &[(op as u8) << 3 | 1]), src.0, dst.into(), 0);
    }

    /// `dst = dst op imm`.
    pub(in super::super) fn alu_imm(&mut self, op: Alu, bits: Bits, dst: impl Into<Rm>, imm: i32) {
        match i8::try_from(imm) {
            Ok(short) => {
                self.modrm(wide(bits, &[0x83]), op as u8, dst.into(), 1);
                self.byte(short.cast_unsigned());
            }
            Err(_) => {
                self.modrm(wide(bits, &[0x81]), op as u8, dst.into(), 4);
                self.imm32(imm);
            }
        }
    }

    /// Compares a byte in memory.
    pub(in super::super) fn cmp_byte(&mut self, mem: Mem, imm: u8) {
        self.modrm(wide(B32, &[0x80]), Alu::Cmp as u8, mem.into(), 1);
        self.byte(imm);
    }

    /// Whether any of the bits of a positive mask is set in a register.
    pub(in super::super) fn test_imm(&mut self, reg: Reg, mask: i32) {
        self.modrm(wide(B32, &[0xf7]), 0, reg.into(), 4);
        self.imm32(mask);
    }

    pub(in super::super) fn test(&mut self, bits: Bits, a: Reg, b: Reg) {
        self.modrm(wide(bits, &[0x85]), b.0, a.into(), 0);
    }

    pub(in super::super) fn mov(&mut self, bits: Bits, dst: Reg, src: impl Into<Rm>) {
        self.modrm(wide(bits, &[0x8b]), dst.0, src.into(), 0);
    }

    /// Stores 64 bits.
    pub(in super::super) fn store(&mut self, dst: Mem, src: Reg) {
        self.modrm(wide(B64, &[0x89]), src.0, dst.into(), 0);
    }

    /// Stores the low 2^`log` bytes.
    pub(in super::super) fn store_sized(&mut self, log: u8, dst: Mem, src: Reg) {
        let form = match log {
            0 => Form {
                low_byte: true,
                ..wide(B32, &[0x88])
            },
            1 => Form {
                prefix: Some(0x66),
                ..wide(B32, &[0x89])
            },
            2 => wide(B32, &[0x89]),
            _ => wide(B64, &[0x89]),
        };
        self.modrm(form, src.0, dst.into(), 0);
    }

    /// Stores the low 2^`log` bytes of a constant, for 8 bytes a sign-extended one.
    pub(in super::super) fn store_imm(&mut self, log: u8, dst: Mem, imm: i32) {
        match log {
            0 => {
                self.modrm(wide(B32, &[0xc6]), 0, dst.into(), 1);
                self.byte(imm as u8);
            }
            1 => {
                let form = Form {
                    prefix: Some(0x66),
                    ..wide(B32, &[0xc7])
                };
                self.modrm(form, 0, dst.into(), 2);
                self.bytes(&(imm as u16).to_le_bytes());
            }
            _ => {
                let bits = if log == 2 { B32 } else { B64 };
                self.modrm(wide(bits, &[0xc7]), 0, dst.into(), 4);
                self.imm32(imm);
            }
        }
    }

    /// Loads 2^`log` bytes, extended to 64 bits.
    pub(in super::super) fn load_extended(
        &mut self,
        log: u8,
        signed: bool,
        dst: Reg,
        src: impl Into<Rm>,
    ) {
        let src = src.into();
        let byte_reg = log == 0 && matches!(src, Rm::Reg(_));
        let form = match (log, signed) {
            (0, true) => wide(B64, &[0x0f, 0xbe]),
            (0, false) => wide(B32, &[0x0f, 0xb6]),
            (1, true) => wide(B64, &[0x0f, 0xbf]),
            (1, false) => wide(B32, &[0x0f, 0xb7]),
            (2, true) => wide(B64, &[0x63]),
            (2, false) => wide(B32, &[0x8b]),
            _ => wide(B64, &[0x8b]),
        };
        let form = Form {
            low_byte: byte_reg,
            ..form
        };
        self.modrm(form, dst.0, src, 0);
    }

    /// `dst = value`, by the shortest encoding. Flags stay.
    pub(in super::super) fn mov_imm(&mut self, dst: Reg, value: u64) {
        if u32::try_from(value).is_ok() {
            if dst.0 >= 8 {
                self.byte(0x41);
            }
            self.byte(0xb8 | dst.0 & 7);
            self.bytes(&(value as u32).to_le_bytes());
        } else if let Ok(short) = i32::try_from(value.cast_signed()) {
            self.modrm(wide(B64, &[0xc7]), 0, dst.into(), 4);
            self.imm32(short);
        } else {
            self.byte(0x48 | dst.0 >> 3);
            self.byte(0xb8 | dst.0 & 7);
            self.bytes(&value.to_le_bytes());
        }
    }

    pub(in super::super) fn lea(&mut self, bits: Bits, dst: Reg, src: Mem) {
        self.modrm(wide(bits, &[0x8d]), dst.0, src.into(), 0);
    }

    /// The address of a place in the arena.
    pub(in super::super) fn lea_code(&mut self, dst: Reg, place: u32) {
        self.modrm(wide(B64, &[0x8d]), dst.0, Rm::Code(place), 0);
    }

    /// The address of a place in the arena that is not known yet.
    pub(in super::super) fn lea_site(&mut self, dst: Reg) -> Site {
        self.lea_code(dst, 0);
        Site(self.here() - 4)
    }

    pub(in super::super) fn shift_imm(&mut self, op: Shift, bits: Bits, dst: Reg, by: u8) {
        self.modrm(wide(bits, &[0xc1]), op as u8, dst.into(), 1);
        self.byte(by);
    }

    /// Shifts by CL.
    pub(in super::super) fn shift(&mut self, op: Shift, bits: Bits, dst: Reg) {
        self.modrm(wide(bits, &[0xd3]), op as u8, dst.into(), 0);
    }

    pub(in super::super) fn unary(&mut self, op: Unary, bits: Bits, operand: impl Into<Rm>) {
        self.modrm(wide(bits, &[0xf7]), op as u8, operand.into(), 0);
    }

    pub(in super::super) fn imul(&mut self, bits: Bits, dst: Reg, src: impl Into<Rm>) {
        self.modrm(wide(bits, &[0x0f, 0xaf]), dst.0, src.into(), 0);
    }

    pub(in super::super) fn imul_imm(
        &mut self,
        bits: Bits,
        dst: Reg,
        src: impl Into<Rm>,
        imm: i32,
    ) {
        self.modrm(wide(bits, &[0x69]), dst.0, src.into(), 4);
        self.imm32(imm);
    }

    /// Sign-extends RAX into RDX.
    pub(in super::super) fn sign_into_rdx(&mut self, bits: Bits) {
        if bits == B64 {
            self.byte(0x48);
        }
        self.byte(0x99);
    }

    /// `dst = 1` if the condition holds, else 0, in its low byte only.
    pub(in super::super) fn set(&mut self, cond: Cond, dst: Reg) {
        let form = Form {
            low_byte: true,
            ..wide(B32, &[])
        };
        self.modrm(
            Form {
                opcode: &[0x0f, 0x90 | cond as u8],
                ..form
            },
            0,
            dst.into(),
            0,
        );
    }

    pub(in super::super) fn cmov(&mut self, cond: Cond, bits: Bits, dst: Reg, src: impl Into<Rm>) {
        self.modrm(wide(bits, &[0x0f, 0x40 | cond as u8]), dst.0, src.into(), 0);
    }

    /// A conditional jump, to be directed by [`Asm::direct`].
    pub(in super::super) fn jump_if(&mut self, cond: Cond) -> Site {
        self.bytes(&[0x0f, 0x80 | cond as u8]);
        self.imm32(0);
        Site(self.here() - 4)
    }

    pub(in super::super) fn jump_if_to(&mut self, cond: Cond, target: u32) {
        let site = self.jump_if(cond);
        self.direct(site, target);
    }

    pub(in super::super) fn jump(&mut self) -> Site {
        self.byte(0xe9);
        self.imm32(0);
        Site(self.here() - 4)
    }

    pub(in super::super) fn jump_to(&mut self, target: u32) {
        let site = self.jump();
        self.direct(site, target);
    }

    pub(in super::super) fn call_to(&mut self, target: u32) {
        self.byte(0xe8);
        self.imm32(0);
        self.direct(Site(self.here() - 4), target);
    }

    pub(in super::super) fn jump_reg(&mut self, target: Reg) {
        self.modrm(wide(B32, &[0xff]), 4, target.into(), 0);
    }

    pub(in super::super) fn call_reg(&mut self, target: Reg) {
        self.modrm(wide(B32, &[0xff]), 2, target.into(), 0);
    }

    pub(in super::super) fn ret(&mut self) {
        self.byte(0xc3);
    }

    pub(in super::super) fn push(&mut self, reg: Reg) {
        self.modrm(wide(B32, &[0xff]), 6, reg.into(), 0);
    }

    pub(in super::super) fn pop(&mut self, reg: Reg) {
        self.modrm(wide(B32, &[0x8f]), 0, reg.into(), 0);
    }

    /// Directs a jump (or address) made here to an arena offset.
    pub(in super::super) fn direct(&mut self, site: Site, target: u32) {
        if self.full {
            return;
        }
        let place = (site.0 - self.base) as usize;
        self.bytes[place..place + 4].copy_from_slice(&displacement(site, target));
    }

    /// Directs a jump made here to the next instruction.
    pub(in super::super) fn land(&mut self, site: Site) {
        self.direct(site, self.here());
    }
}

/// What the bytes of a jump must be for it to reach an arena offset.
pub(in super::super) fn displacement(site: Site, target: u32) -> [u8; 4] {
    target.wrapping_sub(site.0 + 4).to_le_bytes()
}

/// The parts of an instruction before ModRM.
#[derive(Clone, Copy)]
pub(super) struct Form<'a> {
    pub(super) prefix: Option<u8>,
    pub(super) wide: bool,
    pub(super) low_byte: bool,
    pub(super) opcode: &'a [u8],
}

fn wide(bits: Bits, opcode: &[u8]) -> Form<'_> {
    Form {
        prefix: None,
        wide: bits == B64,
        low_byte: false,
        opcode,
    }
}
