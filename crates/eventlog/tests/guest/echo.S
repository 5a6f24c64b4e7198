# A guest for tests, in M-mode without firmware: echoes what is typed, counts, and ticks.
#
# Typed 'b': be busy (mix numbers into memory for ever)   'i': be idle (WFI) between interrupts
#       't': print the clock, 16 digits                   's': print the checksum of all clock reads
#       'q': power off                                    'r': ask for a reset
# Anything else is echoed. A timer interrupt comes every 10 ms; every 64th prints a dot.
#
# The main loop owns the t registers, interrupts own the a registers; s registers are shared:
#   s0 UART   s1 PLIC claim   s2 mtime   s3 mtimecmp   s4 period   s5 memory that is mixed
#   s6 busy   s7 counter      s8 checksum of clock reads           s9 ticks

        .globl  _start
_start:
        la      sp, stack
        la      t0, trap
        csrw    mtvec, t0
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
        li      s2, 0x0200bff8
        li      s3, 0x02004000
        li      s4, 100000
        la      s5, mixed
        li      s6, 0
        li      s7, 0
        li      s8, 0
        li      s9, 0
        ld      t0, 0(s2)
        add     t0, t0, s4
        sd      t0, 0(s3)
        li      t0, (1 << 11) | (1 << 7)
        csrw    mie, t0
        csrsi   mstatus, 8

main:
        bnez    s6, busy
        wfi
        j       main
busy:
        addi    s7, s7, 1
        slli    t0, s7, 3
        li      t1, 0x7ff8
        and     t0, t0, t1
        add     t0, t0, s5
        ld      t1, 0(t0)
        add     t1, t1, s7
        slli    t2, t1, 7
        xor     t1, t1, t2
        sd      t1, 0(t0)
        j       main

        .balign 4
trap:
        csrr    a0, mcause
        bgez    a0, off                         # an exception: a bug in this guest
        andi    a0, a0, 15
        li      a1, 7
        beq     a0, a1, timer

        lw      a5, 0(s1)                       # claim
next:
        lbu     a0, 5(s0)
        andi    a0, a0, 1
        beqz    a0, done                        # nothing more was typed
        lbu     a0, 0(s0)
        li      a1, 'b'
        beq     a0, a1, be_busy
        li      a1, 'i'
        beq     a0, a1, be_idle
        li      a1, 't'
        beq     a0, a1, print_clock
        li      a1, 's'
        beq     a0, a1, print_sum
        li      a1, 'q'
        beq     a0, a1, off
        li      a1, 'r'
        beq     a0, a1, reset
        sb      a0, 0(s0)
        j       next
done:
        sw      a5, 0(s1)                       # complete
        mret

be_busy:
        li      s6, 1
        j       next
be_idle:
        li      s6, 0
        j       next
print_clock:
        ld      a0, 0(s2)
        j       print
print_sum:
        mv      a0, s8
print:
        li      a1, 60
digit:
        srl     a2, a0, a1
        andi    a2, a2, 15
        la      a3, digits
        add     a3, a3, a2
        lbu     a3, 0(a3)
        sb      a3, 0(s0)
        addi    a1, a1, -4
        bgez    a1, digit
        li      a3, '\n'
        sb      a3, 0(s0)
        j       next

timer:
        ld      a0, 0(s2)
        slli    a1, s8, 5
        sub     s8, a1, s8
        add     s8, s8, a0                      # checksum = checksum * 31 + clock
        ld      a1, 0(s3)
        add     a1, a1, s4
        bgtu    a1, a0, on_time
        add     a1, a0, s4                      # ticks were lost: start afresh
on_time:
        sd      a1, 0(s3)
        addi    s9, s9, 1
        andi    a0, s9, 63
        bnez    a0, silent
        li      a0, '.'
        sb      a0, 0(s0)
silent:
        mret

off:
        li      a0, 0x5555
        j       finish
reset:
        li      a0, 0x7777
finish:
        li      a1, 0x100000
        sw      a0, 0(a1)
        j       finish

digits: .ascii  "0123456789abcdef"
        .balign 4096
mixed:  .zero   32768
        .zero   4096
stack:
