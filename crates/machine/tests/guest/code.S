# Stores into code: within the running block, in the next page, by instructions that straddle pages.
        .include "common.inc"
        .globl  _start
_start: la      t0, trap
        csrw    mtvec, t0
        li      s6, 0
        li      s7, 4
        li      s0, 0
        li      s1, 20
again:
        # The instruction right behind the store changes.
        la      a0, 1f
        lw      a1, other
        lw      a2, 1f
        li      t0, 0
        .option norvc
        sw      a1, 0(a0)
1:      addi    t0, t0, 1
        .option rvc
        expect  1, t0, 16
        sw      a2, 0(a0)
        fence.i
        li      t0, 0
        # One behind some more, twice, without fence.
        la      a0, 2f
        .option norvc
        sw      a1, 0(a0)
        addi    t0, t0, 4
        addi    t0, t0, 4
2:      addi    t0, t0, 1
        sw      a2, 0(a0)
        .option rvc
        expect  2, t0, 24
        # Half an instruction that straddles two pages.
        la      a0, straddle
        lhu     a3, 2(a0)
        li      t0, 0
        jalr    a0
        expect  3, t0, 1
        li      a4, 0x0102
        sh      a4, 2(a0)
        jalr    a0
        expect  4, t0, 17
        sh      a3, 2(a0)
        jalr    a0
        expect  5, t0, 18
        # Data beside code changes nothing.
        la      a1, beside
        ld      t1, 0(a1)
        addi    t1, t1, 1
        sd      t1, 0(a1)
        addi    s0, s0, 1
        bne     s0, s1, again
        la      a1, beside
        ld      t1, 0(a1)
        expect  6, t1, 20
        # An AMO writes code.
        la      a0, 3f
        lw      a1, other
        li      t0, 0
        .option norvc
        amoswap.w a2, a1, (a0)
3:      addi    t0, t0, 1
        .option rvc
        expect  7, t0, 16
        pass
        .align  3
beside: .dword  0
        .option norvc
other:  addi    t0, t0, 16
        .align  12
        .skip   4094
        # addi t0, t0, 1, cut after the first half
straddle:
        .half   0x8293, 0x0012
        ret
        .option rvc
        handler
