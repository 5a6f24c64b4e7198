//! Host-target interface: two words of memory by which a bare-metal program speaks to its host, as to Spike.
//!
//! The program writes a command to `tohost` and waits until the word is 0 again; an answer appears in `fromhost`, which
//! the program sets back to 0. A command is `device << 56 | command << 48 | payload`:
//!
//! | device, command | payload | answer |
//! |---|---|---|
//! | 0, 0 | odd: the program ends with code `payload >> 1` | none |
//! | 0, 0 | even: address of eight words: system call, its arguments; the first becomes the result | 1 |
//! | 1, 0 | a key is wanted | `0x100 \| key`, once one is typed |
//! | 1, 1 | its low byte is for the console | none |
//!
//! Of the system calls there are `write` (64) to descriptors 1 and 2, both the console, and `exit` (93). Anything else
//! ends the machine, since its answer would be missed for ever.
//!
//! Spike looks at the words now and then, and so does this: at positions that depend on the machine's state alone, and
//! where the hart begins to wait.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::stop::{Refusal, StopRequest};
use super::uart::Uart;
use crate::{GuestAddr, Position, Ram};

/// Longest text of one `write`.
const WRITE_BYTES_MAX: u64 = 64 << 10;
/// Answers, and wishes for keys, that may wait for the program.
const ANSWERS_MAX: usize = 64;
/// Between two looks: after a command, and for a program that has not given one for long.
const PAUSE_POSITIONS: std::ops::RangeInclusive<u64> = 128..=16384;

const SYSTEM: u64 = 0;
const CONSOLE: u64 = 1;
const WRITE: u64 = 64;
const EXIT: u64 = 93;
/// Linux's error number of a descriptor that is not open, negated.
const BAD_DESCRIPTOR: u64 = (-9i64).cast_unsigned();
const PAYLOAD: u64 = (1 << 48) - 1;

/// The interface, for a program that has the two words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Htif {
    /// Addresses of the words, in memory.
    to_host: u64,
    from_host: Option<u64>,
    /// The position of the next look, and the time between two.
    due: Position,
    pause: u64,
    answers: VecDeque<u64>,
    keys_wanted: u32,
}

/// What commands may touch.
pub(crate) struct Host<'a> {
    pub(crate) ram: &'a mut Ram,
    pub(crate) uart: &'a mut Uart,
    pub(crate) said: &'a mut Vec<u8>,
}

impl Htif {
    /// For words at these addresses; none if they are not in memory.
    pub(crate) fn new(ram: &Ram, to_host: u64, from_host: Option<u64>) -> Option<Htif> {
        let is_memory = |address: &u64| ram.offset_of(GuestAddr(*address), 8).is_some();
        is_memory(&to_host).then(|| Htif {
            to_host,
            from_host: from_host.filter(is_memory),
            due: Position(*PAUSE_POSITIONS.end()),
            pause: *PAUSE_POSITIONS.end(),
            answers: VecDeque::new(),
            keys_wanted: 0,
        })
    }

    /// Says whether this state can have come from a machine with this memory.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn check(&self, ram: &Ram) -> Result<(), super::BadState> {
        let is_memory = |address: u64| ram.offset_of(GuestAddr(address), 8).is_some();
        let words = is_memory(self.to_host) && self.from_host.is_none_or(is_memory);
        let waiting = self.answers.len().max(self.keys_wanted as usize) <= ANSWERS_MAX;
        if words && waiting && PAUSE_POSITIONS.contains(&self.pause) {
            return Ok(());
        }
        Err(super::BadState {
            device: "the host-target interface",
            what: "an address is outside memory, or a bound is passed",
        })
    }

    /// The position at which to look next.
    pub(crate) fn due(&self) -> Position {
        self.due
    }

    /// Looks at the words, at position `at`. Returns how the machine is to stop, if it is.
    pub(crate) fn look(&mut self, at: Position, mut host: Host<'_>) -> Option<StopRequest> {
        let mut stop = None;
        let word = read(host.ram, self.to_host);
        self.pause = match word {
            0 => (self.pause * 2).min(*PAUSE_POSITIONS.end()),
            _ => *PAUSE_POSITIONS.start(),
        };
        // First: whatever comes of this look, it is not the same that comes next.
        self.due = Position(at.0.saturating_add(self.pause));
        if word != 0 {
            match self.obey(word, &mut host) {
                Ok(None) => {}
                Ok(Some(code)) => stop = Some(StopRequest::Exit(code)),
                Err(refusal) => stop = Some(StopRequest::Refused(refusal)),
            }
        }
        self.answer(&mut host);
        // Last, so that one look leaves nothing for a second one, whatever lies on top of each other.
        if word != 0 && stop.is_none() {
            write(host.ram, self.to_host, 0);
        }
        stop
    }

    /// Returns the code with which the program ends, if it does.
    fn obey(&mut self, word: u64, host: &mut Host<'_>) -> Result<Option<u64>, Refusal> {
        let (device, command, payload) = (word >> 56, word >> 48 & 0xff, word & PAYLOAD);
        match (device, command) {
            (SYSTEM, 0) if payload & 1 == 1 => return Ok(Some(payload >> 1)),
            (SYSTEM, 0) => {
                if self.answers.len() >= ANSWERS_MAX {
                    return Err(Refusal::Untaken);
                }
                let code = system_call(payload, host)?;
                if code.is_none() {
                    self.answers.push_back(1);
                }
                return Ok(code);
            }
            (CONSOLE, 0) => {
                if self.keys_wanted as usize >= ANSWERS_MAX {
                    return Err(Refusal::Untaken);
                }
                self.keys_wanted += 1;
            }
            (CONSOLE, 1) => host.said.push(payload as u8),
            _ => {
                return Err(Refusal::Command {
                    device: device as u8,
                    command: command as u8,
                });
            }
        }
        Ok(None)
    }

    /// Gives the next answer, where the program has taken the last one.
    fn answer(&mut self, host: &mut Host<'_>) {
        if self.keys_wanted > 0
            && self.answers.len() < ANSWERS_MAX
            && let Some(key) = host.uart.take(1).first()
        {
            self.keys_wanted -= 1;
            let head = CONSOLE << 56;
            self.answers.push_back(head | 0x100 | u64::from(*key));
        }
        let Some(address) = self.from_host else {
            return self.answers.clear();
        };
        if !self.answers.is_empty() && read(host.ram, address) == 0 {
            let answer = self.answers.pop_front().unwrap_or_default();
            write(host.ram, address, answer);
        }
    }
}

/// Carries out the call that the eight words at `address` ask for. Returns the program's code if it ends.
fn system_call(address: u64, host: &mut Host<'_>) -> Result<Option<u64>, Refusal> {
    let mut words = [0; 64];
    host.ram
        .read(GuestAddr(address), &mut words)
        .map_err(|_| Refusal::Outside {
            what: "a system call",
            address,
        })?;
    let word = |index: usize| {
        let bytes = words[8 * index..].first_chunk();
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let result = match word(0) {
        WRITE => {
            let (descriptor, address, bytes) = (word(1), word(2), word(3));
            if bytes > WRITE_BYTES_MAX {
                return Err(Refusal::TooLong(bytes));
            }
            let mut text = vec![0; bytes as usize];
            host.ram
                .read(GuestAddr(address), &mut text)
                .map_err(|_| Refusal::Outside {
                    what: "the text of a write",
                    address,
                })?;
            if matches!(descriptor, 1 | 2) {
                host.said.extend_from_slice(&text);
                bytes
            } else {
                BAD_DESCRIPTOR
            }
        }
        EXIT => return Ok(Some(word(1))),
        other => return Err(Refusal::SystemCall(other)),
    };
    write(host.ram, address, result);
    Ok(None)
}

/// The word at an address that was found to be in memory.
fn read(ram: &Ram, address: u64) -> u64 {
    let mut word = [0; 8];
    ram.read(GuestAddr(address), &mut word)
        .expect("the address was compared with memory");
    u64::from_le_bytes(word)
}

fn write(ram: &mut Ram, address: u64, word: u64) {
    ram.write(GuestAddr(address), &word.to_le_bytes())
        .expect("the address was compared with memory");
}
