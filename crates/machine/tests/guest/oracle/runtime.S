# What the oracle programs stand on: start, power-off, and `enter`, which runs code in any mode and comes
# back by whatever trap ends it.
        .option norelax
        .section .text.first, "ax"
        .globl  _start, enter, finish, mtable, stable, scall
_start: la      sp, stack_top
        la      t0, mtable
        csrw    mtvec, t0
        li      t0, 1 << 13
        csrs    mstatus, t0
        call    main
        .globl  power_off
power_off:
        li      t0, 0x10000005          # The serial port must have sent everything.
1:      lbu     t1, 0(t0)
        andi    t1, t1, 0x40
        beqz    t1, 1b
        li      t0, 0x100000
        li      t1, 0x5555
        sw      t1, 0(t0)
1:      j       1b

# void enter(struct probe *): saves itself in the probe, and continues at its pc as its status says. Code
# there returns to `ra` of the probe, which is mostly `finish`.
        .align  4
enter:  addi    sp, sp, -128
        sd      ra, 0(sp)
        sd      gp, 8(sp)
        sd      tp, 16(sp)
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
        sd      s\n, 24 + 8 * \n(sp)
        .endr
        csrw    mscratch, a0
        sd      sp, 0(a0)
        ld      t0, 8(a0)
        csrw    mepc, t0
        mv      t0, a0
        la      sp, other_stack_top
        ld      ra, 56(t0)
        ld      a0, 24(t0)
        ld      a1, 32(t0)
        ld      a2, 40(t0)
        ld      a3, 48(t0)
        li      gp, 0
        li      tp, 0
        ld      t0, 16(t0)
        csrw    mstatus, t0
        li      t0, 0
        mret

        .align  4
finish: ecall
1:      j       1b

# Vectors: the register tells which was taken.
        .align  8
        .option norvc
mtable: .rept   16
        jal     tp, mtrap
        .endr
        .align  8
stable: .rept   16
        jal     gp, strap
        .endr
        .option rvc
        .align  4
strap:
scall:  ecall

        .align  4
mtrap:  csrrw   t0, mscratch, t0
        sd      a0, 24(t0)
        sd      a1, 32(t0)
        sd      a2, 40(t0)
        sd      a3, 48(t0)
        csrr    a0, mcause
        sd      a0, 64(t0)
        csrr    a0, mepc
        sd      a0, 72(t0)
        csrr    a0, mtval
        sd      a0, 80(t0)
        csrr    a0, mstatus
        sd      a0, 88(t0)
        sd      tp, 96(t0)
        sd      gp, 104(t0)
        ld      sp, 0(t0)
        li      a0, 1 << 17             # MPRV
        csrc    mstatus, a0
        ld      ra, 0(sp)
        ld      gp, 8(sp)
        ld      tp, 16(sp)
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
        ld      s\n, 24 + 8 * \n(sp)
        .endr
        addi    sp, sp, 128
        ret

        .bss
        .align  4
        .globl  stack_top, other_stack_top
        .skip   8192
stack_top:
        .skip   8192
other_stack_top:
