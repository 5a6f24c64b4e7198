//! The QUIC endpoint and its tuning: small messages must not wait for anything, and bulk must not stand in their way.

use super::congestion::WindowFactory;
use super::event::TransportConfig;
use super::gate::{Gate, widen};
use crate::tls::TlsIdentity;
use anyhow::Context;
use quinn::{AckFrequencyConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, VarInt};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Close code of a node that leaves.
pub(super) const CLOSE_LEAVING: VarInt = VarInt::from_u32(0);
/// Close code towards a peer that was refused or spoke nonsense.
pub(super) const CLOSE_REFUSED: VarInt = VarInt::from_u32(1);
/// Close code of the second connection between two nodes.
pub(super) const CLOSE_DUPLICATE: VarInt = VarInt::from_u32(2);
/// Reset code of a stream whose transfer was abandoned.
pub(super) const RESET_ABANDONED: VarInt = VarInt::from_u32(3);
/// So long a closing node waits for its farewell to leave.
pub(super) const FAREWELL_MAX: Duration = Duration::from_millis(200);

/// Assumed round trip before one was measured: hosts of a pair are near each other.
const INITIAL_ROUND_TRIP: Duration = Duration::from_millis(5);
/// Longest wait before an acknowledgement of QUIC's own is sent, as it is without saying: nearly all then ride on a
/// message of ours, of which there is one at least this often while the guest works.
const ACK_DELAY_MAX: Duration = Duration::from_millis(25);
/// Bytes in flight on one stream.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// Bytes in flight on a connection; above the stream's, so that bulk cannot use up the log's share.
const CONNECTION_WINDOW_BYTES: u32 = 128 << 20;
/// Wanted kernel buffers of the UDP socket; the kernel may give less.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;
/// Packets grow up to a jumbo frame where the path carries it.
pub(super) const PACKET_BYTES_MAX: u16 = 8952;
/// Datagrams that may wait to be sent or read; older ones are dropped, as they may be on the way. More than the protocol
/// ever has under way (`Bounds::flight_bytes_max`).
const DATAGRAM_BUFFER_BYTES: usize = 12 << 20;
/// So many later packets must have come before one counts as lost; networks reorder.
const OVERTAKEN_PACKETS: u32 = 16;
/// Or so many round trips must have passed.
const OVERTAKEN_ROUND_TRIPS: f32 = 1.25;

/// Connections that may wait to be looked at; further ones are refused.
const INCOMING_MAX: usize = 128;
/// What one of them may send before it is looked at, in bytes: a handshake's first flight.
const INCOMING_BYTES_MAX: u64 = 64 << 10;

/// The log channel's port.
pub(crate) fn bind_port(listen: SocketAddr) -> anyhow::Result<UdpSocket> {
    UdpSocket::bind(listen).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => {
                "another program uses it; change `node.listen` or stop that program"
            }
            ErrorKind::AddrNotAvailable => "it is no address of this host; correct `node.listen`",
            _ => "see what the host says of it",
        };
        anyhow::Error::new(error).context(format!("cannot listen on UDP {listen}: {advice}"))
    })
}

pub(super) fn bind(
    config: &TransportConfig,
    identity: &TlsIdentity,
) -> anyhow::Result<(quinn::Endpoint, Arc<Gate>)> {
    let listen = config.listen;
    let socket = bind_port(listen)?;
    widen(&socket, SOCKET_BUFFER_BYTES);
    let mut endpoint_config = EndpointConfig::new(Arc::new(ResetKey(identity.reset_secret)));
    endpoint_config
        .max_udp_payload_size(PACKET_BYTES_MAX)
        .context("QUIC refuses the packet size")?;
    let cannot = || format!("cannot start QUIC on {listen}");
    let runtime = Arc::new(quinn::TokioRuntime);
    let gate = Gate::new(socket, &config.peers, SOCKET_BUFFER_BYTES, runtime.as_ref());
    let gate = Arc::new(gate.with_context(cannot)?);
    let endpoint = quinn::Endpoint::new_with_abstract_socket(
        endpoint_config,
        Some(server_config(config, identity)),
        Arc::clone(&gate) as Arc<_>,
        runtime,
    );
    Ok((endpoint.with_context(cannot)?, gate))
}

/// For connections that come in.
pub(super) fn server_config(
    config: &TransportConfig,
    identity: &TlsIdentity,
) -> quinn::ServerConfig {
    let mut server = quinn::ServerConfig::with_crypto(Arc::clone(&identity.server) as Arc<_>);
    server
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX * INCOMING_MAX as u64)
        .transport_config(Arc::new(tuning(config.idle_timeout)));
    server
}

/// For connections that go out.
pub(super) fn client_config(
    config: &TransportConfig,
    identity: &TlsIdentity,
) -> quinn::ClientConfig {
    let mut client = quinn::ClientConfig::new(Arc::clone(&identity.client) as Arc<_>);
    client.transport_config(Arc::new(tuning(config.idle_timeout)));
    client
}

fn tuning(idle_timeout: Duration) -> quinn::TransportConfig {
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements.max_ack_delay(Some(ACK_DELAY_MAX));
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(PACKET_BYTES_MAX);
    let mut tuning = quinn::TransportConfig::default();
    tuning
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(2))
        .max_idle_timeout(IdleTimeout::try_from(idle_timeout).ok())
        .keep_alive_interval(Some(idle_timeout / 4))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .initial_rtt(INITIAL_ROUND_TRIP)
        .ack_frequency_config(Some(acknowledgements))
        .mtu_discovery_config(Some(mtu))
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BUFFER_BYTES)
        .packet_threshold(OVERTAKEN_PACKETS)
        .time_threshold(OVERTAKEN_ROUND_TRIPS)
        .congestion_controller_factory(Arc::new(WindowFactory))
        .send_fairness(false);
    tuning
}

/// Signs stateless resets with a key that outlives the process: a node that is restarted at its address can tell its
/// peers at once that their old connection is dead.
struct ResetKey([u8; 32]);

impl quinn::crypto::HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), quinn::crypto::CryptoError> {
        let signature: [u8; blake3::OUT_LEN] = signature
            .try_into()
            .map_err(|_| quinn::crypto::CryptoError)?;
        // `blake3::Hash` compares in constant time.
        if blake3::keyed_hash(&self.0, data) == signature {
            Ok(())
        } else {
            Err(quinn::crypto::CryptoError)
        }
    }
}
