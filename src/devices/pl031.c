/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pl031.c - Arm PrimeCell real time clock (PL031)
 *
 * How it works: the counter is the host's clock plus an offset which writes of LR choose.  The alarm is a timer of the loop; as only the
 * loop's thread may set it, a change posts one job there (never more than one is queued, whatever the guest does).
 * Threads: any, under rtc->lock; the timer on the loop.
 */
#include "devices/pl031.h"

#include "base/own.h"
#include "devices/lanes.h"
#include "devices/primecell.h"

#include <time.h>

enum {
	RTCDR = 0x00,
	RTCMR = 0x04,
	RTCLR = 0x08,
	RTCCR = 0x0c,
	RTCIMSC = 0x10,
	RTCRIS = 0x14,
	RTCMIS = 0x18,
	RTCICR = 0x1c,
	PL031_PERIPHERAL_ID = 0x00141031,
};

#define NS_PER_S UINT64_C(1000000000)

struct pl031 {
	struct loop *loop;
	struct loop_source *timer;
	pl031_clock_fn clock;
	struct irq_line irq;
	pthread_mutex_t lock; /* guards all below */
	uint32_t offset, match, load;
	bool interrupt, unmasked;
	bool rearm_posted;
	bool irq_level;
};

uint64_t pl031_host_clock(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint32_t pl031_count(const struct pl031 *rtc)
{
	return (uint32_t)(rtc->clock() / NS_PER_S) + rtc->offset;
}

static void pl031_update_locked(struct pl031 *rtc)
{
	bool level = rtc->interrupt && rtc->unmasked;
	if (level != rtc->irq_level) {
		rtc->irq_level = level;
		irq_line_set(&rtc->irq, level);
	}
}

/* On the loop: sleep until the counter equals the match register. */
static void pl031_rearm(void *opaque)
{
	struct pl031 *rtc = opaque;
	LOCKED(&rtc->lock);
	rtc->rearm_posted = false;
	uint32_t seconds = rtc->match - pl031_count(rtc);
	if (seconds == 0) {
		rtc->interrupt = true;
		pl031_update_locked(rtc);
		loop_timer_set(rtc->timer, 0);
		return;
	}
	uint64_t into_second = rtc->clock() % NS_PER_S;
	loop_timer_set(rtc->timer, loop_now_ns() + seconds * NS_PER_S - into_second);
}

static void pl031_post_rearm_locked(struct pl031 *rtc)
{
	if (!rtc->rearm_posted) {
		rtc->rearm_posted = loop_post(rtc->loop, pl031_rearm, rtc) == 0;
	}
}

static uint32_t pl031_read_lane(void *device, uint64_t offset, uint32_t mask)
{
	struct pl031 *rtc = device;
	LOCKED(&rtc->lock);
	switch (offset) {
	case RTCDR:
		return pl031_count(rtc);
	case RTCMR:
		return rtc->match;
	case RTCLR:
		return rtc->load;
	case RTCCR: /* always runs */
		return 1;
	case RTCIMSC:
		return rtc->unmasked;
	case RTCRIS:
		return rtc->interrupt;
	case RTCMIS:
		return rtc->interrupt && rtc->unmasked;
	default:
		return offset >= PRIMECELL_IDS ? primecell_read_id(PL031_PERIPHERAL_ID, offset) : 0;
	}
}

static void pl031_write_lane(void *device, uint64_t offset, uint32_t mask, uint32_t value)
{
	struct pl031 *rtc = device;
	LOCKED(&rtc->lock);
	switch (offset) {
	case RTCMR:
		rtc->match = lanes_merge(rtc->match, mask, value);
		pl031_post_rearm_locked(rtc);
		break;
	case RTCLR:
		rtc->load = lanes_merge(rtc->load, mask, value);
		rtc->offset += rtc->load - pl031_count(rtc);
		pl031_post_rearm_locked(rtc);
		break;
	case RTCIMSC:
		rtc->unmasked = lanes_merge(rtc->unmasked, mask, value) & 1;
		break;
	case RTCICR:
		rtc->interrupt = rtc->interrupt && !(value & 1);
		break;
	default:
		break;
	}
	pl031_update_locked(rtc);
}

static uint64_t pl031_read(void *device, uint64_t offset, unsigned size)
{
	return lanes_read(device, offset, size, pl031_read_lane);
}

static void pl031_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	lanes_write(device, offset, size, value, pl031_write_lane);
}

const struct bus_ops pl031_ops = {pl031_read, pl031_write};

void pl031_reset(struct pl031 *rtc)
{
	LOCKED(&rtc->lock);
	rtc->offset = rtc->match = rtc->load = 0;
	rtc->interrupt = rtc->unmasked = false;
	pl031_post_rearm_locked(rtc);
	pl031_update_locked(rtc);
}

struct pl031 *pl031_create(struct loop *loop, pl031_clock_fn clock, struct irq_line irq)
{
	struct pl031 *rtc = calloc(1, sizeof(*rtc));
	if (!rtc) {
		return NULL;
	}
	pthread_mutex_init(&rtc->lock, NULL);
	rtc->loop = loop;
	rtc->clock = clock;
	rtc->irq = irq;
	rtc->timer = loop_add_timer(loop, pl031_rearm, rtc);
	if (!rtc->timer) {
		pl031_destroy(rtc);
		return NULL;
	}
	return rtc;
}

void pl031_destroy(struct pl031 *rtc)
{
	if (rtc) {
		loop_remove(rtc->timer);
		pthread_mutex_destroy(&rtc->lock);
		free(rtc);
	}
}
