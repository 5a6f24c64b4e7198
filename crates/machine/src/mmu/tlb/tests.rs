//! What is forgotten when, what is fast for whom, and that fast entries lead to the right byte.

use super::*;
use crate::hart::Mode;

const PAGES: usize = 8;

fn ram() -> Ram {
    Ram::new(PAGES * 4096)
}

fn tlb(space: u64) -> Tlb {
    let mut tlb = Tlb::new(&ram());
    enter(&mut tlb, Mode::Supervisor, space, false);
    tlb
}

fn enter(tlb: &mut Tlb, mode: Mode, space: u64, sum: bool) {
    let context = Context::new(mode, 8 << 60 | space << 44);
    tlb.enter(context, context, sum && mode == Mode::Supervisor);
}

fn found(level: u32, global: bool, user: bool) -> Translation {
    Translation {
        page: RAM_BASE,
        level,
        global,
        user,
    }
}

fn insert(tlb: &mut Tlb, address: u64, level: u32, global: bool) {
    tlb.insert(Access::Load, address, found(level, global, false));
}

fn insert_user(tlb: &mut Tlb, access: Access, address: u64) {
    tlb.insert(access, address, found(0, false, true));
}

fn has(tlb: &Tlb, address: u64) -> bool {
    tlb.look_up(Access::Load, address).is_some()
}

#[test]
fn spaces_and_modes() {
    let mut tlb = tlb(1);
    insert(&mut tlb, 0x1000, 0, false);
    insert(&mut tlb, 0x2000, 0, true);
    assert!(has(&tlb, 0x1fff) && has(&tlb, 0x2000) && !has(&tlb, 0x3000));
    enter(&mut tlb, Mode::Supervisor, 2, false);
    assert!(!has(&tlb, 0x1000) && has(&tlb, 0x2000));
    tlb.make_fast(Access::Load, 0x2000, 0);
    assert_eq!(tlb.load_hit(0x2010, 8), Some(0x10));
    enter(&mut tlb, Mode::Supervisor, 1, false);
    assert_eq!(
        tlb.load_hit(0x2010, 8),
        None,
        "fast entries are of one space"
    );
    assert!(has(&tlb, 0x2010), "a global translation is not");
    enter(&mut tlb, Mode::Supervisor, 1, true);
    assert!(
        has(&tlb, 0x1000) && has(&tlb, 0x2000),
        "SUM does not part S-mode from its pages"
    );
    enter(&mut tlb, Mode::User, 1, false);
    assert!(!has(&tlb, 0x1000) && !has(&tlb, 0x2000));
}

#[test]
fn user_pages_are_lent_while_they_may_be_touched() {
    const PAGE: u64 = 0x5000;
    let mut tlb = tlb(1);
    enter(&mut tlb, Mode::User, 1, false);
    insert_user(&mut tlb, Access::Store, PAGE);
    tlb.make_fast(Access::Store, PAGE, 0x2000);
    assert_eq!(tlb.store_hit(PAGE + 8, 8), Some(0x2008));

    enter(&mut tlb, Mode::Supervisor, 1, false);
    assert_eq!(tlb.look_up(Access::Store, PAGE), None);
    assert_eq!(tlb.store_hit(PAGE, 8), None);

    enter(&mut tlb, Mode::Supervisor, 1, true);
    assert_eq!(tlb.look_up(Access::Store, PAGE), Some(RAM_BASE));
    assert_eq!(tlb.store_hit(PAGE, 8), None, "not fast before it was asked");
    tlb.make_fast(Access::Store, PAGE, 0x2000);
    assert_eq!(tlb.store_hit(PAGE + 8, 8), Some(0x2008));

    enter(&mut tlb, Mode::Supervisor, 1, false);
    assert_eq!(tlb.store_hit(PAGE, 8), None);
    assert_eq!(tlb.look_up(Access::Store, PAGE), None);
    enter(&mut tlb, Mode::User, 1, false);
    assert_eq!(tlb.store_hit(PAGE + 8, 8), Some(0x2008), "given back");

    // Lent, then gone: what took its place is not given to user mode.
    enter(&mut tlb, Mode::Supervisor, 1, true);
    tlb.make_fast(Access::Store, PAGE, 0x2000);
    tlb.fence(Some(PAGE), None);
    tlb.insert(Access::Store, PAGE, found(0, false, false));
    tlb.make_fast(Access::Store, PAGE, 0x3000);
    enter(&mut tlb, Mode::User, 1, false);
    assert_eq!(tlb.store_hit(PAGE, 8), None);
    enter(&mut tlb, Mode::Supervisor, 1, false);
    assert_eq!(tlb.store_hit(PAGE, 8), Some(0x3000));
}

#[test]
fn fetches_do_not_reach_user_pages_from_supervisor_mode() {
    let mut tlb = tlb(1);
    insert_user(&mut tlb, Access::Fetch, 0x7000);
    enter(&mut tlb, Mode::Supervisor, 1, true);
    assert_eq!(tlb.look_up(Access::Fetch, 0x7000), None);
    enter(&mut tlb, Mode::User, 1, false);
    assert_eq!(tlb.look_up(Access::Fetch, 0x7000), Some(RAM_BASE));
    tlb.make_fast(Access::Fetch, 0x7000, 0x3000);
    assert_eq!(tlb.fetch_hit(0x7ffe), Some(0x3ffe));
}

#[test]
fn more_may_be_lent_than_is_remembered() {
    const PAGES: u64 = 1000;
    let mut tlb = tlb(1);
    enter(&mut tlb, Mode::Supervisor, 1, true);
    for page in 0..PAGES {
        insert_user(&mut tlb, Access::Load, page << 12);
        tlb.make_fast(Access::Load, page << 12, 0);
        assert!(tlb.load_hit(page << 12, 1).is_some());
    }
    enter(&mut tlb, Mode::Supervisor, 1, false);
    assert!((0..PAGES).all(|page| tlb.load_hit(page << 12, 1).is_none()));
    enter(&mut tlb, Mode::User, 1, false);
    assert!((0..PAGES).all(|page| tlb.load_hit(page << 12, 1).is_some()));
}

#[test]
fn fences() {
    let fill = || {
        let mut tlb = tlb(1);
        insert(&mut tlb, 0x1000, 0, false);
        insert(&mut tlb, 0x2000, 0, true);
        insert(&mut tlb, 0x4020_3000, 1, false);
        tlb
    };
    let left = |address, space| {
        let mut tlb = fill();
        tlb.fence(address, space);
        [0x1000, 0x2000, 0x4020_3000].map(|address| has(&tlb, address))
    };
    assert_eq!(left(None, None), [false; 3]);
    assert_eq!(left(None, Some(1)), [false, true, false]);
    assert_eq!(left(None, Some(2)), [true; 3]);
    assert_eq!(left(Some(0x1008), None), [false, true, true]);
    assert_eq!(left(Some(0x2000), Some(1)), [true; 3]);
    assert_eq!(left(Some(0x2000), None), [true, false, true]);
    assert_eq!(
        left(Some(0x403f_f000), None),
        [true, true, false],
        "a fragment"
    );
    assert_eq!(left(Some(0x4040_0000), None), [true; 3]);
}

#[test]
fn fences_of_larger_superpages_and_other_spaces() {
    const KERNEL: u64 = 0xffff_ffc0_0000_0000;
    let mut tlb = tlb(1);
    insert(&mut tlb, KERNEL + 0x1234_5000, 2, true);
    insert(&mut tlb, 0x4020_3000, 1, false);
    tlb.fence(Some(KERNEL + 0x3fff_f000), Some(1));
    assert!(has(&tlb, KERNEL + 0x1234_5000), "global");
    tlb.fence(Some(KERNEL + 0x4000_0000), None);
    assert!(has(&tlb, KERNEL + 0x1234_5000), "beside it");
    tlb.fence(Some(KERNEL + 0x3fff_f000), None);
    assert!(!has(&tlb, KERNEL + 0x1234_5000) && has(&tlb, 0x4020_3000));
    tlb.fence(Some(0x4020_0000), Some(2));
    assert!(has(&tlb, 0x4020_3000));
    tlb.fence(Some(0x4020_0000), Some(1));
    assert!(!has(&tlb, 0x4020_3000));
}

#[test]
fn what_is_forgotten_is_not_fast_and_leaves_no_trace() {
    let forget: [fn(&mut Tlb); 4] = [
        |tlb| tlb.flush(),
        |tlb| tlb.fence(None, Some(1)),
        |tlb| tlb.fence(Some(0x1000), Some(1)),
        |tlb| {
            tlb.flush_loads();
            tlb.fence(Some(0x1000), None);
        },
    ];
    for forget in forget {
        let mut tlb = tlb(1);
        let empty = tlb.hash();
        for access in [Access::Load, Access::Store, Access::Fetch] {
            tlb.insert(access, 0x1000, found(0, false, false));
            tlb.make_fast(access, 0x1000, 0x1000);
        }
        assert_eq!(tlb.load_hit(0x1004, 4), Some(0x1004));
        assert_eq!(tlb.store_hit(0x1004, 4), Some(0x1004));
        assert_eq!(tlb.fetch_hit(0x1004), Some(0x1004));
        assert_ne!(tlb.hash(), empty);
        forget(&mut tlb);
        assert_eq!(tlb.load_hit(0x1004, 4), None);
        assert_eq!(tlb.store_hit(0x1004, 4), None);
        assert_eq!(tlb.fetch_hit(0x1004), None);
        assert_eq!(tlb.hash(), empty);
    }
}

