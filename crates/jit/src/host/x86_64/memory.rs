//! Loads and stores: the fast translations are asked in line, everything else is a helper's, or for other code.

use isa::{Precision, Width};

use super::asm::{
    Alu, B32, B64, Cond, Mem, R14, RAX, RCX, RDX, RSP, Reg, Rm, Shift, Site, XMM1, at, indexed,
};
use super::conventions::frame;
use super::emitter::{Emitter, Stub};
use super::float::{box_from, put_float};
use super::layout::{
    DATA_CONTEXT, INDEX_MASK, INDEX_SHIFT, LOAD_ADDEND, LOAD_TAG, STORE_ADDEND, STORE_TAG,
};
use super::pins::float_host;
use crate::plan::{Access, Address, Miss, Operand, Place, Reload};

/// The logarithm of the bytes of an access.
pub(super) fn log(width: Width) -> u8 {
    width.bytes().trailing_zeros() as u8
}

/// Which of the fast translations are asked.
#[derive(Clone, Copy)]
struct View {
    tag: i32,
    addend: i32,
}

const LOADS: View = View {
    tag: LOAD_TAG,
    addend: LOAD_ADDEND,
};
const STORES: View = View {
    tag: STORE_TAG,
    addend: STORE_ADDEND,
};

/// How an access of its own was looked up.
struct Found {
    /// The register that holds the virtual address.
    address: Reg,
    /// The jump if it is not fast, unless that was seen to.
    site: Option<Site>,
}

pub(super) fn load(
    e: &mut Emitter<'_>,
    width: Width,
    signed: bool,
    to: Place,
    address: Address,
    (access, miss): (Access, Miss),
) {
    let dst = e.destination(to);
    let (found, place) = place(e, address, access, width, LOADS, miss);
    e.asm.load_extended(log(width), signed, dst, place);
    if let Some(Found {
        address,
        site: Some(site),
    }) = found
    {
        match miss {
            Miss::Helper => e.stubs.push_back(Stub::Load {
                site,
                back: e.asm.here(),
                address,
                dst,
                record: e.record(),
            }),
            miss => e.miss(site, miss),
        }
    }
    e.put(to, dst);
}

pub(super) fn load_float(
    e: &mut Emitter<'_>,
    precision: Precision,
    to: u8,
    address: Address,
    (access, miss): (Access, Miss),
) {
    let (width, dst) = match precision {
        Precision::Single => (Width::Word, XMM1),
        Precision::Double => (Width::Double, e.float_destination(to)),
    };
    let (found, place) = place(e, address, access, width, LOADS, miss);
    e.asm.load_scalar(precision, dst, place);
    if let Some(Found {
        address,
        site: Some(site),
    }) = found
    {
        match miss {
            Miss::Helper => e.stubs.push_back(Stub::LoadFloat {
                site,
                back: e.asm.here(),
                address,
                dst,
                record: e.record(),
            }),
            miss => e.miss(site, miss),
        }
    }
    if precision == Precision::Single {
        box_from(e, to, XMM1);
    }
    put_float(e, to);
}

pub(super) fn store(
    e: &mut Emitter<'_>,
    width: Width,
    value: Operand,
    address: Address,
    (access, miss): (Access, Miss),
) {
    let (found, place) = place(e, address, access, width, STORES, miss);
    put_in(e, width, place, value);
    if let Some(Found {
        address,
        site: Some(site),
    }) = found
    {
        match miss {
            Miss::Helper => e.stubs.push_back(Stub::Store {
                site,
                back: e.asm.here(),
                address,
                value,
                record: e.record(),
            }),
            miss => e.miss(site, miss),
        }
    }
}

/// Where an access goes, and how it was looked up if it is not one of a group.
fn place(
    e: &mut Emitter<'_>,
    address: Address,
    access: Access,
    width: Width,
    view: View,
    miss: Miss,
) -> (Option<Found>, Mem) {
    let bytes = width.bytes() as i32;
    match access {
        Access::Alone => {
            let address = self::address(e, address);
            let site = look_up(e, address, bytes, view.tag);
            e.asm.mov(B64, RCX, indexed(R14, RCX, 0, view.addend));
            let found = Found {
                address,
                site: Some(site),
            };
            (Some(found), indexed(RCX, address, 0, 0))
        }
        Access::BasePage(base) => {
            let offset = address.offset;
            let address = self::address(e, address);
            look_up_by_base(e, (base, offset), address, bytes, view.tag, miss);
            e.asm.mov(B64, RCX, indexed(R14, RCX, 0, view.addend));
            let found = Found {
                address,
                site: None,
            };
            (Some(found), indexed(RCX, address, 0, 0))
        }
        Access::First {
            pointer,
            keep,
            span,
            distance,
        } => {
            let address = self::address(e, address);
            let site = look_up(e, address, span.into(), view.tag);
            e.miss(site, miss);
            e.asm.mov(B64, RCX, indexed(R14, RCX, 0, view.addend));
            e.asm.alu(Alu::Add, B64, RCX, address);
            if keep {
                e.asm.store(kept(pointer), RCX);
            }
            (None, at(RCX, distance.into()))
        }
        Access::Member {
            pointer,
            distance,
            reload,
        } => {
            match reload {
                Reload::Not => {}
                Reload::Kept => e.asm.mov(B64, RCX, kept(pointer)),
                // What goes on elsewhere looks up again.
                Reload::Lost => {
                    let site = e.asm.jump();
                    e.miss(site, miss);
                }
            }
            (None, at(RCX, distance.into()))
        }
    }
}

