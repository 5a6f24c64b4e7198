//! What host code, the thunks and the helpers in Rust agree on: the frame, and small numbers with a meaning.

/// Stack slots of translated code, from RSP on.
pub(super) mod frame {
    /// Address of the table of entries.
    pub(in super::super) const ENTRIES: i32 = 0;
    /// Address of the arena as it is executed.
    pub(in super::super) const CODE: i32 = 8;
    /// Address of the guest's memory.
    pub(in super::super) const MEMORY: i32 = 16;
    /// The board.
    pub(in super::super) const BOARD: i32 = 24;
    /// Pointers of groups of accesses, 8 bytes each.
    pub(in super::super) const POINTERS: i32 = 40;
    /// Bytes in all. With the six saved registers and the return address, RSP stays a multiple of 16.
    pub(in super::super) const BYTES: i32 = 72;
    /// The last two arguments of the way in, which are on the stack.
    pub(in super::super) const ARGUMENTS: i32 = BYTES + 6 * 8 + 8;

    const _: () = assert!(POINTERS + 8 * crate::plan::POINTERS as i32 <= BYTES);
}

/// What a helper wants to happen next: in EDX when it returns.
pub(super) mod verdict {
    /// Go on behind the instruction. RAX is its result, if it has one.
    pub(in super::super) const CONTINUE: u64 = 0;
    /// Go on at the address in the hart. RAX says how many positions are left.
    pub(in super::super) const RESUME: u64 = 1;
    /// Leave: the hart is as it should be.
    pub(in super::super) const LEAVE: u64 = 2;
}

/// Why translated code was left: in RAX.
pub(super) mod reason {
    /// A helper asked for it, or the hart was left where it is.
    pub(in super::super) const LEFT: u64 = 0;
    /// There is no code for the address, or its page is not in the fast translations.
    pub(in super::super) const LOOK_UP: u64 = 1;
    /// Too few positions are left for the next block.
    pub(in super::super) const TAIL: u64 = 2;
    /// The next instruction is the interpreter's.
    pub(in super::super) const STEP: u64 = 3;
    /// As `LOOK_UP`, and a jump in the same page wants to be directed there.
    pub(in super::super) const LINK: u64 = 4;
}

/// Masks in the arena, 16 bytes each and aligned: the sign of a single and of a double, and all but it.
pub(super) const MASKS: [u128; 4] = [
    SIGN_SINGLE as u128,
    SIGN_DOUBLE as u128,
    !(SIGN_SINGLE as u128),
    !(SIGN_DOUBLE as u128),
];
const SIGN_SINGLE: u64 = 1 << 31;
const SIGN_DOUBLE: u64 = 1 << 63;
