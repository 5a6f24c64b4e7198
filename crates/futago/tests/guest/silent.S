# Says nothing, has no trap handler, and begins with an instruction that is illegal. FAIL 0: it was built for more than
# rv64gc, and the instruction is sh1add of Zba. 1: for M-mode; it sets up its traps. 2: as 0, but it speaks first.
    .option norvc
    .globl _start
    .section .text.init, "ax"
_start:
.if FAIL == 1
    csrw    mtvec, zero
.else
.if FAIL == 2
    li      t0, 0x10000000
    li      t1, '!'
    sb      t1, 0(t0)
    # Time for what was said to be heard.
    li      t0, 10000000
1:  addi    t0, t0, -1
    bnez    t0, 1b
.endif
    .insn   r 0x33, 2, 0x10, a0, a1, a2
.endif
2:  j       2b
