//! The key of a machine at a switch, and the proof that whoever claims to speak for the machine has it.

use super::claim::Claim;
use crate::types::MachineId;
use std::fmt;

/// What makes a port's proofs its own: no proof for another port is one for this.
pub type PortNonce = [u8; 16];
/// Shows who knows a machine's key.
pub type Proof = [u8; 32];

/// Proves the right to speak for one machine.
#[derive(Clone, PartialEq, Eq)]
pub struct MachineKey([u8; 32]);

impl fmt::Debug for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineKey")
    }
}

impl MachineKey {
    /// The key of a machine, which follows from the switch's secret.
    pub fn of_machine(secret: &[u8; 32], machine: MachineId) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        hasher.update(b"futago 2026 switch machine key");
        hasher.update(&machine.0.to_le_bytes());
        Self(hasher.finalize().into())
    }

    /// One that was handed to a node by itself.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key, to be handed to a node.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The proof that a claim is made on the port with this nonce.
    pub fn prove(&self, nonce: &PortNonce, claim: &Claim) -> Proof {
        self.hash(nonce, claim).into()
    }

    /// Whether `proof` is one; takes the same time whatever is wrong with it.
    pub(crate) fn is_proof(&self, proof: &Proof, nonce: &PortNonce, claim: &Claim) -> bool {
        self.hash(nonce, claim) == *proof
    }

    fn hash(&self, nonce: &PortNonce, claim: &Claim) -> blake3::Hash {
        let Claim {
            machine,
            epoch,
            address,
            node,
        } = claim;
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(nonce);
        hasher.update(&machine.0.to_le_bytes());
        hasher.update(&epoch.0.to_le_bytes());
        hasher.update(address);
        hasher.update(&node.0.to_le_bytes());
        hasher.finalize()
    }
}
