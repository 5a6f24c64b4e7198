//! Code that is seldom executed, kept behind the rest: what has a helper execute an instruction, and goes on.

use super::asm::{B64, RAX, RCX, RDX, Site};
use super::emitter::{Emitter, Stub};
use super::helpers::Record;

/// Emits a stub that is no section of the plan.
pub(super) fn emit(e: &mut Emitter<'_>, stub: Stub) {
    match stub {
        Stub::Load {
            site,
            back,
            address,
            dst,
            record,
        } => {
            e.asm.land(site);
            e.move_to(RAX, address);
            let site = e.call(e.thunks.load);
            e.move_to(dst, RAX);
            e.asm.jump_to(back);
            place(e, site, record);
        }
        Stub::LoadFloat {
            site,
            back,
            address,
            dst,
            record,
        } => {
            e.asm.land(site);
            e.move_to(RAX, address);
            let site = e.call(e.thunks.load);
            e.asm.bits_to_xmm(B64, dst, RAX);
            e.asm.jump_to(back);
            place(e, site, record);
        }
        Stub::Store {
            site,
            back,
            address,
            value,
            record,
        } => {
            e.asm.land(site);
            e.fetch(RDX, value);
            e.move_to(RAX, address);
            let site = e.call(e.thunks.store);
            e.asm.jump_to(back);
            place(e, site, record);
        }
        Stub::Nan {
            site,
            back,
            dst,
            value,
        } => {
            e.asm.land(site);
            e.asm.mov_imm(RAX, value);
            e.asm.bits_to_xmm(B64, dst, RAX);
            e.asm.jump_to(back);
        }
        Stub::Exact {
            sites,
            back,
            record,
        } => {
            for site in sites {
                e.asm.land(site);
            }
            let site = e.call(e.thunks.execute);
            e.asm.jump_to(back);
            place(e, site, record);
        }
        Stub::Rest { sites, record } => {
            for site in sites {
                e.asm.land(site);
            }
            let site = e.call(e.thunks.rest);
            place(e, site, record);
        }
        Stub::Record { site, record } => place(e, site, record),
        Stub::Section { .. }
        | Stub::Sections { .. }
        | Stub::Second { .. }
        | Stub::OtherPage { .. } => unreachable!("these have steps"),
    }
}

/// Code for jumps within the page whose targets have none yet: they are completed when first taken.
/// `entry` tells the code of an offset in the page, or 0.
pub(super) fn links(e: &mut Emitter<'_>, entry: impl Fn(u16) -> u32) {
    for link in e.links.drain(..) {
        let code = entry(link.target);
        if code != 0 {
            e.asm.direct(link.site, code);
            continue;
        }
        e.asm.land(link.site);
        e.asm.mov_imm(RAX, link.target.into());
        e.asm.mov_imm(RCX, link.site.0.into());
        e.asm.jump_to(e.thunks.link);
    }
}

/// Puts a record here, which the address at `site` is to be that of.
fn place(e: &mut Emitter<'_>, site: Site, record: Record) {
    e.asm.align(align_of::<Record>());
    e.asm.land(site);
    e.records.push((e.asm.here(), record));
    e.asm.bytes(&[0; size_of::<Record>()]);
}
