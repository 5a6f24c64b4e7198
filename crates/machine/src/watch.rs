//! What helps people with a guest that says nothing: the first instruction that was illegal before the console said
//! anything. It is no part of the machine's state; the guest cannot see it, and no digest or snapshot holds it.

use std::fmt;

use crate::Output;
use crate::hart::Mode;
use isa::{Insn, Op, absent, decode};

/// An instruction that trapped as illegal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Illegal {
    /// Its bits in memory.
    pub bits: u32,
    /// Its virtual address.
    pub address: u64,
    /// In which mode it trapped.
    pub mode: Mode,
}

impl fmt::Display for Illegal {
    /// Instruction, place and what it probably means, as an end of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Illegal {
            bits,
            address,
            mode,
        } = *self;
        let insn = decode(bits);
        match absent(bits) {
            Some(absent) => write!(f, "{} ({bits:#010x})", absent.mnemonic)?,
            None => write!(f, "{insn} ({bits:#010x})")?,
        }
        write!(f, " at {address:#x} in {}", name(mode))?;
        if let Some(absent) = absent(bits) {
            return write!(
                f,
                ", of extension {}, which this machine does not have: build the guest for rv64gc",
                absent.extension
            );
        }
        if mode != Mode::Machine && needs_machine_mode(&insn) {
            return write!(
                f,
                ", which only M-mode may execute: an image for M-mode is started with `--bios none`, or as `--bios`"
            );
        }
        match insn.op {
            Op::Illegal => write!(f, ", which is no instruction of rv64gc"),
            _ => write!(f, ", which this mode, or its settings, do not allow"),
        }
    }
}

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::User => "U-mode",
        Mode::Supervisor => "S-mode",
        Mode::Machine => "M-mode",
    }
}

/// Bits 8 and 9 of a CSR's number are the lowest mode that may touch it.
fn needs_machine_mode(insn: &Insn) -> bool {
    match insn.op {
        Op::Csrrw | Op::Csrrs | Op::Csrrc | Op::Csrrwi | Op::Csrrsi | Op::Csrrci => {
            insn.csr() >> 8 & 3 == 3
        }
        op => op == Op::Mret,
    }
}

/// Waits for that instruction from the start of the machine on.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    armed: bool,
    first: Option<Illegal>,
}

impl Watch {
    pub(crate) fn armed() -> Watch {
        Watch {
            armed: true,
            first: None,
        }
    }

    pub(crate) fn see(&mut self, bits: u32, address: u64, mode: Mode) {
        if self.armed {
            self.armed = false;
            self.first = Some(Illegal {
                bits,
                address,
                mode,
            });
        }
    }

    /// Once the console speaks, it is for the guest to say what is wrong.
    pub(crate) fn hear(&mut self, outputs: &[Output]) {
        if outputs
            .iter()
            .any(|output| matches!(output, Output::Console(_)))
        {
            *self = Watch::default();
        }
    }

    pub(crate) fn first(&self) -> Option<Illegal> {
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bits: u32, mode: Mode, words: &str) {
        let illegal = Illegal {
            bits,
            address: 0x8020_0010,
            mode,
        };
        assert_eq!(illegal.to_string(), words);
    }

    #[test]
    fn hints() {
        check(
            0x20c5_c533,
            Mode::Machine,
            "sh2add (0x20c5c533) at 0x80200010 in M-mode, of extension Zba, which this machine does not have: build the guest for rv64gc",
        );
        check(
            0x3052_9073,
            Mode::Supervisor,
            "csrrw zero, mtvec, t0 (0x30529073) at 0x80200010 in S-mode, which only M-mode may execute: an image for M-mode is started with `--bios none`, or as `--bios`",
        );
        check(
            0,
            Mode::User,
            ".2byte 0x0 (0x00000000) at 0x80200010 in U-mode, which is no instruction of rv64gc",
        );
        check(
            0x1020_0073,
            Mode::User,
            "sret (0x10200073) at 0x80200010 in U-mode, which this mode, or its settings, do not allow",
        );
    }
}
