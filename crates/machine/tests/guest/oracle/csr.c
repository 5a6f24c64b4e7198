// Every CSR: value out of reset, what writes leave, and who may read it when.
#include "runtime.h"

static struct probe p;

enum { RW = 1, RS = 2, RC = 3, RWI = 5, RSI = 6, RCI = 7 };
static u32 access(u32 csr, u32 how, u32 rd, u32 rs1) {
    return csr << 20 | rs1 << 15 | how << 12 | rd << 7 | 0x73;
}
static u32 read(u32 csr) { return access(csr, RS, 10, 0); }

// Those that count by themselves.
static int counts(u32 csr) {
    return csr == 0xb00 || csr == 0xb02 || csr == 0xc00 || csr == 0xc01 || csr == 0xc02;
}

static void try(enum mode mode, u64 status, u32 word) {
    run(&p, mode, status, make1(word));
}

static void reset_values(void) {
    for (u32 csr = 0; csr < 4096; csr++) {
        try(MACHINE, 0, read(csr));
        if (!done(&p) && p.cause == 2 && (p.tval == read(csr) || p.tval == 0)) continue;
        put("reset ");
        bare_hex(csr);
        put(" =");
        if (counts(csr) && done(&p)) put(" counts");
        else if (csr == 0x340 || csr == 0x341 || csr == 0x342 || csr == 0x343) put(" used");
        else tell(&p);
        line();
    }
}

static void written_values(void) {
    static const u64 patterns[] = {~0ul, 0, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa, 1ul << 63, 0x8000000000001801,
        0x9fff000000012345, 0xa000000000000000, 0x1800, 0x1000, 0x800, 2, 3, 1};
    for (u32 csr = 0; csr < 3072; csr++) {
        try(MACHINE, 0, read(csr));
        if (!done(&p)) continue;
        if (csr >= 0x3a0 && csr < 0x3f0) continue;  // Protection has a program of its own.
        if (csr == 0x340) continue;                 // The harness's own.
        // Counters that QEMU can make count something, and triggers that it does not have.
        if ((csr >= 0x323 && csr < 0x340) || (csr >= 0xb03 && csr < 0xb20)) continue;
        if (csr >= 0x7a0 && csr < 0x7b0) continue;
        put("write ");
        bare_hex(csr);
        put(" =");
        for (u32 i = 0; i < sizeof patterns / sizeof *patterns; i++) {
            // Write; read; put back.
            u32 words[] = {access(csr, RW, 5, 11), access(csr, RW, 10, 5)};
            p.a[1] = patterns[i];
            p.a[0] = 0;
            if (csr == 0x305) p.a[1] &= 0x8000ffff;
            run(&p, MACHINE, 0, make(words, 2));
            if (!done(&p)) {
                tell(&p);
            } else if (counts(csr)) {
                put(" counts");
            } else {
                hex(p.a[0]);
            }
        }
        line();
    }
}

static void who_may(enum mode mode, u64 status, const char *label) {
    for (u32 csr = 0; csr < 4096; csr++) {
        try(mode, status, read(csr));
        if (!done(&p) && p.cause == 2) {
            if (p.tval != read(csr)) {
                put("odd");
                hex(csr);
                hex(mode);
                hex(status);
                put(" =");
                tell(&p);
                line();
            }
            continue;
        }
        put(label);
        hex(csr);
        put(" =");
        if (done(&p)) put(" ok");
        else tell(&p);
        line();
    }
}

static void counters_enabled(void) {
    for (u64 set = 0; set < 64; set++) {
        static const u64 masks[] = {0, 1, 2, 4, 7, 0xffffffff, 8, 0xfffffff8};
        write_csr(mcounteren, masks[set & 7]);
        write_csr(scounteren, masks[set >> 3]);
        put("counters");
        hex(masks[set & 7]);
        hex(masks[set >> 3]);
        put(" =");
        for (u32 mode = 0; mode < 4; mode++) {
            if (mode == 2) continue;
            put_char(' ');
            for (u32 csr = 0xc00; csr < 0xc05; csr++) {
                try(mode, 0, read(csr));
                put_char(done(&p) ? '1' : '0');
            }
        }
        line();
    }
    write_csr(mcounteren, 0);
    write_csr(scounteren, 0);
}

static void supervisor_timer(void) {
    for (u64 set = 0; set < 4; set++) {
        asm volatile("csrw 0x30a, %0" ::"r"((set & 1) << 63));
        write_csr(mcounteren, set & 2);
        put("stimecmp");
        hex(set);
        put(" =");
        for (u32 mode = 0; mode < 4; mode++) {
            if (mode == 2) continue;
            p.a[0] = 0;
            try(mode, 0, read(0x14d));
            tell(&p);
            p.a[1] = ~0ul;
            p.a[0] = 0;
            try(mode, 0, access(0x14d, RW, 10, 11));
            tell(&p);
        }
        line();
    }
    asm volatile("csrw 0x30a, %0" ::"r"(0));
    write_csr(mcounteren, 0);
}

