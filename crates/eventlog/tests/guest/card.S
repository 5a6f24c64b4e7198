# A guest for tests, in M-mode without firmware: the driver of a network card that takes frames when it is told to.
#
# Typed 'd': start the card (virtio slot 0), with a queue of 128 buffers, none of which it has yet
#       'o': give it all 128 buffers
#       'r': print the first byte of each frame that has come in since it was asked last
# Anything else is echoed. Between two bytes that are typed it waits (WFI).
#
#   s0 UART   s1 PLIC claim   s2 card   s3 buffers given so far   s4 frames printed so far

        .equ    QUEUE, 128
        .equ    BUFFER_BYTES, 2048

        .globl  _start
_start:
        li      s0, 0x10000000
        li      t0, 1
        sb      t0, 1(s0)                       # UART: interrupt on received data
        li      t1, 0x0c000000
        sw      t0, 40(t1)                      # PLIC: priority of source 10
        li      t1, 0x0c002000
        li      t0, 1 << 10
        sw      t0, 0(t1)                       # PLIC: enabled for M-mode
        li      s1, 0x0c200004
        sw      zero, -4(s1)                    # PLIC: threshold
        li      s2, 0x10001000
        li      s3, 0
        li      s4, 0
        li      t0, 1 << 11
        csrw    mie, t0                         # wakes, and interrupts nothing

        la      t0, descriptors
        la      t1, available
        addi    t1, t1, 4                       # the ring itself
        la      t2, buffers
        li      t3, 0
describe:
        sd      t2, 0(t0)
        li      t4, BUFFER_BYTES
        sw      t4, 8(t0)
        li      t4, 2                           # the device writes
        sw      t4, 12(t0)
        sh      t3, 0(t1)
        addi    t0, t0, 16
        addi    t1, t1, 2
        li      t4, BUFFER_BYTES
        add     t2, t2, t4
        addi    t3, t3, 1
        li      t4, QUEUE
        bltu    t3, t4, describe

main:
        wfi
        lw      a5, 0(s1)                       # claim
next:
        lbu     a0, 5(s0)
        andi    a0, a0, 1
        beqz    a0, done                        # nothing more was typed
        lbu     a0, 0(s0)
        li      a1, 'd'
        beq     a0, a1, start
        li      a1, 'o'
        beq     a0, a1, offer
        li      a1, 'r'
        beq     a0, a1, received
        sb      a0, 0(s0)
        j       next
done:
        sw      a5, 0(s1)                       # complete
        j       main

start:
        sw      zero, 0x70(s2)
        li      t0, 3
        sw      t0, 0x70(s2)                    # acknowledged, and driven
        li      t0, 1
        sw      t0, 0x24(s2)
        sw      t0, 0x20(s2)                    # VERSION_1, and no other feature
        li      t0, 11
        sw      t0, 0x70(s2)
        sw      zero, 0x30(s2)                  # queue 0: what is received
        li      t0, QUEUE
        sw      t0, 0x38(s2)
        la      t0, descriptors
        sw      t0, 0x80(s2)
        sw      zero, 0x84(s2)
        la      t0, available
        sw      t0, 0x90(s2)
        sw      zero, 0x94(s2)
        la      t0, used
        sw      t0, 0xa0(s2)
        sw      zero, 0xa4(s2)
        li      t0, 1
        sw      t0, 0x44(s2)
        li      t0, 15
        sw      t0, 0x70(s2)
        j       next

offer:
        addi    s3, s3, QUEUE
        la      t0, available
        fence
        sh      s3, 2(t0)
        fence
        sw      zero, 0x50(s2)                  # notify queue 0
        j       next

received:
        la      t0, used
        lhu     t1, 2(t0)
        beq     s4, t1, next
        andi    t2, s4, QUEUE - 1
        slli    t2, t2, 3
        add     t2, t2, t0
        lwu     t2, 4(t2)                       # which buffer
        li      t3, BUFFER_BYTES
        mul     t2, t2, t3
        la      t3, buffers
        add     t2, t2, t3
        lbu     t2, 12(t2)                      # behind the header
        sb      t2, 0(s0)
        addi    s4, s4, 1
        j       received

        .balign 4096
descriptors:
        .zero   QUEUE * 16
available:
        .zero   4 + QUEUE * 2 + 2
        .balign 4096
used:   .zero   4 + QUEUE * 8 + 2
        .balign 4096
buffers:
        .zero   QUEUE * BUFFER_BYTES
