/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - a command ring in memory shared with the guest, and the thread that executes it
 *
 * How it works: see ring.h.  The thread spins while gaps between commands are short, then it naps, then it sleeps.
 * Threads: ring_main() is the ring's; everything else any other.
 */
#include "venus/ring.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/os.h"
#include "base/own.h"
#include "base/wait.h"
#include "venus/command_pool.h"
#include "venus/context.h"
#include "venus/lane.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
	RING_SPIN_HARD_NS = 10 * 1000, /* polled without asking whether others need the CPU, if there are enough CPUs */
	RING_ENOUGH_CPUS = 4,	       /* for the program, its ring, the driver's thread, and somebody else */
	RING_SPIN_MIN_NS = 10 * 1000,
	RING_TIDY_NS = 30 * 1000, /* without work, then what the guest has freed is given back */
	RING_SPIN_MAX_NS = 320 * 1000, /* longer than a guest that looked for a fence sleeps: 160 us, its slack, its wake-up */
	RING_GATHER = 1024, /* bytes */
	RING_GATHER_NS = 1000,
	RING_NAP_MIN_NS = 5 * 1000,
	RING_NAP_MAX_NS = 100 * 1000,
	RING_IDLE_MIN_NS = 50 * 1000,
	RING_IDLE_MAX_NS = 20 * 1000 * 1000,
	RING_TRIM_NS = 500 * 1000 * 1000, /* asleep, then what the driver has freed is given back */
};

struct ring {
	struct context *context;
	struct ring_config config;
	struct pages *pages;
	atomic_uint *head, *tail, *status; /* shared with the guest */
	uint8_t *buffer;		   /* shared with the guest */
	uint8_t *private;		   /* copy of what is being executed; buffer_size bytes */
	uint32_t cursor;		   /* ring thread: our head */
	uint32_t batch_start;		   /* ring thread: cursor when the batch was copied */
	uint64_t spin_ns, hard_ns;	   /* ring thread */
	struct lane lane;		   /* ring thread */
	struct wire_ring_state *record;
	pthread_t thread;
	atomic_bool stopping, dead;
	atomic_uint waiters; /* threads in ring_wait_seqno() */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool notified;	      /* guarded by lock */
	uint64_t queue_seqno; /* guarded by lock: how far the virtqueue is */
};

static bool ring_is_over(struct ring *ring)
{
	return atomic_load_explicit(&ring->stopping, memory_order_relaxed) ||
	       context_is_over(ring->context);
}

static void ring_wake_all(struct ring *ring)
{
	LOCKED(&ring->lock);
	ring->notified = true;
	pthread_cond_broadcast(&ring->changed);
}

static void ring_store_head(struct ring *ring, uint32_t head)
{
	ring->cursor = head;
	atomic_store(ring->head, head);
	if (atomic_load(&ring->waiters)) {
		LOCKED(&ring->lock);
		pthread_cond_broadcast(&ring->changed);
	}
}

/* Decoder callback: so much of the copied batch has been executed. */
static void ring_progress(struct venus_decoder *decoder, size_t done)
{
	struct lane *lane = decoder->owner;
	struct ring *ring = lane->ring;
	lane_record_reply(lane);
	ring_store_head(ring, ring->batch_start + (uint32_t)done);
}

static void ring_copy_batch(struct ring *ring, uint32_t len)
{
	uint32_t size = ring->config.layout.buffer_size;
	uint32_t start = ring->cursor & (size - 1);
	uint32_t first = len < size - start ? len : size - start;
	memcpy(ring->private, ring->buffer + start, first);
	memcpy(ring->private + first, ring->buffer, len - first);
}

/* Execute everything up to @tail.  False if the stream is fatal. */
static bool ring_execute(struct ring *ring, uint32_t tail)
{
	uint32_t len = tail - ring->cursor;
	if (len > ring->config.layout.buffer_size || len % 4) {
		venus_decoder_fail(&ring->lane.decoder, "ring tail out of range");
		return false;
	}
	ring->batch_start = ring->cursor;
	ring_copy_batch(ring, len);
	int status = venus_decoder_run(&ring->lane.decoder, ring->private, len);
	context_count_commands(ring->context, &ring->lane.decoder);
	return !status && !ring->lane.decoder.fatal;
}

static bool ring_has_work(struct ring *ring)
{
	return atomic_load_explicit(ring->tail, memory_order_acquire) != ring->cursor;
}

static void ring_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * Poll for @spin_ns, soon yielding between looks: where a core is free that costs nothing, else whoever needs the CPU has it.
 * True if there is work or the ring is over.
 */
static bool ring_spin(struct ring *ring, uint64_t start)
{
	uint64_t gone = 0;
	while (!ring_is_over(ring) && gone < ring->spin_ns) {
		for (int i = 0; i < 32; i++) {
			if (ring_has_work(ring)) {
				return true;
			}
			ring_relax();
		}
		if (gone >= ring->hard_ns) {
			sched_yield();
		}
		if (gone >= RING_TIDY_NS) {
			shelf_tidy_some(context_shelf(ring->context), start + gone);
		}
		gone = loop_now_ns() - start;
	}
	return ring_has_work(ring);
}

/*
 * Work came after @gap_ns without any.  A guest that waits for it sleeps much longer once it has polled for some time itself, so
 * after one short gap all short gaps are polled through; after each long one half as long.
 */
static void ring_adapt_spin(struct ring *ring, uint64_t gap_ns)
{
	uint64_t spin = gap_ns < RING_SPIN_MAX_NS ? RING_SPIN_MAX_NS : ring->spin_ns / 2;
	ring->spin_ns = spin > RING_SPIN_MIN_NS ? spin : RING_SPIN_MIN_NS;
}

/* Give back what the guest has freed.  True if there is work. */
static bool ring_tidy(struct ring *ring)
{
	while (!ring_has_work(ring)) {
		if (!shelf_tidy_some(context_shelf(ring->context), loop_now_ns())) {
			return false;
		}
	}
	return true;
}

/*
 * Poll in naps until there is work or nothing came for the idle timeout.  A nap is an eighth of the time waited so far, which is
 * then the most it can add to it.  True if there is work.
 */
static bool ring_nap(struct ring *ring, uint64_t start)
{
	while (!ring_is_over(ring)) {
		uint64_t idle = loop_now_ns() - start;
		if (idle > ring->config.idle_timeout_ns) {
			return false;
		}
		long nap = (long)(idle / 8);
		nap = nap < RING_NAP_MIN_NS ? RING_NAP_MIN_NS : nap;
		struct timespec time = {.tv_nsec = nap > RING_NAP_MAX_NS ? RING_NAP_MAX_NS : nap};
		nanosleep(&time, NULL);
		if (ring_has_work(ring)) {
			return true;
		}
	}
	return false;
}

/* Sleep until notified: true, or until @deadline_ns. */
static bool ring_sleep_until(struct ring *ring, uint64_t deadline_ns)
{
	int status = 0;
	LOCKED(&ring->lock);
	while (!status && !ring->notified && !ring_is_over(ring)) {
		status = wait_until(&ring->changed, &ring->lock, deadline_ns);
	}
	return !status;
}

/* Sleep until notified: true; or until nothing of what was freed rests any more, which is given back when it has. */
static bool ring_sleep_resting(struct ring *ring)
{
	struct shelf *shelf = context_shelf(ring->context);
	uint64_t due;
	while (!ring_is_over(ring) && (due = shelf_due_ns(shelf, loop_now_ns())) != UINT64_MAX) {
		if (ring_sleep_until(ring, wait_now_ns() + due)) {
			return true;
		}
		shelf_tidy_some(shelf, loop_now_ns());
	}
	return false;
}

/*
 * Set IDLE, look once more, sleep until notified.  The guest stores tail and then reads status; we set IDLE and then
 * read tail, both in one total order, so at least one side sees the other.
 */
static void ring_sleep(struct ring *ring)
{
	struct context *context = ring->context;
	atomic_fetch_or(ring->status, RING_STATUS_IDLE);
	if (atomic_load(ring->tail) == ring->cursor) {
		context_end_work(context);
		if (!ring_sleep_resting(ring) && !ring_sleep_until(ring, wait_now_ns() + RING_TRIM_NS)) {
			if (!context_is_busy(context)) { /* or it would hold others up */
				context_begin_work(context);
				command_store_trim(context_command_store(context));
				os_trim_heap();
				context_end_work(context);
			}
			ring_sleep_until(ring, UINT64_MAX);
		}
		context_begin_work(context);
		LOCKED(&ring->lock);
		ring->notified = false;
	}
	atomic_fetch_and(ring->status, ~(unsigned)RING_STATUS_IDLE);
}

/*
 * A guest that goes on recording writes a command in some 100 ns.  Who looks after each of them takes the lines of tail and commands
 * from the guest's core as often, which costs more than the commands do; so they are left to gather for a while.
 */
static void ring_let_gather(void)
{
	uint64_t start = loop_now_ns();
	do {
		for (int i = 0; i < 8; i++) {
			ring_relax();
		}
	} while (loop_now_ns() - start < RING_GATHER_NS);
}

static void ring_wait_for_work(struct ring *ring)
{
	uint64_t start = loop_now_ns();
	if (!ring_spin(ring, start) && !ring_tidy(ring) && !ring_nap(ring, start)) {
		ring_sleep(ring);
	}
	ring_adapt_spin(ring, loop_now_ns() - start);
}

static void ring_set_priority(const struct ring *ring)
{
	if (ring->config.nice > 0 && ring->config.nice < 20) {
		os_set_nice(ring->config.nice);
	}
	os_wake_precisely();
}

static void *ring_main(void *opaque)
{
	struct ring *ring = opaque;
	context_begin_work(ring->context);
	ring_set_priority(ring);
	while (!ring_is_over(ring)) {
		uint32_t tail = atomic_load_explicit(ring->tail, memory_order_acquire);
		if (tail == ring->cursor) {
			ring_wait_for_work(ring);
			continue;
		}
		uint32_t len = tail - ring->cursor;
		if (!ring_execute(ring, tail)) {
			context_fail(ring->context, &ring->lane.decoder);
			break;
		}
		if (ring->lane.decoder.unheard && len < RING_GATHER) {
			ring_let_gather();
		}
	}
	atomic_store(&ring->dead, true);
	context_end_work(ring->context);
	ring_wake_all(ring);
	return NULL;
}

static void ring_free(struct ring *ring)
{
	lane_finish(&ring->lane);
	if (ring->record) {
		__atomic_store_n(&ring->record->in_use, 0, __ATOMIC_RELEASE);
	}
	pthread_cond_destroy(&ring->changed);
	pthread_mutex_destroy(&ring->lock);
	pages_put(ring->pages);
	free(ring->private);
	budget_release(context_budget(ring->context), ring->config.layout.buffer_size);
	free(ring);
}

static void ring_fill_record(struct wire_ring_state *record, const struct ring_config *config)
{
	const struct ring_request *request = &config->request;
	*record = (struct wire_ring_state){
		.resource_id = config->resource_id,
		.ring_id = config->id,
		.offset = request->offset,
		.size = request->size,
		.head_offset = request->head_offset,
		.tail_offset = request->tail_offset,
		.status_offset = request->status_offset,
		.buffer_offset = request->buffer_offset,
		.buffer_size = request->buffer_size,
		.extra_offset = request->extra_offset,
		.extra_size = request->extra_size,
	};
	__atomic_store_n(&record->in_use, 1, __ATOMIC_RELEASE);
}

/* What a command hands to the driver's threads is not to wait for us to stop polling. */
static bool ring_has_cpus(void)
{
	return os_cpus() >= RING_ENOUGH_CPUS;
}

