# Sv39: what is cached and what is not, superpages, address spaces, accessed and dirty bits, permissions.
# M-mode acts as S-mode by MPRV where only data is concerned.
        .include "common.inc"
        .equ    V, 1
        .equ    R, 2
        .equ    W, 4
        .equ    X, 8
        .equ    U, 16
        .equ    G, 32
        .equ    A, 64
        .equ    D, 128
        .equ    MPRV, 1 << 17
        .equ    SUM, 1 << 18
        .equ    MXR, 1 << 19

# reg := page table entry for the page of `symbol` with `flags`
        .macro  entry reg, symbol, flags
        la      \reg, \symbol
        srli    \reg, \reg, 12
        slli    \reg, \reg, 10
        ori     \reg, \reg, \flags
        .endm

        .globl  _start
_start: la      t0, trap
        csrw    mtvec, t0
        li      s6, 0
        li      s7, 4
        li      t0, -1
        srli    t0, t0, 10
        csrw    pmpaddr0, t0
        li      t0, 0x1f
        csrw    pmpcfg0, t0

        # Page tables: 0x80000000 by a 1 GiB page; 0x0 by 4 KiB pages; 0x40000000 by 2 MiB pages.
        la      s0, root
        li      t0, 0x80000000 >> 2 | V | R | W | X | A | D
        sd      t0, 16(s0)
        entry   t0, middle, V
        sd      t0, 0(s0)
        la      s1, middle
        entry   t0, leaves, V
        sd      t0, 0(s1)
        la      s2, leaves
        # The finisher, at its own address, for S-mode.
        li      t0, FINISHER >> 2 | V | R | W | A | D
        li      t1, FINISHER >> 9
        add     t1, t1, s2
        sd      t0, 0(t1)
        entry   t0, page1, V|R|W
        sd      t0, 8(s2)
        la      t0, page1
        li      t1, 111
        sd      t1, 0(t0)
        la      t0, page2
        li      t1, 222
        sd      t1, 0(t0)

        # satp: Sv39, address space 1; loads and stores as S-mode.
        srli    t0, s0, 12
        li      t1, 8 << 60 | 1 << 44
        or      s3, t0, t1
        csrw    satp, s3
        sfence.vma
        li      t0, 3 << 11
        csrc    mstatus, t0
        li      t0, MPRV | 1 << 11
        csrs    mstatus, t0

        li      a0, 0x1000
        .option norvc
        ld      t1, 0(a0)
        expect  1, t1, 111
        ld      t2, 8(s2)
        andi    t2, t2, 0xff
        expect  2, t2, V|R|W|A
        # Another page: without a fence the old translation is used (for loads), then the new one.
        entry   t0, page2, V|R|W
        sd      t0, 8(s2)
        ld      t1, 0(a0)
        expect  3, t1, 111
        # Stores have a cache of their own.
        li      t1, 333
        sd      t1, 8(a0)
        ld      t2, 8(s2)
        andi    t2, t2, 0xff
        expect  4, t2, V|R|W|A|D
        sfence.vma a0
        ld      t1, 0(a0)
        expect  5, t1, 222
        ld      t1, 8(a0)
        expect  6, t1, 333

        # Not present: the fault is not cached.
        li      a1, 0x2000
        ld      t1, 0(a1)
        expect  7, s8, 13
        li      s11, 8
        bne     s9, a1, failed
        entry   t0, page1, V|R|A
        sd      t0, 16(s2)
        ld      t1, 0(a1)
        expect  9, t1, 111
        sd      t1, 0(a1)
        expect  10, s8, 15
        # Straddling two pages that are not neighbours in memory: page2, then page1.
        li      t0, 0x1ffc
        ld      t1, 0(t0)
        srli    t1, t1, 32
        expect  11, t1, 111
        sd      t1, 0(t0)
        expect  12, s8, 15
        expect  13, s9, 0x2000

        # Address spaces: leaf 3 is private to 1, leaf 4 global.
        entry   t0, page1, V|R|A
        sd      t0, 24(s2)
        entry   t0, page1, V|R|A|G
        sd      t0, 32(s2)
        li      a2, 0x3000
        li      a3, 0x4000
        ld      t1, 0(a2)
        ld      t1, 0(a3)
        entry   t0, page2, V|R|A
        sd      t0, 24(s2)
        sd      t0, 32(s2)
        li      t0, 3 << 44
        add     t0, s3, t0
        csrw    satp, t0
        ld      t1, 0(a2)
        expect  14, t1, 222
        ld      t1, 0(a3)
        expect  15, t1, 111
        csrw    satp, s3
        ld      t1, 0(a2)
        expect  16, t1, 222
        li      t0, 1
        sfence.vma x0, t0
        ld      t1, 0(a3)
        expect  17, t1, 111
        ld      t1, 0(a2)
        expect  18, t1, 222
        sfence.vma a3
        ld      t1, 0(a3)
        expect  19, t1, 222

        # A 2 MiB page: a fence for one address forgets it all; its base must be aligned.
        entry   t0, big, V
        sd      t0, 8(s0)
        la      s4, big
        li      t0, 0x80000000 >> 2 | V | R | A
        sd      t0, 0(s4)
        li      a4, 0x40000000
        la      t0, page1
        li      t1, 0x1fffff
        and     t0, t0, t1
        add     a5, a4, t0
        ld      t1, 0(a5)
        expect  20, t1, 111
        sd      x0, 0(s4)
        ld      t1, 0(a5)
        expect  21, t1, 111
        sfence.vma a4
        ld      t1, 0(a5)
        expect  22, s8, 13
        li      t0, 0x80001000 >> 2 | V | R | A
        sd      t0, 0(s4)
        li      s8, 0
        ld      t1, 0(a5)
        expect  23, s8, 13

        # User pages, execute-only pages, reserved bits, non-canonical addresses.
        entry   t0, page1, V|R|W|U|A|D
        sd      t0, 40(s2)
        li      a2, 0x5000
        li      s8, 0
        ld      t1, 0(a2)
        expect  24, s8, 13
        li      t0, SUM
        csrs    mstatus, t0
        ld      t1, 0(a2)
        expect  25, t1, 111
        csrc    mstatus, t0
        li      s8, 0
        ld      t1, 0(a2)
        expect  26, s8, 13
        entry   t0, page1, V|X|A
        sd      t0, 48(s2)
        li      a2, 0x6000
        li      s8, 0
        ld      t1, 0(a2)
        expect  27, s8, 13
        li      t0, MXR
        csrs    mstatus, t0
        ld      t1, 0(a2)
        expect  28, t1, 111
        csrc    mstatus, t0
        li      s8, 0
        ld      t1, 0(a2)
        expect  29, s8, 13
        entry   t0, page1, V|R|A
        li      t1, 1 << 61
        or      t0, t0, t1
        sd      t0, 56(s2)
        li      a2, 0x7000
        li      s8, 0
        ld      t1, 0(a2)
        expect  30, s8, 13
        entry   t0, page1, V|W|A|D
        sd      t0, 64(s2)
        li      a2, 0x8000
        li      s8, 0
        sd      t1, 0(a2)
        expect  31, s8, 15
        li      a2, 1 << 40
        li      s8, 0
        ld      t1, 0(a2)
        expect  32, s8, 13
        .option rvc

        # S-mode: code by a 1 GiB page, a call out, an interrupt in U-mode would be taken in S-mode.
        li      t0, MPRV
        csrc    mstatus, t0
        la      t0, supervisor
        csrw    mepc, t0
        la      t0, strap
        csrw    stvec, t0
        li      t0, 0xb1ff
        csrw    medeleg, t0
        mret
