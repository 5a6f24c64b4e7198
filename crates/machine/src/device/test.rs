//! SiFive test finisher, which QEMU's board uses for power-off and reset.

use super::htif::Refusal;

/// How the guest wants the machine to stop, or made it stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRequest {
    /// Power off, with success.
    PowerOff,
    /// Power off, with this code for failure.
    Fail(u16),
    /// Reset.
    Reset,
    /// Power off: a test program has ended with this code, said by the host-target interface.
    Exit(u64),
    /// Power off: that interface was asked for what it cannot do.
    Refused(Refusal),
}

/// Decodes a write to the device's only register: the low half says what, the high half is the code.
pub fn decode(value: u32) -> Option<StopRequest> {
    match value & 0xffff {
        0x3333 => Some(StopRequest::Fail((value >> 16) as u16)),
        0x5555 => Some(StopRequest::PowerOff),
        0x7777 => Some(StopRequest::Reset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(decode(0x5555), Some(StopRequest::PowerOff));
        assert_eq!(decode(0x7777), Some(StopRequest::Reset));
        assert_eq!(decode(0x0007_3333), Some(StopRequest::Fail(7)));
        assert_eq!(decode(0x5556), None);
    }
}
