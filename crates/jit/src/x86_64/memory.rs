//! Loads and stores: the fast translations are asked in line, everything else is a helper's.
//!
//! A block with groups of accesses ([`super::groups`]) has two versions. In the first, an access that is not fast goes on
//! in the second, where it is checked once more, and a helper called.

use isa::{Binary, Precision, Width};

use super::asm::{Alu, B32, B64, Cond, Mem, R14, RAX, RCX, RDX, RSP, Reg, Rm, Site, at, indexed};
use super::cold::Cold;
use super::emit::{Emitter, Leaf, Value};
use super::groups::Plan;
use super::layout::{LOAD_ADDEND, LOAD_TAG, STORE_ADDEND, STORE_TAG};
use super::map::float_host;
use super::thunks::slot;

/// The logarithm of the bytes of an access.
pub(super) fn log(width: Width) -> u8 {
    width.bytes().trailing_zeros() as u8
}

/// How the block at hand gets at memory.
#[derive(Default)]
pub(super) struct Access {
    /// The plan of each instruction, in the first version of a block that has a second.
    pub(super) plans: Vec<Plan>,
    /// The index of the present instruction.
    pub(super) index: usize,
    /// The pointer that is in RCX, unless that was written since.
    in_rcx: Option<u8>,
    /// Jumps to the second version, and to which instruction.
    pub(super) to_second: Vec<(Site, usize)>,
}

impl Access {
    /// For the first version of a block.
    pub(super) fn planned(plans: Vec<Plan>) -> Access {
        Access {
            plans,
            ..Access::default()
        }
    }
}

fn kept(pointer: u8) -> Mem {
    at(RSP, slot::POINTERS + 8 * i32::from(pointer))
}

