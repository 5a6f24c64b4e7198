# Entry of the bare-metal guest: a stack, then main, which does not return.
	.section .text.start
	.globl _start
_start:
	la	sp, stack_end
	call	main
	.bss
	.balign	16
	.space	4096
stack_end:
