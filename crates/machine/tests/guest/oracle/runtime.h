// What the oracle programs share: output, CSR access, and `enter` (runtime.S).
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define read_csr(name) ({ u64 v_; asm volatile("csrr %0, " #name : "=r"(v_)); v_; })
#define write_csr(name, value) asm volatile("csrw " #name ", %0" ::"r"((u64)(value)) : "memory")
#define flush() asm volatile("sfence.vma; fence.i" ::: "memory")

enum mode { USER = 0, SUPERVISOR = 1, MACHINE = 3 };
#define MPP(mode) ((u64)(mode) << 11)
enum {
    SIE = 1 << 1, MIE = 1 << 3, SPIE = 1 << 5, MPIE = 1 << 7, SPP = 1 << 8, FS = 3 << 13, MPRV = 1 << 17,
    SUM = 1 << 18, MXR = 1 << 19, TVM = 1 << 20, TW = 1 << 21, TSR = 1 << 22,
};
#define INTERRUPT (1ul << 63)

struct probe {
    u64 sp, pc, status;                    // in: where, and mstatus with its mode in MPP
    u64 a[4], ra;                          // in: a0 to a3, ra; out: a0 to a3
    u64 cause, epc, tval, status_out;      // out: the trap into M-mode
    u64 tp, gp;                            // out: which vectors of M- and S-mode were taken
};
void enter(struct probe *);
extern char finish[], mtable[], stable[], scall[];

#define UART ((volatile u8 *)0x10000000)
#define CLINT 0x2000000
#define MSIP (*(volatile u32 *)CLINT)
#define MTIMECMP (*(volatile u64 *)(CLINT + 0x4000))
#define MTIME (*(volatile u64 *)(CLINT + 0xbff8))

static void put_char(char c) {
    while (!(UART[5] & 0x20)) {}
    UART[0] = c;
}
static __attribute__((unused)) void put(const char *text) {
    while (*text) put_char(*text++);
}
static __attribute__((unused)) void digit(u64 v) { put_char("0123456789abcdef"[v & 15]); }
static __attribute__((unused)) void bare_hex(u64 v) {
    int shift = 60;
    while (shift && !(v >> shift)) shift -= 4;
    for (; shift >= 0; shift -= 4) digit(v >> shift);
}
static __attribute__((unused)) void hex(u64 v) {
    put_char(' ');
    bare_hex(v);
}
static __attribute__((unused)) void line(void) { put_char('\n'); }

// Code made while running. It ends with a return.
static __attribute__((unused, aligned(4096))) u32 code[1024];
static __attribute__((unused)) void *make(const u32 *words, int count) {
    for (int i = 0; i < count; i++) ((volatile u32 *)code)[i] = words[i];
    ((volatile u32 *)code)[count] = 0x00008067;  // ret
    asm volatile("fence.i" ::: "memory");
    return code;
}
static __attribute__((unused)) void *make1(u32 word) { return make(&word, 1); }

// Runs code at `pc` in `mode` with `status` beside.
static __attribute__((unused)) void run(struct probe *p, enum mode mode, u64 status, const void *pc) {
    p->pc = (u64)pc;
    p->status = status | FS | MPP(mode);
    p->ra = (u64)finish;
    enter(p);
}
static __attribute__((unused)) int done(const struct probe *p) {
    return p->cause >= 8 && p->cause <= 11 && p->epc == p->ra;
}
// What came of it: the value, or the traps.
static __attribute__((unused)) void tell(const struct probe *p) {
    if (done(p)) {
        put(" ok");
        hex(p->a[0]);
        return;
    }
    if (p->cause == 9 && p->epc == (u64)scall) {
        put(" S");
        hex(read_csr(scause));
        hex(read_csr(sepc));
        hex(read_csr(stval));
        hex(p->status_out);
        hex((p->gp - (u64)stable) / 4 - 1);
        return;
    }
    put(" M");
    hex(p->cause);
    hex(p->epc);
    hex(p->tval);
    hex(p->status_out);
    hex((p->tp - (u64)mtable) / 4 - 1);
}
