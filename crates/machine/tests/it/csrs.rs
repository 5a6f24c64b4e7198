//! Which CSRs exist, who may access them how, and what that leaves: all 4,096 numbers in all modes by all kinds of access, held
//! against a list.

use std::fmt::Write;

use isa::CsrAccess;
use machine::Position;
use machine::hart::csr::{self, status};
use machine::hart::{Effects, Hart, Mode};

/// What each number did when this was written. A change is one that guests see (`machine::SEMANTICS`).
const EXPECTED: &str = include_str!("csrs.txt");

const MODES: [(Mode, char); 3] = [
    (Mode::User, 'U'),
    (Mode::Supervisor, 'S'),
    (Mode::Machine, 'M'),
];
const ACCESSES: [(CsrAccess, char); 5] = [
    (CsrAccess::Read, 'r'),
    (CsrAccess::Write, 'w'),
    (CsrAccess::Swap, 'x'),
    (CsrAccess::Set, 's'),
    (CsrAccess::Clear, 'c'),
];
/// Among them page tables in a mode that exists, and in one that does not, and locked and unlocked protection.
const OPERANDS: [u64; 6] = [
    0,
    u64::MAX,
    0x5555_5555_5555_5555,
    0x8a8a_9f88_1f9a_0f0a,
    8 << 60 | 7 << 44 | 0x1234,
    10 << 60 | 2,
];
const EFFECTS: [Effects; 6] = [
    Effects::CONTEXT,
    Effects::FLUSH_LOADS,
    Effects::FLUSH,
    Effects::INTERRUPTS,
    Effects::TIMER,
    Effects::USER_PAGES,
];

/// FNV-1a.
struct Fingerprint(u64);

impl Fingerprint {
    fn add(&mut self, value: u64) {
        for byte in value.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Out of reset; with everything enabled; with what may be forbidden forbidden.
fn harts() -> [Hart; 3] {
    let fresh = Hart::new(0x8000_0000);
    let mut enabled = fresh.clone();
    enabled.position = Position(1000);
    (enabled.lines, enabled.timer_due) = (csr::SEIP | csr::MTIP, true);
    let csr = &mut enabled.csr;
    csr.mstatus = status::FS & (1 << 13) | status::SIE | status::MPP | status::SUM;
    (csr.medeleg, csr.mideleg, csr.mie, csr.mip) = (0xb1ff, 0x202, 0xa8a, 0x22);
    (csr.mtvec, csr.stvec, csr.satp) = (0x8000_0101, 0x8000_0200, 8 << 60 | 3 << 44 | 0x8_0000);
    (csr.mcounteren, csr.scounteren, csr.menvcfg, csr.senvcfg) = (0xffff_ffff, 7, csr::STCE, 1);
    (csr.cycle, csr.instret, csr.stimecmp) = (77, 33, 0x1234_5678);
    (csr.mscratch, csr.mepc, csr.mcause, csr.mtval) = (101, 102, 103, 104);
    (csr.sscratch, csr.sepc, csr.scause, csr.stval) = (201, 202, 203, 204);
    (csr.fflags, csr.frm) = (0x15, 3);
    for entry in 0..csr::PMP_ENTRIES {
        csr.pmpcfg[entry] = entry as u8 & 0x1f;
        csr.pmpaddr[entry] = 0x2000_0000 + entry as u64;
    }
    let mut forbidden = enabled.clone();
    let csr = &mut forbidden.csr;
    csr.mstatus = status::TVM | status::TW | status::TSR | status::MPRV;
    (csr.mcounteren, csr.scounteren, csr.mcountinhibit) = (0b101, 0b110, 0b101);
    csr.menvcfg = 0;
    (csr.pmpcfg[3], csr.pmpcfg[9]) = (0x8f, 0x99);
    [fresh, enabled, forbidden]
}

/// For each mode and kind of access that succeeds in some hart: its letter, and what all harts and operands led to.
fn line(number: u16, harts: &[Hart]) -> String {
    let mut line = String::new();
    for (mode, letter) in MODES {
        let mut allowed = String::new();
        let mut fingerprint = Fingerprint(0xcbf2_9ce4_8422_2325);
        for (access, kind) in ACCESSES {
            let mut done = false;
            for hart in harts {
                for operand in OPERANDS {
                    let mut hart = hart.clone();
                    hart.mode = mode;
                    match hart.access_csr(number, access, operand, 0xabcd_ef01) {
                        Ok((old, effects)) => {
                            done = true;
                            // Writes that do not read say nothing of the old value.
                            fingerprint.add(if access == CsrAccess::Write { 1 } else { old });
                            for effect in EFFECTS {
                                fingerprint.add(effects.has(effect).into());
                            }
                        }
                        Err(_) => fingerprint.add(hart.exception.cause as u64 + 99),
                    }
                    for register in hart.registers() {
                        fingerprint.add(register);
                    }
                }
            }
            if done {
                allowed.push(kind);
            }
        }
        if !allowed.is_empty() {
            write!(line, " {letter}:{allowed}:{:016x}", fingerprint.0)
                .expect("strings take everything");
        }
    }
    line
}

#[test]
fn every_number_does_what_it_did() {
    let harts = harts();
    let mut list = String::new();
    for number in 0..4096 {
        let line = line(number, &harts);
        if !line.is_empty() {
            writeln!(list, "{number:#05x}{line}").expect("strings take everything");
        }
    }
    for (is, was) in list.lines().zip(EXPECTED.lines()) {
        assert_eq!(is, was, "now, and in csrs.txt");
    }
    assert_eq!(list.lines().count(), EXPECTED.lines().count(), "{list}");
}