// All six instructions, with and without operand and destination, on registers of each kind.
static void forms(void) {
    static const u32 csrs[] = {0xf14, 0xc00, 0x140, 0x301, 0x7c0, 0x001, 0x003, 0x180, 0x344, 0x300};
    for (u32 i = 0; i < sizeof csrs / sizeof *csrs; i++) {
        for (u32 how = 1; how < 8; how++) {
            for (u32 operands = 0; operands < 4; operands++) {
                u32 rs1 = operands & 1 ? how >= 4 ? 3 : 11 : 0;
                p.a[0] = 7;
                p.a[1] = 0;
                write_csr(mcounteren, 0);
                try(MACHINE, 0, access(csrs[i], how, operands & 2 ? 12 : 0, rs1));
                put("form");
                hex(csrs[i]);
                hex(how);
                hex(operands);
                put(done(&p) ? " = ok" : " = trap");
                if (!done(&p)) hex(p.tval);
                line();
            }
        }
    }
    asm volatile("csrw fcsr, zero; csrw satp, zero; csrw sie, zero; csrw mip, zero");
}

static void trapped_by_status(void) {
    static const u32 words[] = {
        0x10500073,  // wfi
        0x12000073,  // sfence.vma
        0x18002573,  // csrr a0, satp
        0x18051573,  // csrrw a0, satp, a0
        0x14202573,  // csrr a0, scause
        0x10200073,  // sret
        0x30200073,  // mret
        0x0000100f,  // fence.i
        0x0ff0000f,  // fence
        0x16000073,  // sinval.vma, not here
        0x7b200073,  // dret, not here
        0x00200073,  // uret, not here
    };
    write_csr(mie, 8);
    for (u32 mode = 0; mode < 4; mode++) {
        if (mode == 2) continue;
        for (u64 bits = 0; bits < 8; bits++) {
            for (u32 i = 0; i < sizeof words / sizeof *words; i++) {
                u64 status = (bits & 1 ? TVM : 0) | (bits & 2 ? TW : 0) | (bits & 4 ? TSR : 0) | SPP;
                write_csr(sepc, finish);
                // Pending, so that WFI ends at once; below M-mode it would be taken first.
                MSIP = mode == MACHINE;
                if (mode != MACHINE) {
                    if (words[i] == 0x10500073) {
                        // STIP is pending, enabled, delegated, and not to be taken in S-mode.
                        write_csr(mideleg, 32);
                        write_csr(mie, 32);
                        write_csr(mip, 32);
                        if (mode == USER && !(status & TW)) continue;
                    }
                }
                if (mode == MACHINE && words[i] == 0x30200073) continue;
                p.a[0] = 0;
                // With interrupts delegated, U-mode takes them at once.
                if (mode == USER) write_csr(mie, 0);
                try(mode, status, words[i]);
                put("status");
                hex(mode);
                hex(bits);
                hex(words[i]);
                put(" =");
                tell(&p);
                line();
                write_csr(mip, 0);
                write_csr(mideleg, 0);
                write_csr(mie, 8);
            }
        }
    }
    MSIP = 0;
    write_csr(mie, 0);
}

static void float_off(void) {
    static const u32 words[] = {
        0x00000053,  // fadd.s f0, f0, f0, rne
        0x00102573,  // csrr a0, fflags
        0x00302573,  // csrr a0, fcsr
        0xe0000553,  // fmv.x.w a0, f0
        0x00052007,  // flw
        0x00053027,  // fsd
        0x00005053,  // reserved rounding mode
        0x00006053,
        0x00007053,  // dynamic
    };
    for (u32 i = 0; i < sizeof words / sizeof *words; i++) {
        for (u64 fs = 0; fs < 4; fs++) {
            for (u32 frm = 0; frm < 8; frm++) {
                write_csr(frm, frm);
                p.pc = (u64)make1(words[i]);
                p.status = fs << 13 | MPP(USER);
                p.ra = (u64)finish;
                p.a[0] = (u64)&code[64];
                enter(&p);
                put("float");
                hex(words[i]);
                hex(fs);
                hex(frm);
                put(done(&p) ? " = ok" : " = trap");
                hex(p.status_out);
                line();
                asm volatile("csrs mstatus, %0" ::"r"((u64)FS));
            }
        }
    }
    write_csr(frm, 0);
}

void main(void) {
    asm volatile("csrw pmpaddr0, %0; csrw pmpcfg0, %1" ::"r"(~0ul), "r"(0x1f));
    reset_values();
    MTIMECMP = ~0ul;
    written_values();
    who_may(SUPERVISOR, 0, "S");
    who_may(USER, 0, "U");
    write_csr(mcounteren, ~0ul);
    write_csr(scounteren, ~0ul);
    who_may(SUPERVISOR, TVM, "S+");
    who_may(USER, 0, "U+");
    counters_enabled();
    supervisor_timer();
    forms();
    trapped_by_status();
    float_off();
}
