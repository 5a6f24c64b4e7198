# Exceptions, privilege, protection, counters and waiting.
        .include "common.inc"
        .globl  _start
_start: la      t0, trap
        csrw    mtvec, t0
        li      s6, 0
        li      s7, 4

        .word   0xffffffff
        expect  1, s8, 2
        expect  2, s9, 0xffffffff
        li      s7, 2
        .half   0
        expect  3, s8, 2
        expect  4, s9, 0
        li      s7, 4
        .option norvc
        csrr    t0, 0x5a8
        .option rvc
        expect  5, s8, 2
        li      t1, 0x5a8022f3
        li      s11, 6
        bne     t1, s9, failed
        .option norvc
mark:   ebreak
        .option rvc
        expect  7, s8, 3
        la      t1, mark
        li      s11, 8
        bne     t1, s9, failed
        ecall
        expect  9, s8, 11
        expect  10, s9, 0

        # Misaligned and absent addresses.
        la      a0, data
        .option norvc
        addi    a1, a0, 2
        lr.w    t0, (a1)
        .option rvc
        expect  11, s8, 4
        li      s11, 12
        bne     s9, a1, failed
        amoadd.d t0, t0, (a1)
        expect  13, s8, 6
        sc.d    t0, t0, (a1)
        expect  14, s8, 6
        li      a1, 0x40000000
        .option norvc
        lw      t0, 0(a1)
        expect  15, s8, 5
        sw      t0, 0(a1)
        expect  16, s8, 7
        amoadd.w t0, t0, (a1)
        expect  17, s8, 7
        .option rvc
        la      s6, 1f
        jr      a1
1:      expect  18, s8, 1
        li      s11, 19
        bne     s9, a1, failed
        # Misaligned loads and stores work.
        li      t0, 0x1122334455667788
        sd      t0, 3(a0)
        lw      t1, 5(a0)
        expect  20, t1, 0x33445566

        # Reservations.
        lr.d    t0, (a0)
        sc.d    t1, t0, (a0)
        expect  21, t1, 0
        sc.d    t1, t0, (a0)
        expect  22, t1, 1
        lr.w    t0, (a0)
        ecall
        sc.w    t1, t0, (a0)
        expect  23, t1, 1
        lr.w    t0, (a0)
        addi    a1, a0, 8
        sc.w    t1, t0, (a1)
        expect  24, t1, 1

        # Counters count attempts.
        csrr    t0, mcycle
        nop
        ecall
        csrr    t1, mcycle
        sub     t1, t1, t0
        expect  25, t1, 12
        csrw    minstret, x0
        csrr    t0, minstret
        expect  26, t0, 0

        # The float unit is off until it is on, and gets dirty.
        .option norvc
        fadd.d  fa0, fa0, fa0
        .option rvc
        expect  27, s8, 2
        li      t0, 1 << 13
        csrs    mstatus, t0
        fmv.d.x fa0, x0
        csrr    t0, mstatus
        srli    t0, t0, 63
        expect  28, t0, 1

        # Protection: U-mode may only touch what an entry permits.
        la      t0, user_end
        srli    t0, t0, 2
        csrw    pmpaddr0, t0
        li      t0, 0x0d
        csrw    pmpcfg0, t0
        li      s6, 0
        la      t0, end
        csrw    mtvec, t0
        la      t0, user
        csrw    mepc, t0
        li      t0, 3 << 11
        csrc    mstatus, t0
        mret
        .align  12
user:   la      a0, user_data
        lw      t0, 0(a0)
        expect  30, t0, 0x1234
        .option norvc
        sw      t0, 0(a0)
        expect  31, s8, 7
        lw      t0, 4(a0)
        expect  32, s8, 5
        # Straddles the end of the entry.
        ld      t0, 0(a0)
        expect  33, s8, 5
        csrr    t0, mstatus
        expect  34, s8, 2
        wfi
        expect  35, s8, 2
        mret
        expect  36, s8, 2
        sfence.vma
        expect  37, s8, 2
        rdtime  t0
        expect  38, s8, 2
        .option rvc
        # Outside the entry nothing may be fetched; the fault leads back into M-mode.
        li      s11, 39
        la      t0, outside
        jr      t0
        .align  2
user_data:
        .word   0x1234
user_end:
        .word   0x5678
outside:
        nop
        .align  2
# A fetch fault ends the program; all else is skipped.
        .align  2
end:    li      s11, 40
        csrr    s8, mcause
        li      s10, 1
        bne     s8, s10, trap
        csrr    t0, mepc
        la      t1, outside
        bne     t0, t1, failed
        pass
        handler
        .data
        .align  3
data:   .dword  0, 0, 0, 0
