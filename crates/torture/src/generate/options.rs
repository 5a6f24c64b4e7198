//! What a stream is made of.

/// The register that memory operands are relative to: x8, which compressed instructions reach too.
pub const BASE: u8 = 8;
/// The stack pointer, x2, for the compressed instructions that are relative to it.
pub const STACK: u8 = 2;
/// Bytes of the scratch area below the address in [`BASE`].
pub const SCRATCH_BELOW: u64 = 2048;
/// Bytes of the scratch area from the address in [`BASE`] on.
pub const SCRATCH_ABOVE: u64 = 2056;

/// What an instruction or short sequence is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Integer arithmetic and logic, without multiplication.
    Integer,
    /// Multiplication and division.
    Multiply,
    /// Conditional branches forward.
    Branch,
    /// `jal` and `jalr` forward.
    Jump,
    /// Integer loads and stores.
    Memory,
    /// Read-modify-write, and pairs of load-reserved and store-conditional.
    Atomic,
    /// Float arithmetic, comparisons, conversions and moves.
    Float,
    /// Float loads and stores.
    FloatMemory,
    /// Accesses to `fflags`, `frm` and `fcsr`; `frm` stays valid.
    FloatControl,
    /// Compressed instructions that do not jump.
    Compressed,
    /// `fence` and `fence.i`.
    Fence,
}

/// What a stream is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Classes, and how often each is chosen in relation to the others.
    pub weights: Vec<(Class, usize)>,
    /// Whether loads and stores (never atomics) may be misaligned.
    pub misaligned: bool,
    /// The farthest that a branch or jump goes, in sequences: 1 to 32.
    pub reach: usize,
}

impl Default for Options {
    /// A bit of everything, with misaligned accesses.
    fn default() -> Self {
        Self {
            weights: vec![
                (Class::Integer, 30),
                (Class::Multiply, 10),
                (Class::Branch, 8),
                (Class::Jump, 3),
                (Class::Memory, 20),
                (Class::Atomic, 6),
                (Class::Float, 25),
                (Class::FloatMemory, 15),
                (Class::FloatControl, 3),
                (Class::Compressed, 20),
                (Class::Fence, 1),
            ],
            misaligned: true,
            reach: 8,
        }
    }
}
