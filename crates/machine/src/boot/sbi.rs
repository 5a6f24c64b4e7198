//! The built-in SBI: what an `ecall` from S-mode does when no firmware image is loaded (RISC-V SBI
//! specification 2.0). Console and power effects happen on the board; what the hart must do is returned.

use serde::{Deserialize, Serialize};

use crate::board::Board;
use crate::ram::RAM_BASE;
use crate::{GuestAddr, StopRequest};

/// Version 2.0, as the base extension tells it.
const SPEC_VERSION: u64 = 2 << 24;
/// Not one of the numbers that the specification lists: "FUTA".
const IMPLEMENTATION: u64 = 0x4655_5441;
const IMPLEMENTATION_VERSION: u64 = 1;

const BASE: u64 = 0x10;
const TIME: u64 = 0x5449_4d45;
const IPI: u64 = 0x0073_5049;
const RFENCE: u64 = 0x5246_4e43;
const HSM: u64 = 0x0048_534d;
const SRST: u64 = 0x5352_5354;
const DBCN: u64 = 0x4442_434e;

const LEGACY_SET_TIMER: u64 = 0;
const LEGACY_PUT_CHAR: u64 = 1;
const LEGACY_GET_CHAR: u64 = 2;
const LEGACY_SHUTDOWN: u64 = 8;

/// Most bytes that one debug console call moves; it says how many it did.
const DBCN_BYTES_MAX: u64 = 4096;

/// The registers of an `ecall`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// `a7`.
    pub extension: u64,
    /// `a6`.
    pub function: u64,
    /// `a0` to `a5`.
    pub args: [u64; 6],
}

/// What the hart must do for the caller, besides setting its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Supervisor timer interrupt when `time` reaches this value; until then it is not pending.
    SetTimer(u64),
    /// The supervisor software interrupt becomes pending.
    SoftwareInterrupt,
    /// `fence.i`.
    FenceInstruction,
    /// `sfence.vma` for these addresses; all of them if `size` is 0 or [`u64::MAX`].
    FenceAddresses {
        /// First virtual address.
        start: u64,
        /// In bytes.
        size: u64,
        /// One address space, or all.
        asid: Option<u16>,
    },
    /// Wait for an interrupt, as `wfi` does.
    Suspend,
    /// The hart stops. It is the only one, so nothing starts it again.
    StopHart,
}

/// What the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `a0`: an error code, or the result of a legacy call.
    pub a0: u64,
    /// `a1`; `None` leaves it as it is (legacy calls).
    pub a1: Option<u64>,
    /// What the hart must do.
    pub order: Option<Order>,
}

/// SBI error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SbiError {
    /// `SBI_ERR_NOT_SUPPORTED`.
    NotSupported = -2,
    /// `SBI_ERR_INVALID_PARAM`.
    InvalidParam = -3,
    /// `SBI_ERR_INVALID_ADDRESS`.
    InvalidAddress = -5,
    /// `SBI_ERR_ALREADY_AVAILABLE`.
    AlreadyAvailable = -6,
}

/// What succeeded: a value for `a1`, and an order to the hart.
struct Done(u64, Option<Order>);

const NOTHING: Done = Done(0, None);

/// Serves one call.
pub fn call(board: &mut Board, call: Call) -> Reply {
    if call.extension < BASE {
        return legacy(board, call);
    }
    let args = call.args;
    let done = match call.extension {
        BASE => base(call.function, args[0]),
        TIME if call.function == 0 => Ok(Done(0, Some(Order::SetTimer(args[0])))),
        IPI if call.function == 0 => only_hart(args[0], args[1])
            .map(|selected| Done(0, selected.then_some(Order::SoftwareInterrupt))),
        RFENCE => remote_fence(call.function, args),
        HSM => hart_state(call.function, args),
        SRST if call.function == 0 => system_reset(board, args[0], args[1]),
        DBCN => debug_console(board, call.function, args),
        _ => Err(SbiError::NotSupported),
    };
    match done {
        Ok(Done(value, order)) => Reply {
            a0: 0,
            a1: Some(value),
            order,
        },
        Err(error) => Reply {
            a0: error as i64 as u64,
            a1: Some(0),
            order: None,
        },
    }
}

