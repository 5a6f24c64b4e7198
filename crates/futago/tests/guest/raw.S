# Says on the serial port in which mode it was started, and where; then powers off. Runs anywhere. Its mode is M if
# reading `mstatus` does not trap.
    .option norvc
    .option norelax
    .globl _start
    .section .text.init, "ax"
_start:
    auipc   s0, 0
    li      s2, 'S'
    la      t0, 1f
    csrw    stvec, t0
    csrr    s3, sscratch
    lui     t0, 0x80000
    slli    t0, t0, 32
    srli    t0, t0, 32
    bne     s0, t0, 1f              # Only tried where firmware is not: a trap in S-mode goes to `stvec`.
    csrr    t0, mstatus
    li      s2, 'M'
1:  li      s1, 0x10000000
    sb      s2, 0(s1)
    li      t0, ' '
    sb      t0, 0(s1)
    li      t1, 28
2:  srl     t0, s0, t1
    andi    t0, t0, 15
    addi    t0, t0, '0'
    sb      t0, 0(s1)
    addi    t1, t1, -4
    bgez    t1, 2b
    li      t0, '\n'
    sb      t0, 0(s1)
    li      t0, 0x100000
    li      t1, 0x5555
    sw      t1, 0(t0)
3:  j       3b
