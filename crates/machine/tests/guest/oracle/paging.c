// Address translation: every page table entry, mode and kind of access; superpages; accesses that straddle
// pages. A character a probe: what trap, or none, and what became of the accessed and dirty bits.
#include "runtime.h"

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
#define PAGE(address) ((u64)(address) >> 12 << 10)

static u64 root[512] __attribute__((aligned(4096)));
static u64 upper[512] __attribute__((aligned(4096)));   // Above the root of Sv39, in Sv48.
static u64 middle[512] __attribute__((aligned(4096)));
static u64 leaf[512] __attribute__((aligned(4096)));
static u32 page[3 * 1024] __attribute__((aligned(4096)));
static struct probe p;
static int sv48;
static u64 early;  // How often a trapped access set the accessed bit.

#define ALIAS 0x40000000ul     // Added to an address, for U-mode.
#define TEST 0x40000000ul      // Where the pages under test are.
static const u64 all = V | R | W | X | A | D;

static void tables(void) {
    for (int i = 0; i < 512; i++) root[i] = upper[i] = middle[i] = leaf[i] = 0;
    root[1] = PAGE(middle) | V;
    root[2] = PAGE(0x80000000) | all;
    root[3] = PAGE(0x80000000) | all | U;
    middle[0] = PAGE(leaf) | V;
    upper[0] = PAGE(root) | V;
    write_csr(satp, sv48 ? 9ul << 60 | (u64)upper >> 12 : 8ul << 60 | (u64)root >> 12);
    flush();
}

enum access { FETCH, LOAD, STORE, SWAP, RESERVE, ACCESSES };
static const char names[][3] = {"F", "L", "S", "A", "R"};

// Accesses `address` in a mode; as M-mode with MPRV, if so wanted.
static void touch(enum access access, enum mode mode, u64 status, u64 address, int by_mprv) {
    static const u32 words[] = {0, 0x00053503, 0x00b53023, 0x00b5352f, 0x1005352f};  // to a0 from (a0), a1
    u64 alias = mode == USER && !by_mprv ? ALIAS : 0;
    p.ra = (u64)finish + alias;
    p.status = FS | status | MPP(mode);
    p.a[0] = address;
    p.a[1] = 0x1234567800008082;
    if (access == FETCH) {
        p.pc = address;
    } else if (by_mprv) {
        // The trap handler takes MPRV back.
        u32 program[] = {0x30063073, 0x3006a073, words[access]};  // csrc mstatus, a2; csrs mstatus, a3
        p.a[2] = MPP(MACHINE);
        p.a[3] = MPRV | MPP(mode);
        p.status = FS | status | MPP(MACHINE);
        p.pc = (u64)make(program, 3);
    } else {
        p.pc = (u64)make1(words[access]) + alias;
    }
    flush();
    enter(&p);
}

// The outcome as two characters; addresses that are not as expected are told.
static void outcome(u64 address, u64 *entry, u64 before) {
    if (done(&p)) put_char('.');
    else digit(p.cause);
    if (!entry) return;
    u64 changed = *entry ^ before;
    if (!done(&p) && changed == A) {
        // The manual allows that; an AMO of QEMU asks for a load first.
        early++;
        changed = 0;
    }
    put_char(changed == 0 ? '-' : changed == A ? 'A' : changed == D ? 'D' : changed == (A | D) ? 'B' : '?');
    if (!done(&p) && p.tval != address) {
        put("(");
        bare_hex(p.tval);
        put(")");
    }
}

static void key(const char *what, enum access access, enum mode mode, u64 status) {
    put(what);
    put(sv48 ? " 48 " : " 39 ");
    put(names[access]);
    digit(mode);
    hex(status);
    put(" = ");
}

static void count_early(enum access access, enum mode mode, u64 status) {
    static u64 number;
    put("early");
    hex(number++);
    key("", access, mode, status);
    hex(early);
    line();
    early = 0;
}

static void permissions(void) {
    for (u64 status = 0; status < 4; status++) {
        u64 bits = (status & 1 ? SUM : 0) | (status & 2 ? MXR : 0);
        for (int mode = 0; mode < 2; mode++) {
            for (int access = 0; access < ACCESSES; access++) {
                key("permissions", access, mode, bits);
                for (u64 flags = 0; flags < 256; flags++) {
                    page[0] = 0x8082;  // ret
                    leaf[5] = PAGE(page) | flags;
                    touch(access, mode, bits, TEST + 0x5000, 0);
                    outcome(TEST + 0x5000, &leaf[5], PAGE(page) | flags);
                }
                line();
                count_early(access, mode, bits);
                if (access == FETCH) continue;
                key("mprv", access, mode, bits);
                for (u64 flags = 0; flags < 256; flags++) {
                    leaf[5] = PAGE(page) | flags;
                    touch(access, mode, bits, TEST + 0x5000, 1);
                    outcome(TEST + 0x5000, &leaf[5], PAGE(page) | flags);
                }
                line();
                count_early(access, mode, bits);
            }
        }
    }
}

// Flags and reserved bits of pointers and leaves at every level.
static void levels(void) {
    static u64 *const tables_[] = {leaf, middle, root, upper};
    static const char levels_[][10] = {"level 0", "level 1", "level 2", "level 3"};
    u64 address = TEST + 0x5000;
    for (int level = 0; level < 3 + sv48; level++) {
        u64 *entry = &tables_[level][address >> (12 + 9 * level) & 511];
        if (level == 3) entry = upper + 1;  // The whole of 512 GiB cannot hold the program too.
        for (int access = 0; access < ACCESSES; access++) {
            key(levels_[level], access, SUPERVISOR, 0);
            // Leaf: aligned, then with each bit of the page number; then each upper bit.
            u64 start = level == 0 ? (u64)page : 0x80000000;
            u64 inside = address & ((1ul << (12 + 9 * level)) - 1);
            u64 low = level == 0 ? 0 : 1ul << 9 * level;
            u64 at = level == 3 ? (1ul << 39 | (u64)page) : (address - inside) + (level ? (u64)page - start : 0);
            if (level == 1) at = (address - inside) + ((u64)page & 0x1fffff), start = (u64)page & ~0x1ffffful;
            if (level == 3) start = 0;
            u64 old = *entry;
            for (int bit = -1; bit < 64; bit++) {
                page[0] = 0x8082;
                u64 value = PAGE(start) | all;
                if (bit >= 10 && bit < 54) {
                    // Misaligned superpages only: else it would be memory that is not there.
                    if (1ul << (bit - 10) >= low) continue;
                    value |= 1ul << bit;
                } else if (bit == 8 || bit == 9 || bit >= 54) {
                    value ^= 1ul << bit;
                } else if (bit >= 0) {
                    value &= ~(1ul << bit);
                }
                *entry = value;
                touch(access, SUPERVISOR, 0, at, 0);
                outcome(at, entry, value);
            }
            *entry = old;
            if (level == 0) {
                line();
                continue;
            }
            // Pointers: with each flag, and each reserved bit.
            put_char(' ');
            if (level == 3) {
                line();
                continue;
            }
            u64 next = level == 1 ? PAGE(leaf) | V : PAGE(middle) | V;
            leaf[5] = PAGE(page) | all;
            for (int bit = 0; bit < 64; bit++) {
                if ((bit >= 10 && bit < 54) || (bit >= 1 && bit <= 3)) continue;
                *entry = next ^ 1ul << bit;
                leaf[5] = PAGE(page) | all;
                touch(access, SUPERVISOR, 0, address, 0);
                outcome(address, entry, next ^ 1ul << bit);
            }
            *entry = next;
            line();
        }
    }
}

static void addresses(void) {
    static const u64 list[] = {
        0x3fffffffff, 0x4000000000, 0xffffffc000000000, 0xffffffbfffffffff, 0xffffff8000000000,
        0x7fffffffffff, 0x800000000000, 0xffff800000000000, 0xffff7fffffffffff, 0xfffffffffffffff8,
        0x8000000000000000, 0x7ffffffffffffff8, 0x100000040005000, 0x8000000040005000,
    };
    leaf[5] = PAGE(page) | all;
    for (u32 i = 0; i < sizeof list / sizeof *list; i++) {
        for (int access = 0; access < ACCESSES; access++) {
            put("address");
            hex(list[i] & ~7ul);
            key("", access, SUPERVISOR, 0);
            touch(access, SUPERVISOR, 0, list[i] & ~7ul, 0);
            outcome(list[i] & ~7ul, &leaf[5], leaf[5]);
            line();
        }
    }
    // A pointer at the lowest level; tables and pages where nothing is, or a device.
    static const u64 places[] = {0, 0x10000000, 0x10000000000, 0xfffffffffff000, 0xc0000000, 0x2000000};
    for (u32 i = 0; i < sizeof places / sizeof *places; i++) {
        for (int access = 0; access < ACCESSES; access++) {
            put("place");
            hex(places[i]);
            key("", access, SUPERVISOR, 0);
            leaf[5] = PAGE(places[i]) | all;
            if (places[i] != 0x10000000 && !(places[i] == 0x2000000 && (access == FETCH || access > STORE))) {
                if (places[i] != 0x2000000) {
                    touch(access, SUPERVISOR, 0, TEST + 0x5000, 0);
                    outcome(TEST + 0x5000, &leaf[5], leaf[5]);
                }
            }
            u64 old = middle[0];
            middle[0] = PAGE(places[i]) | V;
            if (places[i] != 0x2000000 && places[i] != 0x10000000) {
                touch(access, SUPERVISOR, 0, TEST + 0x5000, 0);
                outcome(TEST + 0x5000, &middle[0], middle[0]);
            }
            middle[0] = old;
            leaf[5] = PAGE(page) | V;
            touch(access, SUPERVISOR, 0, TEST + 0x5000, 0);
            outcome(TEST + 0x5000, &leaf[5], leaf[5]);
            line();
        }
    }
}