fn base(function: u64, extension: u64) -> Result<Done, SbiError> {
    let value = match function {
        0 => SPEC_VERSION,
        1 => IMPLEMENTATION,
        2 => IMPLEMENTATION_VERSION,
        3 => u64::from(matches!(
            extension,
            LEGACY_SET_TIMER
                | LEGACY_PUT_CHAR
                | LEGACY_GET_CHAR
                | LEGACY_SHUTDOWN
                | BASE
                | TIME
                | IPI
                | RFENCE
                | HSM
                | SRST
                | DBCN
        )),
        // mvendorid, marchid, mimpid: not a commercial implementation.
        4..=6 => 0,
        _ => return Err(SbiError::NotSupported),
    };
    Ok(Done(value, None))
}

/// Whether a hart mask selects hart 0; any other hart is an error (section 3.1).
fn only_hart(mask: u64, base: u64) -> Result<bool, SbiError> {
    match (mask, base) {
        (_, u64::MAX) => Ok(true),
        (0, _) => Ok(false),
        (1, 0) => Ok(true),
        _ => Err(SbiError::InvalidParam),
    }
}

fn remote_fence(function: u64, args: [u64; 6]) -> Result<Done, SbiError> {
    let [mask, base, start, size, asid, _] = args;
    let order = match function {
        0 => Order::FenceInstruction,
        1 => Order::FenceAddresses {
            start,
            size,
            asid: None,
        },
        2 => Order::FenceAddresses {
            start,
            size,
            asid: Some(u16::try_from(asid).map_err(|_| SbiError::InvalidParam)?),
        },
        // The others are for the hypervisor extension.
        _ => return Err(SbiError::NotSupported),
    };
    if function != 0 && size != u64::MAX && start.checked_add(size).is_none() {
        return Err(SbiError::InvalidAddress);
    }
    let selected = only_hart(mask, base)?;
    Ok(Done(0, selected.then_some(order)))
}

fn hart_state(function: u64, args: [u64; 6]) -> Result<Done, SbiError> {
    const RETENTIVE: u64 = 0;
    match function {
        0 if args[0] == 0 => Err(SbiError::AlreadyAvailable),
        0 => Err(SbiError::InvalidParam),
        1 => Ok(Done(0, Some(Order::StopHart))),
        // Status 0: started.
        2 if args[0] == 0 => Ok(NOTHING),
        2 => Err(SbiError::InvalidParam),
        3 if args[0] & 0xffff_ffff == RETENTIVE => Ok(Done(0, Some(Order::Suspend))),
        _ => Err(SbiError::NotSupported),
    }
}

fn system_reset(board: &mut Board, kind: u64, reason: u64) -> Result<Done, SbiError> {
    let (kind, reason) = (kind as u32, reason as u32);
    if reason > 1 && reason < 0xe000_0000 {
        return Err(SbiError::InvalidParam);
    }
    match kind {
        0 => board.request_stop(StopRequest::PowerOff),
        1 | 2 => board.request_stop(StopRequest::Reset),
        0xf000_0000.. => return Err(SbiError::NotSupported),
        _ => return Err(SbiError::InvalidParam),
    }
    Ok(NOTHING)
}