impl Emitter<'_> {
    fn plan(&self) -> Plan {
        let access = &self.access;
        access
            .plans
            .get(access.index)
            .copied()
            .unwrap_or(Plan::Alone)
    }

    /// Where the access of the present instruction goes, if it is in a group: in RCX is the group's pointer.
    pub(super) fn group_place(&mut self, tag: i32, addend: i32) -> Option<Mem> {
        let lowest = match self.plan() {
            Plan::None | Plan::Alone => return None,
            Plan::First {
                lowest,
                span,
                pointer,
                keep,
            } => {
                let address = self.address_of(Leaf::X(self.insn.rs1), lowest);
                let site = self.look_up(address, span, tag);
                self.elsewhere(site);
                self.asm.mov(B64, RCX, indexed(R14, RCX, 0, addend));
                self.asm.alu(Alu::Add, B64, RCX, address);
                if keep {
                    self.asm.store(kept(pointer), RCX);
                }
                self.holds(pointer);
                lowest
            }
            Plan::Member {
                lowest,
                pointer,
                kept: is_kept,
            } => {
                if self.access.in_rcx != Some(pointer) || self.asm.rcx_touched {
                    if is_kept {
                        self.asm.mov(B64, RCX, kept(pointer));
                    } else {
                        // Lost between neighbours: the second version looks up again.
                        let site = self.asm.jump();
                        self.elsewhere(site);
                    }
                    self.holds(pointer);
                }
                lowest
            }
        };
        Some(at(RCX, self.insn.imm - lowest))
    }

    /// RCX now has this pointer.
    fn holds(&mut self, pointer: u8) {
        self.access.in_rcx = Some(pointer);
        self.asm.rcx_touched = false;
    }

    /// What happens if an access is not fast. In the first version of a block, it goes on in the second;
    /// in a region, outside.
    pub(super) fn not_fast(&mut self, site: Option<Site>, cold: impl FnOnce(Site, &Self) -> Cold) {
        let Some(site) = site else {
            return;
        };
        if self.is_straight() {
            let cold = cold(site, self);
            self.cold.push(cold);
        } else {
            self.elsewhere(site);
        }
    }

    /// Loads by the pointer of the group, if the access is in one.
    pub(super) fn load_in_group(&mut self, width: Width, signed: bool, dst: Reg) -> bool {
        let Some(place) = self.group_place(LOAD_TAG, LOAD_ADDEND) else {
            return false;
        };
        self.asm.load_extended(log(width), signed, dst, place);
        true
    }

    /// Stores by the pointer of the group, if the access is in one.
    pub(super) fn store_in_group(&mut self, width: Width, value: Leaf) -> bool {
        let Some(place) = self.group_place(STORE_TAG, STORE_ADDEND) else {
            return false;
        };
        self.put_in(width, place, value);
        true
    }

    /// Leaves the index of the page of `address` in RCX, and jumps if an access of `bytes` is not fast.
    pub(super) fn look_up(&mut self, address: Reg, bytes: i32, tag: i32) -> Site {
        self.asm.mov(B32, RCX, address);
        self.index_of_page();
        self.tag_of_page(address, bytes);
        self.asm.alu(Alu::Cmp, B64, RDX, indexed(R14, RCX, 0, tag));
        self.asm.jump_if(Cond::NotEqual)
    }

    /// As [`Emitter::look_up`], by the page that is the most likely. There is no jump if that was seen to.
    fn look_up_likely(&mut self, address: Reg, width: Width, tag: i32) -> Option<Site> {
        let bytes = width.bytes() as i32;
        if let Some(base) = self.near_base() {
            self.look_up_near(base, address, bytes, tag);
            return None;
        }
        Some(self.look_up(address, bytes, tag))
    }

    /// The jump if a load is not fast, and where the value is if it is.
    pub(super) fn look_up_load(&mut self, address: Reg, width: Width) -> (Option<Site>, Mem) {
        let site = self.look_up_likely(address, width, LOAD_TAG);
        self.asm.mov(B64, RCX, indexed(R14, RCX, 0, LOAD_ADDEND));
        (site, indexed(RCX, address, 0, 0))
    }

    /// `dst` = what is at `address`, which is in RAX or in a register of the guest.
    pub(super) fn load_from(&mut self, address: Reg, width: Width, signed: bool, dst: Reg) {
        let (site, place) = self.look_up_load(address, width);
        self.asm.load_extended(log(width), signed, dst, place);
        self.not_fast(site, |site, emitter| Cold::Load {
            site,
            back: emitter.asm.here(),
            address,
            dst,
            record: emitter.record(),
        });
    }

    /// Stores a value at `address`, which is in RAX or in a register of the guest.
    pub(super) fn store_to(&mut self, address: Reg, width: Width, value: Leaf) {
        let site = self.look_up_likely(address, width, STORE_TAG);
        self.asm.mov(B64, RCX, indexed(R14, RCX, 0, STORE_ADDEND));
        self.put_in(width, indexed(RCX, address, 0, 0), value);
        self.not_fast(site, |site, emitter| Cold::Store {
            site,
            back: emitter.asm.here(),
            address,
            value,
            record: emitter.record(),
        });
    }

    /// Puts a value in memory.
    fn put_in(&mut self, width: Width, place: Mem, value: Leaf) {
        match value {
            Leaf::Const(value) if let Ok(short) = i32::try_from(value.cast_signed()) => {
                self.asm.store_imm(log(width), place, short);
            }
            Leaf::F(guest) if let Some(host) = float_host(guest) => {
                let precision = match width {
                    Width::Word => Precision::Single,
                    _ => Precision::Double,
                };
                self.asm.store_scalar(precision, place, host);
            }
            value => {
                let from = match value {
                    Leaf::X(_) if let Rm::Reg(host) = self.operand(value) => host,
                    value => {
                        self.fetch(RDX, value);
                        RDX
                    }
                };
                self.asm.store_sized(log(width), place, from);
            }
        }
    }

    /// A virtual address: the register that holds it.
    pub(super) fn address(&mut self, address: Value) -> Reg {
        match address {
            Value::Leaf(Leaf::X(guest)) if let Some(host) = self.map.host(guest) => host,
            Value::Leaf(leaf) => {
                self.fetch(RAX, leaf);
                RAX
            }
            Value::Binary(Binary::Add, base, Leaf::Const(offset)) => {
                let offset = i32::try_from(offset.cast_signed()).expect("an immediate");
                self.address_of(base, offset)
            }
            value => {
                self.settle(value);
                RAX
            }
        }
    }

    /// The virtual address `base + offset`: the register that holds it.
    pub(super) fn address_of(&mut self, base: Leaf, offset: i32) -> Reg {
        match self.operand(base) {
            Rm::Reg(base) if offset == 0 => return base,
            Rm::Reg(base) => self.asm.lea(B64, RAX, at(base, offset)),
            base => {
                self.asm.mov(B64, RAX, base);
                if offset != 0 {
                    self.asm.alu_imm(Alu::Add, B64, RAX, offset);
                }
            }
        }
        RAX
    }
}
