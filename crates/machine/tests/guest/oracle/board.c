// The whole of each device's window: what software may touch that knows a larger board, or that touches all there is.
#include "runtime.h"

static struct probe p;
static const u32 loads[] = {0x00054503, 0x00055503, 0x00056503, 0x00053503};   // lbu lhu lwu ld
static const u32 stores[] = {0x00b50023, 0x00b51023, 0x00b52023, 0x00b53023};

// Whether a load does not fault; its value is in `p.a[0]`.
static int load(u64 address, int width) {
    p.a[0] = address;
    run(&p, MACHINE, 0, make1(loads[width]));
    return done(&p);
}
static int store(u64 address, int width, u64 value) {
    p.a[0] = address;
    p.a[1] = value;
    run(&p, MACHINE, 0, make1(stores[width]));
    return done(&p);
}

// Says for each run of words that behave alike: how many, whether loads and stores do, and what is kept of `value`.
static void sweep(const char *label, u64 address, u64 count, u64 stride, u64 value) {
    put(label);
    hex(address);
    put(" =");
    u64 alike = 0, kept = 0;
    int last = -1;
    for (u64 i = 0; i <= count; i++) {
        int now = -1;
        u64 keeps = 0;
        if (i < count) {
            u64 at = address + i * stride;
            int before = load(at, 2);
            u64 old = p.a[0];
            now = before * 4 + store(at, 2, value) * 2;
            now += load(at, 2);
            if (done(&p)) keeps = p.a[0];
            if (before) store(at, 2, old);
        }
        if (i && (now != last || keeps != kept)) {
            hex(alike);
            put_char(':');
            digit(last);
            put_char(':');
            bare_hex(kept);
            alike = 0;
        }
        last = now;
        kept = keeps;
        alike++;
    }
    line();
}

static void plic(void) {
    sweep("priorities", 0xc000000, 1024, 4, 5);
    sweep("pending", 0xc001000, 1024, 4, ~0u);
    // Not source 0, of which QEMU has a bit.
    for (u64 context = 0; context < 2; context++) {
        sweep("enable", 0xc002000 + 0x80 * context, 1, 4, 0xfffffffe);
        sweep("enable", 0xc002004 + 0x80 * context, 31, 4, ~0u);
    }
    sweep("other enables", 0xc002100, 32 * 64, 4, ~0u);
    sweep("last enables", 0xc1f2000 - 0x80, 64, 4, ~0u);
    sweep("context 0", 0xc200000, 1, 4, 3);
    sweep("context 0", 0xc200008, 1022, 4, 3);
    sweep("context 1", 0xc201000, 1, 4, 3);
    sweep("context 1", 0xc201008, 1022, 4, 3);
    sweep("other thresholds", 0xc202000, 0x3fe, 0x1000, 3);
    sweep("other claims", 0xc202004, 0x3fe, 0x1000, 3);
    sweep("behind", 0xc600000, 2, 4, 3);
}

// The first and last words of a window, and those beside it.
static void window(const char *label, u64 first, u64 size) {
    put(label);
    hex(first);
    put(" =");
    const u64 places[] = {first - 4, first, first + (size / 2 & ~3ul), first + size - 4, first + size};
    for (int i = 0; i < 5; i++) {
        hex(load(places[i], 2));
        digit(i ? store(places[i], 2, 0) : 0);
    }
    line();
}

// Loads of all widths to which the address is aligned.
static void widths(const char *label, u64 address) {
    put(label);
    hex(address);
    put(" =");
    for (int width = 0; width < 4; width++) {
        if (address & ((1 << width) - 1)) continue;
        if (load(address, width)) hex(p.a[0]); else put(" !");
    }
    line();
}

static void stored(const char *label, u64 address, int width, u64 value) {
    put(label);
    hex(address);
    hex(width);
    put(store(address, width, value) ? " = ok" : " = !");
    if (load(address, 0)) hex(p.a[0]);
    line();
}

void main(void) {
    MTIMECMP = ~0ul;
    plic();
    window("rom", 0x1000, 0xf000);
    window("test", 0x100000, 0x1000);
    window("rtc", 0x101000, 0x24);
    window("clint", 0x2000000, 0xc000);
    sweep("clint", 0x2000004, 4095, 4, 0);
    sweep("clint", 0x2004008, 4095, 4, ~0u);
    sweep("rtc", 0x101024, 1000, 4, ~0u);
    sweep("test", 0x100004, 1000, 4, ~0u);
    sweep("uart", 0x10000008, 62, 4, ~0u);
    // The registers of the serial port, a byte each, answer to any width.
    while (!(UART[5] & 0x40)) {}
    UART[3] = 3;
    UART[7] = 0x5a;
    UART[4] = 0x0b;
    for (int i = 0; i < 8; i++) widths("uart", 0x10000000 + i);
    stored("uart", 0x10000004, 2, 0xa00);
    stored("uart", 0x10000004, 1, 0x0a);
    UART[4] = 0;
    put("written = ");
    store(0x10000000, 2, 'w');
    store(0x10000000, 1, 'h');
    store(0x10000000, 3, 'd');
    line();
    // The boot ROM is memory, at any alignment.
    widths("rom", 0x1010);
    for (int width = 1; width < 4; width++) {
        put("rom");
        hex(width);
        put(load(0x1011, width) ? " =" : " = !");
        hex(p.a[0]);
        line();
    }
    stored("rom", 0x1010, 2, 0);
    widths("rtc", 0x101008);
    widths("rtc", 0x101010);
    widths("rtc", 0x101018);
    for (u64 slot = 0; slot < 8; slot++) {
        window("virtio", 0x10001000 + 0x1000 * slot, 0x200);
    }
}
