// Atomic instructions: what each does to special values, reservations and what ends them, and counters.
#include "runtime.h"

static struct probe p;
static u64 data[16] __attribute__((aligned(128)));

static void operations(void) {
    static const u32 functions[] = {0, 1, 4, 8, 12, 16, 20, 24, 28};
    static const u64 values[] = {0, 1, ~0ul, 1ul << 63, ~0ul >> 1, 0x80000000, 0x7fffffff, 0xffffffff00000000,
        0x123456789abcdef0};
    for (int f = 0; f < 9; f++) {
        for (int width = 2; width < 4; width++) {
            for (int a = 0; a < 9; a++) {
                put("amo");
                hex(functions[f]);
                hex(width);
                hex(values[a]);
                put(" =");
                for (int b = 0; b < 9; b++) {
                    data[0] = values[a];
                    data[1] = 0x5555;
                    p.a[0] = (u64)data;
                    p.a[1] = values[b];
                    // To a2, with acquire and release in turn.
                    run(&p, MACHINE, 0, make1(functions[f] << 27 | (b & 3) << 25 | 11 << 20 | 10 << 15 | width << 12 | 12 << 7 | 0x2f));
                    hex(p.a[2]);
                    hex(data[0]);
                    if (!done(&p) || data[1] != 0x5555) put("?");
                }
                line();
            }
        }
    }
}

#define LR_W 0x1005262f  // lr.w a2, (a0)
#define LR_D 0x1005362f
#define SC_W 0x18b526af  // sc.w a3, a1, (a0)
#define SC_D 0x18b536af
// A reservation, then something, then the store.
static void reservations(void) {
    static const u32 between[] = {
        0x00000013,  // nothing
        LR_W, LR_D, SC_W, SC_D,
        0x00853683,  // ld a3, 8(a0)
        0x0000000f,  // fence
        0x0000100f,  // fence.i
        0x00150513,  // addi a0, a0, 1: misaligned
        0x00450513,  // addi a0, a0, 4
        0x00850513,  // addi a0, a0, 8
        0x12000073,  // sfence.vma
        0x34002673,  // csrr a2, mscratch
    };
    static const u32 stores[] = {SC_W, SC_D};
    static const u32 loads[] = {LR_W, LR_D, 0x00000013};
    for (int l = 0; l < 3; l++) {
        for (int s = 0; s < 2; s++) {
            for (u32 b = 0; b < sizeof between / sizeof *between; b++) {
                put("reservation");
                hex(loads[l]);
                hex(between[b]);
                hex(stores[s]);
                put(" =");
                for (int i = 0; i < 4; i++) data[i] = 0x1111111122222222 * (i + 1);
                u32 words[] = {loads[l], between[b], stores[s], 0x0006851b};  // sext.w a0, a3
                p.a[0] = (u64)data;
                p.a[1] = 0x99999999aaaaaaaa;
                p.a[2] = p.a[3] = 7;
                run(&p, MACHINE, 0, make(words, 4));
                put(done(&p) ? " ok" : " trap");
                hex(p.a[2]);
                hex(p.a[3]);
                if (!done(&p)) {
                    hex(p.cause);
                    hex(p.tval - (u64)data);
                }
                for (int i = 0; i < 3; i++) hex(data[i]);
                line();
            }
        }
    }
    // A store-conditional is of use once only.
    static const u32 again[] = {LR_D, SC_D, 0x18b5362f};  // The last to a2.
    p.a[0] = p.a[1] = (u64)data;
    p.a[3] = 9;
    run(&p, MACHINE, 0, make(again, 3));
    put("twice =");
    hex(p.a[3]);
    hex(p.a[2]);
    line();
    // A loop that counts with both.
    put("loop =");
    data[4] = 0;
    for (int i = 0; i < 1000; i++) {
        u64 old, failed;
        asm volatile("1: lr.d %0, (%2); addi %0, %0, 3; sc.d %1, %0, (%2); bnez %1, 1b"
                     : "=&r"(old), "=&r"(failed) : "r"(&data[4]) : "memory");
    }
    hex(data[4]);
    line();
}

static void counters(void) {
    put("monotony =");
    int good = 1;
    u64 cycle = read_csr(mcycle), instret = read_csr(minstret), time = read_csr(time);
    for (int i = 0; i < 1000; i++) {
        u64 c = read_csr(mcycle), n = read_csr(minstret), t = read_csr(time);
        good &= c >= cycle && n >= instret && t >= time;
        cycle = c;
        instret = n;
        time = t;
    }
    hex(good);
    u64 until = MTIME + 1000;
    while (MTIME < until) {}
    hex(read_csr(time) >= until);
    hex(read_csr(mcycle) > cycle);
    hex(read_csr(minstret) > instret);
    asm volatile("csrw 0x320, %0" ::"r"(5));
    cycle = read_csr(mcycle);
    instret = read_csr(minstret);
    for (int i = 0; i < 100; i++) asm volatile("nop");
    hex(read_csr(mcycle) == cycle);
    hex(read_csr(minstret) == instret);
    asm volatile("csrw 0x320, zero");
    line();
}

// Code that is changed, with FENCE.I: a function whose constant counts, in RAM that moves through a page.
static void changing_code(void) {
    static u16 room[4096] __attribute__((aligned(4096)));
    u64 sum = 0;
    for (int i = 0; i < 4000; i++) {
        volatile u16 *place = room + i % 4090;
        u32 word = (u32)(i & 0x7ff) << 20 | 0x00050513;  // addi a0, a0, i
        place[0] = word;
        place[1] = word >> 16;
        place[2] = 0x8082;
        asm volatile("fence.i" ::: "memory");
        sum = ((u64(*)(u64))(u64)place)(sum * 3);
    }
    put("changing code =");
    hex(sum);
    line();
}

void main(void) {
    MTIMECMP = ~0ul;
    operations();
    reservations();
    counters();
    changing_code();
}
