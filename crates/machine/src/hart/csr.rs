//! The control and status registers: their storage and the bits that exist (manual, volume II, chapters
//! "Machine-Level ISA" and "Supervisor-Level ISA"). Where the manual leaves a choice, QEMU's is taken.

/// Supervisor software interrupt, in `mip` and `mie`.
pub const SSIP: u64 = 1 << 1;
/// Machine software interrupt.
pub const MSIP: u64 = 1 << 3;
/// Supervisor timer interrupt.
pub const STIP: u64 = 1 << 5;
/// Machine timer interrupt.
pub const MTIP: u64 = 1 << 7;
/// Supervisor external interrupt.
pub const SEIP: u64 = 1 << 9;
/// Machine external interrupt.
pub const MEIP: u64 = 1 << 11;
/// Interrupts that may be delegated to S-mode.
pub const SUPERVISOR_INTERRUPTS: u64 = SSIP | STIP | SEIP;
/// All interrupts.
pub const INTERRUPTS: u64 = SUPERVISOR_INTERRUPTS | MSIP | MTIP | MEIP;

/// Exceptions that may be delegated: all but reserved ones and the call from M-mode.
pub(crate) const DELEGABLE: u64 = 0xb3ff;

/// Bits of `mstatus`.
pub mod status {
    /// Supervisor interrupts enabled.
    pub const SIE: u64 = 1 << 1;
    /// Machine interrupts enabled.
    pub const MIE: u64 = 1 << 3;
    /// `SIE` before the trap.
    pub const SPIE: u64 = 1 << 5;
    /// `MIE` before the trap.
    pub const MPIE: u64 = 1 << 7;
    /// Mode before the trap into S-mode.
    pub const SPP: u64 = 1 << 8;
    /// Mode before the trap into M-mode.
    pub const MPP: u64 = 3 << 11;
    /// Place of `MPP`.
    pub const MPP_SHIFT: u32 = 11;
    /// State of the float unit: off, initial, clean, dirty.
    pub const FS: u64 = 3 << 13;
    /// Loads and stores act in mode `MPP`.
    pub const MPRV: u64 = 1 << 17;
    /// S-mode may touch user pages.
    pub const SUM: u64 = 1 << 18;
    /// Executable pages may be loaded from.
    pub const MXR: u64 = 1 << 19;
    /// S-mode may not touch address translation.
    pub const TVM: u64 = 1 << 20;
    /// Below M-mode, WFI traps.
    pub const TW: u64 = 1 << 21;
    /// SRET traps in S-mode.
    pub const TSR: u64 = 1 << 22;
    /// UXL = SXL = 64 bits.
    pub const XL: u64 = 2 << 32 | 2 << 34;
    /// Something is dirty.
    pub const SD: u64 = 1 << 63;
    /// What software may write.
    pub const WRITABLE: u64 =
        SIE | MIE | SPIE | MPIE | SPP | MPP | FS | MPRV | SUM | MXR | TVM | TW | TSR;
    /// What `sstatus` shows and writes of it.
    pub const SUPERVISOR: u64 = SIE | SPIE | SPP | FS | SUM | MXR;
    /// UXL, which `sstatus` shows.
    pub const UXL: u64 = 2 << 32;
}

/// RV64 with I, M, A, F, D, C, S and U.
pub const MISA: u64 = 2 << 62 | 1 << 20 | 1 << 18 | 1 << 12 | 1 << 8 | 1 << 5 | 1 << 3 | 1 << 2 | 1;

