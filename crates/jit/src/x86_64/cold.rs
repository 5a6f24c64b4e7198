//! Code that is seldom executed, kept behind the rest: what jumps there from the straight path.

use isa::{Insn, Precision};

use super::asm::{Alu, B64, R15, RAX, RCX, RDX, Reg, Site, Xmm};
use super::emit::{Emitter, Facts, Leaf, Link};
use super::helpers::Record;
use super::lazy::Lazy;
use super::map::{float_home, float_host};
use super::near::Elsewhere;
use super::registers::Holding;

pub(super) enum Cold {
    /// Too few positions are left for the block at `offset`.
    Tail {
        site: Site,
        positions: u8,
        offset: u16,
        holding: Holding,
    },
    /// A load that is not fast.
    Load {
        site: Site,
        back: u32,
        address: Reg,
        dst: Reg,
        record: Record,
    },
    /// A store that is not fast.
    Store {
        site: Site,
        back: u32,
        address: Reg,
        value: Leaf,
        record: Record,
    },
    /// A load of a float that is not fast.
    LoadFloat {
        site: Site,
        back: u32,
        address: Reg,
        dst: Xmm,
        record: Record,
    },
    /// A float result that is no number, which becomes `value`.
    Nan {
        site: Site,
        back: u32,
        dst: Xmm,
        value: u64,
    },
    /// An instruction that a helper executes instead.
    Exact {
        sites: Vec<Site>,
        back: u32,
        record: Record,
    },
    /// The rest of a block for the interpreter.
    Rest { sites: Vec<Site>, record: Record },
    /// A look-up in a region that did not find the page by the address that it is most likely near to.
    Elsewhere(Box<Elsewhere>),
    /// Jumps out of a region, or to another page.
    Leave(Leave),
    /// The second version of a block.
    Second(Box<Second>),
    /// A record that code refers to.
    Record { site: Site, record: Record },
}

/// How code goes on elsewhere.
#[derive(Default)]
pub(super) struct Leave {
    pub(super) sites: Vec<Site>,
    pub(super) holding: Holding,
    /// Shifts that were put off.
    pub(super) lazies: Vec<Lazy>,
    /// A float register of the guest whose copy was perhaps overwritten.
    pub(super) float: Option<u8>,
    /// Positions that were paid for in vain.
    pub(super) positions: u8,
    /// From the start of the page.
    pub(super) target: i64,
    /// The instruction there is the interpreter's.
    pub(super) step: bool,
}

/// A version of a block from the first instruction on that may come here.
pub(super) struct Second {
    pub(super) block: Vec<Insn>,
    /// The offset in the page of the instruction to start at.
    pub(super) offset: u16,
    /// Its index.
    pub(super) index: usize,
    pub(super) facts: Facts,
    /// Jumps here, and to which instruction.
    pub(super) sites: Vec<(Site, usize)>,
}

