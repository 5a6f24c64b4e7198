# Speaks to its host by system calls, as programs for Spike do. FAIL says what it asks for.
    .option norvc
    .globl _start, tohost, fromhost

# Calls the host with the words at `call`, waits for its answer, and takes it. The result is in a0.
    .macro host
    la      t0, call
    la      t1, tohost
    la      t2, fromhost
    sd      t0, 0(t1)
1:  ld      t3, 0(t2)
    beqz    t3, 1b
    sd      zero, 0(t2)
    ld      a0, 0(t0)
    .endm

    .macro word index, value
    li      t1, \value
    sd      t1, 8 * \index(t0)
    .endm

    .section .text.init, "ax"
_start:
    la      t0, call
    la      t1, text
    sd      t1, 16(t0)
.if FAIL == 0
    # All is well: eight times six bytes, then what is bad only for the program, then a key, echoed; ends with code 5.
    li      s0, 8
3:  la      t0, call
    word    0, 64
    word    1, 1
    word    3, 6
    host
    li      t3, 6
    bne     a0, t3, wrong
    addi    s0, s0, -1
    bnez    s0, 3b
    word    0, 64
    word    1, 77
    host
    li      t3, -9
    bne     a0, t3, wrong
    # A key is wanted: device 1, command 0.
    la      t1, tohost
    la      t2, fromhost
    li      t3, 0x01
    slli    t3, t3, 56
    sd      t3, 0(t1)
4:  ld      a0, 0(t2)
    beqz    a0, 4b
    sd      zero, 0(t2)
    srli    a1, a0, 8
    li      t4, 0x01
    slli    t4, t4, 48
    ori     t4, t4, 1
    bne     a1, t4, wrong
    # It is said by device 1, command 1.
    andi    a0, a0, 0xff
    slli    t4, t4, 48
    or      t3, t3, t4
    or      t3, t3, a0
    sd      t3, 0(t1)
5:  ld      t3, 0(t1)
    bnez    t3, 5b
    la      t0, call
    word    0, 93
    word    1, 5
    host
wrong:
    li      t3, 0x1235
    la      t1, tohost
    sd      t3, 0(t1)
6:  j       6b
.elseif FAIL == 1
    word    0, 1024
    host
.elseif FAIL == 2
    # No such device.
    la      t1, tohost
    li      t3, 0x02
    slli    t3, t3, 56
    sd      t3, 0(t1)
7:  wfi
    j       7b
.elseif FAIL == 3
    # A text outside memory.
    word    0, 64
    word    1, 1
    word    2, 0x1000
    word    3, 1
    host
.elseif FAIL == 4
    # A text of nearly all addresses.
    word    0, 64
    word    1, 1
    word    3, -1
    host
.elseif FAIL == 5
    # The words of the call outside memory.
    la      t1, tohost
    li      t3, 0x1000
    sd      t3, 0(t1)
8:  j       8b
.elseif FAIL == 6
    # Never takes an answer.
    la      t1, tohost
9:  word    0, 64
    word    1, 1
    word    3, 0
    la      t1, tohost
    sd      t0, 0(t1)
10: ld      t3, 0(t1)
    bnez    t3, 10b
    j       9b
.endif

    .data
text: .ascii "hello\n"
    .balign 64
call: .dword 0, 0, 0, 0, 0, 0, 0, 0
tohost: .dword 0
fromhost: .dword 0
