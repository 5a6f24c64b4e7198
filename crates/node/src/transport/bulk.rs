//! The bulk of a state transfer, on a stream of its own: transfer and length (16 and 8 bytes, little-endian), then
//! the bytes.

use super::endpoint::RESET_ABANDONED;
use super::frame::FrameError;
use bytes::{Bytes, BytesMut};
use replication::TransferId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// Written or read at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Reserved at most before the first byte has come: a length is only a claim.
const RESERVE_BYTES_MAX: u64 = 64 << 20;
const TRANSFER_BYTES: usize = 16;
const HEADER_BYTES: usize = TRANSFER_BYTES + 8;
/// Below the log's stream, whose priority is 0.
const BULK_PRIORITY: i32 = -1;

/// How far a state transfer is. Read by whoever shows it.
#[derive(Debug)]
pub struct TransferProgress {
    transfer: TransferId,
    bytes_total: u64,
    bytes_done: AtomicU64,
}

impl TransferProgress {
    pub(super) fn new(transfer: TransferId, bytes_total: u64) -> Self {
        Self {
            transfer,
            bytes_total,
            bytes_done: AtomicU64::new(0),
        }
    }

    /// Which transfer.
    pub fn transfer(&self) -> TransferId {
        self.transfer
    }

    /// Bytes in all.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// Bytes sent or received so far.
    pub fn bytes_done(&self) -> u64 {
        self.bytes_done.load(Ordering::Relaxed)
    }

    fn advance(&self, bytes: usize) {
        self.bytes_done.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Sends one state; `false` if it was abandoned meanwhile.
pub(super) async fn send(
    connection: &quinn::Connection,
    mut state: Bytes,
    progress: &TransferProgress,
    job: &mut watch::Receiver<Option<(Bytes, Arc<TransferProgress>)>>,
) -> Result<bool, quinn::WriteError> {
    let mut stream = connection.open_uni().await?;
    // Fails only on a stream that is closed, and then so does the first write.
    let _ = stream.set_priority(BULK_PRIORITY);
    let mut header = [0u8; HEADER_BYTES];
    header[..TRANSFER_BYTES].copy_from_slice(&progress.transfer.0.to_le_bytes());
    header[TRANSFER_BYTES..].copy_from_slice(&progress.bytes_total.to_le_bytes());
    stream.write_all(&header).await?;
    while !state.is_empty() {
        let chunk = state.split_to(state.len().min(CHUNK_BYTES));
        let bytes = chunk.len();
        tokio::select! {
            written = stream.write_chunk(chunk) => written?,
            _ = job.changed() => {
                let _ = stream.reset(RESET_ABANDONED);
                return Ok(false);
            }
        }
        progress.advance(bytes);
    }
    let _ = stream.finish();
    Ok(true)
}

/// Receives one state; `started` is told as soon as its size is known.
pub(super) async fn receive(
    mut stream: quinn::RecvStream,
    bytes_max: u64,
    started: impl FnOnce(Arc<TransferProgress>),
) -> Result<(TransferId, Bytes), FrameError> {
    let mut header = [0u8; HEADER_BYTES];
    stream
        .read_exact(&mut header)
        .await
        .map_err(|error| match error {
            quinn::ReadExactError::FinishedEarly(_) => FrameError::Truncated,
            quinn::ReadExactError::ReadError(error) => FrameError::Read(error),
        })?;
    let [mut transfer, mut length] = [[0; 16]; 2];
    transfer.copy_from_slice(&header[..TRANSFER_BYTES]);
    length[..8].copy_from_slice(&header[TRANSFER_BYTES..]);
    let transfer = TransferId(u128::from_le_bytes(transfer));
    let length = u128::from_le_bytes(length) as u64;
    if length > bytes_max {
        return Err(FrameError::StateTooLong(length));
    }
    let progress = Arc::new(TransferProgress::new(transfer, length));
    started(Arc::clone(&progress));
    let mut state = BytesMut::with_capacity(length.min(RESERVE_BYTES_MAX) as usize);
    while let Some(chunk) = stream.read_chunk(CHUNK_BYTES, true).await? {
        if state.len() as u64 + chunk.bytes.len() as u64 > length {
            return Err(FrameError::StateTooLong(length));
        }
        state.extend_from_slice(&chunk.bytes);
        progress.advance(chunk.bytes.len());
    }
    if (state.len() as u64) < length {
        return Err(FrameError::Truncated);
    }
    Ok((transfer, state.freeze()))
}
