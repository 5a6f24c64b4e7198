// Every synchronous trap, from every mode, delegated or not, by direct and vectored vectors; returns.
#include "runtime.h"

static struct probe p;
static u64 data[4] __attribute__((aligned(64)));

struct cause {
    const char *name;
    u32 words[3];
    u64 a0;
};
#define ILLEGAL(word) {#word, {word}, 0}
static const struct cause causes[] = {
    {"ecall", {0x73}, 0},
    {"ebreak", {0x100073}, 0},
    {"c.ebreak", {0x90029002}, 0},
    {"load nowhere", {0x00053503}, 0x10},
    {"load beyond", {0x00053503}, 0xf000000000000000},
    {"load behind", {0x00053503}, 0x84000000},
    {"load across the end", {0x00053503}, 0x83fffffc},
    {"store nowhere", {0x00b53023}, 0x10},
    {"store behind", {0x00b53023}, 0x84000000},
    {"store across the end", {0x00b53023}, 0x83fffffc},
    {"fetch nowhere", {0x00050067}, 0x20},
    {"fetch beyond", {0x00050067}, 0xf000000000000000},
    {"fetch odd", {0x00150067}, 0x90000000},
    {"fetch device", {0x00050067}, 0x2000000},
    {"lr misaligned", {0x1005352f}, 1},
    {"lr.w misaligned", {0x1005252f}, 1},
    {"amo misaligned", {0x00b5352f}, 2},
    {"amo.w misaligned", {0x00b5252f}, 2},
    {"sc misaligned", {0x1005362f, 0x18b5352f}, 4},
    {"amo across pages", {0x00b5352f}, 0xffc},
    {"lr nowhere", {0x1005352f}, 0x84000000},
    {"sc nowhere", {0x18b5352f}, 0x84000000},
    {"amo nowhere", {0x00b5352f}, 0x84000000},
    {"wfi", {0x10500073}, 0},
    {"csr absent", {0x5c002573}, 0},
    {"csr read-only", {0xf1451573}, 0},
    {"reserved rounding", {0x00005053}, 0},
    {"c.illegal", {0x00000000}, 0},
    {"c.addi4spn 0", {0x00010004}, 0},
    {"c.lwsp x0", {0x00014002}, 0},
    {"c.ldsp x0", {0x00016002}, 0},
    {"c.jr x0", {0x00018002}, 0},
    {"c.lui 0", {0x00016081}, 0},
    {"c.addiw x0", {0x00012005}, 0},
    {"c.addi16sp 0", {0x00016101}, 0},
    {"c reserved 0", {0x00018000}, 0},
    {"c reserved 1", {0x00019c41}, 0},
    {"c reserved 2", {0x00019c61}, 0},
    ILLEGAL(0xffffffff), ILLEGAL(0x0000007f), ILLEGAL(0x0000001f), ILLEGAL(0x00000057), ILLEGAL(0x0000000b),
    ILLEGAL(0x02007033 | 1 << 26), ILLEGAL(0x40001033), ILLEGAL(0x0200003b | 1 << 12), ILLEGAL(0x04001013),
    ILLEGAL(0x0200101b), ILLEGAL(0x00002063), ILLEGAL(0x00007003), ILLEGAL(0x00004023), ILLEGAL(0x00001067),
    ILLEGAL(0x1010252f), ILLEGAL(0x0000052f), ILLEGAL(0x2800052f), ILLEGAL(0x00004073), ILLEGAL(0x10600073),
    ILLEGAL(0x00000073 | 1 << 7), ILLEGAL(0x04000053), ILLEGAL(0xc0400053), ILLEGAL(0x58100053),
    ILLEGAL(0x00000007), ILLEGAL(0x00001007), ILLEGAL(0x00004007), ILLEGAL(0x0400007f), ILLEGAL(0x04000043),
    ILLEGAL(0xe0002053), ILLEGAL(0x20003053), ILLEGAL(0x0000200f), ILLEGAL(0x12051073),
};

static void one(const struct cause *cause, enum mode mode, u64 status) {
    p.a[0] = cause->a0;
    // Small numbers are offsets in `data`, but for those that are nowhere.
    if (p.a[0] && p.a[0] < 16) p.a[0] += (u64)data;
    if (p.a[0] == 0xffc) p.a[0] = (u64)code + 0xffc;
    p.a[1] = 5;
    run(&p, mode, status, make(cause->words, 2));
}

static void all(const char *label) {
    for (u32 i = 0; i < sizeof causes / sizeof *causes; i++) {
        for (int mode = 0; mode < 4; mode++) {
            if (mode == 2) continue;
            if (mode != USER && causes[i].words[0] == 0x10500073) continue;  // It would wait.
            // Its own trap handler answers a call from S-mode.
            put(label);
            put_char(' ');
            put(causes[i].name);
            hex(mode);
            put(" =");
            one(&causes[i], mode, SIE | SPIE | MPIE);
            tell(&p);
            one(&causes[i], mode, SPP);
            tell(&p);
            line();
        }
    }
}

// MRET and SRET: from each mode, to each mode, with each state of the interrupt bits.
static void returns(void) {
    static const u32 words[] = {0x30200073, 0x10200073};
    for (int which = 0; which < 2; which++) {
        for (int mode = 1; mode < 4; mode += 2) {
            for (u64 bits = 0; bits < 64; bits++) {
                // The state is set just before, as the way here is a return itself.
                u64 status = (bits & 1 ? SIE : 0) | (bits & 2 ? SPIE : 0) | (bits & 4 ? MPIE : 0);
                status |= (bits & 8 ? SPP : 0) | MPP((bits >> 4) % 4 == 2 ? 0 : bits >> 4) | FS | MPRV;
                static const u32 machine[] = {0x30051073, 0};
                u32 program[3];
                int count = 0;
                if (mode == MACHINE) program[count++] = machine[0];  // csrw mstatus, a0
                else program[count++] = 0x10051073;                  // csrw sstatus, a0
                program[count++] = words[which];
                p.a[0] = status;
                write_csr(sepc, finish);
                void *where = make(program, count);
                p.pc = (u64)where;
                p.status = FS | MPP(mode);
                p.ra = (u64)finish;
                // MRET goes where mepc says, which `enter` sets to the program.
                if (which == 0 && mode == MACHINE) {
                    program[0] = 0x34159073;  // csrw mepc, a1
                    program[1] = 0x30051073;
                    program[2] = words[0];
                    p.a[1] = (u64)finish;
                    make(program, 3);
                }
                enter(&p);
                put("return");
                hex(which);
                hex(mode);
                hex(bits);
                put(" =");
                hex(p.cause);
                hex(p.tval == words[0] || p.tval == 0 || p.tval == words[1] ? 0 : 1);
                hex(p.status_out & ~(which == 0 && mode == SUPERVISOR ? 0 : 0));
                line();
            }
        }
    }
}

static u64 interrupted;
// A trap in S-mode inside the handler of S-mode, and in M-mode inside the handler of M-mode.
static void nested(void) {
    // In S-mode: an illegal instruction at the vector itself would loop; so the vector is code that calls.
    write_csr(medeleg, 1 << 2 | 1 << 8);
    u32 handler[] = {0x142025f3, 0x14102673, 0x100026f3};  // csrr a1, scause; a2, sepc; a3, sstatus
    u32 *place = code + 64;
    for (int i = 0; i < 3; i++) place[i] = handler[i];
    place[3] = 0x00000073;  // ecall
    static const u32 words[] = {0xffffffff, 0x73, 0x30002573};
    for (int mode = 0; mode < 2; mode++) {
        for (int i = 0; i < 3; i++) {
            write_csr(stvec, place);
            run(&p, mode, SIE, make1(words[i]));
            put("nested");
            hex(mode);
            hex(i);
            put(" =");
            hex(p.cause);
            hex(p.epc - (u64)code);
            hex(p.a[1]);
            hex(p.a[2] - (u64)code);
            hex(p.a[3]);
            hex(p.status_out);
            line();
        }
    }
    write_csr(medeleg, 0);
    interrupted = 0;
}

void main(void) {
    MTIMECMP = ~0ul;
    asm volatile("csrw pmpaddr0, %0; csrw pmpcfg0, %1" ::"r"(~0ul >> 10), "r"(0x1f));
    write_csr(stvec, stable);
    all("direct");
    write_csr(mtvec, mtable + 1);
    write_csr(stvec, stable + 1);
    all("vectored");
    write_csr(medeleg, 0xb1ff);  // All but the call from S-mode.
    all("delegated");
    write_csr(mtvec, mtable);
    write_csr(stvec, stable);
    all("delegated direct");
    write_csr(medeleg, 0);
    returns();
    nested();
}
