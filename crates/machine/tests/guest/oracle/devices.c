// The board: what answers at each place with each width, and what registers keep of what is written.
#include "runtime.h"

static struct probe p;
static const u32 loads[] = {0x00054503, 0x00055503, 0x00056503, 0x00053503};   // lbu lhu lwu ld
static const u32 stores[] = {0x00b50023, 0x00b51023, 0x00b52023, 0x00b53023};

static void load(u64 address, int width) {
    p.a[0] = address;
    run(&p, MACHINE, 0, make1(loads[width]));
    if (done(&p)) {
        hex(p.a[0]);
    } else {
        put(" !");
        bare_hex(p.cause);
    }
}
static void store(u64 address, int width, u64 value) {
    p.a[0] = address;
    p.a[1] = value;
    run(&p, MACHINE, 0, make1(stores[width]));
    if (!done(&p)) {
        put(" !");
        bare_hex(p.cause);
    }
}

static void widths(void) {
    static const u64 places[] = {
        0x1000, 0x1004, 0x1018, 0x100000, 0x100004, 0x101008, 0x101010, 0x2000000, 0x2000004, 0x2004000, 0x2004004,
        0x2008000, 0xc000000, 0xc000004, 0xc001000, 0xc002000, 0xc002080, 0xc002100, 0xc200000, 0xc200004,
        0xc200008, 0xc201000, 0xc201004, 0x10008000, 0x10008004, 0x10008008, 0x10008070, 0x10008100,
        0x83fffff8, 0x84000000, 0x10000ffff0, 0xd0000000000000,
    };
    for (u32 i = 0; i < sizeof places / sizeof *places; i++) {
        put("load");
        hex(places[i]);
        put(" =");
        for (int width = 0; width < 4; width++) load(places[i], width);
        line();
    }
}

static void kept(const char *label, u64 address, int width) {
    static const u64 values[] = {~0ul, 0, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa, 7, 1};
    put(label);
    hex(address);
    hex(width);
    put(" =");
    for (u32 i = 0; i < sizeof values / sizeof *values; i++) {
        store(address, width, values[i]);
        load(address, width);
    }
    store(address, width, 0);
    line();
}

static void registers(void) {
    kept("msip", CLINT, 2);
    kept("mtimecmp", CLINT + 0x4000, 2);
    kept("mtimecmp", CLINT + 0x4004, 2);
    kept("mtimecmp", CLINT + 0x4000, 3);
    MTIMECMP = ~0ul;
    kept("no second hart", CLINT + 4, 2);
    for (u64 source = 0; source < 12; source++) kept("priority", 0xc000000 + 4 * source, 2);
    kept("pending", 0xc001000, 2);
    for (u64 context = 0; context < 3; context++) {
        kept("enable", 0xc002000 + 0x80 * context, 2);
        kept("enable", 0xc002004 + 0x80 * context, 2);
        kept("threshold", 0xc200000 + 0x1000 * context, 2);
        put("claim");
        hex(context);
        put(" =");
        load(0xc200004 + 0x1000 * context, 2);
        line();
    }
    // The serial port, with its interrupts enabled and not.
    kept("uart ier", 0x10000001, 0);
    kept("uart lcr", 0x10000003, 0);
    kept("uart mcr", 0x10000004, 0);
    kept("uart scr", 0x10000007, 0);
    UART[3] = 0x80;
    kept("uart divisor", 0x10000000, 0);
    kept("uart divisor", 0x10000001, 0);
    UART[0] = 3;
    UART[3] = 3;
    for (int fifo = 0; fifo < 2; fifo++) {
        put("uart");
        hex(fifo);
        put(" =");
        while (!(UART[5] & 0x40)) {}
        UART[2] = fifo ? 7 : 0;
        for (int i = 1; i < 8; i++) load(0x10000000 + i, 0);
        UART[1] = 2;
        u64 first = UART[2], second = UART[2];
        UART[1] = 0;
        UART[1] = 2;
        hex(first);
        hex(second);
        hex(UART[2]);
        UART[1] = 0;
        hex(UART[2]);
        line();
    }
    // The serial port heard by itself.
    put("loopback =");
    while (!(UART[5] & 0x40)) {}
    UART[2] = 7;
    UART[4] = 0x1f;
    u64 lines = UART[6], again = UART[6];
    UART[4] = 0x10;
    u64 changed = UART[6];
    UART[4] = 0;
    u64 back = UART[6];
    hex(lines);
    hex(again);
    hex(changed);
    hex(back);
    line();
    // The clock: latched, and its alarm.
    u32 low = *(volatile u32 *)0x101000, high = *(volatile u32 *)0x101004;
    put("rtc =");
    hex(((u64)high << 32 | low) > 0);
    line();
    kept("rtc alarm", 0x101008, 2);
    kept("rtc alarm", 0x10100c, 2);
    kept("rtc irq", 0x101010, 2);
}

void main(void) {
    MTIMECMP = ~0ul;
    widths();
    registers();
}