impl Emitter<'_> {
    /// Emits all that was put off, as long as there is room.
    pub(super) fn emit_cold(&mut self) {
        while !self.cold.is_empty() && !self.asm.is_full() {
            for cold in std::mem::take(&mut self.cold) {
                self.emit_one(cold);
            }
        }
    }

    fn emit_one(&mut self, cold: Cold) {
        match cold {
            Cold::Tail {
                site,
                positions,
                offset,
                holding,
            } => {
                self.asm.land(site);
                Holding::default().take_over(&holding, &mut self.asm);
                self.asm.alu_imm(Alu::Add, B64, R15, positions.into());
                self.asm.mov_imm(RAX, offset.into());
                self.asm.jump_to(self.thunks.tail);
            }
            Cold::Load {
                site,
                back,
                address,
                dst,
                record,
            } => {
                self.asm.land(site);
                self.move_to(RAX, address);
                let site = self.asm.lea_site(RCX);
                self.asm.call_to(self.thunks.load);
                self.move_to(dst, RAX);
                self.asm.jump_to(back);
                self.place(site, record);
            }
            Cold::Store {
                site,
                back,
                address,
                value,
                record,
            } => {
                self.asm.land(site);
                self.fetch(RDX, value);
                self.move_to(RAX, address);
                let site = self.asm.lea_site(RCX);
                self.asm.call_to(self.thunks.store);
                self.asm.jump_to(back);
                self.place(site, record);
            }
            Cold::LoadFloat {
                site,
                back,
                address,
                dst,
                record,
            } => {
                self.asm.land(site);
                self.move_to(RAX, address);
                let site = self.asm.lea_site(RCX);
                self.asm.call_to(self.thunks.load);
                self.asm.bits_to_xmm(B64, dst, RAX);
                self.asm.jump_to(back);
                self.place(site, record);
            }
            Cold::Nan {
                site,
                back,
                dst,
                value,
            } => {
                self.asm.land(site);
                self.asm.mov_imm(RAX, value);
                self.asm.bits_to_xmm(B64, dst, RAX);
                self.asm.jump_to(back);
            }
            Cold::Exact {
                sites,
                back,
                record,
            } => {
                for site in sites {
                    self.asm.land(site);
                }
                let site = self.asm.lea_site(RCX);
                self.asm.call_to(self.thunks.execute);
                self.asm.jump_to(back);
                self.place(site, record);
            }
            Cold::Rest { sites, record } => {
                for site in sites {
                    self.asm.land(site);
                }
                let site = self.asm.lea_site(RCX);
                self.asm.call_to(self.thunks.rest);
                self.place(site, record);
            }
            Cold::Elsewhere(elsewhere) => self.emit_elsewhere(*elsewhere),
            Cold::Leave(leave) => self.leave(&leave),
            Cold::Second(second) => self.emit_second(*second),
            Cold::Record { site, record } => self.place(site, record),
        }
    }

    fn leave(&mut self, leave: &Leave) {
        for site in &leave.sites {
            self.asm.land(*site);
        }
        let mut holding = leave.holding;
        holding.extend_all(&mut self.asm);
        self.map = holding.map();
        for lazy in &leave.lazies {
            self.compute_lazy(*lazy);
            holding.overwrite(lazy.guest);
        }
        Holding::default().take_over(&holding, &mut self.asm);
        if let Some(guest) = leave.float
            && let Some(host) = float_host(guest)
        {
            (self.asm).load_scalar(Precision::Double, host, float_home(guest));
        }
        if leave.positions != 0 {
            self.asm.alu_imm(Alu::Add, B64, R15, leave.positions.into());
        }
        match u16::try_from(leave.target) {
            Ok(offset) if leave.step => self.leave_to_interpreter(offset),
            Ok(target @ 0..4096) => {
                let site = self.asm.jump();
                self.links.push(Link { site, target });
            }
            _ => self.cross(leave.target),
        }
    }

    /// Code for jumps within the page whose targets have none yet: they are completed when first taken.
    /// `entry` tells the code of an offset in the page, or 0.
    pub(super) fn emit_links(&mut self, entry: impl Fn(u16) -> u32) {
        for link in std::mem::take(&mut self.links) {
            let code = entry(link.target);
            if code != 0 {
                self.asm.direct(link.site, code);
                continue;
            }
            self.asm.land(link.site);
            self.asm.mov_imm(RAX, link.target.into());
            self.asm.mov_imm(RCX, link.site.0.into());
            self.asm.jump_to(self.thunks.link);
        }
    }

    fn move_to(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            self.asm.mov(B64, dst, src);
        }
    }

    /// Puts a record here, which the address at `site` is to be that of.
    fn place(&mut self, site: Site, record: Record) {
        self.asm.align(align_of::<Record>());
        self.asm.land(site);
        self.records.push((self.asm.here(), record));
        self.asm.bytes(&[0; size_of::<Record>()]);
    }
}
