//! SiFive test finisher, which QEMU's board uses for power-off and reset.

use super::stop::StopRequest;

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
