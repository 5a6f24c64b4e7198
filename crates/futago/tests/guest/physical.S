# In the style of riscv-tests' "p" environment: M-mode, physical addresses, a trap handler that ends the
# run, and the result in `tohost` by two halves, again and again. FAIL: the number of the check to fail.
        .option norelax
        .section .text.init, "ax"
        .globl  _start, tohost, fromhost, begin_signature, end_signature
_start: j       reset
        .align  2
trap:   csrr    t5, mcause
        li      t6, 8                   # A call from U-mode ends the test.
        beq     t5, t6, write_tohost
        li      t6, 2
        beq     t5, t6, expected
        ori     gp, gp, 1337
write_tohost:
        la      t6, tohost
        sw      gp, 0(t6)
        sw      zero, 4(t6)
        j       write_tohost
expected:
        csrr    t5, mepc
        addi    t5, t5, 4
        csrw    mepc, t5
        la      t6, signature
        csrr    t5, mcause
        sd      t5, 8(t6)
        csrr    t5, mtval
        sd      t5, 16(t6)
        mret
reset:  csrr    a0, mhartid
1:      bnez    a0, 1b
        # As the suite does: each of these registers may be absent, and traps then.
        la      t0, 1f
        csrw    mtvec, t0
        csrwi   0x744, 0                # mnstatus
        .align  2
1:      la      t0, 1f
        csrw    mtvec, t0
        csrwi   satp, 0
        .align  2
1:      la      t0, 1f
        csrw    mtvec, t0
        li      t0, (1 << 31) - 1
        csrw    pmpaddr0, t0
        li      t0, 0x1f
        csrw    pmpcfg0, t0
        .align  2
1:      la      t0, 1f
        csrw    mtvec, t0
        csrw    medeleg, zero
        csrw    mideleg, zero
        .align  2
1:      csrwi   mie, 0
        li      gp, 0
        la      t0, trap
        csrw    mtvec, t0
        li      t0, 3 << 11
        csrc    mstatus, t0
        li      t0, 1 << 13
        csrs    mstatus, t0
        la      t0, test
        csrw    mepc, t0
        mret

        .macro  check number, reg, value
        li      gp, \number
        li      t2, \value
        .if     \number == FAIL
        addi    t2, t2, 1
        .endif
        bne     \reg, t2, failed
        .endm
test:   li      a0, 6
        li      a1, 7
        mul     a2, a0, a1
        check   2, a2, 42
        la      t0, data
        li      a1, 5
        amoadd.w a3, a1, (t0)
        check   3, a3, 17
        lw      a3, 0(t0)
        check   4, a3, 22
        fcvt.d.l fa0, a3
        fadd.d  fa0, fa0, fa0
        fcvt.l.d a3, fa0
        check   5, a3, 44
        csrr    a3, mscratch            # Illegal in U-mode: the handler notes it.
        la      t0, signature
        sd      a2, 0(t0)
        ld      a3, 8(t0)
        check   6, a3, 2
        li      gp, 1
        ecall
failed: slli    gp, gp, 1
        ori     gp, gp, 1
        ecall

        .section .tohost, "aw", @progbits
        .align  6
tohost: .dword  0
        .align  6
fromhost: .dword 0
        .data
        .align  4
data:   .dword  17
begin_signature:
signature: .fill 4, 8, 0xdeadbeef
end_signature:
