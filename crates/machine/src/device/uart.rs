//! 16550A serial port, without a clock of its own: a byte is sent as soon as it is written, and the line is
//! taken to fall silent after the last byte that has arrived, so that the receive time-out is immediate.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::BadState;

/// Bytes that wait for room in the receive FIFO. More are dropped.
pub const BACKLOG_MAX: usize = 64 * 1024;

const FIFO_LEN: usize = 16;

const IER_RECEIVE: u8 = 1;
const IER_TRANSMIT: u8 = 2;
const IER_LINE: u8 = 4;

const IIR_NONE: u8 = 1;
const IIR_TRANSMIT: u8 = 2;
const IIR_RECEIVE: u8 = 4;
const IIR_LINE: u8 = 6;
const IIR_TIMEOUT: u8 = 0xc;
const IIR_FIFO: u8 = 0xc0;

const FCR_ENABLE: u8 = 1;
const FCR_CLEAR_RECEIVE: u8 = 2;

const LCR_DLAB: u8 = 0x80;

const MCR_MASK: u8 = 0x1f;
const MCR_LOOP: u8 = 0x10;

const LSR_READY: u8 = 1;
const LSR_OVERRUN: u8 = 2;
const LSR_TRANSMIT_EMPTY: u8 = 0x60;

/// Clear to send, data set ready, carrier detected.
const MSR_CONNECTED: u8 = 0xb0;

/// The serial port's registers and buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Uart {
    interrupt_enable: u8,
    fifo_control: u8,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
    divisor: [u8; 2],
    overrun: bool,
    /// The transmitter-empty interrupt has been raised and neither been seen nor overtaken.
    transmit_pending: bool,
    fifo: VecDeque<u8>,
    backlog: VecDeque<u8>,
    dropped: u64,
}

impl Uart {
    /// Says whether this state can have come from a serial port.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn check(&self) -> Result<(), BadState> {
        if self.fifo.len() > FIFO_LEN || self.backlog.len() > BACKLOG_MAX {
            return Err(BadState {
                device: "the serial port",
                what: "a buffer is over-full",
            });
        }
        Ok(())
    }

    /// Bytes that have arrived, and that the guest has yet to read.
    pub(crate) fn waiting(&self) -> usize {
        self.fifo.len() + self.backlog.len()
    }

    /// Bytes arrive at the port.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let room = BACKLOG_MAX - self.backlog.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.dropped += (bytes.len() - taken.len()) as u64;
        self.backlog.extend(taken);
        self.refill();
    }

    /// Takes up to `max` received bytes past the registers, for firmware calls.
    pub(crate) fn take(&mut self, max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < max
            && let Some(byte) = self.fifo.pop_front()
        {
            bytes.push(byte);
            self.refill();
        }
        bytes
    }

    fn fifo_enabled(&self) -> bool {
        self.fifo_control & FCR_ENABLE != 0
    }

    fn refill(&mut self) {
        let room = if self.fifo_enabled() { FIFO_LEN } else { 1 };
        // In loopback the receiver is cut off from the line.
        while self.fifo.len() < room && self.modem_control & MCR_LOOP == 0 {
            let Some(byte) = self.backlog.pop_front() else {
                return;
            };
            self.fifo.push_back(byte);
        }
    }

    fn identification(&self) -> u8 {
        let trigger = match self.fifo_control >> 6 {
            _ if !self.fifo_enabled() => 1,
            0 => 1,
            1 => 4,
            2 => 8,
            _ => 14,
        };
        if self.interrupt_enable & IER_LINE != 0 && self.overrun {
            IIR_LINE
        } else if self.interrupt_enable & IER_RECEIVE != 0 && self.fifo.len() >= trigger {
            IIR_RECEIVE
        } else if self.interrupt_enable & IER_RECEIVE != 0 && !self.fifo.is_empty() {
            IIR_TIMEOUT
        } else if self.interrupt_enable & IER_TRANSMIT != 0 && self.transmit_pending {
            IIR_TRANSMIT
        } else {
            IIR_NONE
        }
    }

    /// Level of the interrupt line.
    pub(crate) fn line(&self) -> bool {
        self.identification() != IIR_NONE
    }

    fn divisor_latch(&self) -> bool {
        self.line_control & LCR_DLAB != 0
    }

    /// Reads register `offset` (0 to 7).
    pub(crate) fn load(&mut self, offset: u64) -> u8 {
        match offset {
            0 | 1 if self.divisor_latch() => self.divisor[offset as usize],
            0 => {
                let byte = self.fifo.pop_front().unwrap_or(0);
                self.refill();
                byte
            }
            1 => self.interrupt_enable,
            2 => {
                let identification = self.identification();
                if identification == IIR_TRANSMIT {
                    self.transmit_pending = false;
                }
                let fifo = if self.fifo_enabled() { IIR_FIFO } else { 0 };
                identification | fifo
            }
            3 => self.line_control,
            4 => self.modem_control,
            5 => {
                let ready = if self.fifo.is_empty() { 0 } else { LSR_READY };
                let overrun = if self.overrun { LSR_OVERRUN } else { 0 };
                self.overrun = false;
                LSR_TRANSMIT_EMPTY | ready | overrun
            }
            6 if self.modem_control & MCR_LOOP != 0 => {
                // RTS, DTR, OUT1 and OUT2 come back as CTS, DSR, RI and DCD.
                let out = self.modem_control;
                ((out & 2) << 3) | ((out & 1) << 5) | ((out & 4) << 4) | ((out & 8) << 4)
            }
            6 => MSR_CONNECTED,
            7 => self.scratch,
            _ => 0,
        }
    }

    /// Writes register `offset` (0 to 7); a byte that leaves the port is returned.
    pub(crate) fn store(&mut self, offset: u64, value: u8) -> Option<u8> {
        match offset {
            0 | 1 if self.divisor_latch() => self.divisor[offset as usize] = value,
            0 => {
                self.transmit_pending = true;
                if self.modem_control & MCR_LOOP == 0 {
                    return Some(value);
                }
                let room = if self.fifo_enabled() { FIFO_LEN } else { 1 };
                if self.fifo.len() < room {
                    self.fifo.push_back(value);
                } else {
                    self.overrun = true;
                }
            }
            1 => {
                let enabled = value & !self.interrupt_enable;
                self.interrupt_enable = value & 0xf;
                // The transmitter is always empty, which is news to whoever now asks.
                self.transmit_pending |= enabled & IER_TRANSMIT != 0;
            }
            2 => {
                let switched = (value ^ self.fifo_control) & FCR_ENABLE != 0;
                if switched || value & FCR_CLEAR_RECEIVE != 0 {
                    self.fifo.clear();
                }
                self.fifo_control = value & 0xc9;
                self.refill();
            }
            3 => self.line_control = value,
            4 => {
                self.modem_control = value & MCR_MASK;
                self.refill();
            }
            7 => self.scratch = value,
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_at_once_and_says_so() {
        let mut uart = Uart::default();
        assert_eq!(uart.load(5), 0x60);
        assert_eq!(uart.store(0, b'x'), Some(b'x'));
        assert!(!uart.line());
        // Linux' test of the transmitter interrupt: enabling it raises it, each time.
        for _ in 0..2 {
            uart.store(1, IER_TRANSMIT);
            assert!(uart.line());
            assert_eq!(uart.load(2), IIR_TRANSMIT);
            assert_eq!(uart.load(2), IIR_NONE, "reading it acknowledged it");
            uart.store(1, 0);
        }
        uart.store(1, IER_TRANSMIT);
        uart.load(2);
        uart.store(0, b'y');
        assert!(uart.line());
    }

    #[test]
    fn receives_through_the_fifo() {
        let mut uart = Uart::default();
        uart.store(2, FCR_ENABLE | 0x80);
        uart.store(1, IER_RECEIVE);
        let typed: Vec<u8> = (0..40).collect();
        uart.receive(&typed);
        assert_eq!(uart.fifo.len(), FIFO_LEN);
        assert_eq!(uart.load(2), IIR_RECEIVE | IIR_FIFO);
        let mut read = Vec::new();
        while uart.load(5) & LSR_READY != 0 {
            read.push(uart.load(0));
            if read.len() == 33 {
                assert_eq!(
                    uart.load(2),
                    IIR_TIMEOUT | IIR_FIFO,
                    "seven bytes, trigger is eight"
                );
            }
        }
        assert_eq!(read, typed);
        assert!(!uart.line());
    }

    #[test]
    fn without_fifo_one_byte_at_a_time() {
        let mut uart = Uart::default();
        uart.receive(b"ab");
        assert_eq!((uart.fifo.len(), uart.backlog.len()), (1, 1));
        assert_eq!((uart.load(0), uart.load(0), uart.load(0)), (b'a', b'b', 0));
    }

    #[test]
    fn divisor_scratch_and_loopback() {
        let mut uart = Uart::default();
        uart.store(3, LCR_DLAB | 3);
        uart.store(0, 0x12);
        uart.store(1, 0x34);
        assert_eq!((uart.load(0), uart.load(1)), (0x12, 0x34));
        uart.store(3, 3);
        assert_eq!(uart.load(1), 0);
        uart.store(7, 0x5a);
        assert_eq!(uart.load(7), 0x5a);
        assert_eq!(uart.load(6), 0xb0);
        uart.store(4, MCR_LOOP | 0xa);
        assert_eq!(uart.load(6), 0x90, "as 8250 drivers probe it");
        uart.store(1, IER_LINE);
        assert_eq!(uart.store(0, b'1'), None);
        assert_eq!(uart.store(0, b'2'), None);
        assert_eq!(uart.load(2), IIR_LINE);
        assert_eq!(uart.load(5), 0x63);
        assert_eq!(uart.load(0), b'1');
    }

    #[test]
    fn backlog_is_bounded() {
        let mut uart = Uart::default();
        uart.receive(&vec![7; BACKLOG_MAX + 100]);
        uart.receive(&[1]);
        assert_eq!(uart.dropped, 101 - 1);
        assert_eq!(uart.check(), Ok(()));
        assert_eq!(uart.take(10), [7; 10]);
    }
}