#[test]
fn an_entry_that_takes_the_place_of_another() {
    let mut tlb = tlb(1);
    let (old, new) = (0x1000, 0x1000 + (ENTRIES as u64) * 0x1000);
    insert(&mut tlb, old, 0, false);
    tlb.make_fast(Access::Load, old, 0x1000);
    insert(&mut tlb, new, 0, true);
    assert!(!has(&tlb, old) && has(&tlb, new));
    assert_eq!((tlb.load_hit(old, 1), tlb.load_hit(new, 1)), (None, None));
    tlb.fence(None, Some(1));
    assert!(
        has(&tlb, new),
        "it is global, though the one before was not"
    );
}

#[test]
fn an_access_across_pages_is_never_fast() {
    let mut tlb = tlb(1);
    for page in [0x1000, 0x2000] {
        insert(&mut tlb, page, 0, false);
        tlb.make_fast(Access::Load, page, 0x1000);
    }
    assert_eq!(tlb.load_hit(0x1ff8, 8), Some(0x1ff8));
    assert_eq!(tlb.load_hit(0x1ff9, 8), None);
    assert_eq!(tlb.load_hit(u64::MAX, 8), None);
}

#[test]
fn stores_become_slow_by_page() {
    let mut tlb = tlb(1);
    let mut store = |address: u64, page: usize| {
        let translation = Translation {
            page: RAM_BASE + page as u64 * 4096,
            ..found(0, false, false)
        };
        tlb.insert(Access::Store, address, translation);
        tlb.make_fast(Access::Store, address, page * 4096);
    };
    store(0x1000, 1);
    store(0x2000, 2);
    // The first of these takes the place of nothing, the second makes two of page 3.
    store(0x3000, 3);
    store(0x9000, 3);
    tlb.make_fast(Access::Store, 0x2000, 2 * 4096);
    let fast = |tlb: &Tlb| [0x1000, 0x2000, 0x3000, 0x9000].map(|a| tlb.store_hit(a, 1).is_some());
    tlb.slow_stores_to(4 * 4096);
    assert_eq!(fast(&tlb), [true; 4]);
    tlb.slow_stores_to(2 * 4096);
    assert_eq!(fast(&tlb), [true, false, true, true]);
    tlb.slow_stores_to(3 * 4096);
    assert_eq!(fast(&tlb), [true, false, false, false]);
    tlb.make_fast(Access::Store, 0x9000, 3 * 4096);
    tlb.slow_stores_to(3 * 4096);
    assert_eq!(fast(&tlb), [true, false, false, false]);
    tlb.slow_stores();
    assert_eq!(fast(&tlb), [false; 4]);
    assert!(
        tlb.look_up(Access::Store, 0x1000).is_some(),
        "slow, not gone"
    );
}

#[test]
fn fast_entries_lead_into_this_memory_only() {
    let (ram, other) = (ram(), ram());
    let mut tlb = Tlb::new(&ram);
    enter(&mut tlb, Mode::Supervisor, 1, false);
    for (access, part) in [
        (Access::Load, FAST_LOADS),
        (Access::Store, FAST_STORES),
        (Access::Fetch, FAST_FETCHES),
    ] {
        tlb.insert(access, 0xffff_ffff_8000_5000, found(0, false, false));
        tlb.make_fast(access, 0xffff_ffff_8000_5000, 0x3000);
        assert_eq!(super::part(access), part);
    }
    let fast = &tlb.fast.entries()[FAST_LOADS + 5];
    assert_eq!(
        fast.addend.wrapping_add(0xffff_ffff_8000_5010),
        ram.base_address() as u64 + 0x3010
    );
    let fast = &tlb.fast.entries()[FAST_FETCHES + 5];
    assert_eq!(fast.addend, 0x3000);
    tlb.attach(&ram);
    assert_eq!(tlb.load_hit(0xffff_ffff_8000_5010, 1), Some(0x3010));
    let hash = tlb.hash();
    tlb.attach(&other);
    assert_eq!(tlb.load_hit(0xffff_ffff_8000_5010, 1), None);
    assert_eq!(tlb.store_hit(0xffff_ffff_8000_5010, 1), None);
    assert_eq!(tlb.fetch_hit(0xffff_ffff_8000_5010), None);
    assert_eq!(tlb.hash(), hash, "no part of the state");
}
