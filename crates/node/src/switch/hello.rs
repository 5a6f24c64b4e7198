//! The frame by which a node tells the switch whose port it is. Its layout is in the module's documentation.

use crate::config::MacAddress;
use replication::{Epoch, MachineId};
use thiserror::Error;

/// A group address that IEEE 802.1D bridges never forward.
const DESTINATION: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0f];
/// Local experimental EtherType 1 (IEEE 802).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
const MAGIC: &[u8; 7] = b"futago\0";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 14;
const HELLO_BYTES: usize = HEADER_BYTES + MAGIC.len() + 2 + 16 + 8;
/// Ethernet frames are padded to this.
const FRAME_BYTES_PADDED: usize = 60;

/// Whose port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchHello {
    /// The machine that the node speaks for.
    pub machine: MachineId,
    /// The epoch in which it does.
    pub epoch: Epoch,
    /// The guest's MAC address.
    pub mac: MacAddress,
}

/// Why a frame that claims to be a hello is none.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HelloError {
    /// Too short, or another magic.
    #[error("malformed hello")]
    Malformed,
    /// Another version.
    #[error(
        "the hello has version {0}, this switch speaks {VERSION}: install the same Futago on both"
    )]
    Version(u16),
}

impl SwitchHello {
    /// The frame.
    pub fn to_frame(self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(FRAME_BYTES_PADDED);
        frame.extend_from_slice(&DESTINATION);
        frame.extend_from_slice(&self.mac.0);
        frame.extend_from_slice(&ETHERTYPE);
        frame.extend_from_slice(MAGIC);
        frame.extend_from_slice(&VERSION.to_le_bytes());
        frame.extend_from_slice(&self.machine.0.to_le_bytes());
        frame.extend_from_slice(&self.epoch.0.to_le_bytes());
        frame.resize(FRAME_BYTES_PADDED, 0);
        frame
    }

    /// Reads a frame; none if it is an ordinary one.
    ///
    /// # Errors
    /// A frame of the hello's address and type that is malformed or of another version.
    pub fn from_frame(frame: &[u8]) -> Result<Option<Self>, HelloError> {
        if frame.len() < HEADER_BYTES || frame[..6] != DESTINATION || frame[12..14] != ETHERTYPE {
            return Ok(None);
        }
        if frame.len() < HELLO_BYTES {
            return Err(HelloError::Malformed);
        }
        let (magic, rest) = frame[HEADER_BYTES..HELLO_BYTES].split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(HelloError::Malformed);
        }
        let (version, rest) = rest.split_at(2);
        let version = u16::from_le_bytes([version[0], version[1]]);
        if version != VERSION {
            return Err(HelloError::Version(version));
        }
        let (machine, epoch) = rest.split_at(16);
        let mut mac = [0u8; 6];
        mac.copy_from_slice(&frame[6..12]);
        Ok(Some(Self {
            machine: MachineId(u128::from_le_bytes(
                machine.try_into().map_err(|_| HelloError::Malformed)?,
            )),
            epoch: Epoch(u64::from_le_bytes(
                epoch.try_into().map_err(|_| HelloError::Malformed)?,
            )),
            mac: MacAddress(mac),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_survives_being_sent() {
        let hello = SwitchHello {
            machine: MachineId(0x1234_5678_9abc),
            epoch: Epoch(77),
            mac: MacAddress::default(),
        };
        let frame = hello.to_frame();
        assert_eq!(SwitchHello::from_frame(&frame), Ok(Some(hello)));
        assert_eq!(
            SwitchHello::from_frame(&frame[..40]),
            Err(HelloError::Malformed)
        );
        let mut other = frame;
        other[21] = 9;
        assert_eq!(SwitchHello::from_frame(&other), Err(HelloError::Version(9)));
        other[14] = b'x';
        assert_eq!(SwitchHello::from_frame(&other), Err(HelloError::Malformed));
        other[12] = 8;
        assert_eq!(SwitchHello::from_frame(&other), Ok(None));
        assert_eq!(SwitchHello::from_frame(&[]), Ok(None));
    }
}
