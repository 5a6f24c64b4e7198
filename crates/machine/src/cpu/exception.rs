//! What an instruction that trapped leads to, for every engine: a handler of the guest, or the built-in firmware.

use super::{Cpu, EVENT_COST};
use crate::board::Board;
use crate::boot::sbi::{self, Order};
use crate::hart::{Cause, NO_RESERVATION};

const PAGE: u64 = 4096;

impl Cpu {
    /// Completes an instruction that returned [`Trapped`](crate::hart::Trapped): enters the handler, or answers the call. Counts
    /// the attempt, which does not retire. `bits` are those of the instruction, if it was fetched.
    #[cold]
    pub fn take_exception(&mut self, board: &mut Board, bits: u32) {
        if self.hart.exception.cause == Cause::IllegalInstruction {
            self.hart.exception.value = bits.into();
            self.watch.see(bits, self.hart.pc, self.hart.mode);
        }
        let call = self.hart.exception.cause == Cause::CallFromSupervisor;
        if call && board.built_in_firmware {
            self.answer_call(board);
        } else {
            self.hart.take_exception();
            self.mode_changed();
        }
        self.hart.position.0 += 1;
        self.hart.csr.note_not_retired();
        self.charge(EVENT_COST);
    }

    fn answer_call(&mut self, board: &mut Board) {
        let x = &self.hart.x;
        let reply = sbi::call(
            board,
            sbi::Call {
                extension: x[17],
                function: x[16],
                args: [x[10], x[11], x[12], x[13], x[14], x[15]],
            },
        );
        self.hart.x[10] = reply.a0;
        if let Some(a1) = reply.a1 {
            self.hart.x[11] = a1;
        }
        self.hart.pc = self.hart.pc.wrapping_add(4);
        // As after any trap and return.
        self.hart.reservation = NO_RESERVATION;
        self.attention = true;
        match reply.order {
            None | Some(Order::FenceInstruction) => {}
            Some(Order::SetTimer(time)) => self.hart.csr.stimecmp = time,
            Some(Order::SoftwareInterrupt) => self.hart.csr.mip |= crate::hart::csr::SSIP,
            Some(Order::Suspend) => self.hart.waiting = true,
            Some(Order::StopHart) => {
                self.hart.csr.mie = 0;
                self.hart.waiting = true;
            }
            Some(Order::FenceAddresses { start, size, asid }) => {
                self.fence_range(start, size, asid.map(u64::from));
            }
        }
    }

    fn fence_range(&mut self, start: u64, size: u64, space: Option<u64>) {
        let pages = size.div_ceil(PAGE);
        if size == 0 || pages > 64 {
            self.fence(None, space);
            return;
        }
        self.tlb
            .fence_range(start, start.saturating_add(size - 1), space);
        let cost = self.tlb.take_cost();
        self.charge(cost);
    }
}
