/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdb_client.c - a debugger says anything
 *
 * The input is a list of packets' texts, each ended by a zero byte: framed with a right sum so that
 * they are looked at, or fed as they are if they begin with 0xff.  The target checks that it is
 * only asked while everything is stopped, within bounds. Threads: the caller's.
 */
#include "fuzz.h"
#include "vmm/gdb_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CPUS = 3 };

struct target {
	struct gdb_session session;
	struct engine_registers registers[CPUS];
	bool over;
};

static struct target *stopped(void *opaque, unsigned cpu)
{
	struct target *t = opaque;
	assert(cpu < CPUS && !t->session.running && !t->over);
	return t;
}

static void registers(void *opaque, unsigned cpu, struct engine_registers *r)
{
	*r = stopped(opaque, cpu)->registers[cpu];
}

static bool set_registers(void *opaque, unsigned cpu, const struct engine_registers *r)
{
	stopped(opaque, cpu)->registers[cpu] = *r;
	return r->pc & 1;
}

static size_t memory(void *opaque, unsigned cpu, uint64_t va, void *buffer, size_t len, bool write)
{
	stopped(opaque, cpu);
	if (write) {
		volatile uint8_t sum = 0;
		for (size_t i = 0; i < len; i++) {
			sum = (uint8_t)(sum + ((uint8_t *)buffer)[i]);
		}
	} else {
		memset(buffer, (int)va, len);
	}
	return va % 16 == 15 ? len / 2 : len;
}

static int set_point(void *opaque, const struct engine_point *point, bool on)
{
	stopped(opaque, 0);
	assert(point->kind <= ENGINE_POINT_ACCESS);
	return point->address & 1 ? -EINVAL : 0;
}

static void describe(void *opaque, unsigned cpu, char *text, size_t room)
{
	stopped(opaque, cpu);
	memset(text, 'x', room - 1);
	text[room - 1] = '\0';
}

static void resume(void *opaque, const enum gdb_action *actions)
{
	for (unsigned n = 0; n < CPUS; n++) {
		assert(actions[n] <= GDB_STEP);
	}
}

static void interrupt(void *opaque)
{
	struct target *t = opaque;
	assert(t->session.running);
	gdb_session_stopped(&t->session, CPUS - 1, NULL);
}

static void kill_target(void *opaque)
{
	stopped(opaque, 0);
}

static void send_bytes(void *opaque, const char *bytes, size_t len)
{
	assert(len && len <= 2 * GDB_PACKET_ROOM + 4 && (len == 1 || bytes[len - 3] == '#'));
}

static const struct gdb_target_ops ops = {registers, set_registers, memory,
					  set_point, describe,	    resume,
					  interrupt, kill_target,   send_bytes};

/* Every other time the target stops by itself. */
static void let_stop(struct target *t, uint8_t how)
{
	const struct engine_stop stop = {
		how & 1 ? ENGINE_STOP_POINT : ENGINE_STOP_STEP, {how >> 1 & 3, how, 4}, how};
	if (t->session.running && how & 8) {
		gdb_session_stopped(&t->session, how % CPUS, &stop);
	}
}

static void feed(struct target *t, const uint8_t *text, size_t len)
{
	static char frame[2 * GDB_PACKET_ROOM * 2 + 4];
	const void *bytes = text;
	if (len && text[0] != 0xff && len <= 2 * GDB_PACKET_ROOM) {
		len = gdb_encode((const char *)text, len, frame);
		bytes = frame;
	}
	t->over |= !gdb_session_input(&t->session, bytes, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target *t = calloc(1, sizeof(*t));
	assert(t);
	gdb_session_init(&t->session, &ops, t, CPUS);
	const uint8_t *end = data + size;
	while (data < end && !t->over) {
		const uint8_t *stop = memchr(data, 0, (size_t)(end - data));
		stop = stop ? stop : end;
		feed(t, data, (size_t)(stop - data));
		let_stop(t, stop[-(stop > data)]);
		data = stop + 1;
	}
	if (!t->over) {
		gdb_session_exited(&t->session);
	}
	free(t);
	return 0;
}