/// `menvcfg.STCE`: `stimecmp` exists.
pub const STCE: u64 = 1 << 63;
/// What exists of `menvcfg`: STCE and FIOM.
pub(super) const MENVCFG_WRITABLE: u64 = STCE | 1;
/// What exists of `senvcfg`: FIOM.
pub(super) const SENVCFG_WRITABLE: u64 = 1;
/// What exists of `sepc` and `mepc`: instructions are at even addresses.
pub const EPC_WRITABLE: u64 = !1;
/// Parts of `satp`: how addresses are translated, the address space number, and where the page table is.
pub(super) const SATP_MODE: u64 = 0xf << 60;
pub(super) const SATP_SPACE: u64 = 0x1ff << 44;
pub(super) const SATP_TABLE: u64 = (1 << 44) - 1;
/// What exists of it.
pub(super) const SATP_WRITABLE: u64 = SATP_MODE | SATP_SPACE | SATP_TABLE;
/// Bits of `mcountinhibit`: cycles and instructions.
pub(super) const CYCLE_INHIBIT: u64 = 1;
pub(super) const INSTRET_INHIBIT: u64 = 4;
/// What exists of it.
pub(super) const INHIBIT_WRITABLE: u64 = CYCLE_INHIBIT | INSTRET_INHIBIT;
/// Number of protection entries.
pub const PMP_ENTRIES: usize = 16;

/// Storage of the CSRs. Each field holds only values that its register can have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Csrs {
    /// `mstatus` without the fixed fields (XL, SD).
    pub mstatus: u64,
    /// Exceptions delegated to S-mode.
    pub medeleg: u64,
    /// Interrupts delegated to S-mode.
    pub mideleg: u64,
    /// Interrupts enabled.
    pub mie: u64,
    /// The bits of `mip` that software wrote (SSIP, STIP, SEIP).
    pub mip: u64,
    /// Where traps into M-mode go.
    pub mtvec: u64,
    /// For the use of M-mode.
    pub mscratch: u64,
    /// Address of the trap.
    pub mepc: u64,
    /// Cause of the trap.
    pub mcause: u64,
    /// Value of the trap.
    pub mtval: u64,
    /// Counters that S-mode may read.
    pub mcounteren: u64,
    /// Counters that stand still.
    pub mcountinhibit: u64,
    /// Environment of S-mode.
    pub menvcfg: u64,
    /// `mcycle` minus the position, or `mcycle` itself while it stands still.
    pub cycle: u64,
    /// `minstret` minus the position, or `minstret` itself while it stands still. Each attempt that does not retire takes
    /// 1 from it, so that what retires costs nothing.
    pub instret: u64,
    /// Where traps into S-mode go.
    pub stvec: u64,
    /// For the use of S-mode.
    pub sscratch: u64,
    /// Address of the trap.
    pub sepc: u64,
    /// Cause of the trap.
    pub scause: u64,
    /// Value of the trap.
    pub stval: u64,
    /// Counters that U-mode may read.
    pub scounteren: u64,
    /// Environment of U-mode.
    pub senvcfg: u64,
    /// Address translation.
    pub satp: u64,
    /// When the supervisor timer is due.
    pub stimecmp: u64,
    /// Accumulated float exceptions, 5 bits.
    pub fflags: u64,
    /// Float rounding mode, 3 bits.
    pub frm: u64,
    /// Protection: one configuration byte an entry.
    pub pmpcfg: [u8; PMP_ENTRIES],
    /// Protection: addresses, 54 bits.
    pub pmpaddr: [u64; PMP_ENTRIES],
}

impl Csrs {
    /// An attempt counts as a position, but the instruction did not retire: it trapped (manual, volume I, "Zicntr";
    /// ECALL and EBREAK are among these).
    pub(crate) fn note_not_retired(&mut self) {
        if self.mcountinhibit & INSTRET_INHIBIT == 0 {
            self.instret = self.instret.wrapping_sub(1);
        }
    }

    /// Whether the supervisor timer exists for S-mode (Sstc).
    #[inline(always)]
    pub fn supervisor_timer(&self) -> bool {
        self.menvcfg & STCE != 0
    }

    /// `mstatus` as software reads it.
    pub fn read_mstatus(&self) -> u64 {
        let dirty = self.mstatus & status::FS == status::FS;
        self.mstatus | status::XL | if dirty { status::SD } else { 0 }
    }
}