// Accesses that begin in page 5 and end in page 6, and what is left in memory.
static void straddling(void) {
    static const u32 words[] = {
        0x00051503, 0x00052503, 0x00053503, 0x00b51023, 0x00b52023, 0x00b53023, 0x00052507, 0x00a53027,
    };
    static const u64 flags[] = {V | R | W | X, 0, V | R | A, V | R | W | X | U, V | R | W | X | A | D};
    for (int first = 0; first < 5; first++) {
        for (int second = 0; second < 5; second++) {
            for (u32 word = 0; word < sizeof words / sizeof *words; word++) {
                put(sv48 ? "straddle 48" : "straddle 39");
                hex(first);
                hex(second);
                hex(words[word]);
                put(" =");
                u32 width = 1u << ((words[word] >> 12) & 3);
                for (u32 before = 1; before < width; before++) {
                    for (int i = 0; i < 4; i++) page[1022 + i] = 0x11111111 * (i + 1);
                    leaf[5] = PAGE(page) | flags[first];
                    leaf[6] = PAGE(page + 1024) | flags[second];
                    p.pc = (u64)make1(words[word]);
                    p.status = FS | MPP(SUPERVISOR);
                    p.ra = (u64)finish;
                    p.a[0] = TEST + 0x6000 - before;
                    p.a[1] = 0x8877665544332211;
                    flush();
                    enter(&p);
                    put(done(&p) ? " ok" : " trap");
                    hex(p.a[0]);
                    if (!done(&p)) {
                        hex(p.cause);
                        hex(p.tval);
                    }
                    for (int i = 0; i < 4; i++) hex(page[1022 + i]);
                    hex(leaf[5] & 0xff);
                    hex(leaf[6] & 0xff);
                    put(",");
                }
                line();
            }
        }
    }
    // Instructions: `lui a0, 0x12345` and `ret` around the border.
    for (int first = 0; first < 5; first++) {
        for (int second = 0; second < 5; second++) {
            put(sv48 ? "fetch 48" : "fetch 39");
            hex(first);
            hex(second);
            put(" =");
            for (int back = 2; back <= 8; back += 2) {
                u16 *code_ = (u16 *)(page + 1024) - back / 2;
                code_[0] = 0x5537;
                code_[1] = 0x1234;
                code_[2] = 0x8082;
                leaf[5] = PAGE(page) | flags[first];
                leaf[6] = PAGE(page + 1024) | flags[second];
                p.pc = TEST + 0x6000 - back;
                p.status = FS | MPP(SUPERVISOR);
                p.ra = (u64)finish;
                p.a[0] = 0;
                flush();
                enter(&p);
                tell(&p);
                hex(leaf[5] & 0xff);
                hex(leaf[6] & 0xff);
                put(",");
            }
            line();
        }
    }
}

// Global pages and address spaces, as far as the manual promises something.
static void spaces(void) {
    u64 satp = read_csr(satp);
    for (int global = 0; global < 2; global++) {
        for (int how = 0; how < 6; how++) {
            put(sv48 ? "space 48" : "space 39");
            hex(global);
            hex(how);
            put(" =");
            page[0] = 0x1111;
            page[1024] = 0x2222;
            leaf[5] = PAGE(page) | all | (global ? G : 0);
            write_csr(satp, satp | 1ul << 44);
            touch(LOAD, SUPERVISOR, 0, TEST + 0x5000, 0);
            hex(p.a[0]);
            leaf[5] = PAGE(page + 1024) | all | (global ? G : 0);
            u64 address = TEST + 0x5000, one = 1, other = 2;
            switch (how) {
            case 0: asm volatile("sfence.vma" ::: "memory"); break;
            case 1: asm volatile("sfence.vma %0, zero" ::"r"(address) : "memory"); break;
            case 2: asm volatile("sfence.vma %0, zero" ::"r"(address + 8) : "memory"); break;
            case 3: if (!global) asm volatile("sfence.vma zero, %0" ::"r"(one) : "memory"); break;
            case 4: if (!global) asm volatile("sfence.vma %0, %1" ::"r"(address), "r"(one) : "memory"); break;
            case 5:
                // Another space has its own entries, unless they are global.
                write_csr(satp, satp | 2ul << 44);
                asm volatile("sfence.vma zero, %0" ::"r"(other) : "memory");
                break;
            }
            if (global && how >= 3) {
                asm volatile("sfence.vma" ::: "memory");
            }
            // Without a fence of its own.
            p.pc = (u64)make1(0x00053503);
            p.status = FS | MPP(SUPERVISOR);
            p.ra = (u64)finish;
            p.a[0] = TEST + 0x5000;
            enter(&p);
            tell(&p);
            line();
        }
    }
    write_csr(satp, satp);
}

void main(void) {
    asm volatile("csrw pmpaddr0, %0; csrw pmpcfg0, %1" ::"r"(~0ul >> 10), "r"(0x1f));
    MTIMECMP = ~0ul;
    for (sv48 = 0; sv48 < 2; sv48++) {
        tables();
        permissions();
        tables();
        levels();
        tables();
        addresses();
        tables();
        straddling();
        tables();
        spaces();
    }
}
