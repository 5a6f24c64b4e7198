# Asks the test device two questions at a time, and makes the next ones of the answers: what it computes depends on every
# answer. Says a point for each round; at the end, what it computed, and switches itself off.
        .equ    FINISHER, 0x100000
        .equ    ASKER, 0x102000
        .equ    UART, 0x10000000
        .equ    PLIC, 0x0c000000
        .equ    CLAIM, PLIC + 0x200004
        .globl  _start
_start: la      s0, area
        li      s1, ASKER
        # The device's interrupt: PLIC source 12, priority 1, enabled for M-mode. It wakes, and is never taken.
        li      t0, PLIC
        li      t1, 1
        sw      t1, 48(t0)
        li      t0, PLIC + 0x2000
        li      t1, 1 << 12
        sw      t1, 0(t0)
        li      t0, 1 << 11
        csrw    mie, t0
        li      s2, 0
        li      s3, 30
        li      s4, 1
        li      t0, 8
        sd      t0, 8(s1)
round:  sd      s4, 0(s0)
        addi    t0, s4, 1
        sd      t0, 8(s0)
        addi    t0, s0, 64
        sd      s0, 0(s1)
        sd      t0, 16(s1)
        sd      zero, 24(s1)
        addi    t0, s0, 8
        addi    t1, s0, 72
        sd      t0, 0(s1)
        sd      t1, 16(s1)
        sd      zero, 24(s1)
        ld      t0, 24(s1)
        beqz    t0, off
        addi    s2, s2, 2
wait:   ld      t0, 32(s1)
        bgeu    t0, s2, both
        wfi
        sd      zero, 32(s1)
        li      t0, CLAIM
        lw      t1, 0(t0)
        sw      t1, 0(t0)
        j       wait
both:   li      t2, 31
        ld      t0, 64(s0)
        mul     s4, s4, t2
        add     s4, s4, t0
        ld      t0, 72(s0)
        mul     s4, s4, t2
        add     s4, s4, t0
        # Some work.
        li      t0, 3000
1:      addi    t0, t0, -1
        bnez    t0, 1b
        li      a0, '.'
        call    say
        addi    s3, s3, -1
        bnez    s3, round
        li      s5, 60
2:      srl     a0, s4, s5
        andi    a0, a0, 15
        addi    a0, a0, 'A'
        call    say
        addi    s5, s5, -4
        bgez    s5, 2b
off:    li      t0, FINISHER
        li      t1, 0x5555
        sw      t1, 0(t0)
3:      j       3b
say:    li      t0, UART
        sb      a0, 0(t0)
        ret
        .align  3
area:   .space  128
