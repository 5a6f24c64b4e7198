//! The kernel: how it starts, and its handler of traps.

mod deeds;

use crate::generate::Random;
use isa::Op;
use isa::csr;

pub(super) use self::deeds::DEEDS;
use self::deeds::choose_deed;
use super::body::Program;
use super::{
    CODE, DATA, FAR, IMAGE_BYTES, MACHINE_HANDLER, PAGE, PAGES, SPACES, STATE, SUPERVISOR_HANDLER,
    Setting,
};
use crate::assembler::{Assembler, Label};
use machine::hart::csr::{MTIP, STCE, STIP, status};
use machine::ram::RAM_BASE;

// Places in the state, as offsets that loads and stores reach.
const INITIAL_X: i32 = -0x800;
const INITIAL_F: i32 = -0x700;
/// Registers of the program while the handler runs, by number.
const SAVED: i32 = 0;
const RANDOM: i32 = 0x100;
const FACTOR: i32 = 0x108;
/// Address of the leaves in use.
const LEAVES: i32 = 0x110;
/// What `satp` has next, and which leaves belong to it.
const OTHER_SATP: i32 = 0x118;
const OTHER_LEAVES: i32 = 0x120;
/// Exceptions since the last interrupt or call.
const STREAK: i32 = 0x128;
const INTERVAL: i32 = 0x130;
const ENTRY: i32 = 0x138;
const INITIAL_STATUS: i32 = 0x140;
pub(super) const EXCEPTIONS: i32 = 0x200;
pub(super) const INTERRUPTS: i32 = 0x280;
pub(super) const RESTARTS: i32 = 0x288;
pub(super) const DEEDS_DONE: i32 = 0x300;
/// Pairs of address and word.
const PATCHES: i32 = 0x400;
/// How many pairs: a power of two.
pub(super) const PATCHES_MAX: usize = 16;

/// Longer streaks of exceptions are taken for a program that has lost its way.
const STREAK_MAX: i32 = 300;

// Registers of the handler.
const CAUSE: u8 = 5;
const PC: u8 = 6;
const STATUS: u8 = 7;
const DRAWN: u8 = 8;
const A: u8 = 9;
const B: u8 = 28;
const C: u8 = 29;
const D: u8 = 30;
const HERE: u8 = 31;
const USED: [u8; 8] = [CAUSE, PC, STATUS, DRAWN, A, B, C, D];

const TIME: i32 = csr::TIME as i32;
const SATP: i32 = csr::SATP as i32;
const STIMECMP: i32 = csr::STIMECMP as i32;
const FFLAGS: i32 = csr::FFLAGS as i32;
const FRM: i32 = csr::FRM as i32;
/// Of the CLINT.
const MTIMECMP: u64 = 0x200_4000;

/// The CSRs by which a mode handles traps.
#[derive(Clone, Copy)]
struct Level {
    status: i32,
    scratch: i32,
    epc: i32,
    cause: i32,
    tval: i32,
    ret: Op,
    /// Set in `status` if the trap came from S-mode, not from U-mode.
    from_supervisor: u64,
}

const MACHINE: Level = Level {
    status: csr::MSTATUS as i32,
    scratch: csr::MSCRATCH as i32,
    epc: csr::MEPC as i32,
    cause: csr::MCAUSE as i32,
    tval: csr::MTVAL as i32,
    ret: Op::Mret,
    from_supervisor: 1 << status::MPP_SHIFT,
};
const SUPERVISOR: Level = Level {
    status: csr::SSTATUS as i32,
    scratch: csr::SSCRATCH as i32,
    epc: csr::SEPC as i32,
    cause: csr::SCAUSE as i32,
    tval: csr::STVAL as i32,
    ret: Op::Sret,
    from_supervisor: status::SPP,
};

