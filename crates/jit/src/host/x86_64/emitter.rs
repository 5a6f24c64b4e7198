//! Code in the making: where operands are, and what becomes of instructions that a step cannot execute.

use std::collections::VecDeque;

use super::asm::{Alu, Asm, B32, B64, Cond, RAX, RCX, RDX, Reg, Rm, Site, Xmm};
use super::helpers::Record;
use super::layout;
use super::pins::{float_home, float_host, home, slot};
use super::thunks::Thunks;
use crate::plan::{Miss, Operand, Place, Plan, Section};

/// A jump within the page.
pub(super) struct Link {
    pub(super) site: Site,
    /// The target's offset in the page.
    pub(super) target: u16,
}

/// Code that is off the straight path, and the jumps to it.
pub(super) enum Stub {
    /// A section of the plan.
    Section { site: Site, section: Section },
    /// A section, for two jumps.
    Sections { sites: [Site; 2], section: Section },
    /// The second version of a block: jumps, and to which instruction.
    Second {
        section: Section,
        again: Vec<(Site, u16)>,
    },
    /// A load that is not fast.
    Load {
        site: Site,
        back: u32,
        address: Reg,
        dst: Reg,
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
    /// A store that is not fast.
    Store {
        site: Site,
        back: u32,
        address: Reg,
        value: Operand,
        record: Record,
    },
    /// A look-up that did not find the page of the base, and what happens if it does not find that of the address, which
    /// is in a register.
    OtherPage {
        site: Site,
        back: u32,
        address: Reg,
        tag: i32,
        miss: Section,
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
    /// A record that code refers to.
    Record { site: Site, record: Record },
}

/// What is kept from one translation to the next for its capacity.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(super) stubs: VecDeque<Stub>,
    pub(super) links: Vec<Link>,
    pub(super) to_blocks: Vec<(Site, u16)>,
    pub(super) blocks: Vec<u32>,
}

/// Code in the making, for one page.
pub(super) struct Emitter<'a> {
    pub(super) asm: Asm,
    pub(super) thunks: &'a Thunks,
    pub(super) plan: &'a Plan,
    /// The offset in memory of the page.
    page: u64,
    /// The present instruction, by its number in the plan.
    pub(super) insn: u16,
    /// Of the newest comparison.
    pub(super) cond: Cond,
    /// Jumps of the present instruction to where a helper executes it.
    exact: Vec<Site>,
    /// Jumps of the present instruction that leave the rest of the block to others.
    rest: Vec<(Site, Miss)>,
    /// Jumps of the present block to its second version, and to which instruction.
    pub(super) again: Vec<(Site, u16)>,
    pub(super) stubs: VecDeque<Stub>,
    pub(super) links: Vec<Link>,
    /// Jumps to blocks of the plan.
    pub(super) to_blocks: Vec<(Site, u16)>,
    /// Records, and the arena offsets where they go.
    pub(super) records: Vec<(u32, Record)>,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(
        asm: Asm,
        thunks: &'a Thunks,
        plan: &'a Plan,
        page: u64,
        scratch: &mut Scratch,
    ) -> Emitter<'a> {
        Emitter {
            asm,
            thunks,
            plan,
            page,
            insn: 0,
            cond: Cond::Equal,
            exact: Vec::new(),
            rest: Vec::new(),
            again: Vec::new(),
            stubs: std::mem::take(&mut scratch.stubs),
            links: std::mem::take(&mut scratch.links),
            to_blocks: std::mem::take(&mut scratch.to_blocks),
            records: Vec::new(),
        }
    }

    /// What helpers must know of the present instruction.
    pub(super) fn record(&self) -> Record {
        let planned = &self.plan.insns[usize::from(self.insn)];
        Record {
            insn: planned.insn,
            page: self.page,
            offset: planned.offset,
            charged: planned.charged,
            ends: planned.insn.op.flow().leaves(),
        }
    }

    /// Where the jump at `site` is taken, the instruction is not executed by this step. All of it that others execute
    /// goes on behind it.
    pub(super) fn miss(&mut self, site: Site, miss: Miss) {
        match miss {
            Miss::Helper => self.exact.push(site),
            Miss::Rest => self.rest.push((site, miss)),
            Miss::Again => self.again.push((site, self.insn)),
            Miss::Exit(section) => self.stubs.push_back(Stub::Section { site, section }),
        }
    }

    /// As [`Emitter::miss`], for a condition that the rest of the block, too, needs.
    pub(super) fn miss_rest(&mut self, site: Site, miss: Miss) {
        self.rest.push((site, miss));
    }

    /// As [`Emitter::miss`], where the instruction is complete.
    pub(super) fn miss_here(&mut self, site: Site, miss: Miss) {
        match miss {
            Miss::Helper => {
                let (back, record) = (self.asm.here(), self.record());
                let sites = vec![site];
                self.stubs.push_back(Stub::Exact {
                    sites,
                    back,
                    record,
                });
            }
            miss => self.miss(site, miss),
        }
    }

    /// The present instruction is over.
    pub(super) fn behind(&mut self) {
        let mut sites = Vec::new();
        for (site, miss) in self.rest.drain(..) {
            match miss {
                Miss::Exit(section) => self.stubs.push_back(Stub::Section { site, section }),
                _ => sites.push(site),
            }
        }
        if !sites.is_empty() {
            let record = self.record();
            self.stubs.push_back(Stub::Rest { sites, record });
        }
        if !self.exact.is_empty() {
            let (back, record) = (self.asm.here(), self.record());
            let sites = std::mem::take(&mut self.exact);
            self.stubs.push_back(Stub::Exact {
                sites,
                back,
                record,
            });
        }
    }

    /// Where an operand can be read.
    pub(super) fn operand(&self, operand: Operand) -> Rm {
        match operand {
            Operand::At(place) => self.place(place),
            Operand::F(guest) => float_home(guest).into(),
            Operand::Const(_) => unreachable!("constants are operands of their own kind"),
        }
    }

    /// Where a place can be read.
    pub(super) fn place(&self, place: Place) -> Rm {
        match place {
            Place::Slot(number) => slot(number).into(),
            Place::Home(guest) => home(guest).into(),
            Place::Temp => RAX.into(),
            Place::X(_) | Place::Nowhere => unreachable!("registers were assigned"),
        }
    }

    /// `dst = operand`.
    pub(super) fn fetch(&mut self, dst: Reg, operand: Operand) {
        match operand {
            Operand::Const(value) => self.asm.mov_imm(dst, value),
            _ => {
                let operand = self.operand(operand);
                if operand != Rm::Reg(dst) {
                    self.asm.mov(B64, dst, operand);
                }
            }
        }
    }

    /// The register that a result should be computed in.
    pub(super) fn destination(&self, place: Place) -> Reg {
        match place {
            Place::Slot(number) => slot(number),
            _ => RAX,
        }
    }

    /// Moves a result that was computed in its destination to memory, if its place is there.
    pub(super) fn put(&mut self, place: Place, from: Reg) {
        if let Place::Home(guest) = place {
            self.asm.store(home(guest), from);
        }
    }

    /// Moves a result that is in a scratch register to its place.
    pub(super) fn put_from(&mut self, place: Place, from: Reg) {
        match place {
            Place::Slot(number) => self.asm.mov(B64, slot(number), from),
            place => self.put(place, from),
        }
    }

    /// `dst` = address of the page plus `offset`.
    pub(super) fn page_address(&mut self, dst: Reg, offset: i64) {
        self.asm.mov(B64, dst, layout::PC);
        match i32::try_from(offset) {
            Ok(0) => {}
            Ok(offset) => self.asm.alu_imm(Alu::Add, B64, dst, offset),
            Err(_) => {
                self.asm.mov_imm(RDX, offset.cast_unsigned());
                self.asm.alu(Alu::Add, B64, dst, RDX);
            }
        }
    }

    /// Calls a thunk with a record of the present instruction.
    pub(super) fn call(&mut self, thunk: u32) -> Site {
        let site = self.asm.lea_site(RCX);
        self.asm.call_to(thunk);
        site
    }

    /// `dst` = its low word, sign-extended.
    pub(super) fn extend_word(&mut self, dst: Reg) {
        self.asm.load_extended(2, true, dst, dst);
    }

    /// `dst = 1` if the condition holds, else 0.
    pub(super) fn set_if(&mut self, dst: Reg, cond: Cond) {
        self.asm.set(cond, RAX);
        self.asm.load_extended(0, false, dst, RAX);
    }

    /// Zero.
    pub(super) fn clear(&mut self, dst: Reg) {
        self.asm.alu(Alu::Xor, B32, dst, dst);
    }

    /// `dst = src`.
    pub(super) fn move_to(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            self.asm.mov(B64, dst, src);
        }
    }

    /// Where a float register can be read.
    pub(super) fn float_operand(&self, guest: u8) -> Rm {
        float_host(guest).map_or(float_home(guest).into(), Rm::from)
    }
}
