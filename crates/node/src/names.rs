//! How identities are written (32 hexadecimal digits) and where fresh random ones come from.

use replication::{MachineId, NodeId};
use std::io;

/// 16 bytes from the operating system's random source.
///
/// # Errors
/// Fails only where the kernel has no random source at all.
pub fn random_u128() -> io::Result<u128> {
    let mut bytes = [0u8; 16];
    fill_random(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

/// Fills `bytes` from the operating system's random source.
///
/// # Errors
/// Fails only where the kernel has no random source at all.
pub fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A node identity that no other process ever had, for a process of the node `name`.
///
/// # Errors
/// As [`random_u128`].
pub fn fresh_node_id(name: &str) -> io::Result<NodeId> {
    let random = random_u128()? as u64;
    Ok(NodeId::of_process(random, name))
}

/// An identity in 32 hexadecimal digits.
pub fn hex(id: u128) -> String {
    format!("{id:032x}")
}

/// Reads what [`hex`] wrote; none if `text` is not exactly 32 lower-case hexadecimal digits.
pub fn parse_hex(text: &str) -> Option<u128> {
    let canonical = text.len() == 32
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if canonical {
        u128::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

/// The machine identity of a configured name: either 32 hexadecimal digits, or any other text, which is hashed.
pub fn machine_id(name: &str) -> MachineId {
    MachineId(parse_hex(name).unwrap_or_else(|| {
        let hash = blake3::derive_key("futago 2026 machine name", name.as_bytes());
        let mut id = [0u8; 16];
        id.copy_from_slice(&hash[..16]);
        u128::from_le_bytes(id)
    }))
}

/// The first eight digits of an identity: enough for a person to tell nodes apart.
pub fn short(id: u128) -> String {
    format!("{:08x}", id >> 96)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_survive_being_written() {
        let id = random_u128().unwrap();
        assert_eq!(parse_hex(&hex(id)), Some(id));
        assert_eq!(parse_hex("12"), None);
        assert_eq!(parse_hex(&"G".repeat(32)), None);
        assert_eq!(parse_hex(&"+".repeat(32)), None);
        assert_eq!(short(0x1234_5678 << 96), "12345678");
    }

    #[test]
    fn an_identity_is_of_one_node() {
        let id = fresh_node_id("a").unwrap();
        assert!(id.is_process_of("a") && !id.is_process_of("b"));
        assert_ne!(id, fresh_node_id("a").unwrap());
    }

    #[test]
    fn a_machine_name_is_always_the_same_machine() {
        assert_eq!(machine_id("demo"), machine_id("demo"));
        assert_ne!(machine_id("demo"), machine_id("demo2"));
        assert_eq!(machine_id(&hex(7)), MachineId(7));
    }
}
