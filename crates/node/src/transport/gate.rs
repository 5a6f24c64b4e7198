//! The door through which datagrams come in. Whatever is sent to the port of the log channel, by whomever, must not crowd out what
//! peers say: neither from the kernel's buffer nor from this thread's time.
//!
//! Each configured peer whose address is known at the start has a *lane*, a socket of the same port that is connected to the peer's address: the kernel puts the
//! peer's datagrams into its buffer and all others into the main one. From the main socket, datagrams of connected peers pass, and
//! those of strangers as far as their allowances reach; the rest is dropped before QUIC looks at it, and counted.

use super::allowance::Allowances;
use super::peer::Peer;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, UdpPoller};
use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

/// Peers that get a lane.
const LANES_MAX: usize = 8;
/// Batches of strangers' datagrams that are dropped in a row before other work of the thread gets its turn.
const BATCHES_DROPPED_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Gate {
    main: Arc<dyn AsyncUdpSocket>,
    lanes: Vec<Arc<dyn AsyncUdpSocket>>,
    guests: Mutex<Guests>,
    dropped: AtomicU64,
    /// Which socket is looked at first.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Guests {
    /// Addresses of connected peers.
    peers: BTreeSet<SocketAddr>,
    strangers: Allowances,
}

impl Gate {
    /// Takes a bound socket, and opens lanes of its port for `peers`.
    pub(super) fn new(
        socket: UdpSocket,
        peers: &[Peer],
        buffer_bytes: usize,
        runtime: &dyn Runtime,
    ) -> io::Result<Self> {
        let listen = socket.local_addr()?;
        let mut lanes = Vec::new();
        for peer in peers.iter().flat_map(Peer::addresses).take(LANES_MAX) {
            // A peer without a lane is only less protected from the noise of others.
            if let Ok(lane) = lane(&socket, listen, peer) {
                widen(&lane, buffer_bytes);
                lanes.push(runtime.wrap_udp_socket(lane)?);
            }
        }
        Ok(Self {
            main: runtime.wrap_udp_socket(socket)?,
            lanes,
            turn: AtomicUsize::new(0),
            guests: Mutex::new(Guests {
                peers: BTreeSet::new(),
                strangers: Allowances::new(Instant::now()),
            }),
            dropped: AtomicU64::new(0),
        })
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        // Each change is a single operation.
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, what comes from here passes.
    pub(super) fn welcome(&self, peer: SocketAddr) {
        self.guests().peers.insert(peer);
    }

    /// What comes from here is a stranger's again.
    pub(super) fn forget(&self, peer: SocketAddr) {
        self.guests().peers.remove(&peer);
    }

    /// Strangers' datagrams that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Moves what may pass to the front, and says how much that is.
    fn sift(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta], count: usize) -> usize {
        let now = Instant::now();
        let mut kept = 0;
        let mut dropped = 0;
        let mut guests = self.guests();
        for at in 0..count {
            let RecvMeta {
                addr, len, stride, ..
            } = meta[at];
            let datagrams = len.div_ceil(stride.max(1)) as u64;
            if guests.peers.contains(&addr)
                || guests
                    .strangers
                    .admit(now, addr.ip().to_canonical(), datagrams)
            {
                bufs.swap(kept, at);
                meta.swap(kept, at);
                kept += 1;
            } else {
                dropped += datagrams;
            }
        }
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        kept
    }

    /// What comes on the main socket, as far as it may.
    fn poll_main(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..BATCHES_DROPPED_MAX {
            let Poll::Ready(count) = self.main.poll_recv(cx, bufs, meta)? else {
                return Poll::Pending;
            };
            let kept = self.sift(bufs, meta, count);
            if kept > 0 {
                return Poll::Ready(Ok(kept));
            }
        }
        // There is more, but others want to work, too.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncUdpSocket for Gate {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.main).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.main.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // In turns, so that a flood in one lane, whose address can be forged, stands in nobody's way.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let places = self.lanes.len() + 1;
        for place in (0..places).map(|place| turn.wrapping_add(place) % places) {
            let received = match self.lanes.get(place) {
                Some(lane) => lane.poll_recv(cx, bufs, meta),
                None => self.poll_main(cx, bufs, meta),
            };
            if received.is_ready() {
                return received;
            }
        }
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.main.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.main.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.main.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.main.may_fragment()
    }
}

/// Best effort: limits are the host's, and smaller buffers only cost speed.
pub(super) fn widen(socket: &UdpSocket, bytes: usize) {
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(socket, bytes);
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(socket, bytes);
}

/// A socket of the same address as `main`, connected to `peer`. The address is shared only as long as it takes to bind: nobody
/// else can bind it afterwards.
fn lane(main: &UdpSocket, listen: SocketAddr, peer: SocketAddr) -> io::Result<UdpSocket> {
    use rustix::net::{
        AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt,
    };
    let family = match listen {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let lane = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let shared = |yes| {
        sockopt::set_socket_reuseport(main, yes)?;
        sockopt::set_socket_reuseport(&lane, yes)
    };
    shared(true)?;
    let bound = bind(&lane, &listen).and_then(|()| connect(&lane, &peer));
    shared(false)?;
    bound?;
    let lane = UdpSocket::from(lane);
    lane.set_nonblocking(true)?;
    Ok(lane)
}
