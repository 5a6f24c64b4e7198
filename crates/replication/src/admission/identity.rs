//! Identities that are bound to the name in a certificate, so that nobody can take those of another node.

use crate::types::{HostId, NodeId};

impl HostId {
    /// The identity behind a node's name: the same for all of its processes.
    pub fn of_name(name: &str) -> Self {
        let hash = blake3::derive_key("futago 2026 node name", name.as_bytes());
        let (id, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        Self(u128::from_le_bytes(*id))
    }
}

impl NodeId {
    /// The identity of a process of the node `name`: random above, and below bound to the name, so that no node whose
    /// certificate has another name can take it.
    pub fn of_process(random: u64, name: &str) -> Self {
        Self(u128::from(random) << 64 | u128::from(bound_to(name)))
    }

    /// Whether it is the identity of a process of the node `name`.
    pub fn is_process_of(self, name: &str) -> bool {
        self.0 as u64 == bound_to(name)
    }
}

fn bound_to(name: &str) -> u64 {
    HostId::of_name(name).0 as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_of_one_node() {
        let id = NodeId::of_process(7, "a");
        assert!(id.is_process_of("a") && !id.is_process_of("b"));
        assert_ne!(id, NodeId::of_process(8, "a"));
        assert_ne!(HostId::of_name("a"), HostId::of_name("b"));
    }
}