static struct ring *ring_new(struct context *context, const struct ring_config *config,
			     struct pages *pages, struct wire_ring_state *record)
{
	uint32_t size = config->layout.buffer_size;
	bool charged = budget_charge(context_budget(context), size);
	struct ring *ring = charged ? calloc(1, sizeof(*ring)) : NULL;
	uint8_t *private = ring ? malloc(size) : NULL;
	if (!private) {
		if (charged) {
			budget_release(context_budget(context), size);
		}
		free(ring);
		pages_put(pages);
		return NULL;
	}
	uint8_t *base = pages->map;
	*ring = (struct ring){
		.context = context,
		.config = *config,
		.pages = pages,
		.head = (atomic_uint *)(base + config->layout.head),
		.tail = (atomic_uint *)(base + config->layout.tail),
		.status = (atomic_uint *)(base + config->layout.status),
		.buffer = base + config->layout.buffer,
		.private = private,
		.spin_ns = RING_SPIN_MIN_NS,
		.hard_ns = ring_has_cpus() ? RING_SPIN_HARD_NS : 0,
		.record = record,
	};
	if (ring->config.idle_timeout_ns < RING_IDLE_MIN_NS) {
		ring->config.idle_timeout_ns = RING_IDLE_MIN_NS;
	} else if (ring->config.idle_timeout_ns > RING_IDLE_MAX_NS) {
		ring->config.idle_timeout_ns = RING_IDLE_MAX_NS;
	}
	pthread_mutex_init(&ring->lock, NULL);
	pthread_cond_init(&ring->changed, NULL);
	ring_fill_record(record, config);
	lane_init(&ring->lane, context, ring, record);
	ring->lane.decoder.progress = ring_progress;
	return ring;
}

const char *ring_create(struct ring **out, struct context *context, const struct ring_config *config,
			struct pages *pages, struct wire_ring_state *record)
{
	struct ring *ring = ring_new(context, config, pages, record);
	if (!ring) {
		return "no memory for a ring";
	}
	if (atomic_load(ring->head) || atomic_load(ring->status)) {
		ring_free(ring);
		return "ring head or status not zero";
	}
	if (pthread_create(&ring->thread, NULL, ring_main, ring)) {
		ring_free(ring);
		return "no thread for a ring";
	}
	*out = ring;
	return NULL;
}

void ring_destroy(struct ring *ring)
{
	atomic_store(&ring->stopping, true);
	ring_wake_all(ring);
	pthread_join(ring->thread, NULL);
	ring_free(ring);
}

uint64_t ring_id(const struct ring *ring)
{
	return ring->config.id;
}

uint32_t ring_monitor_period_us(const struct ring *ring)
{
	return ring->config.monitor_period_us;
}

void ring_notify(struct ring *ring)
{
	ring_wake_all(ring);
}

void ring_set_alive(struct ring *ring)
{
	atomic_fetch_or(ring->status, RING_STATUS_ALIVE);
}

void ring_set_fatal(struct ring *ring)
{
	atomic_fetch_or(ring->status, RING_STATUS_FATAL);
	ring_wake_all(ring);
}

bool ring_write_extra(struct ring *ring, uint64_t offset, uint32_t value)
{
	if (offset % 4 || ring->config.layout.extra_size < 4 ||
	    offset > ring->config.layout.extra_size - 4) {
		return false;
	}
	uint8_t *base = ring->pages->map;
	atomic_store((atomic_uint *)(base + ring->config.layout.extra + offset), value);
	return true;
}

void ring_submit_virtqueue_seqno(struct ring *ring, uint64_t seqno)
{
	LOCKED(&ring->lock);
	ring->queue_seqno = seqno;
	ring->notified = true;
	pthread_cond_broadcast(&ring->changed);
}

bool ring_wait_virtqueue_seqno(struct ring *ring, uint64_t seqno)
{
	LOCKED(&ring->lock);
	while (ring->queue_seqno < seqno && !ring_is_over(ring)) {
		pthread_cond_wait(&ring->changed, &ring->lock);
	}
	return ring->queue_seqno >= seqno;
}

static bool ring_has_reached(struct ring *ring, uint32_t seqno)
{
	return (int32_t)(atomic_load(ring->head) - seqno) >= 0;
}

bool ring_wait_seqno(struct ring *ring, uint32_t seqno)
{
	if (ring_has_reached(ring, seqno)) {
		return true;
	}
	ring_notify(ring);
	atomic_fetch_add(&ring->waiters, 1);
	{
		LOCKED(&ring->lock);
		while (!ring_has_reached(ring, seqno) && !ring_is_over(ring) &&
		       !atomic_load(&ring->dead)) {
			pthread_cond_wait(&ring->changed, &ring->lock);
		}
	}
	atomic_fetch_sub(&ring->waiters, 1);
	return ring_has_reached(ring, seqno);
}
