# A loop of every kind of work under interrupts from the timer and the serial port. The result depends on
# where each interrupt was taken: the handler mixes mepc and the counters into s4.
        .include "common.inc"
        .globl  _start
_start: la      t0, trap_vector + 1
        csrw    mtvec, t0
        # The serial port's interrupt: PLIC source 10, priority 1, enabled for M-mode.
        li      t0, PLIC
        li      t1, 1
        sw      t1, 40(t0)
        li      t2, PLIC + 0x2000
        li      t1, 1 << 10
        sw      t1, 0(t2)
        li      t0, UART
        li      t1, 1
        sb      t1, 1(t0)
        # The timer: 20 ticks from now.
        call    set_timer
        li      t0, 1 << 7 | 1 << 11
        csrw    mie, t0
        li      t0, 1 << 13 | 8
        csrs    mstatus, t0
        la      a0, data
        li      s0, 0
        li      s1, 40
        li      s4, 0
        fcvt.d.l fa0, s1
again:  sd      s0, 0(a0)
        lw      t1, 2(a0)
        add     s2, s2, t1
        mul     s2, s2, s1
        amoadd.w t2, s2, (a0)
        lr.d    t2, (a0)
        addi    t2, t2, 1
        sc.d    t3, t2, (a0)
        add     s4, s4, t3
        fdiv.d  fa1, fa0, fa0
        fadd.d  fa0, fa0, fa1
        csrr    t1, instret
        xor     s2, s2, t1
        call    leaf
        # Code that changes with each turn.
        la      t0, 1f
        lw      t1, 0(t0)
        lui     t2, 0x100
        add     t1, t1, t2
        sw      t1, 0(t0)
        .option norvc
1:      addi    s3, s3, 0
        .option rvc
        ecall
        addi    s0, s0, 1
        bne     s0, s1, again
        # Wait for one more of them.
        mv      s5, s4
2:      wfi
        beq     s5, s4, 2b
        pass
leaf:   slli    t4, s2, 3
        srai    t4, t4, 1
        ret
set_timer:
        li      t5, CLINT + 0xbff8
        ld      t6, 0(t5)
        addi    t6, t6, 20
        li      t5, CLINT + 0x4000
        sd      t6, 0(t5)
        ret
        .align  8
trap_vector:
        j       exception
        .skip   28 - 4
        .option norvc
        .org    trap_vector + 28
        j       timer
        .org    trap_vector + 44
        j       external
        .option rvc
exception:
        csrr    t0, mepc
        addi    t0, t0, 4
        csrw    mepc, t0
        mret
timer:  addi    sp, sp, 0
        csrw    mscratch, t6
        la      t6, saved
        sd      t5, 0(t6)
        sd      ra, 8(t6)
        call    set_timer
        j       mix
external:
        csrw    mscratch, t6
        la      t6, saved
        sd      t5, 0(t6)
        sd      ra, 8(t6)
        li      t5, PLIC + 0x200004
        lw      t6, 0(t5)
        li      ra, UART
        lbu     ra, 0(ra)
        xor     s4, s4, ra
        sw      t6, 0(t5)
mix:    csrr    t6, mepc
        add     s4, s4, t6
        slli    t5, s4, 7
        srli    t6, s4, 57
        or      s4, t5, t6
        csrr    t6, mcycle
        xor     s4, s4, t6
        la      t6, saved
        ld      t5, 0(t6)
        ld      ra, 8(t6)
        csrr    t6, mscratch
        mret
failed: j failed
        .data
        .align  3
data:   .dword  0, 0
saved:  .dword  0, 0
