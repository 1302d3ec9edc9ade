/* SPDX-License-Identifier: Apache-2.0 */
/* start.S - entry, vectors, single-instruction helpers and EL0 code of the bare-metal tests (bare.h) */

	.section .text.start, "ax"
	.globl _start
_start:
	adrp	x1, stack_top
	add	x1, x1, :lo12:stack_top
	mov	sp, x1
	adr	x1, vectors
	msr	vbar_el1, x1
	isb
	bl	bare_main
1:	b	1b

	.text

	.macro	leaf name, body:vararg
	.globl	\name
\name:
	\body
	ret
	.endm

	leaf	load8, ldrb w0, [x0]
	leaf	load32, ldr w0, [x0]
	leaf	load64, ldr x0, [x0]
	leaf	load_acquire, ldar x0, [x0]
	leaf	load_user, ldtr x0, [x0]
	leaf	load_exclusive, ldxr x0, [x0]
	leaf	store64, str x1, [x0]
	leaf	store_user, sttr x1, [x0]
	leaf	store_pair, stp x1, x2, [x0]
	.arch_extension lse
	leaf	swap, swp x1, x0, [x0]
	leaf	zero_line, dc zva, x0

	.globl	call
call:
	stp	x29, x30, [sp, #-16]!
	adr	x1, 1f
	adrp	x2, trap
	add	x2, x2, :lo12:trap
	str	x1, [x2, #48]
	blr	x0
1:	adrp	x2, trap
	add	x2, x2, :lo12:trap
	str	xzr, [x2, #48]
	ldp	x29, x30, [sp], #16
	ret

	.globl	load_at_sp
load_at_sp:
	mov	x9, sp
	mov	sp, x0
	ldr	x0, [sp]
	mov	sp, x9
	ret

	/* Vectors: x16 and x17 are ours, the compiler keeps nothing in them over these calls. */
	.macro	vector target, offset
	.balign	128
	msr	tpidrro_el0, x17
	mov	x17, #\offset
	b	\target
	.endm

	.balign	2048
	.globl	vectors
vectors:
	vector	sync, 0x000
	vector	irq, 0x080
	vector	irq, 0x100
	vector	sync, 0x180
	vector	sync, 0x200
	vector	irq, 0x280
	vector	irq, 0x300
	vector	sync, 0x380
	vector	sync_user, 0x400
	vector	irq_user, 0x480
	vector	irq_user, 0x500
	vector	sync_user, 0x580
	vector	sync, 0x600
	vector	sync, 0x680
	vector	sync, 0x700
	vector	sync, 0x780

	/* Fill in `trap`; clobbers x15..x17 after saving x15, x16 by the caller. */
	.macro	record
	adrp	x16, trap
	add	x16, x16, :lo12:trap
	str	x17, [x16, #8]
	ldr	x17, [x16]
	add	x17, x17, #1
	str	x17, [x16]
	mrs	x17, esr_el1
	str	x17, [x16, #16]
	mrs	x17, far_el1
	str	x17, [x16, #24]
	mrs	x17, elr_el1
	str	x17, [x16, #32]
	mrs	x17, spsr_el1
	str	x17, [x16, #40]
	.endm

sync:
	msr	tpidr_el1, x16
	record
	ldr	x17, [x16, #48]
	cbnz	x17, 1f
	mrs	x17, elr_el1
	add	x17, x17, #4
1:	msr	elr_el1, x17
	mrs	x17, spsr_el1
	bic	x17, x17, #(1 << 20)
	msr	spsr_el1, x17
	mrs	x16, tpidr_el1
	mrs	x17, tpidrro_el0
	eret

	/* Interrupts: record, call the test's handler, go on. */
irq:
	msr	tpidr_el1, x16
	record
	mrs	x16, tpidr_el1
	mrs	x17, tpidrro_el0
	sub	sp, sp, #192
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	mrs	x0, elr_el1
	mrs	x1, spsr_el1
	stp	x0, x1, [sp, #160]
	bl	on_irq
	ldp	x0, x1, [sp, #160]
	msr	elr_el1, x0
	msr	spsr_el1, x1
	ldp	x18, x30, [sp, #144]
	ldp	x16, x17, [sp, #128]
	ldp	x14, x15, [sp, #112]
	ldp	x12, x13, [sp, #96]
	ldp	x10, x11, [sp, #80]
	ldp	x8, x9, [sp, #64]
	ldp	x6, x7, [sp, #48]
	ldp	x4, x5, [sp, #32]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp]
	add	sp, sp, #192
	eret

irq_user:
sync_user:
	record
	adrp	x16, user_saved
	add	x16, x16, :lo12:user_saved
	ldp	x19, x20, [x16]
	ldp	x21, x22, [x16, #16]
	ldp	x23, x24, [x16, #32]
	ldp	x25, x26, [x16, #48]
	ldp	x27, x28, [x16, #64]
	ldp	x29, x30, [x16, #80]
	ldr	x17, [x16, #96]
	mov	sp, x17
	ret

	/* user_call(entry, x0, x1, spsr) */
	.globl	user_call
user_call:
	adrp	x16, user_saved
	add	x16, x16, :lo12:user_saved
	stp	x19, x20, [x16]
	stp	x21, x22, [x16, #16]
	stp	x23, x24, [x16, #32]
	stp	x25, x26, [x16, #48]
	stp	x27, x28, [x16, #64]
	stp	x29, x30, [x16, #80]
	mov	x17, sp
	str	x17, [x16, #96]
	msr	elr_el1, x0
	msr	spsr_el1, x3
	mov	x0, x1
	mov	x1, x2
	eret

	.section .text.user, "ax"
	.balign	4096
	.globl	user_page
user_page:
	.macro	user name, body:vararg
	.globl	\name
\name:
	\body
	svc	#0x51
	.endm

	user	user_svc, nop
	user	user_load, ldr x0, [x0]
	user	user_store, str x1, [x0]
	user	user_undefined, udf #0
	user	user_wfi, wfi
	user	user_mrs_ctr, mrs x0, ctr_el0
	user	user_mrs_cntvct, mrs x0, cntvct_el0
	user	user_mrs_midr, mrs x0, midr_el1
	user	user_msr_daif, msr daifset, #2
	user	user_ic_ivau, ic ivau, x0
	user	user_zva, dc zva, x0
	user	user_brk, brk #0x123
	user	user_hvc, hvc #0
	user	user_tlbi, tlbi vmalle1
	user	user_fp, .inst 0x1e604000 // fmov d0, d0
	.globl	user_copy
user_copy:
	mov	x2, #48
	.inst	0x19010440 // cpyfp [x0]!, [x1]!, x2!
	.inst	0x19410440 // cpyfm
	.inst	0x19810440 // cpyfe
	svc	#0x51
	.globl	user_copy_rest
user_copy_rest:
	mov	x2, #0
	.inst	0x19410440
	svc	#0x51
	.globl	user_steps
user_steps:
	add	x0, x0, #1
	b	1f
	nop
1:	add	x0, x0, #2
	svc	#0x52
	.globl	user_loop
user_loop:
	b	user_loop
	.balign	4096

	.bss
	.balign	16
user_saved:
	.skip	128
	.globl	trap
trap:
	.skip	64
	.balign	4096
	.skip	16384
stack_top:
