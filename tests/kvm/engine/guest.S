/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.S - what vCPUs run in test_engine.c
 *
 * Copied to guest memory; each entry begins with x0 = its block: word 0 is an address, results follow, words 8 to 10 are
 * TTBR0, TCR and MAIR if word 8 is not 0, word 15 is what an exception reports.  The end is a store to nothing that the host knows.
 */
	.arch	armv8.2-a
	.text
	.balign	0x800
	.globl	guest_begin
guest_begin:
	.rept	16
	.balign	0x80
	mrs	x20, esr_el1
	str	x20, [x0, #120]
	b	finish
	.endr

	.balign	0x80
begin:	adr	x1, guest_begin
	msr	vbar_el1, x1
	mov	x1, #3 << 20
	msr	cpacr_el1, x1
	isb
	ldr	x1, [x0, #64]
	cbz	x1, 1f
	msr	ttbr0_el1, x1
	ldp	x1, x2, [x0, #72]
	msr	tcr_el1, x1
	msr	mair_el1, x2
	dsb	sy
	isb
	mrs	x1, sctlr_el1
	mov	x2, #5			/* M, C */
	orr	x1, x1, x2
	msr	sctlr_el1, x1
	isb
1:	ldr	x1, [x0]
	ret

finish:	mov	x20, #0x09000000
	str	x20, [x20]
1:	b	1b

	.macro	entry name
	.globl	guest_\name
guest_\name:
	bl	begin
	.endm

	entry	load
	ldr	x2, [x1]
	str	x2, [x0, #8]
	b	finish

	entry	pair
	ldp	x2, x3, [x1], #16
	stp	x2, x3, [x0, #8]
	str	x1, [x0, #24]
	b	finish

	entry	vector
	ldr	q0, [x1]
	str	q0, [x0, #16]
	b	finish

	entry	store
	mov	w2, #0x1234
	str	w2, [x1], #4
	str	x1, [x0, #24]
	ldr	w3, [x1, #-4]
	str	x3, [x0, #8]
	b	finish

	entry	jump
	br	x1

	/* Count for ever, in word 1. */
	entry	count
1:	ldr	x2, [x0, #8]
	add	x2, x2, #1
	str	x2, [x0, #8]
	b	1b

	/* Writes of pages 1, 3 and 64 behind the address. */
	entry	touch
	add	x2, x1, #0x1000
	str	x2, [x2]
	add	x2, x1, #0x3000
	str	x2, [x2]
	add	x2, x1, #0x40000
	str	x2, [x2]
	b	finish

	/* GICD_ISENABLER1 by pre-index, which KVM can not describe; word 1 is what it reads as then. */
	entry	enable
	mov	x1, #0x08000000
	add	x1, x1, #0x100
	mov	w2, #1 << 5
	str	w2, [x1, #4]!
	ldr	w3, [x1]
	str	x3, [x0, #8]
	b	finish

	/* Take the wired interrupt 5 until word 1 is as large as word 2; word 3 is the last INTID. */
	entry	take
	mov	x1, #0x08000000
	mov	w2, #0x12		/* GICD_CTLR: ARE, group 1 */
	str	w2, [x1]
	mov	w2, #1 << 5
	str	w2, [x1, #0x84]		/* IGROUPR1 */
	add	x3, x1, #0xc00
	str	wzr, [x3, #8]		/* ICFGR2: level */
	str	w2, [x1, #0x104]	/* ISENABLER1 */
	mov	w2, #0xff
	msr	s3_0_c4_c6_0, x2	/* ICC_PMR_EL1 */
	mov	x2, #1
	msr	s3_0_c12_c12_7, x2	/* ICC_IGRPEN1_EL1 */
	isb
1:	ldp	x4, x5, [x0, #8]
	cmp	x4, x5
	b.ge	finish
	wfi
	mrs	x2, s3_0_c12_c12_0	/* ICC_IAR1_EL1 */
	dsb	sy
	cmp	x2, #1020
	b.ge	1b
	str	x2, [x0, #24]
	add	x4, x4, #1
	str	x4, [x0, #8]
	msr	s3_0_c12_c12_1, x2	/* ICC_EOIR1_EL1 */
	isb
	b	1b

	.balign	8
	.globl	guest_end
guest_end:
