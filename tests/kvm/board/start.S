/* SPDX-License-Identifier: Apache-2.0 */
/* start.S - header of an arm64 Image, entry, exception vectors, and single instructions that the tests run */
	.section .head, "ax"
	.globl	head
head:	b	entry			/* Linux Documentation/arch/arm64/booting.rst */
	.word	0
	.quad	0			/* text_offset */
	.quad	image_end - head	/* image_size */
	.quad	2			/* 4K pages */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.word	0

	.text
entry:	adrp	x1, stack_top
	add	x1, x1, :lo12:stack_top
	mov	sp, x1
	adr	x1, vectors
	msr	vbar_el1, x1
	mov	x1, #3 << 20
	orr	x1, x1, #3 << 16	/* SVE */
	msr	cpacr_el1, x1
	/* identity: 1 GiB of devices, 1 GiB of memory, 39 bits */
	adrp	x1, tables
	adr	x2, table_entries
	ldp	x3, x4, [x2]
	stp	x3, x4, [x1]
	msr	ttbr0_el1, x1
	ldp	x3, x4, [x2, #16]
	msr	tcr_el1, x3
	msr	mair_el1, x4
	dsb	sy
	isb
	mrs	x3, sctlr_el1
	mov	x4, #0x1005		/* M, C, I */
	orr	x3, x3, x4
	msr	sctlr_el1, x3
	isb
	bl	board_main
1:	wfi
	b	1b

	.balign	16
table_entries:
	.quad	0x00000000 | 1 << 10 | 0 << 2 | 1 | 1 << 54	/* devices: attribute 0 */
	.quad	0x40000000 | 1 << 10 | 1 << 2 | 3 << 8 | 1	/* memory: attribute 1 */
	.quad	25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32
	.quad	0xff04

	/* Record the exception and go on behind the instruction. */
	.balign	0x800
vectors:
	.rept	16
	.balign	0x80
	stp	x0, x1, [sp, #-16]!
	adrp	x0, trap
	add	x0, x0, :lo12:trap
	ldr	x1, [x0]
	add	x1, x1, #1
	str	x1, [x0]
	mrs	x1, esr_el1
	str	x1, [x0, #8]
	mrs	x1, far_el1
	str	x1, [x0, #16]
	mrs	x1, elr_el1
	add	x1, x1, #4
	msr	elr_el1, x1
	ldp	x0, x1, [sp], #16
	eret
	.endr

	/* uint64_t at_sp(uint64_t address, uint64_t *moved): ldr w, [sp], #16 */
	.globl	at_sp
at_sp:	mov	x3, sp
	mov	sp, x0
	ldr	w2, [sp], #16
	mov	x4, sp
	mov	sp, x3
	str	x4, [x1]
	mov	x0, x2
	ret

	.bss
	.balign	4096
tables:	.skip	4096
stack:	.skip	16384
stack_top:
