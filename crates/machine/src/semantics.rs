//! What a guest can see of the machine has a version of its own.

/// Version of what a guest can see of this machine. Replay and pairing ask for equal semantics, never for equal builds.
///
/// Raise it whenever the same log could lead elsewhere: a change of what an instruction, a device, the boot or the guest clock
/// does, of where interrupts are taken, or of how positions are counted. A change that only makes the program faster, or that no
/// guest can notice, leaves it alone. The formats of snapshots, entries and messages have versions of their own.
pub const SEMANTICS: u32 = 4;
