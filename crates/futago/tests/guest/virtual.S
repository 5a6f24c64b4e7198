# In the style of riscv-tests' "v" environment: the test runs in U-mode under Sv39, and a handler in S-mode
# gives it its pages when it first touches them, one by one, copied from the image; and takes them back. Accessed
# and dirty bits are left to the hart or to the handler, as it likes. FAIL: the number of the check to fail.
        .option norelax
        .equ    PAGES, 16               # Of the test, at address 0 on.
        .globl  _start, tohost, fromhost
        .section .text.init, "ax"
_start: la      sp, stack_top
        la      t0, supervisor_trap
        csrw    stvec, t0
        csrw    sscratch, sp
        li      t0, -1
        srli    t0, t0, 10
        csrw    pmpaddr0, t0
        csrwi   pmpcfg0, 0x1f
        la      t0, bad_trap
        csrw    mtvec, t0
        li      t0, 1 << 8 | 1 << 12 | 1 << 13 | 1 << 15
        csrw    medeleg, t0
        # The kernel at the top of the address space and where it is, as one gigapage each.
        la      t0, root
        li      t1, 0x80000000 >> 12 << 10 | 0xcf
        sd      t1, 16(t0)
        li      t2, 511 * 8
        add     t2, t2, t0
        sd      t1, 0(t2)
        la      t1, middle
        srli    t1, t1, 12
        slli    t1, t1, 10
        ori     t1, t1, 1
        sd      t1, 0(t0)
        la      t1, leaf
        srli    t1, t1, 12
        slli    t1, t1, 10
        ori     t1, t1, 1
        la      t2, middle
        sd      t1, 0(t2)
        srli    t0, t0, 12
        li      t1, 8
        slli    t1, t1, 60
        or      t0, t0, t1
        csrw    satp, t0
        sfence.vma
        li      t0, 3 << 11 | 1 << 8
        csrc    mstatus, t0
        li      t0, 1 << 18 | 1 << 13   # SUM, and floats.
        csrs    mstatus, t0
        csrw    mepc, zero              # The test's first page.
        li      s11, 0
        mret

        .align  2
supervisor_trap:
        csrrw   sp, sscratch, sp
        addi    sp, sp, -64
        sd      t0, 0(sp)
        sd      t1, 8(sp)
        sd      t2, 16(sp)
        sd      t3, 24(sp)
        sd      t4, 32(sp)
        csrr    t0, scause
        li      t1, 8
        beq     t0, t1, call
        csrr    t0, stval
        srli    t0, t0, 12
        li      t1, PAGES
        bgeu    t0, t1, bad_trap
        addi    s11, s11, 1             # Pages given.
        la      t1, leaf
        slli    t2, t0, 3
        add     t1, t1, t2
        ld      t2, 0(t1)
        bnez    t2, bad_trap            # It has that page already: A and D are set by the hart.
        # A copy in the pool, which is filled from its far end.
        la      t3, last
        slli    t4, t0, 12
        sub     t3, t3, t4
        srli    t2, t3, 12
        slli    t2, t2, 10
        ori     t2, t2, 0x1f            # V, R, W, X, U.
        sd      t2, 0(t1)
        la      t1, test
        add     t1, t1, t4
        li      t4, 4096
        add     t4, t4, t3
1:      ld      t2, 0(t1)
        sd      t2, 0(t3)
        addi    t1, t1, 8
        addi    t3, t3, 8
        bne     t3, t4, 1b
        sfence.vma
        fence.i
        ld      t0, 0(sp)
        ld      t1, 8(sp)
        ld      t2, 16(sp)
        ld      t3, 24(sp)
        ld      t4, 32(sp)
        addi    sp, sp, 64
        csrrw   sp, sscratch, sp
        sret
# The test has ended with a0. If it came to its end, 5 pages were touched (0, 1, 3, 4 and 5); those that were
# written must be dirty, those that were only read not.
call:   li      t2, 1
        bne     a0, t2, 2f
        li      t2, 5
        bne     s11, t2, bad_trap
        la      t1, leaf
        ld      t2, 8 * 4(t1)
        andi    t2, t2, 0xc0
        li      t3, 0xc0
        bne     t2, t3, bad_trap
        ld      t2, 8 * 3(t1)
        andi    t2, t2, 0xc0
        li      t3, 0x40
        bne     t2, t3, bad_trap
2:      la      t0, fromhost
        la      t1, tohost
1:      ld      t2, 0(t1)
        beqz    t2, 3f
        sd      zero, 0(t0)
        j       1b
3:      sd      a0, 0(t1)
4:      j       4b
bad_trap:
        li      a0, 1337 << 1 | 1
        la      t1, tohost
        sd      a0, 0(t1)
5:      j       5b

        .align  12
test:   li      sp, 0x5ff8              # Touches page 5.
        sd      zero, 0(sp)
        j       next
        .skip   4096 - 2 - (. - test)
        # An instruction half in page 0, half in page 1.
        .option norvc
next:   li      a0, 77
        .option rvc
        li      t0, 0x3000
        ld      a1, 0(t0)
        li      t1, 1234
        .if     FAIL == 2
        addi    t1, t1, 1
        .endif
        li      a0, 2 << 1 | 1
        bne     a1, t1, 9f
        li      t0, 0x3ffc              # Half in page 3, half in page 4.
        ld      a1, 0(t0)
        li      t0, 0x4100
        amoadd.d a2, a1, (t0)
        li      a0, 1
9:      ecall
        .skip   0x3000 - (. - test)
        .dword  1234
        .skip   PAGES * 4096 - (. - test)

        .section .tohost, "aw", @progbits
        .align  6
tohost: .dword  0
        .align  6
fromhost: .dword 0
        .bss
        .align  12
root:   .skip   4096
middle: .skip   4096
leaf:   .skip   4096
pool:   .skip   (PAGES - 1) * 4096
last:   .skip   4096
        .skip   4096
stack_top:
