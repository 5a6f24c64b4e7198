//! The devices: plain structs, registers in, effects out. None of them knows a clock; the guest clock comes
//! as `now`, in ticks, with each access.

pub mod clint;
pub mod htif;
pub mod plic;
pub(crate) mod requester;
pub mod rtc;
pub mod stop;
pub mod test;
pub mod uart;
pub mod virtio;

/// Device state that no device of this machine can have written: a damaged or hostile snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saved state of {device} is impossible: {what}")]
pub struct BadState {
    /// The device.
    pub device: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
}