fn debug_console(board: &mut Board, function: u64, args: [u64; 6]) -> Result<Done, SbiError> {
    let [length, low, high, ..] = args;
    // All of what the caller names must be memory, also what is not moved this time.
    let buffer = |board: &Board| {
        let end = low.checked_add(length);
        let inside = end.is_some_and(|end| low >= RAM_BASE && end <= RAM_BASE + board.ram.len());
        if high != 0 || (length != 0 && !inside) {
            return Err(SbiError::InvalidParam);
        }
        Ok(length.min(DBCN_BYTES_MAX) as usize)
    };
    match function {
        0 => {
            let mut bytes = vec![0; buffer(board)?];
            (board.ram.read(GuestAddr(low), &mut bytes)).map_err(|_| SbiError::InvalidParam)?;
            board.console_write(&bytes);
            Ok(Done(bytes.len() as u64, None))
        }
        1 => {
            let max = buffer(board)?;
            let bytes = board.console_take(max);
            (board.ram.write(GuestAddr(low), &bytes)).map_err(|_| SbiError::InvalidParam)?;
            Ok(Done(bytes.len() as u64, None))
        }
        2 => {
            board.console_write(&[args[0] as u8]);
            Ok(NOTHING)
        }
        _ => Err(SbiError::NotSupported),
    }
}

