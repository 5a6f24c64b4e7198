//! Translation as the hart sees it: which mode reaches which page, and what a walk finds only once.

use isa::csr::{MSTATUS, SSTATUS};
use isa::{CsrAccess, Width};

use super::fast::ENTRIES;
use super::tlb::Translation;
use crate::cpu::{Cpu, RUN_COST_MAX};
use crate::hart::csr::status;
use crate::hart::{Access, Cause, Hart, Mode, Trapped};
use crate::ram::RAM_BASE;
use crate::{Board, BoardConfig, GuestAddr};

/// Three levels of tables, one after the other.
const ROOT: u64 = RAM_BASE + 0x1_0000;
const LEAVES: u64 = ROOT + 0x2000;
const TABLE: u64 = 1;
/// Valid, accessed, dirty.
const LEAF: u64 = 0xc1;
const READ: u64 = 2;
const WRITE: u64 = 4;
const EXECUTE: u64 = 8;
const USER: u64 = 16;

/// Pages at virtual addresses from 0 on.
const KERNEL_PAGE: u64 = 0x1000;
const USER_PAGE: u64 = 0x2000;
const CODE_PAGE: u64 = 0x3000;

/// One hart on its board.
struct Guest {
    cpu: Cpu,
    board: Board,
}

/// The page is mapped to itself plus the start of memory.
fn map(guest: &mut Guest, page: u64, bits: u64) {
    let entry = if bits == 0 {
        0
    } else {
        (RAM_BASE + page) >> 2 | LEAF | bits
    };
    put(guest, LEAVES + page / 4096 * 8, entry);
}

fn put(guest: &mut Guest, at: u64, value: u64) {
    guest
        .board
        .ram
        .write(GuestAddr(at), &value.to_le_bytes())
        .unwrap();
}

/// A hart in S-mode with paging.
fn guest() -> Guest {
    let config = BoardConfig {
        memory_bytes: 64 << 20,
        ..BoardConfig::default()
    };
    let mut hart = Hart::new(RAM_BASE);
    hart.allow_all_memory();
    hart.mode = Mode::Supervisor;
    hart.csr.satp = 8 << 60 | 1 << 44 | ROOT >> 12;
    let board = Board::new(&config).unwrap();
    let mut guest = Guest {
        cpu: Cpu::new(hart, &board.ram),
        board,
    };
    put(&mut guest, ROOT, (ROOT + 0x1000) >> 2 | TABLE);
    put(&mut guest, ROOT + 0x1000, LEAVES >> 2 | TABLE);
    map(&mut guest, KERNEL_PAGE, READ | WRITE);
    map(&mut guest, USER_PAGE, READ | WRITE | USER);
    map(&mut guest, CODE_PAGE, EXECUTE | USER);
    guest
}

fn set(guest: &mut Guest, number: u16, bits: u64) {
    guest
        .cpu
        .access_csr(&guest.board, number, CsrAccess::Set, bits)
        .unwrap();
}

fn clear(guest: &mut Guest, number: u16, bits: u64) {
    guest
        .cpu
        .access_csr(&guest.board, number, CsrAccess::Clear, bits)
        .unwrap();
}

/// Changes the mode as a trap or a return would, and tells the guest.
fn enter(guest: &mut Guest, mode: Mode) {
    guest.cpu.hart.mode = mode;
    guest.cpu.mode_changed();
}

fn load(guest: &mut Guest, address: u64) -> Result<u64, Cause> {
    guest
        .cpu
        .load(&mut guest.board, address, Width::Double)
        .map_err(|Trapped| guest.cpu.hart.exception.cause)
}

fn store(guest: &mut Guest, address: u64, value: u64) -> Result<(), Cause> {
    guest
        .cpu
        .store(&mut guest.board, address, Width::Double, value)
        .map_err(|Trapped| guest.cpu.hart.exception.cause)
}

#[test]
fn kernel_pages_are_walked_once_whatever_sum_is() {
    let mut guest = guest();
    assert_eq!(store(&mut guest, KERNEL_PAGE, 7), Ok(()));
    assert_eq!(load(&mut guest, KERNEL_PAGE), Ok(7));
    // From here on a walk would fail.
    map(&mut guest, KERNEL_PAGE, 0);
    set(&mut guest, SSTATUS, status::SUM);
    assert_eq!(guest.cpu.tlb.load_hit(KERNEL_PAGE, 8), Some(0x1000));
    assert_eq!(store(&mut guest, KERNEL_PAGE, 8), Ok(()));
    clear(&mut guest, SSTATUS, status::SUM);
    assert_eq!(load(&mut guest, KERNEL_PAGE), Ok(8));
    guest.cpu.tlb.fence(Some(KERNEL_PAGE), Some(1));
    assert_eq!(load(&mut guest, KERNEL_PAGE), Err(Cause::LoadPage));
}

#[test]
fn user_pages_are_walked_once_for_both_modes() {
    let mut guest = guest();
    enter(&mut guest, Mode::User);
    assert_eq!(store(&mut guest, USER_PAGE, 1), Ok(()));
    assert_eq!(load(&mut guest, USER_PAGE), Ok(1));
    map(&mut guest, USER_PAGE, 0);
    enter(&mut guest, Mode::Supervisor);
    set(&mut guest, SSTATUS, status::SUM);
    assert_eq!(load(&mut guest, USER_PAGE), Ok(1));
    assert_eq!(store(&mut guest, USER_PAGE, 2), Ok(()));
    assert!(guest.cpu.tlb.load_hit(USER_PAGE, 8).is_some());
    assert!(guest.cpu.tlb.store_hit(USER_PAGE, 8).is_some());
    clear(&mut guest, SSTATUS, status::SUM);
    enter(&mut guest, Mode::User);
    assert!(guest.cpu.tlb.load_hit(USER_PAGE, 8).is_some(), "given back");
    assert_eq!(load(&mut guest, USER_PAGE), Ok(2));
}

#[test]
fn user_pages_fault_in_supervisor_mode_without_sum() {
    let mut guest = guest();
    assert_eq!(load(&mut guest, USER_PAGE), Err(Cause::LoadPage));
    set(&mut guest, SSTATUS, status::SUM);
    assert_eq!(store(&mut guest, USER_PAGE, 3), Ok(()));
    assert_eq!(load(&mut guest, USER_PAGE), Ok(3));
    assert_eq!(
        guest
            .cpu
            .translate(&mut guest.board, Access::Fetch, CODE_PAGE, 2),
        Err(Trapped),
        "SUM is not for code"
    );
    clear(&mut guest, SSTATUS, status::SUM);
    assert_eq!(guest.cpu.tlb.load_hit(USER_PAGE, 8), None);
    assert_eq!(guest.cpu.tlb.store_hit(USER_PAGE, 8), None);
    assert_eq!(load(&mut guest, USER_PAGE), Err(Cause::LoadPage));
    assert_eq!(store(&mut guest, USER_PAGE, 4), Err(Cause::StorePage));
}

#[test]
fn user_mode_does_not_reach_pages_of_the_kernel() {
    let mut guest = guest();
    set(&mut guest, SSTATUS, status::SUM);
    assert_eq!(load(&mut guest, KERNEL_PAGE), Ok(0));
    enter(&mut guest, Mode::User);
    assert_eq!(guest.cpu.tlb.load_hit(KERNEL_PAGE, 8), None);
    assert_eq!(load(&mut guest, KERNEL_PAGE), Err(Cause::LoadPage));
}

