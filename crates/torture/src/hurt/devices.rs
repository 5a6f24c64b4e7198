//! Scenes about devices: waits, storms of interrupts, registers at random, resets.

use isa::Op;
use isa::csr;

use super::{CLINT, COUNT, DATA_BASE, MIE, MSTATUS, MTIME, MTIMECMP, PLIC, UART, VIRTIO, Writer};

/// The timer, set to soon or long ago, and WFI: with interrupts taken, pending only, or not enabled.
pub(super) fn wait(writer: &mut Writer<'_, '_>) {
    let kind = writer.bytes.byte();
    let ahead = [0, 1, 3, 17, 500, -5][usize::from(kind % 6)];
    writer.code.constant(5, 0x888 >> (kind >> 6 & 1));
    writer.code.imm(Op::Csrrw, 0, 5, MIE);
    let enable = if kind & 8 == 0 {
        Op::Csrrsi
    } else {
        Op::Csrrci
    };
    writer.code.imm(enable, 0, 8, MSTATUS);
    writer.code.constant(18, MTIME);
    writer.code.constant(19, MTIMECMP);
    let times = 10 + u64::from(writer.bytes.half()) % 2000;
    writer.repeat(times, |writer| {
        writer.code.imm(Op::Ld, 5, 18, 0);
        writer.code.addi(5, 5, ahead);
        writer.code.store(Op::Sd, 5, 19, 0);
        writer.code.bare(Op::Wfi);
    });
}

/// Lines that go up and down as fast as they can.
pub(super) fn interrupt(writer: &mut Writer<'_, '_>) {
    writer.code.constant(5, 0xaaa);
    writer.code.imm(Op::Csrrw, 0, 5, MIE);
    writer.code.imm(Op::Csrrsi, 0, 8, MSTATUS);
    // Every source of the PLIC may interrupt.
    for source in [1, 2, 3, 10, 11] {
        writer.poke(Op::Sw, PLIC + source * 4, 1 + source % 7);
    }
    writer.poke(Op::Sw, PLIC + 0x2000, u64::MAX);
    writer.poke(Op::Sw, PLIC + 0x2080, u64::MAX);
    writer.code.constant(18, CLINT);
    writer.code.constant(19, UART);
    writer.code.constant(20, PLIC + 0x20_0000);
    writer.code.constant(21, 0x10_1000);
    let deeds: Vec<u8> = (0..1 + writer.bytes.byte() % 12)
        .map(|_| writer.bytes.byte())
        .collect();
    let times = 10 + u64::from(writer.bytes.half()) % 1000;
    writer.repeat(times, |writer| {
        for deed in &deeds {
            let code = &mut writer.code;
            match deed % 9 {
                // Software interrupts to itself.
                0 => code.store(Op::Sw, CODE_ONE, 18, 0),
                // The transmitter's interrupt, on and off.
                1 => code.store(Op::Sb, COUNT, 19, 1),
                2 => code.store(Op::Sb, COUNT, 19, 0),
                3 => code.imm(Op::Lbu, 6, 19, 2),
                // The threshold; claims and completions, of whatever.
                4 => code.store(Op::Sw, COUNT, 20, 0),
                5 => code.imm(Op::Lw, 6, 20, 4),
                6 => code.store(Op::Sw, COUNT, 20, 4),
                // The alarm of the clock.
                7 => {
                    code.store(Op::Sw, CODE_ONE, 21, 0x10);
                    code.store(Op::Sw, COUNT, 21, 0x08);
                }
                _ => code.imm(Op::Csrrsi, 0, 2, csr::MIP.into()),
            }
        }
    });
}

/// A register that is not zero.
const CODE_ONE: u8 = DATA_BASE;

/// Accesses to registers of devices, of any width, aligned or not, and beside them.
pub(super) fn registers(writer: &mut Writer<'_, '_>) {
    writer.skip_traps(true);
    let count = 4 + writer.bytes.byte() % 60;
    for _ in 0..count {
        let region = [
            VIRTIO,
            VIRTIO + 0x1000,
            VIRTIO + 0x2000,
            VIRTIO + 0x7000,
            UART,
            CLINT,
            PLIC,
            0x10_1000,
            0x1000,
        ];
        let base = region[writer.random.below(region.len())];
        let span = [0x110, 0x10, 0x4010, 0x20_2010][writer.random.below(4)];
        let address = base + writer.random.below(span) as u64;
        let address = if writer.random.one_in(4) {
            address
        } else {
            address & !7
        };
        let value = writer.random.integer();
        writer.code.constant(5, address);
        writer.code.constant(6, value);
        let ops = [Op::Sb, Op::Sh, Op::Sw, Op::Sw, Op::Sd];
        if writer.random.one_in(3) {
            let op = [Op::Lb, Op::Lhu, Op::Lw, Op::Ld, Op::Flw][writer.random.below(5)];
            writer.code.imm(op, 7, 5, 0);
        } else {
            let op = writer.random.pick(&ops);
            writer.code.store(op, 6, 5, 0);
        }
    }
}

/// A device that is reset, set up and notified without end.
pub(super) fn resets(writer: &mut Writer<'_, '_>) {
    let slot = u64::from(writer.bytes.byte() % 3);
    let queue = super::rings::Queue::draw(writer, slot);
    queue.fill(writer);
    let times = 2 + u64::from(writer.bytes.byte());
    writer.code.constant(COUNT, times);
    let again = writer.code.here();
    let end = writer.code.label();
    queue.set_up(writer);
    queue.notify(writer);
    writer.code.addi(COUNT, COUNT, -1);
    writer.code.branch(Op::Beq, COUNT, 0, end);
    writer.code.jump(0, again);
    writer.code.place(end);
    // A reset with work left over.
    writer.poke(Op::Sw, queue.base() + 0x70, 0);
}
