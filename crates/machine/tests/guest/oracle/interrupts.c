// Which interrupt is taken, where and how, for every set of pending ones, delegation, mask and mode; WFI.
#include "runtime.h"

static struct probe p;
#define PLIC 0xc000000
#define WORD(address) (*(volatile u32 *)(address))

// The serial port's interrupt reaches the contexts of M- and S-mode as wished.
static void external(int machine, int supervisor) {
    WORD(PLIC + 40) = 1;
    WORD(PLIC + 0x2000) = machine ? 1 << 10 : 0;
    WORD(PLIC + 0x2080) = supervisor ? 1 << 10 : 0;
    WORD(PLIC + 0x200000) = 0;
    WORD(PLIC + 0x201000) = 0;
    UART[1] = machine || supervisor ? 2 : 0;
}

// Makes pending: bit 0 SSIP, 1 MSIP, 2 STIP, 3 MTIP, 4 SEIP, 5 MEIP.
static void raise(u32 set) {
    write_csr(mip, (set & 1 ? 2 : 0) | (set & 4 ? 32 : 0) | (set & 16 ? 512 : 0));
    MSIP = set >> 1 & 1;
    MTIMECMP = set & 8 ? 0 : ~0ul;
    external(set >> 5 & 1, 0);
    // Until all lines have arrived.
    u64 want = (set & 2 ? 8 : 0) | (set & 8 ? 128 : 0) | (set & 32 ? 2048 : 0);
    while ((read_csr(mip) & 0x888) != want) {}
}

static void quiet(void) {
    write_csr(mie, 0);
    raise(0);
}

// The number of one interrupt of `pending`, which are of one privilege, as a letter from `first` on. Of more
// than one, '=' is the first by the manual and by number, '>' that by the manual, '<' that by number.
static void number(u64 cause, u64 pending, char first) {
    static const char order[] = {11, 3, 7, 9, 1, 5};
    if (!(pending & (pending - 1))) {
        put_char(pending >> cause == 1 ? first + cause : '?');
        return;
    }
    int best = 0;
    while (!(pending >> order[best] & 1)) best++;
    int by_manual = order[best] == (int)cause;
    int by_number = !(pending & ((1ul << cause) - 1)) && pending >> cause & 1;
    put_char(by_manual ? by_number ? '=' : '>' : by_number ? '<' : '?');
}

// What is taken of `pending`: M-mode's in capitals; nothing is a dot.
static void taken(u64 pending) {
    u64 mideleg = read_csr(mideleg);
    if (p.cause & INTERRUPT) {
        number(p.cause & 15, pending & ~mideleg, 'A');
        if (p.epc != p.pc) put_char('?');
        if ((p.tp - (u64)mtable) / 4 - 1 != (p.cause & 15)) put_char('!');
    } else if (p.cause == 9 && p.epc == (u64)scall) {
        u64 cause = read_csr(scause);
        if (!(cause & INTERRUPT)) put_char('?');
        number(cause & 15, pending & mideleg, 'a');
        if (read_csr(sepc) != p.pc) put_char('?');
        if ((p.gp - (u64)stable) / 4 - 1 != (cause & 15)) put_char('!');
    } else {
        put_char(done(&p) ? '.' : '?');
    }
}
static u64 bits(u32 set) {
    u64 mask = 0;
    for (int bit = 0; bit < 6; bit++) mask |= (set >> bit & 1ul) << (2 * bit + 1);
    return mask;
}

static const u64 delegations[] = {0, 2, 32, 512, 34, 514, 544, 546};

static void priorities(void) {
    for (int delegation = 0; delegation < 8; delegation++) {
        write_csr(mideleg, delegations[delegation]);
        for (int mode = 0; mode < 4; mode++) {
            if (mode == 2) continue;
            for (int enabled = 0; enabled < 4; enabled++) {
                put("pending");
                hex(delegations[delegation]);
                hex(mode);
                hex(enabled);
                put(" = ");
                for (int set = 0; set < 64; set++) {
                    raise(set);
                    write_csr(mie, 0xaaa);
                    // MRET restores MIE from MPIE.
                    run(&p, mode, (enabled & 1 ? SIE : 0) | (enabled & 2 ? MPIE : 0), finish);
                    write_csr(mie, 0);
                    taken(bits(set));
                }
                line();
                put("masked");
                hex(delegations[delegation]);
                hex(mode);
                hex(enabled);
                put(" = ");
                raise(63);
                for (int set = 0; set < 64; set++) {
                    write_csr(mie, bits(set));
                    run(&p, mode, (enabled & 1 ? SIE : 0) | (enabled & 2 ? MPIE : 0), finish);
                    write_csr(mie, 0);
                    taken(bits(set));
                }
                line();
            }
        }
    }
    quiet();
}

// The whole trap state, for each interrupt alone, by direct and vectored vectors.
static void state(void) {
    for (int vectored = 0; vectored < 2; vectored++) {
        write_csr(mtvec, mtable + vectored);
        write_csr(stvec, stable + vectored);
        for (int delegated = 0; delegated < 2; delegated++) {
            write_csr(mideleg, delegated ? 546 : 0);
            for (int bit = 0; bit < 6; bit++) {
                for (int mode = 0; mode < 4; mode++) {
                    if (mode == 2) continue;
                    raise(1 << bit);
                    write_csr(mie, 0xaaa);
                    put("state");
                    hex(vectored);
                    hex(delegated);
                    hex(bit);
                    hex(mode);
                    put(" =");
                    run(&p, mode, SIE | MPIE, finish);
                    write_csr(mie, 0);
                    tell(&p);
                    hex(read_csr(mip));
                    hex(read_csr(sip));
                    line();
                }
            }
        }
    }
    quiet();
}

