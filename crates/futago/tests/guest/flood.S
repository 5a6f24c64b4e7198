# Says far more than anybody reads, by 320 writes of 64 KiB to its host (FAIL of them, if that is not 0), and then ends with status 0.
    .option norvc
    .globl _start, tohost, fromhost
    .section .text.init, "ax"
_start:
    la      t1, tohost
    la      t2, fromhost
.if FAIL
    li      s0, FAIL
.else
    li      s0, 320
.endif
1:  la      t0, call
    li      t3, 64
    sd      t3, 0(t0)
    li      t3, 1
    sd      t3, 8(t0)
    sd      t1, 16(t0)
    li      t3, 65536
    sd      t3, 24(t0)
    sd      t0, 0(t1)
2:  ld      t3, 0(t2)
    beqz    t3, 2b
    sd      zero, 0(t2)
    addi    s0, s0, -1
    bnez    s0, 1b
    li      t3, 1
    sd      t3, 0(t1)
3:  j       3b
    .data
    .balign 64
call: .dword 0, 0, 0, 0, 0, 0, 0, 0
tohost: .dword 0
fromhost: .dword 0
