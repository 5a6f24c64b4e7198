// Physical memory protection: what writes leave, and who may do what around the borders of each kind of entry.
#include "runtime.h"

static struct probe p;
static u8 area[16384] __attribute__((aligned(16384)));
#define AREA ((u64)area)
// What is in the area, and is stored there: instructions that return.
#define RETURNS 0x8082808280828082
static u64 everything = ~0ul >> 10;

static void clear(void) {
    asm volatile("csrw pmpcfg0, zero; csrw pmpcfg2, zero");
}
static void set_addr(int index, u64 value) {
    switch (index) {
#define ONE(n) case n: asm volatile("csrw pmpaddr" #n ", %0" ::"r"(value)); break;
    ONE(0) ONE(1) ONE(2) ONE(3) ONE(4) ONE(5) ONE(6) ONE(7) ONE(8) ONE(9) ONE(10) ONE(11) ONE(12) ONE(13) ONE(14) ONE(15)
    }
}
static u64 get_addr(int index) {
    u64 value = 0;
    switch (index) {
#undef ONE
#define ONE(n) case n: asm volatile("csrr %0, pmpaddr" #n : "=r"(value)); break;
    ONE(0) ONE(1) ONE(2) ONE(3) ONE(4) ONE(5) ONE(6) ONE(7) ONE(8) ONE(9) ONE(10) ONE(11) ONE(12) ONE(13) ONE(14) ONE(15)
    }
    return value;
}

static void writes(void) {
    for (u64 value = 0; value < 256; value++) {
        if (value > 0x1f && value != 0x7f) continue;  // Locked ones come last.
        if (value % 8 == 2 || value % 8 == 6) continue;  // Reserved: writable, but not readable.
        put("config");
        hex(value);
        put(" =");
        for (int place = 0; place < 16; place += 5) {
            if (place < 8) write_csr(pmpcfg0, value << place * 8);
            else write_csr(pmpcfg2, value << (place - 8) * 8);
            hex(read_csr(pmpcfg0));
            hex(read_csr(pmpcfg2));
            clear();
        }
        line();
    }
    for (int index = 0; index < 16; index++) {
        static const u64 values[] = {0, 0x3fffffffffffff, 1, 0x15555555555555, 0x2aaaaaaaaaaaaa, 2, 0x1ff};
        put("address");
        hex(index);
        put(" =");
        for (int i = 0; i < 7; i++) {
            set_addr(index, values[i]);
            hex(get_addr(index));
        }
        set_addr(index, 0);
        line();
    }
}

enum { LOADS = 4, KINDS = 13 };
static const u32 words[KINDS] = {
    0x00050503, 0x00051503, 0x00052503, 0x00053503,  // lb lh lw ld
    0x00b50023, 0x00b51023, 0x00b52023, 0x00b53023,  // sb sh sw sd
    0x1005252f, 0x1005352f, 0x08b5252f, 0x08b5352f,  // lr.w lr.d amoswap.w amoswap.d
    0x00050067,                                      // jr a0
};
static u32 width(int kind) {
    return kind == 12 ? 4 : 1u << (words[kind] >> 12 & 3);
}

// One character: what came of an access.
static void probe(int kind, enum mode mode, u64 address) {
    p.a[0] = address;
    p.a[1] = RETURNS;
    run(&p, mode, 0, make1(words[kind]));
    if (done(&p)) put_char('.');
    else digit(p.cause);
    if (!done(&p) && p.tval != address && p.tval != p.pc) put_char('?');
}

// Every access, aligned, in each mode, around [AREA + 0x1000 - 16, + 32).
static void around(const char *label, u64 number, u64 offset) {
    for (int mode = 0; mode < 4; mode++) {
        if (mode == 2) continue;
        put(label);
        hex(number);
        hex(mode);
        put(" = ");
        for (int kind = 0; kind < KINDS; kind++) {
            for (u64 at = offset - 16; at < offset + 32; at += width(kind)) {
                if (kind == 12 && mode == MACHINE) continue;
                probe(kind, mode, AREA + at);
            }
            put_char(' ');
        }
        line();
    }
}

// Entry 15 gives all to everyone; those before it take or give.
static void open_rest(void) {
    set_addr(15, everything);
    write_csr(pmpcfg2, 0x1ful << 56);
}

static void kinds(void) {
    static const u8 permissions[] = {0, 1, 3, 4, 5, 7};
    for (int i = 0; i < 6; i++) {
        u8 rights = permissions[i];
        clear();
        open_rest();
        set_addr(0, (AREA + 0x1000) >> 2);
        write_csr(pmpcfg0, 0x10 | rights);
        around("na4", rights, 0x1000);
        for (int size = 0; size < 3; size++) {
            set_addr(0, (AREA + 0x1000) >> 2 | ((1 << size) - 1));
            write_csr(pmpcfg0, 0x18 | rights);
            around("napot", rights | size << 4, 0x1000);
        }
        set_addr(0, (AREA + 0x1000) >> 2 | 0x1ff);
        write_csr(pmpcfg0, 0x18 | rights);
        around("page", rights, 0x1000);
        around("page end", rights, 0x2000);
        set_addr(0, (AREA + 0xffc) >> 2);
        set_addr(1, (AREA + 0x1008) >> 2);
        write_csr(pmpcfg0, (0x08 | rights) << 8);
        around("tor", rights, 0x1000);
        // Empty, and the wrong way round.
        set_addr(0, (AREA + 0x1008) >> 2);
        around("tor empty", rights, 0x1000);
        set_addr(0, (AREA + 0x1010) >> 2);
        around("tor back", rights, 0x1000);
        // From 0.
        set_addr(0, (AREA + 0x1004) >> 2);
        write_csr(pmpcfg0, 0x0f);
        set_addr(1, (AREA + 0x1008) >> 2 | 1);
        write_csr(pmpcfg0, (0x18ul | rights) << 8 | 0x0f);
        around("tor from 0", rights, 0x1000);
    }
    clear();
}

// The lowest entry that matches a byte decides, even if it does not match all.
static void priority(void) {
    for (int order = 0; order < 4; order++) {
        clear();
        open_rest();
        u64 small = (AREA + 0x1000) >> 2, large = (AREA + 0x1000) >> 2 | 3;
        set_addr(2, order & 1 ? small : large);
        set_addr(6, order & 1 ? large : small);
        u64 a = order & 1 ? 0x10 : 0x18, b = order & 1 ? 0x18 : 0x10;
        a |= order & 2 ? 7 : 0;
        b |= order & 2 ? 0 : 7;
        write_csr(pmpcfg0, a << 16 | b << 48);
        around("priority", order, 0x1000);
    }
    clear();
    // No entry matches, or none is on.
    write_csr(pmpcfg2, 0);
    around("none on", 0, 0x1000);
    set_addr(0, AREA >> 2 | 0x7ff);
    write_csr(pmpcfg0, 0);
    set_addr(3, (u64)code >> 2 | 0x1ff);
    set_addr(4, (u64)finish >> 2 | 0x1ff);
    write_csr(pmpcfg0, 0x1ful << 24 | 0x1ful << 32);
    around("no match", 0, 0x1000);
    clear();
}

// By MPRV, M-mode's accesses are checked as those of the other mode; page tables as S-mode's.
static u64 root[512] __attribute__((aligned(4096)));
static void translated(void) {
    static const u8 permissions[] = {0, 1, 3, 7};
    root[2] = 0x80000000ul >> 12 << 10 | 0xcf;
    root[1] = 0x80000000ul >> 12 << 10 | 0x0f;
    for (int i = 0; i < 4; i++) {
        clear();
        open_rest();
        set_addr(0, (u64)root >> 2 | 0x1ff);
        write_csr(pmpcfg0, 0x18 | permissions[i]);
        write_csr(satp, 8ul << 60 | (u64)root >> 12);
        for (int bits = 0; bits < 4; bits++) {
            // Load or store; with the accessed and dirty bits to be set, or not.
            put("table");
            hex(permissions[i]);
            hex(bits);
            put(" = ");
            asm volatile("sfence.vma");
            write_csr(pmpcfg0, 0x18 | permissions[i]);
            u64 address = AREA - (bits & 2 ? 0x40000000 : 0);
            u32 program[] = {0x3006a073, bits & 1 ? 0x00b53023 : 0x00053503};  // csrs mstatus, a3
            p.a[0] = address;
            p.a[3] = MPRV;
            p.pc = (u64)make(program, 2);
            u32 whole[] = {0x30063073, 0x3006a073, program[1]};
            p.a[2] = MPP(MACHINE);
            p.a[3] = MPRV | MPP(SUPERVISOR);
            p.pc = (u64)make(whole, 3);
            p.status = FS | MPP(MACHINE);
            p.ra = (u64)finish;
            enter(&p);
            if (done(&p)) put_char('.');
            else digit(p.cause);
            hex(p.tval == address || done(&p));
            write_csr(pmpcfg0, 0x1f);
            hex(root[1] & 0xff);
            root[1] = 0x80000000ul >> 12 << 10 | 0x0f;
            line();
        }
    }
    write_csr(satp, 0);
    clear();
}

// Locked entries bind M-mode and stay.
static void locked(void) {
    open_rest();
    set_addr(4, (AREA + 0x1000) >> 2 | 1);
    write_csr(pmpcfg0, 0x99ul << 32);
    around("locked", 1, 0x1000);
    set_addr(6, (AREA + 0x2000) >> 2);
    set_addr(7, (AREA + 0x2010) >> 2);
    write_csr(pmpcfg0, 0x88ul << 56);
    around("locked tor", 0, 0x2000);
    put("locked writes =");
    for (int index = 0; index < 16; index++) {
        u64 old = get_addr(index);
        set_addr(index, 0x1234);
        hex(get_addr(index) == 0x1234);
        set_addr(index, old);
    }
    write_csr(pmpcfg0, 0);
    hex(read_csr(pmpcfg0));
    write_csr(pmpcfg0, 0x1f1f1f1f1f1f1f1f);
    hex(read_csr(pmpcfg0));
    line();
}

void main(void) {
    MTIMECMP = ~0ul;
    for (u32 i = 0; i < sizeof area; i += 8) *(u64 *)(AREA + i) = RETURNS;
    asm volatile("fence.i");
    writes();
    kinds();
    priority();
    translated();
    locked();
}