/// The memory of the guest.
pub(super) fn image(random: &mut Random, setting: Setting, program: &Program) -> Vec<u8> {
    let mut image = vec![0; IMAGE_BYTES];
    let mut put = |at: usize, bytes: &[u8], bytes_max: usize| {
        assert!(bytes.len() <= bytes_max, "the parts do not overlap");
        image[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(0, &prologue(random, setting), MACHINE_HANDLER);
    put(MACHINE_HANDLER, &handler(MACHINE, setting), PAGE);
    put(SUPERVISOR_HANDLER, &handler(SUPERVISOR, setting), PAGE);
    put(CODE, &program.code, PAGES * PAGE);
    let data: Vec<u8> = (0..PAGES * PAGE / 8)
        .flat_map(|index| match index % 2 {
            0 => random.integer().to_le_bytes(),
            _ => random.float().to_le_bytes(),
        })
        .collect();
    put(DATA, &data, PAGES * PAGE);
    for (space, at) in SPACES.into_iter().enumerate() {
        put(at, &tables(random, space), 4 * PAGE);
    }
    let mut state = |offset: i32, value: u64| {
        put(
            STATE.wrapping_add_signed(offset as isize),
            &value.to_le_bytes(),
            8,
        );
    };
    for register in 0..32 {
        state(
            INITIAL_X + 8 * register,
            program.registers[register as usize],
        );
        state(INITIAL_F + 8 * register, random.float());
    }
    let [code, _] = setting.places();
    for (offset, value) in [
        (RANDOM, random.bits()),
        (FACTOR, random.bits() & !7 | 5),
        (LEAVES, address(SPACES[0] + 2 * PAGE)),
        (OTHER_SATP, satp(1)),
        (OTHER_LEAVES, address(SPACES[1] + 2 * PAGE)),
        (INTERVAL, setting.interval),
        (ENTRY, code + program.entry as u64),
        (INITIAL_STATUS, initial_status(setting)),
    ] {
        state(offset, value);
    }
    for (number, patch) in program.patches.iter().enumerate() {
        let at = PATCHES + 16 * number as i32;
        state(at, address(CODE + patch.offset));
        state(at + 8, patch.word.into());
    }
    image
}

fn address(offset: usize) -> u64 {
    RAM_BASE + offset as u64
}

fn satp(space: usize) -> u64 {
    8 << 60 | (space as u64 + 1) << 44 | address(SPACES[space]) >> 12
}

/// In the place of the mode that handles the program's traps.
fn initial_status(setting: Setting) -> u64 {
    let floats = status::FS | status::SUM;
    let mode = setting.mode as u64;
    if setting.delegated {
        floats | status::SPIE | (mode << 8)
    } else {
        floats | status::MPIE | status::SIE | mode << status::MPP_SHIFT
    }
}

/// Root, middle, leaves, and the leaves as they should be.
fn tables(random: &mut Random, space: usize) -> Vec<u8> {
    const RWX: u64 = 0b1111;
    const USER: u64 = 1 << 4;
    const GLOBAL: u64 = 1 << 5;
    // Accessed and dirty bits are sometimes there from the start.
    const USED: u64 = 0b1100_0000;
    let mut words = vec![0u64; 4 * PAGE / 8];
    let base = SPACES[space];
    let branch = |offset: usize| address(offset) >> 2 | 1;
    words[0] = branch(base + PAGE);
    words[2] = RAM_BASE >> 2 | RWX | USED | GLOBAL;
    // The same leaves also 64 MiB further on, where the caches of translations have the same places.
    words[PAGE / 8] = branch(base + 2 * PAGE);
    words[PAGE / 8 + (FAR >> 21) as usize] = branch(base + 2 * PAGE);
    let mut leaf = |page: usize, target: usize, flags: u64| {
        let entry = address(target) >> 2 | flags;
        words[2 * PAGE / 8 + page] = entry;
        words[3 * PAGE / 8 + page] = entry;
    };
    let turn = random.below(PAGES);
    let second = random.pick(&[1, 1, 1, 2]);
    for page in 0..PAGES {
        let flags = random.bits() & USED;
        for (alias, user) in [(0x10, 0), (0x20, USER), (0x30, 0), (0x60, USER)] {
            // Behind the first page of an alias another may follow: what straddles is another instruction there.
            let place = if page == 1 && alias >= 0x30 {
                second
            } else {
                page
            };
            leaf(alias + page, CODE + place * PAGE, RWX | user | flags);
        }
        // Space B has its pages in the reverse order.
        let own = if space == 0 { page } else { PAGES - 1 - page };
        leaf(0x40 + page, DATA + own * PAGE, 0b0111 | USER | flags);
        let other = DATA + (page + turn) % PAGES * PAGE;
        leaf(
            0x50 + page,
            other,
            random.pick(&[0b0111, 0b0111, 0b0011, RWX]) | USER | flags,
        );
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn prologue(random: &mut Random, setting: Setting) -> Vec<u8> {
    let mut code = Assembler::default();
    let mut set = |csr: i32, value: u64| {
        code.constant(A, value);
        code.imm(Op::Csrrw, 0, A, csr);
    };
    set(csr::MTVEC.into(), address(MACHINE_HANDLER));
    set(csr::STVEC.into(), address(SUPERVISOR_HANDLER));
    set(csr::MSCRATCH.into(), address(STATE));
    set(csr::SSCRATCH.into(), address(STATE));
    set(csr::PMPADDR0.into(), u64::MAX >> 10);
    set(csr::PMPCFG0.into(), 0x1f);
    set(csr::MCOUNTEREN.into(), 7);
    set(csr::SCOUNTEREN.into(), 7);
    set(csr::MENVCFG.into(), STCE);
    if setting.delegated {
        set(csr::MEDELEG.into(), 0xffff);
        set(csr::MIDELEG.into(), STIP);
    }
    set(
        csr::MIE.into(),
        if setting.machine_timer { MTIP } else { STIP },
    );
    set(STIMECMP, u64::MAX);
    if setting.paged {
        set(SATP, satp(0));
    }
    set(csr::FCSR.into(), random.bits() & 0x9f);
    code.constant(HERE, address(STATE));
    code.constant(DRAWN, random.bits());
    arm(&mut code, setting);
    let initial = if setting.delegated {
        // As by a trap from the program into S-mode, which ends here.
        initial_status(Setting {
            delegated: false,
            ..setting
        })
    } else {
        initial_status(setting)
    };
    code.constant(STATUS, initial);
    code.imm(Op::Ld, PC, HERE, ENTRY);
    enter(&mut code, MACHINE);
    code.finish()
}

/// Sets the timer to a time that the draw decides.
fn arm(code: &mut Assembler, setting: Setting) {
    code.imm(Op::Csrrs, A, 0, TIME);
    code.imm(Op::Ld, C, HERE, INTERVAL);
    code.imm(Op::Srli, B, DRAWN, 20);
    code.reg(Op::And, B, B, C);
    code.reg(Op::Add, A, A, B);
    code.addi(A, A, 20);
    if setting.machine_timer {
        code.constant(B, MTIMECMP);
        code.store(Op::Sd, A, B, 0);
    } else {
        code.imm(Op::Csrrw, 0, A, STIMECMP);
    }
}

/// Starts the program, with its initial registers, at [`PC`] with [`STATUS`].
fn enter(code: &mut Assembler, level: Level) {
    code.imm(Op::Csrrw, 0, PC, level.epc);
    code.imm(Op::Csrrw, 0, STATUS, level.status);
    for register in 0..32 {
        code.imm(Op::Fld, register, HERE, INITIAL_F + 8 * i32::from(register));
    }
    for register in 1..32 {
        code.imm(Op::Ld, register, HERE, INITIAL_X + 8 * i32::from(register));
    }
    code.bare(level.ret);
}

/// Ways out of the handler.
#[derive(Clone, Copy)]
struct Exits {
    /// Behind the instruction that trapped.
    skip: Label,
    /// To [`PC`], with [`STATUS`].
    resume: Label,
    /// To the start of the program.
    restart: Label,
}

fn handler(level: Level, setting: Setting) -> Vec<u8> {
    let mut code = Assembler::default();
    let exits = Exits {
        skip: code.label(),
        resume: code.label(),
        restart: code.label(),
    };
    let (interrupt, deeds) = (code.label(), code.label());
    save(&mut code, level);
    code.branch(Op::Blt, CAUSE, 0, interrupt);
    exception(&mut code, level, exits, deeds);
    code.place(interrupt);
    count(&mut code, INTERRUPTS);
    arm(&mut code, setting);
    forget_exceptions(&mut code, level);
    code.place(deeds);
    code.store(Op::Sd, 0, HERE, STREAK);
    choose_deed(&mut code, level, setting, exits);

    code.place(exits.skip);
    code.addi(PC, PC, 4);
    code.place(exits.resume);
    code.imm(Op::Csrrw, 0, PC, level.epc);
    code.imm(Op::Csrrw, 0, STATUS, level.status);
    for register in USED.into_iter().chain([HERE]) {
        code.imm(Op::Ld, register, HERE, SAVED + 8 * i32::from(register));
    }
    code.bare(level.ret);

    code.place(exits.restart);
    count(&mut code, RESTARTS);
    code.store(Op::Sd, 0, HERE, STREAK);
    code.imm(Op::Ld, STATUS, HERE, INITIAL_STATUS);
    code.imm(Op::Ld, PC, HERE, ENTRY);
    enter(&mut code, level);
    code.finish()
}

/// Clears the flags of floats now and then, or a new one would never be seen. Without a float unit it does nothing.
fn forget_exceptions(code: &mut Assembler, level: Level) {
    let off = code.label();
    code.constant(B, status::FS);
    code.imm(Op::Csrrs, A, 0, level.status);
    code.reg(Op::And, A, A, B);
    code.branch(Op::Beq, A, 0, off);
    code.imm(Op::Csrrwi, 0, 0, FFLAGS);
    code.place(off);
}

/// Saves registers, reads why it trapped, and draws a number.
fn save(code: &mut Assembler, level: Level) {
    code.imm(Op::Csrrw, HERE, HERE, level.scratch);
    for register in USED {
        code.store(Op::Sd, register, HERE, SAVED + 8 * i32::from(register));
    }
    code.imm(Op::Csrrw, A, HERE, level.scratch);
    code.store(Op::Sd, A, HERE, SAVED + 8 * i32::from(HERE));
    code.imm(Op::Csrrs, CAUSE, 0, level.cause);
    code.imm(Op::Csrrs, PC, 0, level.epc);
    code.imm(Op::Csrrs, STATUS, 0, level.status);
    code.imm(Op::Ld, DRAWN, HERE, RANDOM);
    code.imm(Op::Ld, A, HERE, FACTOR);
    code.reg(Op::Mul, DRAWN, DRAWN, A);
    code.addi(DRAWN, DRAWN, 0x5a5);
    code.store(Op::Sd, DRAWN, HERE, RANDOM);
}

/// Counts one more at this place of the state.
fn count(code: &mut Assembler, at: i32) {
    code.imm(Op::Ld, B, HERE, at);
    code.addi(B, B, 1);
    code.store(Op::Sd, B, HERE, at);
}

/// Counts one more at this place of an array, of which [`A`] is the index.
fn count_indexed(code: &mut Assembler, at: i32) {
    code.imm(Op::Slli, B, A, 3);
    code.reg(Op::Add, B, B, HERE);
    code.imm(Op::Ld, C, B, at);
    code.addi(C, C, 1);
    code.store(Op::Sd, C, B, at);
}

fn exception(code: &mut Assembler, level: Level, exits: Exits, deeds: Label) {
    let (call, page_fault, illegal, outside) =
        (code.label(), code.label(), code.label(), code.label());
    code.imm(Op::Andi, A, CAUSE, 15);
    count_indexed(code, EXCEPTIONS);
    count(code, STREAK);
    code.addi(C, 0, STREAK_MAX);
    code.branch(Op::Bltu, C, B, exits.restart);
    code.addi(B, 0, 2);
    code.branch(Op::Beq, CAUSE, B, illegal);
    code.imm(Op::Srli, A, CAUSE, 2);
    code.branch(Op::Beq, A, B, call);
    code.addi(B, 0, 3);
    code.branch(Op::Beq, A, B, page_fault);
    code.addi(B, 0, 1);
    code.branch(Op::Beq, CAUSE, B, exits.restart);
    code.jump(0, exits.skip);

    code.place(call);
    code.addi(PC, PC, 4);
    code.jump(0, deeds);

    // With floats off, that was the reason; if it was not, the instruction traps again.
    code.place(illegal);
    code.constant(B, status::FS);
    code.reg(Op::And, A, STATUS, B);
    code.branch(Op::Bne, A, 0, exits.skip);
    code.constant(B, status::FS & status::FS >> 1);
    code.reg(Op::Or, STATUS, STATUS, B);
    code.jump(0, exits.resume);

    code.place(page_fault);
    code.imm(Op::Csrrs, A, 0, level.tval);
    code.constant(B, !FAR);
    code.reg(Op::And, A, A, B);
    code.imm(Op::Srli, B, A, 21);
    code.branch(Op::Bne, B, 0, outside);
    code.constant(B, status::SUM | status::MXR);
    code.reg(Op::Or, STATUS, STATUS, B);
    // The leaf becomes what it should be, a page further on.
    code.imm(Op::Srli, A, A, 12);
    code.imm(Op::Slli, A, A, 3);
    code.imm(Op::Ld, B, HERE, LEAVES);
    code.reg(Op::Add, A, A, B);
    code.constant(C, PAGE as u64);
    code.reg(Op::Add, C, C, A);
    code.imm(Op::Ld, C, C, 0);
    code.branch(Op::Beq, C, 0, outside);
    code.store(Op::Sd, C, A, 0);
    code.addi(B, 0, 12);
    code.branch(Op::Bne, CAUSE, B, exits.resume);
    // Code in the alias of the other mode: S-mode has those with bit 16.
    code.constant(C, level.from_supervisor);
    code.reg(Op::And, C, C, STATUS);
    code.reg(Op::Sltu, C, 0, C);
    code.imm(Op::Srli, B, PC, 16);
    code.imm(Op::Andi, B, B, 1);
    code.branch(Op::Beq, B, C, exits.resume);
    rebase(code, level);
    code.jump(0, exits.resume);

    code.place(outside);
    code.addi(B, 0, 12);
    code.branch(Op::Beq, CAUSE, B, exits.restart);
    code.jump(0, exits.skip);
}

/// Moves [`PC`] to the first alias for the mode in [`STATUS`].
fn rebase(code: &mut Assembler, level: Level) {
    let user = code.label();
    code.imm(Op::Slli, PC, PC, 48);
    code.imm(Op::Srli, PC, PC, 48);
    code.constant(B, level.from_supervisor);
    code.reg(Op::And, C, B, STATUS);
    code.constant(B, 0x2_0000);
    code.branch(Op::Beq, C, 0, user);
    code.constant(B, 0x1_0000);
    code.place(user);
    code.reg(Op::Add, PC, PC, B);
}
