//! The control and status registers by number and name, one row each or one for those that are alike. What a number alone says
//! (who may access it, and whether it can be written) is here, too; what a register holds is for the hart to know.
//!
//! Sources: the RISC-V Instruction Set Manual, volume I (chapters F, Zicntr and Zihpm) and volume II (chapter "Control and Status
//! Registers"), and the debug specification (triggers).

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Number of the register, or of the first.
    pub number: u16,
    /// How many registers are alike, with numbers and names that follow on each other.
    pub count: u16,
    /// The name in assembly language, of the first.
    pub name: &'static str,
}

macro_rules! registers {
    ($($constant:ident $number:literal $count:literal $name:literal $meaning:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $meaning, ".")]
            pub const $constant: u16 = $number;
        )*

        /// The registers that exist, in the order of their numbers.
        pub const TABLE: &[Row] = &[
            $(Row { number: $constant, count: $count, name: $name },)*
        ];
    };
}

registers! {
    // constant    number count name           meaning
    FFLAGS         0x001 1  "fflags"        "accumulated float exceptions";
    FRM            0x002 1  "frm"           "float rounding mode";
    FCSR           0x003 1  "fcsr"          "both of them";

    SSTATUS        0x100 1  "sstatus"       "what S-mode sees of `mstatus`";
    SIE            0x104 1  "sie"           "interrupts enabled, of those that are delegated";
    STVEC          0x105 1  "stvec"         "where traps into S-mode go";
    SCOUNTEREN     0x106 1  "scounteren"    "counters that U-mode may read";
    SENVCFG        0x10a 1  "senvcfg"       "environment of U-mode";
    SSCRATCH       0x140 1  "sscratch"      "for the use of S-mode";
    SEPC           0x141 1  "sepc"          "address of the trap into S-mode";
    SCAUSE         0x142 1  "scause"        "cause of the trap into S-mode";
    STVAL          0x143 1  "stval"         "value of the trap into S-mode";
    SIP            0x144 1  "sip"           "interrupts pending, of those that are delegated";
    STIMECMP       0x14d 1  "stimecmp"      "when the supervisor timer is due";
    SATP           0x180 1  "satp"          "address translation";

    MSTATUS        0x300 1  "mstatus"       "modes, interrupts, float state";
    MISA           0x301 1  "misa"          "extensions";
    MEDELEG        0x302 1  "medeleg"       "exceptions delegated to S-mode";
    MIDELEG        0x303 1  "mideleg"       "interrupts delegated to S-mode";
    MIE            0x304 1  "mie"           "interrupts enabled";
    MTVEC          0x305 1  "mtvec"         "where traps into M-mode go";
    MCOUNTEREN     0x306 1  "mcounteren"    "counters that S-mode may read";
    MENVCFG        0x30a 1  "menvcfg"       "environment of S-mode";
    MCOUNTINHIBIT  0x320 1  "mcountinhibit" "counters that stand still";
    MHPMEVENT3     0x323 29 "mhpmevent3"    "what `mhpmcounter3` counts; up to `mhpmevent31`";
    MSCRATCH       0x340 1  "mscratch"      "for the use of M-mode";
    MEPC           0x341 1  "mepc"          "address of the trap into M-mode";
    MCAUSE         0x342 1  "mcause"        "cause of the trap into M-mode";
    MTVAL          0x343 1  "mtval"         "value of the trap into M-mode";
    MIP            0x344 1  "mip"           "interrupts pending";
    PMPCFG0        0x3a0 1  "pmpcfg0"       "how entries 0 to 7 protect memory";
    PMPCFG2        0x3a2 1  "pmpcfg2"       "how entries 8 to 15 protect memory";
    PMPADDR0       0x3b0 16 "pmpaddr0"      "which memory entry 0 protects; up to `pmpaddr15`";

    TSELECT        0x7a0 1  "tselect"       "trigger that the next ones are of";
    TDATA1         0x7a1 1  "tdata1"        "what a trigger is";
    TDATA2         0x7a2 1  "tdata2"        "its second word";
    TDATA3         0x7a3 1  "tdata3"        "its third word";
    TINFO          0x7a4 1  "tinfo"         "what a trigger may be";

    MCYCLE         0xb00 1  "mcycle"        "cycles";
    MINSTRET       0xb02 1  "minstret"      "instructions retired";
    MHPMCOUNTER3   0xb03 29 "mhpmcounter3"  "events; up to `mhpmcounter31`";

    CYCLE          0xc00 1  "cycle"         "`mcycle`, to be read";
    TIME           0xc01 1  "time"          "the guest's clock";
    INSTRET        0xc02 1  "instret"       "`minstret`, to be read";
    HPMCOUNTER3    0xc03 29 "hpmcounter3"   "`mhpmcounter3`, to be read; up to `hpmcounter31`";

    MVENDORID      0xf11 1  "mvendorid"     "who made the hart";
    MARCHID        0xf12 1  "marchid"       "its kind";
    MIMPID         0xf13 1  "mimpid"        "its version";
    MHARTID        0xf14 1  "mhartid"       "its number";
    MCONFIGPTR     0xf15 1  "mconfigptr"    "where a description of it is";
}

/// The name in assembly language of the register with this number, if there is one.
#[must_use]
pub fn name(number: u16) -> Option<String> {
    let row = (TABLE.iter()).find(|row| (row.number..row.number + row.count).contains(&number))?;
    let base = row.name.trim_end_matches(|c: char| c.is_ascii_digit());
    match row.name[base.len()..].parse::<u16>() {
        Ok(first) if row.count > 1 => Some(format!("{base}{}", first + number - row.number)),
        _ => Some(row.name.to_owned()),
    }
}

/// The lowest privilege mode that may access a register with this number, as the manual numbers modes: 0 for U, 1 for S, 3 for M.
#[inline(always)]
#[must_use]
pub const fn lowest_mode(number: u16) -> u8 {
    (number >> 8 & 3) as u8
}

/// Whether a register with this number cannot be written.
#[inline(always)]
#[must_use]
pub const fn is_read_only(number: u16) -> bool {
    number >> 10 == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order() {
        for rows in TABLE.windows(2) {
            assert!(
                rows[0].number + rows[0].count <= rows[1].number,
                "{rows:x?}"
            );
        }
    }

    #[test]
    fn names() {
        assert_eq!(name(MTVEC).as_deref(), Some("mtvec"));
        assert_eq!(name(TDATA1).as_deref(), Some("tdata1"));
        assert_eq!(name(PMPCFG2).as_deref(), Some("pmpcfg2"));
        assert_eq!(name(PMPADDR0 + 15).as_deref(), Some("pmpaddr15"));
        assert_eq!(name(HPMCOUNTER3 + 28).as_deref(), Some("hpmcounter31"));
        assert_eq!(name(PMPADDR0 + 16), None);
    }

    #[test]
    fn what_names_and_numbers_say_agree() {
        for row in TABLE {
            let mode = match row.name.as_bytes()[0] {
                // Triggers are for M-mode and debuggers.
                b'm' | b'p' => 3,
                b't' if row.number != TIME => 3,
                b's' => 1,
                _ => 0,
            };
            assert_eq!(lowest_mode(row.number), mode, "{}", row.name);
        }
        assert!(is_read_only(TIME) && is_read_only(MHARTID) && !is_read_only(MCYCLE));
    }
}
