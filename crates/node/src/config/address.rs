//! Where nodes listen, as a user writes it: an IP address or the name of a host, and a port.

use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// Longest name of a host, in bytes (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// A place in the network, written like `192.0.2.1:7401`, `[2001:db8::1]:7401` or `alpha.example:7401`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeAddress {
    /// By address.
    Fixed(SocketAddr),
    /// By the name of a host, whose addresses may change.
    Named {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

impl NodeAddress {
    /// The port; 0 is any that is free.
    pub fn port(&self) -> u16 {
        match self {
            Self::Fixed(address) => address.port(),
            Self::Named { port, .. } => *port,
        }
    }
}

impl FromStr for NodeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Fixed(address));
        }
        let named = text.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok()?;
            let host = host.to_owned();
            is_host(&host).then_some(Self::Named { host, port })
        });
        named.ok_or_else(|| {
            format!("`{text}` is no address with a port: they are written like `192.0.2.1:7401`, `[2001:db8::1]:7401` or `alpha.example:7401`")
        })
    }
}

/// Whether it can be the name of a host: an address that is written wrongly cannot, since no top-level domain is a number.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.bytes().all(allowed) && !label.starts_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    text.len() <= NAME_BYTES_MAX
        && name.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(address) => write!(f, "{address}"),
            Self::Named { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl<'de> Deserialize<'de> for NodeAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names() {
        for text in ["192.0.2.1:7401", "[2001:db8::1]:7401", "0.0.0.0:0"] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!(address, NodeAddress::Fixed(text.parse().unwrap()));
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "alpha:7401",
            "alpha-2.example.:7401",
            "4th.example:1",
            "a_b:1",
        ] {
            let address: NodeAddress = text.parse().unwrap();
            assert!(matches!(address, NodeAddress::Named { .. }), "{text}");
            assert_eq!(address.to_string(), text);
        }
        for wrong in [
            "",
            "alpha",
            "alpha:",
            ":7401",
            "alpha:70000",
            "alpha:x",
            "192.0.2.300:7401",
            "192.0.2.1",
            "2001:db8::1:7401",
            "-a:1",
            "a..b:1",
            "a b:1",
            "a/24:1",
        ] {
            let error = wrong.parse::<NodeAddress>().unwrap_err();
            assert!(error.contains("is no address with a port"), "{wrong}");
        }
        let long = format!("{}:1", "a".repeat(NAME_BYTES_MAX + 1));
        assert!(long.parse::<NodeAddress>().is_err());
    }
}
