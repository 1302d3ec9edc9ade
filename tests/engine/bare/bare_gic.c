/* SPDX-License-Identifier: Apache-2.0 */
/* bare_gic.c - the interrupt controller as a guest drives it: from line, message or register to vector, and back */
#include "bare.h"

#define GICD 0x08000000ul
#define V2M  0x08020000ul
#define GICR 0x080a0000ul
#define SGI_FRAME (GICR + 0x10000)

#define GICD_CTLR	0x0000
#define GICD_IGROUPR	0x0080
#define GICD_ISENABLER	0x0100
#define GICD_ICENABLER	0x0180
#define GICD_ISPENDR	0x0200
#define GICD_ICPENDR	0x0280
#define GICD_ISACTIVER	0x0300
#define GICD_IPRIORITYR 0x0400
#define GICD_ICFGR	0x0c00
#define GICD_IROUTER	0x6000
#define GIC_PIDR2	0xffe8
#define GICR_WAKER	0x0014
#define V2M_SETSPI	0x0040

#define ICC_PMR	    s3_0_c4_c6_0
#define ICC_IAR0    s3_0_c12_c8_0
#define ICC_EOIR0   s3_0_c12_c8_1
#define ICC_DIR	    s3_0_c12_c11_1
#define ICC_RPR	    s3_0_c12_c11_3
#define ICC_SGI1R   s3_0_c12_c11_5
#define ICC_IAR1    s3_0_c12_c12_0
#define ICC_EOIR1   s3_0_c12_c12_1
#define ICC_HPPIR1  s3_0_c12_c12_2
#define ICC_BPR1    s3_0_c12_c12_3
#define ICC_CTLR    s3_0_c12_c12_4
#define ICC_SRE	    s3_0_c12_c12_5
#define ICC_IGRPEN0 s3_0_c12_c12_6
#define ICC_IGRPEN1 s3_0_c12_c12_7
#define READ(name)	   READ_SYSREG(name)
#define WRITE(name, value) WRITE_SYSREG(name, value)

enum { VTIMER = 27, SPURIOUS = 1023, LINE_SPI = 32 + 5, OTHER_SPI = 32 + 6, MSI_SPI = 32 + 64 };

static volatile unsigned irqs, fiqs, intids[8];
static void (*volatile while_active)(void);

static uint32_t read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

static void write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

void on_irq(void)
{
	if (trap.vector == 0x300) {
		unsigned intid = READ(ICC_IAR0);
		intids[fiqs++ & 7] = intid;
		WRITE(ICC_EOIR0, intid);
		return;
	}
	unsigned intid = READ(ICC_IAR1);
	intids[irqs++ & 7] = intid;
	if (intid == VTIMER) {
		WRITE_SYSREG(cntv_ctl_el0, 0);
	}
	void (*hook)(void) = while_active;
	while_active = 0;
	if (hook) {
		hook();
	} else if (intid == LINE_SPI) {
		device_write(DEVICE_LINE, 0);
	}
	WRITE(ICC_EOIR1, intid);
}

static void set_priority(unsigned intid, uint8_t priority)
{
	uint64_t base = intid < 32 ? SGI_FRAME : GICD;
	*(volatile uint8_t *)(base + GICD_IPRIORITYR + intid) = priority;
}

/* Group 1, this CPU, priority 0xa0, enabled. */
static void enable(unsigned intid)
{
	uint64_t base = intid < 32 ? SGI_FRAME : GICD;
	unsigned word = intid / 32 * 4;
	uint32_t bit = 1u << intid % 32;
	write32(base + GICD_IGROUPR + word, read32(base + GICD_IGROUPR + word) | bit);
	set_priority(intid, 0xa0);
	if (intid >= 32) {
		*(volatile uint64_t *)(GICD + GICD_IROUTER + 8 * intid) = 0;
	}
	write32(base + GICD_ISENABLER + word, bit);
}

static void set_up(void)
{
	irqs = fiqs = 0;
	write32(GICD + GICD_CTLR, 0x13);
	write32(GICR + GICR_WAKER, 0);
	CHECK_EQ(read32(GICR + GICR_WAKER) & 4, 0);
	CHECK_EQ(READ(ICC_SRE) & 1, 1);
	WRITE(ICC_PMR, 0xf0);
	WRITE(ICC_BPR1, 0);
	WRITE(ICC_CTLR, 0);
	WRITE(ICC_IGRPEN1, 1);
	enable(VTIMER);
	enable(3);
	enable(LINE_SPI);
	enable(OTHER_SPI);
	trap_clear();
	ASM("msr daifclr, #3");
}

static void the_frames_identify_themselves(void)
{
	CHECK_EQ(read32(GICD + GIC_PIDR2) & 0xf0, 0x30);
	CHECK_EQ(read32(GICR + GIC_PIDR2) & 0xf0, 0x30);
	CHECK_EQ(*(volatile uint64_t *)(GICR + 8) & 0x10, 0x10); /* Last */
	CHECK_EQ(read32(V2M + 8) >> 16 & 0x3ff, MSI_SPI);
	trap_clear();
	(void)READ(s3_0_c12_c12_1); /* EOIR1 is write-only */
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.esr, 1ul << 25);
}

static void the_timer_arrives_as_interrupt_27(void)
{
	set_up();
	WRITE_SYSREG(cntv_tval_el0, 62500);
	WRITE_SYSREG(cntv_ctl_el0, 1);
	while (!irqs) {
		ASM("wfi");
	}
	CHECK_EQ(irqs, 1);
	CHECK_EQ(intids[0], VTIMER);
	CHECK_EQ(trap.vector, 0x280);
	CHECK_EQ(READ(ICC_IAR1), SPURIOUS);
	CHECK_EQ(READ(ICC_RPR), 0xff);
}

static void software_interrupts_reach_their_target(void)
{
	set_up();
	WRITE(ICC_SGI1R, 3ul << 24 | 1);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 1);
	CHECK_EQ(intids[0], 3);
	WRITE(ICC_SGI1R, 3ul << 24 | 2); /* there is no CPU 1 */
	WRITE(ICC_SGI1R, 4ul << 24 | 1); /* not enabled */
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 1);
}

static void leave_line_high_once(void)
{
}

static void level_lines_interrupt_until_they_fall(void)
{
	set_up();
	while_active = leave_line_high_once;
	device_write(DEVICE_LINE, 1);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 2);
	CHECK_EQ(intids[0], LINE_SPI);
	CHECK_EQ(intids[1], LINE_SPI);
	CHECK_EQ(READ(ICC_HPPIR1), SPURIOUS);
}

static void edges_and_messages_interrupt_once(void)
{
	set_up();
	write32(GICD + GICD_ICFGR + LINE_SPI / 16 * 4, 2u << LINE_SPI % 16 * 2);
	while_active = leave_line_high_once;
	device_write(DEVICE_LINE, 1);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 1);
	write32(GICD + GICD_ICFGR + MSI_SPI / 16 * 4, 2u << MSI_SPI % 16 * 2);
	enable(MSI_SPI);
	write32(V2M + V2M_SETSPI, MSI_SPI);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 2);
	CHECK_EQ(intids[1], MSI_SPI);
}

static void pending_bits_can_be_written(void)
{
	set_up();
	ASM("msr daifset, #2");
	write32(GICD + GICD_ISPENDR + 4, 1u << OTHER_SPI % 32);
	CHECK_EQ(READ_SYSREG(isr_el1), 0x80);
	CHECK_EQ(READ(ICC_HPPIR1), OTHER_SPI);
	write32(GICD + GICD_ICPENDR + 4, 1u << OTHER_SPI % 32);
	CHECK_EQ(READ_SYSREG(isr_el1), 0);
	write32(GICD + GICD_ICENABLER + 4, 1u << OTHER_SPI % 32);
	write32(GICD + GICD_ISPENDR + 4, 1u << OTHER_SPI % 32);
	CHECK_EQ(READ_SYSREG(isr_el1), 0);
	write32(GICD + GICD_ISENABLER + 4, 1u << OTHER_SPI % 32);
	CHECK_EQ(READ_SYSREG(isr_el1), 0x80);
	ASM("msr daifclr, #2\n\tisb");
	CHECK_EQ(irqs, 1);
}

static void the_priority_mask_holds_interrupts_back(void)
{
	set_up();
	WRITE(ICC_PMR, 0xa0);
	WRITE(ICC_SGI1R, 3ul << 24 | 1);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 0);
	WRITE(ICC_PMR, 0xa8);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 1);
	WRITE(ICC_PMR, 0xff);
	CHECK_EQ(READ(ICC_PMR), 0xf8); /* five bits */
}

static unsigned seen_inside, running_inside;

/* Inside SGI 3 (priority 0xa0): a more urgent interrupt comes in, a less urgent one does not. */
static void nest(void)
{
	uint64_t elr = READ_SYSREG(elr_el1), spsr = READ_SYSREG(spsr_el1);
	write32(GICD + GICD_ISPENDR + 4, 1u << OTHER_SPI % 32);
	ASM("msr daifclr, #2\n\tisb");
	seen_inside = irqs;
	running_inside = READ(ICC_RPR);
	set_priority(LINE_SPI, 0xc0);
	device_write(DEVICE_LINE, 1);
	ASM("isb\n\tmsr daifset, #2");
	seen_inside |= irqs << 8;
	WRITE_SYSREG(elr_el1, elr);
	WRITE_SYSREG(spsr_el1, spsr);
}

static void urgent_interrupts_preempt(void)
{
	set_up();
	set_priority(OTHER_SPI, 0x40);
	while_active = nest;
	WRITE(ICC_SGI1R, 3ul << 24 | 1);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(seen_inside & 0xff, 2);
	CHECK_EQ(running_inside, 0xa0);
	CHECK_EQ(seen_inside >> 8, 2);
	CHECK_EQ(irqs, 3);
	CHECK_EQ(intids[0], 3);
	CHECK_EQ(intids[1], OTHER_SPI);
	CHECK_EQ(intids[2], LINE_SPI);
}

static void split_eoi_needs_deactivation(void)
{
	set_up();
	WRITE(ICC_CTLR, 2);
	write32(GICD + GICD_ISPENDR + 4, 1u << OTHER_SPI % 32);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 1);
	CHECK_EQ(READ(ICC_RPR), 0xff);
	CHECK_EQ(read32(GICD + GICD_ISACTIVER + 4) >> OTHER_SPI % 32 & 1, 1);
	write32(GICD + GICD_ISPENDR + 4, 1u << OTHER_SPI % 32);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 1);
	WRITE(ICC_DIR, OTHER_SPI);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(irqs, 2);
	WRITE(ICC_DIR, OTHER_SPI);
}

static void group_0_is_fiq(void)
{
	set_up();
	WRITE(ICC_IGRPEN0, 1);
	write32(GICD + GICD_IGROUPR + 4, read32(GICD + GICD_IGROUPR + 4) & ~(1u << OTHER_SPI % 32));
	write32(GICD + GICD_ISPENDR + 4, 1u << OTHER_SPI % 32);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(fiqs, 1);
	CHECK_EQ(intids[0], OTHER_SPI);
	CHECK_EQ(irqs, 0);
	WRITE(ICC_IGRPEN0, 0);
	write32(GICD + GICD_ISPENDR + 4, 1u << OTHER_SPI % 32);
	ASM("dsb sy\n\tisb");
	CHECK_EQ(fiqs, 1);
}

/* Forms of stores and loads that hypervisors get no description of; newer compilers make the first one of GIC set-up code. */
static void write_back_and_pairs_reach_the_frames(void)
{
	register uint64_t base __asm__("x8") = SGI_FRAME;
	register uint64_t value __asm__("x9") = 0xffff0f0f;
	__asm__ volatile("str w9, [x8, #128]!" : "+r"(base) : "r"(value) : "memory");
	CHECK_EQ(base, SGI_FRAME + GICD_IGROUPR);
	CHECK_EQ(read32(SGI_FRAME + GICD_IGROUPR), 0xffff0f0f);
	uint64_t first, second, address = SGI_FRAME + GICD_IPRIORITYR;
	__asm__ volatile("stp %w1, %w2, [%0], #8" : "+r"(address) : "r"(0xa0b0c0d0), "r"(0x10203040) : "memory");
	CHECK_EQ(address, SGI_FRAME + GICD_IPRIORITYR + 8);
	__asm__ volatile("ldp %w0, %w1, [%2, #-8]!" : "=&r"(first), "=&r"(second), "+r"(address)::"memory");
	CHECK_EQ(first, read32(SGI_FRAME + GICD_IPRIORITYR));
	CHECK_EQ(second, read32(SGI_FRAME + GICD_IPRIORITYR + 4));
	CHECK(first && second && first != second);
	CHECK_EQ(address, SGI_FRAME + GICD_IPRIORITYR);
	CHECK_EQ(trap.count, 0);
}

TESTS(T(write_back_and_pairs_reach_the_frames), T(the_frames_identify_themselves), T(the_timer_arrives_as_interrupt_27),
      T(software_interrupts_reach_their_target), T(level_lines_interrupt_until_they_fall),
      T(edges_and_messages_interrupt_once), T(pending_bits_can_be_written),
      T(the_priority_mask_holds_interrupts_back), T(urgent_interrupts_preempt),
      T(split_eoi_needs_deactivation), T(group_0_is_fiq));