/// Where the pointer of a group is kept.
fn kept(pointer: u8) -> Mem {
    at(RSP, frame::POINTERS + 8 * i32::from(pointer))
}

/// Leaves the index of the page of `address` in RCX, and jumps if an access of `bytes` is not fast.
pub(super) fn look_up(e: &mut Emitter<'_>, address: Reg, bytes: i32, tag: i32) -> Site {
    e.asm.mov(B32, RCX, address);
    index_of_page(e);
    tag_of_page(e, address, bytes);
    e.asm.alu(Alu::Cmp, B64, RDX, indexed(R14, RCX, 0, tag));
    e.asm.jump_if(Cond::NotEqual)
}

/// As [`look_up`], where the page is most likely that of a base; goes on with its index in RCX if the access is fast.
fn look_up_by_base(
    e: &mut Emitter<'_>,
    (base, offset): (Place, i32),
    address: Reg,
    bytes: i32,
    tag: i32,
    miss: Miss,
) {
    match e.place(base) {
        Rm::Reg(host) => e.asm.lea(B32, RCX, at(host, offset)),
        home => {
            e.asm.mov(B64, RCX, home);
            e.asm.alu_imm(Alu::Add, B32, RCX, offset);
        }
    }
    index_of_page(e);
    tag_of_page(e, address, bytes);
    e.asm.alu(Alu::Cmp, B64, RDX, indexed(R14, RCX, 0, tag));
    let site = e.asm.jump_if(Cond::NotEqual);
    let Miss::Exit(miss) = miss else {
        unreachable!("only in a region, pages are guessed")
    };
    e.stubs.push_back(Stub::OtherPage {
        site,
        back: e.asm.here(),
        address,
        tag,
        miss,
    });
}

/// RCX = the place of the page of an address in RCX in the fast translations.
pub(super) fn index_of_page(e: &mut Emitter<'_>) {
    e.asm.shift_imm(Shift::Right, B32, RCX, INDEX_SHIFT);
    e.asm.alu_imm(Alu::And, B32, RCX, INDEX_MASK);
}

/// RDX = the tag of the page of the last byte of an access, at the place of the first: one that straddles pages
/// finds nothing.
fn tag_of_page(e: &mut Emitter<'_>, address: Reg, bytes: i32) {
    match bytes - 1 {
        0 => e.asm.mov(B64, RDX, address),
        last => e.asm.lea(B64, RDX, at(address, last)),
    }
    e.asm.alu_imm(Alu::And, B64, RDX, -4096);
    e.asm.alu(Alu::Or, B64, RDX, DATA_CONTEXT);
}

/// Looks up once more, by the address itself.
pub(super) fn other_page(
    e: &mut Emitter<'_>,
    site: Site,
    back: u32,
    address: Reg,
    tag: i32,
) -> Site {
    e.asm.land(site);
    e.asm.mov(B32, RCX, address);
    index_of_page(e);
    e.asm.alu(Alu::Cmp, B64, RDX, indexed(R14, RCX, 0, tag));
    e.asm.jump_if_to(Cond::Equal, back);
    e.asm.jump()
}

/// Puts a value in memory.
fn put_in(e: &mut Emitter<'_>, width: Width, place: Mem, value: Operand) {
    match value {
        Operand::Const(value) if let Ok(short) = i32::try_from(value.cast_signed()) => {
            e.asm.store_imm(log(width), place, short);
        }
        Operand::F(guest) if let Some(host) = float_host(guest) => {
            let precision = match width {
                Width::Word => Precision::Single,
                _ => Precision::Double,
            };
            e.asm.store_scalar(precision, place, host);
        }
        value => {
            let from = match value {
                Operand::At(Place::Slot(_)) if let Rm::Reg(host) = e.operand(value) => host,
                value => {
                    e.fetch(RDX, value);
                    RDX
                }
            };
            e.asm.store_sized(log(width), place, from);
        }
    }
}

/// A virtual address: the register that holds it.
fn address(e: &mut Emitter<'_>, Address { base, offset }: Address) -> Reg {
    let base = match base {
        Operand::Const(_) => {
            e.fetch(RAX, base);
            return RAX;
        }
        base => e.operand(base),
    };
    match base {
        Rm::Reg(base) if offset == 0 => return base,
        Rm::Reg(base) => e.asm.lea(B64, RAX, at(base, offset)),
        base => {
            e.asm.mov(B64, RAX, base);
            if offset != 0 {
                e.asm.alu_imm(Alu::Add, B64, RAX, offset);
            }
        }
    }
    RAX
}