#[test]
fn sum_survives_traps_and_returns() {
    let mut guest = guest();
    set(&mut guest, SSTATUS, status::SUM);
    assert_eq!(store(&mut guest, USER_PAGE, 5), Ok(()));
    assert_eq!(store(&mut guest, USER_PAGE, 5), Ok(()));
    assert!(guest.cpu.tlb.store_hit(USER_PAGE, 8).is_some());
    // Into M-mode, whose addresses are physical, and back.
    let _ = guest.cpu.hart.environment_call();
    guest.cpu.take_exception(&mut guest.board, 0);
    assert_eq!(guest.cpu.hart.mode, Mode::Machine);
    assert_eq!(guest.cpu.tlb.store_hit(USER_PAGE, 8), None);
    // There, the boot ROM, which keeps what it is.
    assert_eq!(store(&mut guest, USER_PAGE, 9), Ok(()));
    assert_eq!(store(&mut guest, RAM_BASE + USER_PAGE, 6), Ok(()));
    guest.cpu.hart.machine_return().unwrap();
    guest.cpu.mode_changed();
    assert_eq!(load(&mut guest, USER_PAGE), Ok(6));
    // SRET to user mode: its own page is fast after one access.
    assert_eq!(store(&mut guest, USER_PAGE, 7), Ok(()));
    guest.cpu.hart.supervisor_return().unwrap();
    guest.cpu.mode_changed();
    assert_eq!(guest.cpu.hart.mode, Mode::User);
    assert!(guest.cpu.tlb.store_hit(USER_PAGE, 8).is_some());
    assert_eq!(store(&mut guest, KERNEL_PAGE, 7), Err(Cause::StorePage));
}

#[test]
fn machine_mode_acts_as_another() {
    let mut guest = guest();
    enter(&mut guest, Mode::Machine);
    let act_as = |guest: &mut Guest, mode: Mode, bits: u64| {
        let mpp = (mode as u64) << status::MPP_SHIFT;
        guest
            .cpu
            .access_csr(
                &guest.board,
                MSTATUS,
                CsrAccess::Write,
                status::MPRV | mpp | bits,
            )
            .unwrap();
    };
    act_as(&mut guest, Mode::Supervisor, 0);
    assert_eq!(load(&mut guest, KERNEL_PAGE), Ok(0));
    assert_eq!(load(&mut guest, USER_PAGE), Err(Cause::LoadPage));
    act_as(&mut guest, Mode::Supervisor, status::SUM);
    assert_eq!(load(&mut guest, USER_PAGE), Ok(0));
    assert_eq!(load(&mut guest, CODE_PAGE), Err(Cause::LoadPage));
    act_as(&mut guest, Mode::Supervisor, status::SUM | status::MXR);
    assert_eq!(load(&mut guest, CODE_PAGE), Ok(0));
    act_as(&mut guest, Mode::User, status::SUM | status::MXR);
    assert_eq!(load(&mut guest, CODE_PAGE), Ok(0));
    assert_eq!(load(&mut guest, KERNEL_PAGE), Err(Cause::LoadPage));
    act_as(&mut guest, Mode::User, status::SUM);
    assert_eq!(load(&mut guest, CODE_PAGE), Err(Cause::LoadPage));
    act_as(&mut guest, Mode::Machine, status::SUM);
    assert_eq!(load(&mut guest, RAM_BASE + USER_PAGE), Ok(0));
}

#[test]
fn stores_are_fast_once_the_page_is_dirty_and_free_of_code() {
    let mut guest = guest();
    let board = &mut guest.board;
    board.digester.choose(&mut board.ram, usize::MAX);
    assert_eq!(store(&mut guest, KERNEL_PAGE, 1), Ok(()));
    assert_eq!(guest.cpu.tlb.store_hit(KERNEL_PAGE, 8), None);
    assert_eq!(store(&mut guest, KERNEL_PAGE, 1), Ok(()));
    assert_eq!(guest.cpu.tlb.store_hit(KERNEL_PAGE, 8), Some(0x1000));
    assert!(guest.board.ram.note_code(0x1f00, 64));
    guest.cpu.tlb.slow_stores_to(0x1000);
    assert_eq!(guest.cpu.tlb.store_hit(KERNEL_PAGE, 8), None);
    assert_eq!(store(&mut guest, KERNEL_PAGE, 2), Ok(()));
    assert!(guest.cpu.tlb.store_hit(KERNEL_PAGE, 8).is_none() && !guest.cpu.attention);
    assert_eq!(store(&mut guest, KERNEL_PAGE + 0xf00, 2), Ok(()));
    assert!(guest.cpu.attention && guest.board.ram.has_stale());
    assert_eq!(store(&mut guest, KERNEL_PAGE, 3), Ok(()));
    assert_eq!(guest.cpu.tlb.store_hit(KERNEL_PAGE, 8), Some(0x1000));
}