supervisor:
        .option norvc
        # Not delegated: a call. Delegated: a page fault, in which sepc, scause and stval are right.
        ecall
        expect  40, s8, 9
        li      a2, 0x9000
here:   ld      t1, 0(a2)
        .option rvc
        expect  41, a6, 13
        expect  42, a7, 0x9000
        # satp is trapped when TVM is set: by M-mode, so only reading here.
        csrr    t0, satp
        li      s11, 43
        bne     t0, s3, failed
        pass
        .align  2
strap:  csrr    a6, scause
        csrr    a7, stval
        csrr    t0, sepc
        la      t1, here
        li      s11, 44
        bne     t0, t1, failed
        addi    t0, t0, 4
        csrw    sepc, t0
        sret
        .align  2
# Unlike the common handler, this one goes back into M-mode with MPP = S, so that MPRV goes on meaning S-mode.
trap:   csrr    s8, mcause
        csrr    s9, mtval
        csrr    t6, mepc
        add     t6, t6, s7
        csrw    mepc, t6
        csrr    t5, mstatus
        srli    t5, t5, 11
        andi    t5, t5, 3
        li      t4, 3
        bne     t5, t4, 1f
        li      t5, 2 << 11
        csrc    mstatus, t5
        jr      t6
1:      mret
        ending

        .bss
        .align  12
root:   .skip   4096
middle: .skip   4096
leaves: .skip   4096
big:    .skip   4096
page1:  .skip   4096
page2:  .skip   4096