/// Calls of version 0.1 (chapter 5), as far as they need no access to the caller's virtual memory.
fn legacy(board: &mut Board, call: Call) -> Reply {
    let mut order = None;
    let a0 = match call.extension {
        LEGACY_SET_TIMER => {
            order = Some(Order::SetTimer(call.args[0]));
            0
        }
        LEGACY_PUT_CHAR => {
            board.console_write(&[call.args[0] as u8]);
            0
        }
        LEGACY_GET_CHAR => match board.console_take(1).first() {
            Some(byte) => u64::from(*byte),
            None => u64::MAX,
        },
        LEGACY_SHUTDOWN => {
            board.request_stop(StopRequest::PowerOff);
            0
        }
        _ => SbiError::NotSupported as i64 as u64,
    };
    Reply {
        a0,
        a1: None,
        order,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BoardConfig, MEMORY_BYTES_MIN};
    use crate::{Input, Output};

    fn board() -> Board {
        let memory_bytes = MEMORY_BYTES_MIN;
        Board::new(&BoardConfig {
            memory_bytes,
            ..BoardConfig::default()
        })
        .unwrap()
    }

    fn ask(board: &mut Board, extension: u64, function: u64, args: &[u64]) -> Reply {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        call(
            board,
            Call {
                extension,
                function,
                args: all,
            },
        )
    }

    fn ok(value: u64, order: Option<Order>) -> Reply {
        Reply {
            a0: 0,
            a1: Some(value),
            order,
        }
    }

    fn error(error: SbiError) -> Reply {
        Reply {
            a0: error as i64 as u64,
            a1: Some(0),
            order: None,
        }
    }

    #[test]
    fn base_extension() {
        let board = &mut board();
        assert_eq!(ask(board, BASE, 0, &[]), ok(0x0200_0000, None));
        for extension in [0, 1, 2, 8, BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN] {
            assert_eq!(ask(board, BASE, 3, &[extension]), ok(1, None));
        }
        for extension in [3, 4, 5, 0x50_4d55, u64::MAX] {
            assert_eq!(ask(board, BASE, 3, &[extension]), ok(0, None));
        }
        assert_eq!(ask(board, BASE, 7, &[]), error(SbiError::NotSupported));
        assert_eq!(ask(board, 0x50_4d55, 0, &[]), error(SbiError::NotSupported));
    }

    #[test]
    fn timer_interrupts_and_fences() {
        let board = &mut board();
        assert_eq!(ask(board, TIME, 0, &[5]), ok(0, Some(Order::SetTimer(5))));
        let software = ok(0, Some(Order::SoftwareInterrupt));
        assert_eq!(ask(board, IPI, 0, &[1, 0]), software);
        assert_eq!(ask(board, IPI, 0, &[0, u64::MAX]), software);
        assert_eq!(ask(board, IPI, 0, &[0, 0]), ok(0, None));
        assert_eq!(ask(board, IPI, 0, &[2, 0]), error(SbiError::InvalidParam));
        assert_eq!(
            ask(board, RFENCE, 2, &[1, 0, 0x1000, 0x2000, 9]),
            ok(
                0,
                Some(Order::FenceAddresses {
                    start: 0x1000,
                    size: 0x2000,
                    asid: Some(9)
                })
            )
        );
        assert_eq!(
            ask(board, RFENCE, 1, &[1, 0, u64::MAX, 2]),
            error(SbiError::InvalidAddress)
        );
        assert_eq!(
            ask(board, RFENCE, 3, &[1, 0]),
            error(SbiError::NotSupported)
        );
    }

    #[test]
    fn one_hart() {
        let board = &mut board();
        assert_eq!(ask(board, HSM, 0, &[0]), error(SbiError::AlreadyAvailable));
        assert_eq!(ask(board, HSM, 0, &[1]), error(SbiError::InvalidParam));
        assert_eq!(ask(board, HSM, 2, &[0]), ok(0, None));
        assert_eq!(ask(board, HSM, 3, &[0]), ok(0, Some(Order::Suspend)));
        assert_eq!(
            ask(board, HSM, 3, &[1 << 31]),
            error(SbiError::NotSupported)
        );
    }

    #[test]
    fn reset() {
        let mut down = board();
        assert_eq!(
            ask(&mut down, SRST, 0, &[3, 0]),
            error(SbiError::InvalidParam)
        );
        assert_eq!(down.stop(), None);
        ask(&mut down, SRST, 0, &[0, 0]);
        assert_eq!(down.stop(), Some(StopRequest::PowerOff));
        let mut again = board();
        ask(&mut again, SRST, 0, &[1, 1]);
        assert_eq!(again.stop(), Some(StopRequest::Reset));
    }

    #[test]
    fn debug_console_checks_hostile_addresses() {
        let board = &mut board();
        let end = RAM_BASE + board.ram.len();
        for (length, low, high) in [
            (1, 0, 0),
            (1, RAM_BASE, 1),
            (u64::MAX, RAM_BASE, 0),
            (2, u64::MAX, 0),
            (2, end - 1, 0),
        ] {
            for function in [0, 1] {
                assert_eq!(
                    ask(board, DBCN, function, &[length, low, high]),
                    error(SbiError::InvalidParam)
                );
            }
        }
        board.ram.write(GuestAddr(end - 5), b"hello").unwrap();
        assert_eq!(ask(board, DBCN, 0, &[5, end - 5]), ok(5, None));
        assert_eq!(ask(board, DBCN, 2, &[u64::from(b'!')]), ok(0, None));
        ask(board, LEGACY_PUT_CHAR, 0, &[u64::from(b'\n')]);
        assert_eq!(
            board.take_outputs(),
            [Output::Console(b"hello!\n".to_vec())]
        );
        let all = end - RAM_BASE;
        for _ in 0..16 {
            assert!(!board.output_due());
            assert_eq!(ask(board, DBCN, 0, &[all, RAM_BASE]), ok(4096, None));
        }
        assert!(
            board.output_due(),
            "a guest cannot make the host keep more and more"
        );
    }

    #[test]
    fn console_input() {
        let board = &mut board();
        board.apply(&Input::Console(b"abc".to_vec()), 0).unwrap();
        assert_eq!(ask(board, DBCN, 1, &[2, RAM_BASE]), ok(2, None));
        let mut read = [0; 3];
        board.ram.read(GuestAddr(RAM_BASE), &mut read).unwrap();
        assert_eq!(&read, b"ab\0");
        assert_eq!(ask(board, LEGACY_GET_CHAR, 0, &[]).a0, u64::from(b'c'));
        assert_eq!(ask(board, LEGACY_GET_CHAR, 0, &[]).a0, u64::MAX);
        assert_eq!(ask(board, LEGACY_GET_CHAR, 0, &[]).a1, None);
    }
}
