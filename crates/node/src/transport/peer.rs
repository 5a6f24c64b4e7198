//! Where a peer is dialled: at an address, or at those that a name has at the time.

use crate::config::NodeAddress;
use crate::lookup::{Lookup, look_up};
use anyhow::Context;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

/// At the start, names are waited for so long: whoever is known by then has a lane of its own.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(2);

/// One entry of `node.peers`.
#[derive(Clone, Debug)]
pub struct Peer {
    /// As it is written there.
    written: Arc<str>,
    known: watch::Receiver<Known>,
    /// Asks anew for the addresses of a name.
    ask: Arc<Notify>,
}

/// What is known of a name.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The addresses that it had last.
    addresses: Vec<SocketAddr>,
    /// Why the last answer had none.
    problem: Option<String>,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        let known = Known {
            addresses: vec![address],
            problem: None,
        };
        Self {
            written: address.to_string().into(),
            known: watch::channel(known).1,
            ask: Arc::default(),
        }
    }
}

impl Peer {
    /// The entries of `node.peers`, for a node that listens at `listen`. Waits a little for those that are names. Must be called
    /// within a tokio runtime, before this process gives up to start programs.
    ///
    /// # Errors
    /// A process that looks for a name cannot be started.
    pub(crate) async fn all(
        written: &[NodeAddress],
        listen: SocketAddr,
    ) -> anyhow::Result<Vec<Self>> {
        let mut peers = Vec::new();
        for address in written {
            peers.push(match address {
                NodeAddress::Fixed(address) => Self::from(*address),
                NodeAddress::Named { host, port } => Self::named(host, *port, listen)
                    .with_context(|| format!("cannot look for `{host}` of `node.peers`"))?,
            });
        }
        let deadline = Instant::now() + FIRST_ANSWER_MAX;
        for peer in &mut peers {
            let is_answered =
                |known: &Known| !known.addresses.is_empty() || known.problem.is_some();
            // Whoever is not known by then is dialled later.
            let _ = timeout_at(deadline, peer.known.wait_for(is_answered)).await;
        }
        Ok(peers)
    }

    fn named(host: &str, port: u16, listen: SocketAddr) -> anyhow::Result<Self> {
        let mut lookup = Lookup::start(host)?;
        let (tell, known) = watch::channel(Known::default());
        let ask = Arc::new(Notify::new());
        // The first answer.
        ask.notify_one();
        let asked = Arc::clone(&ask);
        tokio::spawn(async move {
            loop {
                asked.notified().await;
                let answer = lookup.ask().await;
                let is_over = answer.is_err();
                let found = answer
                    .unwrap_or_else(|error| Err(format!("{error:#}")))
                    .and_then(|found| reachable(&found, port, listen));
                tell.send_modify(|known| match found {
                    Ok(addresses) => {
                        *known = Known {
                            addresses,
                            problem: None,
                        }
                    }
                    Err(problem) => known.problem = Some(problem),
                });
                if is_over {
                    // What was known last stays.
                    return;
                }
            }
        });
        Ok(Self {
            written: format!("{host}:{port}").into(),
            known,
            ask,
        })
    }

    /// As the configuration has it.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Its addresses, as they are known now; none for a name that has not been found yet.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.known.borrow().addresses.clone()
    }

    /// Whether it is at this host.
    pub(super) fn is_at(&self, host: IpAddr) -> bool {
        let known = self.known.borrow();
        (known.addresses.iter()).any(|address| address.ip().to_canonical() == host)
    }

    /// Why it has no address, as a phrase, if that is so.
    pub(super) fn problem(&self) -> Option<String> {
        let known = self.known.borrow();
        let problem = known.problem.clone();
        problem.filter(|_| known.addresses.is_empty())
    }

    /// Asks for its addresses anew, where it has a name. The answer comes by itself.
    pub(super) fn look_again(&self) {
        self.ask.notify_one();
    }

    /// Waits for the next answer, but not for long.
    pub(super) async fn answered(&mut self, patience: Duration) {
        // Ends at once where nobody looks any more: then there is nothing to wait for.
        let _ = tokio::time::timeout(patience, self.known.changed()).await;
    }
}

/// The addresses of an entry of `node.peers` at which a node that listens at `listen` would dial it now; or why there is none, as a
/// phrase. Blocks.
pub(crate) fn addresses_of(
    written: &NodeAddress,
    listen: SocketAddr,
) -> Result<Vec<SocketAddr>, String> {
    match written {
        NodeAddress::Fixed(address) => Ok(vec![*address]),
        NodeAddress::Named { host, port } => reachable(&look_up(host)?, *port, listen),
    }
}

/// The addresses that a socket at `listen` can send to.
fn reachable(found: &[IpAddr], port: u16, listen: SocketAddr) -> Result<Vec<SocketAddr>, String> {
    let address = |ip: &IpAddr| match (ip, listen.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Some(*ip),
        // A socket of all addresses sends to IPv4 by addresses of this form.
        (IpAddr::V4(ip), IpAddr::V6(own)) if own.is_unspecified() => {
            Some(IpAddr::V6(ip.to_ipv6_mapped()))
        }
        _ => None,
    };
    let addresses: Vec<_> = (found.iter().filter_map(address))
        .map(|ip| SocketAddr::new(ip, port))
        .collect();
    if addresses.is_empty() {
        let words: Vec<_> = found.iter().map(ToString::to_string).collect();
        return Err(format!(
            "it is {}, which cannot be reached from `node.listen`, {}: both must be IPv4, or both IPv6",
            words.join(" "),
            listen.ip()
        ));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_reached_counts() {
        let found: Vec<IpAddr> = ["2001:db8::2", "192.0.2.2"]
            .map(|ip| ip.parse().unwrap())
            .to_vec();
        for (listen, expected) in [
            ("192.0.2.1:1", &["192.0.2.2:7"][..]),
            ("[2001:db8::1]:1", &["[2001:db8::2]:7"]),
            ("[::]:1", &["[2001:db8::2]:7", "[::ffff:192.0.2.2]:7"]),
        ] {
            let reachable = reachable(&found, 7, listen.parse().unwrap()).unwrap();
            let reachable: Vec<_> = reachable.iter().map(ToString::to_string).collect();
            assert_eq!(reachable, expected);
        }
        let error = reachable(&found[..1], 7, "192.0.2.1:1".parse().unwrap()).unwrap_err();
        assert!(error.contains("both must be IPv4"), "{error}");
    }
}
