# What random code starts from (tests/it/chaos.rs): registers that point somewhere, page tables, and a handler
# that skips what traps. Assembled flat; behind it follow random code and random page table entries.
        .include "common.inc"
        .equ    CODE, 0x80010000
        .equ    LEAVES, 0x80020000
        .equ    DATA, 0x80030000
        # Five words that say how to start: bits of mstatus, of the page table entry for all memory, whether
        # there is paging, medeleg, and mie.
        .equ    START, 0x8001ffd8
        .globl  _start
_start: la      t0, trap
        csrw    mtvec, t0
        la      t0, strap
        csrw    stvec, t0
        li      t0, -1
        srli    t0, t0, 10
        csrw    pmpaddr0, t0
        li      t0, 0x1f
        csrw    pmpcfg0, t0
        li      t0, 7
        csrw    mcounteren, t0
        la      s0, root
        li      x20, START
        ld      t1, 8(x20)
        li      t0, 0x80000000 >> 2 | 0xcf
        or      t0, t0, t1
        sd      t0, 16(s0)
        la      t1, middle
        srli    t0, t1, 2
        ori     t0, t0, 1
        sd      t0, 0(s0)
        li      t0, LEAVES >> 2 | 1
        sd      t0, 0(t1)
        li      t0, 0x80000000 >> 2 | 0xdf
        sd      t0, 8(t1)
        srli    t0, s0, 12
        li      x8, 8 << 60 | 1 << 44
        or      x8, x8, t0
        li      x9, 8 << 60 | 2 << 44
        or      x9, x9, t0
        ld      t0, 24(x20)
        csrw    medeleg, t0
        ld      t0, 32(x20)
        csrw    mie, t0
        li      t0, 1 << 63
        csrw    0x30a, t0
        ld      t0, 0(x20)
        csrw    mstatus, t0
        ld      t0, 16(x20)
        beqz    t0, 1f
        csrw    satp, x8
1:      li      x1, CODE
        csrw    mepc, x1
        li      x5, DATA
        li      x6, CODE + 0x100
        li      x7, 0x2ff8
        li      x10, 0x1ffd
        li      x11, 0x200100
        li      x12, LEAVES
        li      x13, CLINT + 0x4000
        li      x14, UART
        li      x15, 0x0123456789abcdef
        li      x16, DATA + 0xffd
        li      x17, 0xa0802
        li      x18, -1
        li      x19, 0x222
        li      x2, DATA + 0x800
        mret
        .align  2
trap:   csrrw   x31, mscratch, x31
        csrr    x31, mepc
        addi    x31, x31, 4
        csrw    mepc, x31
        csrrw   x31, mscratch, x31
        mret
        .align  2
strap:  csrr    x31, sepc
        addi    x31, x31, 4
        csrw    sepc, x31
        sret
        .align  12
root:   .skip   4096
middle: .skip   4096
