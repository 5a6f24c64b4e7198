//! The state of a board as plain data: for snapshots and digests.

use serde::{Deserialize, Serialize};

use super::Board;
use super::map::ROM_BYTES_MAX;
use crate::config::{BoardConfig, BoardError};
use crate::device::BadState;
use crate::device::clint::Clint;
use crate::device::htif::Htif;
use crate::device::plic::Plic;
use crate::device::requester::Requester;
use crate::device::rtc::Rtc;
use crate::device::uart::Uart;
use crate::device::virtio::{self, Virtio};
use crate::ram::Ram;
use crate::request::Requests;

/// The state of all devices, without memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardState {
    pub(super) version: u16,
    rom: Vec<u8>,
    clint: Clint,
    plic: Plic,
    rtc: Rtc,
    uart: Uart,
    pub(crate) virtio: Vec<Virtio>,
    htif: Option<Htif>,
}

/// What a board with requests, or with a device that makes some, has beside. Without them there is none, and everything is as
/// it was before there were requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RequestState {
    requester: Option<Requester>,
    requests: Requests,
}

#[cfg(test)]
impl RequestState {
    /// As no machine can be.
    pub(super) fn forget_requester(&mut self) {
        self.requester = None;
    }
}

/// Version of [`BoardState`].
pub(super) const STATE_VERSION: u16 = 3;

/// Why saved state cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// From another version of this program.
    #[error("the device state has version {0}, and this program understands version 3")]
    Version(u16),
    /// The board is impossible.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The memory is not of the board's size.
    #[error("the memory has {0} bytes, which is not what the board says")]
    Memory(u64),
    /// A device's state is impossible.
    #[error(transparent)]
    Device(#[from] BadState),
}

impl Board {
    /// The state of the devices at guest time `now`. Outputs and a stop request are no part of it: take them first.
    pub fn save(&mut self, now: u64) -> BoardState {
        self.advance(now);
        self.settle();
        BoardState {
            version: STATE_VERSION,
            rom: self.rom.clone(),
            clint: self.clint.clone(),
            plic: self.plic.clone(),
            rtc: self.rtc.clone(),
            uart: self.uart.clone(),
            virtio: self.virtio.clone(),
            htif: self.htif.clone(),
        }
    }

    /// A board with this memory and state, exactly as it was saved.
    ///
    /// # Errors
    /// The state is of another version or another board, or no device of this board can have it.
    pub fn restore(
        config: &BoardConfig,
        ram: Ram,
        state: BoardState,
    ) -> Result<Board, RestoreError> {
        config.check()?;
        if state.version != STATE_VERSION {
            return Err(RestoreError::Version(state.version));
        }
        if ram.len() != config.memory_bytes {
            return Err(RestoreError::Memory(ram.len()));
        }
        if state.rom.len() > ROM_BYTES_MAX {
            return Err(RestoreError::Device(BadState {
                device: "the boot ROM",
                what: "it is too large",
            }));
        }
        state.plic.check()?;
        state.uart.check()?;
        virtio::check(config, &state.virtio)?;
        if let Some(htif) = &state.htif {
            htif.check(&ram)?;
        }
        Ok(Board {
            rom: state.rom,
            clint: state.clint,
            plic: state.plic,
            rtc: state.rtc,
            uart: state.uart,
            virtio: state.virtio,
            htif: state.htif,
            ..Board::with_memory(config, ram)
        })
    }

    /// The state of requests, if there are any.
    pub(crate) fn save_requests(&self) -> Option<RequestState> {
        let is_needed = self.requester.is_some() || !self.requests.is_untouched();
        is_needed.then(|| RequestState {
            requester: self.requester.clone(),
            requests: self.requests.clone(),
        })
    }

    /// Restores it. The host has been given none of those that are pending.
    pub(crate) fn restore_requests(&mut self, state: RequestState) -> Result<(), RestoreError> {
        let requester = state.requester.as_ref();
        let agree = match requester {
            Some(requester) => requester.waits_for(state.requests.pending()),
            None => state.requests.pending().next().is_none(),
        };
        if !agree || !state.requests.is_possible() {
            return Err(RestoreError::Device(BadState {
                device: "requests",
                what: "more are pending than can be, or nobody has made them",
            }));
        }
        (self.requester, self.requests) = (state.requester, state.requests);
        self.requests.repeat();
        Ok(())
    }

    /// Name and serialised state of each device at guest time `now`, for digests that say which differs.
    pub fn device_states(&mut self, now: u64) -> Vec<(String, Vec<u8>)> {
        fn bytes(state: &impl Serialize) -> Vec<u8> {
            postcard::to_allocvec(state).expect("plain data in memory always serialises")
        }
        self.advance(now);
        self.settle();
        let mut states = vec![
            ("clint".to_owned(), bytes(&self.clint)),
            ("plic".to_owned(), bytes(&self.plic)),
            ("rtc".to_owned(), bytes(&self.rtc)),
            ("uart".to_owned(), bytes(&self.uart)),
        ];
        if let Some(htif) = &self.htif {
            states.push(("htif".to_owned(), bytes(htif)));
        }
        for (slot, device) in self.virtio.iter().enumerate() {
            states.push((format!("virtio{slot}"), bytes(device)));
        }
        if let Some(requests) = self.save_requests() {
            states.push(("requests".to_owned(), bytes(&requests)));
        }
        states
    }
}
