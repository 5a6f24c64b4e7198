//! Ports of the host whose TCP connections go to the guest: what a user may ask for, and whether this host can do it.

use anyhow::bail;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::num::NonZeroU16;
use std::str::FromStr;

/// One port of the host that leads to one of the guest, written like `6379:6379` or `192.0.2.7/8080:80`. Without an address it
/// is of the loopback alone: what a guest serves without a password is for this host, unless more is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Address of this host at which it is to be reached; `0.0.0.0` for all of them.
    pub address: Ipv4Addr,
    /// Port of this host.
    pub port: NonZeroU16,
    /// Port of the guest.
    pub guest_port: NonZeroU16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, ports) = match text.split_once('/') {
            Some((address, ports)) => (parse_address(address)?, ports),
            None => (Ipv4Addr::LOCALHOST, text),
        };
        let (port, guest_port) = ports.split_once(':').ok_or(
            "a forward is this host's port and the guest's, as in `6379:6379`; of an address other than 127.0.0.1, as in `192.0.2.7/6379:6379`, \
             or of all, as in `0.0.0.0/6379:6379`",
        )?;
        Ok(Self {
            address,
            port: parse_port(port)?,
            guest_port: parse_port(guest_port)?,
        })
    }
}

fn parse_port(text: &str) -> Result<NonZeroU16, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no port: give one of the ports from 1 to 65535"))
}

fn parse_address(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse() {
        Ok(IpAddr::V4(address)) => Ok(address),
        Ok(IpAddr::V6(_)) => Err(format!(
            "`{text}` is an IPv6 address, and the guest's way out has IPv4 only"
        )),
        Err(_) => Err(format!(
            "`{text}` is no IPv4 address: give one of this host's, or `0.0.0.0` for all of them"
        )),
    }
}

/// In passt's words.
impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.address, self.port, self.guest_port)
    }
}

impl Forward {
    /// Whether both want the same port of the same address.
    fn collides(&self, other: &Self) -> bool {
        let all = Ipv4Addr::UNSPECIFIED;
        self.port == other.port
            && (self.address == other.address || [self.address, other.address].contains(&all))
    }
}

/// Looks whether this host has the ports.
///
/// # Errors
/// One sentence about the first that it has not.
pub(super) fn check(forwards: &[Forward]) -> anyhow::Result<()> {
    for (at, forward) in forwards.iter().enumerate() {
        let Forward { address, port, .. } = forward;
        if let Some(before) = forwards[..at].iter().find(|other| forward.collides(other)) {
            bail!(
                "cannot forward {forward} beside {before}: port {port} of one address leads to one port of the guest"
            );
        }
        let Err(error) = TcpListener::bind((*address, port.get())) else {
            continue;
        };
        let reason = match error.kind() {
            ErrorKind::AddrInUse => format!(
                "another program uses port {port} of {address}: stop it, or forward another port"
            ),
            ErrorKind::AddrNotAvailable => format!("{address} is no address of this host"),
            ErrorKind::PermissionDenied => {
                format!("this user may not use port {port}: forward one from 1024 on")
            }
            _ => error.to_string(),
        };
        bail!("cannot forward {forward}: {reason}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_is_of_the_loopback_unless_more_is_said() {
        for (text, expected) in [
            ("6379:80", "127.0.0.1/6379:80"),
            ("192.0.2.7/1:65535", "192.0.2.7/1:65535"),
            ("0.0.0.0/8080:80", "0.0.0.0/8080:80"),
        ] {
            assert_eq!(text.parse::<Forward>().unwrap().to_string(), expected);
        }
        for (wrong, words) in [
            ("", "as in `6379:6379`"),
            ("80", "as in `6379:6379`"),
            ("0.0.0.0/80", "as in `6379:6379`"),
            ("0:80", "`0` is no port"),
            ("80:0", "`0` is no port"),
            ("70000:80", "`70000` is no port"),
            ("80:", "`` is no port"),
            (":80", "`` is no port"),
            ("80-90:80", "`80-90` is no port"),
            ("80,81:80", "`80,81` is no port"),
            ("http:80", "`http` is no port"),
            ("-1:80", "`-1` is no port"),
            ("1:2:3", "`2:3` is no port"),
            ("/80:80", "`` is no IPv4 address"),
            ("localhost/80:80", "`localhost` is no IPv4 address"),
            ("127.0.0.1%lo/80:80", "is no IPv4 address"),
            ("::1/80:80", "`::1` is an IPv6 address"),
        ] {
            let error = wrong.parse::<Forward>().unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_this_host_cannot_forward_is_said() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = |texts: &[&str]| {
            let forwards: Result<Vec<_>, _> = texts.iter().map(|text| text.parse()).collect();
            check(&forwards.unwrap()).unwrap_err().to_string()
        };
        let error = refused(&[&format!("{port}:80")]);
        let words = format!("another program uses port {port} of 127.0.0.1");
        assert!(error.contains(&words), "{error}");
        let error = refused(&[&format!("0.0.0.0/{port}:80")]);
        assert!(error.contains("another program uses"), "{error}");
        let error = refused(&["192.0.2.99/7000:80"]);
        assert!(error.contains("no address of this host"), "{error}");
        drop(taken);
        for address in ["", "127.0.0.1/", "0.0.0.0/"] {
            let (one, two) = (format!("{port}:80"), format!("{address}{port}:81"));
            let error = refused(&[&one, &two]);
            assert!(error.contains("leads to one port of the guest"), "{error}");
        }
        let elsewhere = format!("127.0.0.2/{port}:80");
        let both = [format!("{port}:80"), elsewhere].map(|text| text.parse().unwrap());
        check(&both).unwrap();
    }
}
