//! One hart: registers, privilege mode, CSRs, traps and interrupts. It knows neither memory nor devices.

mod access;
mod cause;
pub mod csr;
mod effects;
mod mode;
mod names;
mod pmp;
mod registers;
mod state;
mod trap;
mod values;

pub use cause::{Cause, Exception};
pub use effects::Effects;
pub use mode::Mode;
pub use names::register_name;
pub use pmp::Access;

pub(crate) use pmp::Pmp;
pub use state::BadRegister;

use crate::Position;
use csr::Csrs;

/// An instruction ended early; [`Hart::exception`] says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trapped;

/// No reservation: an odd number is not the place of a word.
pub const NO_RESERVATION: u64 = 1;

/// The hart.
#[derive(Clone, Debug)]
pub struct Hart {
    /// Integer registers 0 to 31; 32 takes what is written to x0 ([`isa::SINK`]). The size lets an index be
    /// masked instead of checked.
    pub x: [u64; 64],
    /// Float registers.
    pub f: [u64; 32],
    /// Address of the present instruction, if one is being executed, else of the next.
    pub pc: u64,
    /// Instruction attempts before the present one.
    pub position: Position,
    /// Privilege mode.
    pub mode: Mode,
    /// Control and status registers.
    pub csr: Csrs,
    /// The offset in memory that is reserved by a load-reserved, or [`NO_RESERVATION`].
    pub reservation: u64,
    /// The hart waits in WFI.
    pub waiting: bool,
    /// Why the last instruction that ended early did so.
    pub exception: Exception,
    /// Interrupt lines from outside, as bits of `mip`: as of the last refresh.
    pub lines: u64,
    /// Whether the supervisor timer (`stimecmp`) is due: as of the last refresh.
    pub timer_due: bool,
    /// Physical memory protection, computed from the CSRs.
    pub(crate) pmp: Pmp,
}

impl Hart {
    /// A hart out of reset, in M-mode, about to execute at `pc`.
    pub fn new(pc: u64) -> Hart {
        Hart {
            x: [0; 64],
            f: [0; 32],
            pc,
            position: Position(0),
            mode: Mode::Machine,
            csr: Csrs::default(),
            reservation: NO_RESERVATION,
            waiting: false,
            exception: Exception::default(),
            lines: 0,
            timer_due: false,
            pmp: Pmp::default(),
        }
    }

    /// Ends the present instruction by an exception.
    #[cold]
    pub(crate) fn raise(&mut self, cause: Cause, value: u64) -> Trapped {
        self.exception = Exception { cause, value };
        Trapped
    }

    /// `mip` as of the last refresh.
    #[inline]
    pub fn pending(&self) -> u64 {
        let software = self.csr.mip
            & !(if self.csr.supervisor_timer() {
                csr::STIP
            } else {
                0
            });
        software | self.lines | if self.timer_due { csr::STIP } else { 0 }
    }
}
