//! CSR instructions, for every engine: with the board's time, and with all that follows a write.

use isa::CsrAccess;
use isa::csr::TIME;

use super::Cpu;
use crate::board::Board;
use crate::hart::{Effects, Trapped};

impl Cpu {
    /// A CSR instruction: the old value (of no meaning if it was not to be read).
    ///
    /// # Errors
    /// The access traps.
    pub(crate) fn access_csr(
        &mut self,
        board: &Board,
        number: u16,
        access: CsrAccess,
        operand: u64,
    ) -> Result<u64, Trapped> {
        match self.hart.access_often_used(number, access, operand) {
            Some((old, effects)) => {
                if effects != Effects::default() {
                    self.follow(effects);
                }
                Ok(old)
            }
            None => self.access_other_csr(board, number, access, operand),
        }
    }

    #[inline(never)]
    fn access_other_csr(
        &mut self,
        board: &Board,
        number: u16,
        access: CsrAccess,
        operand: u64,
    ) -> Result<u64, Trapped> {
        let time = if number == TIME {
            board.time(self.now(board))
        } else {
            0
        };
        let (old, effects) = match self.hart.access_other(number, access, operand, time) {
            Ok(done) => done,
            Err(trapped) => {
                self.rig.look_at(Some(number), None);
                return Err(trapped);
            }
        };
        if effects != Effects::default() {
            self.follow(effects);
        }
        Ok(old)
    }
}