/// Pages of 4 KiB, 2 MiB and 1 GiB in two address spaces, as accesses would leave them; the seed chooses.
fn fill(guest: &mut Guest, seed: u64) {
    let mut bits = seed;
    for number in 0..4_000u64 {
        bits = bits
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(number | 1);
        let random = bits >> 20;
        let space = 1 + (random & 1);
        guest.cpu.hart.csr.satp = 8 << 60 | space << 44 | ROOT >> 12;
        guest.cpu.mode_changed();
        let access = [Access::Load, Access::Store, Access::Fetch][(random >> 1) as usize % 3];
        let address = ((random >> 3) % (6 << 18)) << 12 | random >> 2 & 1 << 63;
        let found = Translation {
            page: RAM_BASE,
            level: [0, 0, 0, 0, 1, 1, (seed & 1) as u32 * 2][(random >> 24) as usize % 7],
            global: random >> 32 & 7 == 0,
            user: random >> 35 & 1 == 0,
        };
        guest.cpu.tlb.insert(access, address, found);
    }
}

#[test]
fn a_fence_of_a_range_is_a_fence_of_each_page() {
    for seed in 0..40 {
        let (mut whole, mut singly) = (guest(), guest());
        fill(&mut whole, seed);
        fill(&mut singly, seed);
        assert_eq!(whole.cpu.tlb.difference(&singly.cpu.tlb), None);
        let before = whole.cpu.tlb.hash();
        for (start, pages) in [
            (3, 64),
            (0x1f0, 64),
            (0x3_fff0, 40),
            (0x2_0000, 1),
            (0x5_0123, 17),
        ] {
            for space in [None, Some(1)] {
                let start = start << 12 | if space.is_some() { 1 << 63 } else { 0 };
                let last = start + pages * 4096 - 1;
                whole.cpu.tlb.fence_range(start, last, space);
                for page in 0..pages {
                    singly
                        .cpu
                        .tlb
                        .fence_range(start + page * 4096, start + page * 4096, space);
                }
                assert_eq!(
                    whole.cpu.tlb.difference(&singly.cpu.tlb),
                    None,
                    "seed {seed}"
                );
            }
        }
        assert_ne!(whole.cpu.tlb.hash(), before);
    }
}

/// What a fence of 64 pages costs does not depend on how large the pages are that they are part of.
#[test]
fn a_fence_of_a_range_looks_at_each_slot_once() {
    let mut guest = guest();
    for access in [Access::Load, Access::Store, Access::Fetch] {
        for page in 0..ENTRIES as u64 {
            let found = Translation {
                page: RAM_BASE,
                level: 2,
                global: false,
                user: false,
            };
            guest.cpu.tlb.insert(access, page << 12, found);
        }
    }
    guest.cpu.tlb.take_cost();
    let start = 8 << 30;
    guest
        .cpu
        .tlb
        .fence_range(start, start + 64 * 4096 - 1, None);
    assert_eq!(
        guest.cpu.tlb.take_cost(),
        guest.cpu.tlb.take_cost(),
        "outside"
    );
    guest.cpu.tlb.fence_range(0, 64 * 4096 - 1, None);
    let cost = guest.cpu.tlb.take_cost();
    assert!(cost <= RUN_COST_MAX / 4, "{cost}");
    assert!(guest.cpu.tlb.look_up(Access::Load, 1 << 20).is_none());
}