// sip and sie show and change what is delegated; mip keeps software's SEIP apart from the line.
static void views(void) {
    for (int delegation = 0; delegation < 8; delegation++) {
        write_csr(mideleg, delegations[delegation]);
        put("views");
        hex(delegations[delegation]);
        put(" =");
        write_csr(mie, 0);
        write_csr(sie, ~0ul);
        hex(read_csr(mie) & 0xaaa);
        write_csr(mie, ~0ul);
        hex(read_csr(sie));
        write_csr(sie, 0);
        hex(read_csr(mie) & 0xaaa);
        write_csr(mip, 0);
        write_csr(sip, ~0ul);
        hex(read_csr(mip));
        write_csr(mip, ~0ul);
        hex(read_csr(sip));
        write_csr(sip, 0);
        hex(read_csr(mip) & 0xaaa);
        write_csr(mip, 0);
        write_csr(mie, 0);
        line();
    }
    write_csr(mideleg, 0);
    external(0, 1);
    while (!(read_csr(mip) & 512)) {}
    put("seip line =");
    hex(read_csr(mip));
    u64 old;
    asm volatile("csrrs %0, mip, %1" : "=r"(old) : "r"(2));
    hex(old);
    external(0, 0);
    while (read_csr(mip) & 512 && UART[1]) {}
    WORD(PLIC + 0x201000) = 7;
    hex(read_csr(mip));
    write_csr(mip, 512);
    hex(read_csr(mip));
    external(0, 1);
    hex(read_csr(mip));
    write_csr(mip, 0);
    hex(read_csr(mip));
    // Claimed, it is not pending any more; completed, it is again.
    u32 claim = WORD(PLIC + 0x201004);
    hex(claim);
    hex(read_csr(mip));
    WORD(PLIC + 0x201004) = claim;
    hex(read_csr(mip));
    external(0, 0);
    line();
    write_csr(mip, 0);
    quiet();
}

// WFI ends when something enabled in mie is pending, whatever mstatus and mideleg say.
static void waiting(void) {
    static const u32 wfi = 0x10500073;
    for (int mode = 1; mode < 4; mode += 2) {
        for (int enabled = 0; enabled < 4; enabled++) {
            for (int delegated = 0; delegated < 2; delegated++) {
                put("wfi");
                hex(mode);
                hex(enabled);
                hex(delegated);
                put(" = ");
                quiet();
                write_csr(mideleg, delegated ? 546 : 0);
                // By what comes later: the timer.
                write_csr(mie, 128);
                MTIMECMP = MTIME + 2000;
                run(&p, mode, (enabled & 1 ? SIE : 0) | (enabled & 2 ? MPIE : 0), make1(wfi));
                write_csr(mie, 0);
                if (p.cause & INTERRUPT) {
                    put_char('A' + (p.cause & 15));
                    // Behind WFI, or before it if the host was slow.
                    if (p.epc != (u64)code + 4 && p.epc != (u64)code) put_char('?');
                } else {
                    put_char(done(&p) ? '.' : '?');
                }
                // By what is pending.
                for (int set = 1; set < 64; set++) {
                    raise(set);
                    write_csr(mie, 0xaaa);
                    run(&p, mode, (enabled & 1 ? SIE : 0) | (enabled & 2 ? MPIE : 0), make1(wfi));
                    write_csr(mie, 0);
                    taken(bits(set));
                }
                line();
            }
        }
    }
    quiet();
}

// The timer of S-mode by Sstc.
static void supervisor_timer(void) {
    write_csr(mcounteren, 2);
    asm volatile("csrw 0x30a, %0" ::"r"(1ul << 63));
    for (int delegated = 0; delegated < 2; delegated++) {
        write_csr(mideleg, delegated ? 32 : 0);
        for (int mode = 0; mode < 4; mode++) {
            if (mode == 2) continue;
            asm volatile("csrw 0x14d, %0" ::"r"(~0ul));
            put("sstc");
            hex(delegated);
            hex(mode);
            put(" =");
            hex(read_csr(mip));
            write_csr(mip, 32);
            hex(read_csr(mip));
            asm volatile("csrw 0x14d, zero");
            hex(read_csr(mip));
            write_csr(mip, 0);
            hex(read_csr(mip));
            write_csr(mie, 32);
            run(&p, mode, SIE | MPIE, finish);
            write_csr(mie, 0);
            tell(&p);
            asm volatile("csrw 0x30a, zero");
            hex(read_csr(mip) >> 5 & 1);
            asm volatile("csrw 0x30a, %0" ::"r"(1ul << 63));
            hex(read_csr(mip));
            line();
        }
    }
    asm volatile("csrw 0x14d, %0" ::"r"(~0ul));
    asm volatile("csrw 0x30a, zero");
}

void main(void) {
    asm volatile("csrw pmpaddr0, %0; csrw pmpcfg0, %1" ::"r"(~0ul >> 10), "r"(0x1f));
    write_csr(mtvec, mtable + 1);
    write_csr(stvec, stable + 1);
    quiet();
    priorities();
    state();
    write_csr(mtvec, mtable + 1);
    write_csr(stvec, stable + 1);
    views();
    waiting();
    supervisor_timer();
}
