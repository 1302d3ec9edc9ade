/* SPDX-License-Identifier: Apache-2.0 */
/* test_gdb.c - packets of the GDB protocol, and what a session answers, on a target that only notes
 * what it is asked */
#include "unit.h"
#include "vmm/gdb_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CPUS = 2, MEMORY = 0x1000, MEMORY_LEN = 256 };

struct target {
	struct gdb_session session;
	struct engine_registers registers[CPUS];
	uint8_t memory[MEMORY_LEN];
	struct engine_point point; /* the last one */
	int points;
	enum gdb_action actions[CPUS];
	bool killed, interrupted;
	char sent[3 * GDB_PACKET_ROOM];
	size_t sent_len;
};

static void registers(void *opaque, unsigned cpu, struct engine_registers *r)
{
	*r = ((struct target *)opaque)->registers[cpu];
}

static bool set_registers(void *opaque, unsigned cpu, const struct engine_registers *r)
{
	((struct target *)opaque)->registers[cpu] = *r;
	return r->pstate != 0xbad;
}

static size_t memory(void *opaque, unsigned cpu, uint64_t va, void *buffer, size_t len, bool write)
{
	struct target *t = opaque;
	if (va < MEMORY || va >= MEMORY + MEMORY_LEN) {
		return 0;
	}
	size_t left = MEMORY + MEMORY_LEN - va;
	len = len < left ? len : left;
	memcpy(write ? &t->memory[va - MEMORY] : buffer, write ? buffer : &t->memory[va - MEMORY],
	       len);
	return len;
}

static int set_point(void *opaque, const struct engine_point *point, bool on)
{
	struct target *t = opaque;
	t->point = *point;
	t->points += on ? 1 : -1;
	return point->address == 0xf11 ? -ENOSPC : 0;
}

static void describe(void *opaque, unsigned cpu, char *text, size_t room)
{
	snprintf(text, room, "no. %u", cpu);
}

static void resume(void *opaque, const enum gdb_action *actions)
{
	memcpy(((struct target *)opaque)->actions, actions, CPUS * sizeof(*actions));
}

static void interrupt(void *opaque)
{
	struct target *t = opaque;
	t->interrupted = true;
	gdb_session_stopped(&t->session, 1, NULL);
}

static void kill_target(void *opaque)
{
	((struct target *)opaque)->killed = true;
}

static void send_bytes(void *opaque, const char *bytes, size_t len)
{
	struct target *t = opaque;
	memcpy(t->sent + t->sent_len, bytes, len);
	t->sent_len += len;
	t->sent[t->sent_len] = '\0';
}

static const struct gdb_target_ops ops = {registers, set_registers, memory,
					  set_point, describe,	    resume,
					  interrupt, kill_target,   send_bytes};

static struct target *set_up(void)
{
	struct target *t = calloc(1, sizeof(*t));
	gdb_session_init(&t->session, &ops, t, CPUS);
	return t;
}

/* Send @text as a packet; the reply's text, without its frame and what confirms ours. */
static const char *ask(struct target *t, const char *text)
{
	char frame[2 * GDB_PACKET_ROOM + 4];
	size_t len = gdb_encode(text, strlen(text), frame);
	t->sent_len = 0;
	t->sent[0] = '\0';
	assert_true(gdb_session_input(&t->session, frame, len));
	if (!t->session.no_acks) {
		assert_int_equal(t->sent[0], '+');
	}
	char *start = strchr(t->sent, '$'), *end = strrchr(t->sent, '#');
	if (!start || !end) {
		return t->session.running ? "running" : "nothing";
	}
	*end = '\0';
	return start + 1;
}

static enum gdb_event decode(struct gdb_decoder *decoder, const char *text)
{
	enum gdb_event event = GDB_NOTHING;
	while (*text) {
		event = gdb_decode(decoder, (uint8_t)*text++);
	}
	return event;
}

static void packets_are_framed_and_checked(void **state)
{
	struct gdb_decoder d = {0};
	assert_int_equal(decode(&d, "noise$qC#b4"), GDB_PACKET);
	assert_string_equal(d.text, "qC");
	assert_int_equal(decode(&d, "$qC#b5"), GDB_DAMAGED);
	assert_int_equal(decode(&d, "$qC#x"), GDB_DAMAGED);
	assert_int_equal(decode(&d, "$a}\x03z#5b"), GDB_PACKET); /* an escaped '#' */
	assert_int_equal(d.len, 3);
	assert_memory_equal(d.text, "a#z", 3);
	assert_int_equal(decode(&d, "$half$qC#b4"), GDB_PACKET);
	assert_string_equal(d.text, "qC");
	assert_int_equal(decode(&d, "+"), GDB_ACK);
	assert_int_equal(decode(&d, "-"), GDB_NACK);
	assert_int_equal(decode(&d, "\x03"), GDB_INTERRUPT);
	assert_int_equal(decode(&d, "$#00"), GDB_PACKET);
	assert_int_equal(d.len, 0);
}

static void long_packets_are_refused(void **state)
{
	struct gdb_decoder d = {0};
	decode(&d, "$");
	for (int i = 0; i < GDB_PACKET_ROOM; i++) {
		assert_int_equal(gdb_decode(&d, 'a'), GDB_NOTHING);
	}
	assert_int_equal(gdb_decode(&d, 'a'), GDB_TOO_LONG);
	assert_int_equal(gdb_decode(&d, '+'), GDB_ACK);
}

static void encoding_is_undone_by_decoding(void **state)
{
	char text[256], frame[2 * 256 + 4];
	struct gdb_decoder d = {0};
	for (int i = 0; i < 256; i++) {
		text[i] = (char)i;
	}
	size_t len = gdb_encode(text, sizeof(text), frame);
	for (size_t i = 0; i < len - 1; i++) {
		assert_int_equal(gdb_decode(&d, (uint8_t)frame[i]), GDB_NOTHING);
	}
	assert_int_equal(gdb_decode(&d, (uint8_t)frame[len - 1]), GDB_PACKET);
	assert_int_equal(d.len, 256);
	assert_memory_equal(d.text, text, 256);
}

static void numbers_have_1_to_16_digits(void **state)
{
	uint64_t value;
	assert_string_equal(gdb_take_number("fFfffffffffffff8,", &value), ",");
	assert_int_equal(value, UINT64_MAX - 7);
	assert_null(gdb_take_number("", &value));
	assert_null(gdb_take_number("x", &value));
	assert_null(gdb_take_number("10000000000000000", &value));
}

static void registers_have_their_places(void **state)
{
	struct target *t = set_up();
	for (unsigned n = 0; n < 31; n++) {
		t->registers[0].x[n] = n;
	}
	t->registers[0].sp = 0x1122334455667788;
	t->registers[0].pstate = 0x600003c5;
	t->registers[0].v[31] = (__uint128_t)0xab << 120;
	t->registers[0].fpcr = 0x01000000;
	assert_string_equal(ask(t, "p1e"), "1e00000000000000");
	assert_string_equal(ask(t, "p1f"), "8877665544332211");
	assert_string_equal(ask(t, "p21"), "c5030060");
	assert_string_equal(ask(t, "p41"), "000000000000000000000000000000ab");
	assert_string_equal(ask(t, "p43"), "00000001");
	assert_string_equal(ask(t, "p44"), "E16");
	char all[2048];
	snprintf(all, sizeof(all), "G%s", ask(t, "g"));
	assert_int_equal(strlen(all), 1 + 2 * (33 * 8 + 4 + 32 * 16 + 8));
	assert_memory_equal(all + 1 + 30 * 16, "1e00000000000000", 16);
	all[1] = 'f';
	assert_string_equal(ask(t, all), "OK");
	assert_int_equal(t->registers[0].x[0], 0xf0);
	all[strlen(all) - 1] = '\0';
	assert_string_equal(ask(t, all), "E16");
	/* Of another vCPU; a change that it refuses. */
	assert_string_equal(ask(t, "Hg2"), "OK");
	assert_string_equal(ask(t, "P20=0100000000000080"), "OK");
	assert_int_equal(t->registers[1].pc, 0x8000000000000001);
	assert_string_equal(ask(t, "P21=ad0b0000"), "E16");
	assert_string_equal(ask(t, "P20=01"), "E16");
	assert_string_equal(ask(t, "Hg3"), "E16");
	free(t);
}

static void memory_is_read_and_written(void **state)
{
	struct target *t = set_up();
	memcpy(t->memory, "\x01\x02\x03", 3);
	assert_string_equal(ask(t, "m1000,3"), "010203");
	assert_string_equal(ask(t, "m10fe,8"), "0000");
	assert_string_equal(ask(t, "m2000,1"), "E0e");
	assert_string_equal(ask(t, "M1001,2:aBcd"), "OK");
	assert_string_equal(ask(t, "m1000,4"), "01abcd00");
	assert_string_equal(ask(t, "M10ff,2:0101"), "E0e"); /* nothing of it */
	assert_int_equal(t->memory[255], 0);
	assert_string_equal(ask(t, "M1000,2:01"), "E16");
	assert_string_equal(ask(t, "M1000,ffffffffffffffff:01"), "E16");
	assert_string_equal(ask(t, "m1000"), "E16");
	assert_string_equal(ask(t, "m1000,2x"), "E16");
	free(t);
}

static void points_are_set_and_cleared(void **state)
{
	struct target *t = set_up();
	assert_string_equal(ask(t, "Z0,ffff800080010000,4"), "OK");
	assert_int_equal(t->point.kind, ENGINE_POINT_BREAK);
	assert_int_equal(t->point.address, 0xffff800080010000);
	assert_string_equal(ask(t, "z0,ffff800080010000,4"), "OK");
	assert_int_equal(t->points, 0);
	assert_string_equal(ask(t, "Z2,1000,8"), "OK");
	assert_int_equal(t->point.kind, ENGINE_POINT_WRITE);
	assert_int_equal(t->point.len, 8);
	assert_string_equal(ask(t, "Z3,1000,1"), "OK");
	assert_int_equal(t->point.kind, ENGINE_POINT_READ);
	assert_string_equal(ask(t, "Z4,1000,1"), "OK");
	assert_int_equal(t->point.kind, ENGINE_POINT_ACCESS);
	assert_string_equal(ask(t, "Z1,f11,4"), "E1c");
	assert_string_equal(ask(t, "Z5,1000,1"), "");
	assert_string_equal(ask(t, "Z"), "");
	assert_string_equal(ask(t, "Z0,1000"), "E16");
	free(t);
}

static void threads_are_vcpus(void **state)
{
	struct target *t = set_up();
	assert_string_equal(ask(t, "?"), "T05thread:1;");
	assert_string_equal(ask(t, "qfThreadInfo"), "m1,2");
	assert_string_equal(ask(t, "qsThreadInfo"), "l");
	assert_string_equal(ask(t, "qC"), "QC1");
	assert_string_equal(ask(t, "qThreadExtraInfo,2"), "6e6f2e2031");
	assert_string_equal(ask(t, "qThreadExtraInfo,9"), "E16");
	assert_string_equal(ask(t, "T2"), "OK");
	assert_string_equal(ask(t, "T3"), "E16");
	assert_string_equal(ask(t, "Hc-1"), "OK");
	assert_string_equal(ask(t, "vMustReplyEmpty"), "");
	assert_non_null(strstr(ask(t, "qSupported:xmlRegisters=i386"), "PacketSize="));
	free(t);
}

static void description_comes_in_pieces(void **state)
{
	struct target *t = set_up();
	char xml[16384] = "", question[80];
	for (bool more = true; more;) {
		snprintf(question, sizeof(question), "qXfer:features:read:target.xml:%zx,200",
			 strlen(xml));
		const char *part = ask(t, question);
		more = part[0] == 'm';
		assert_true(more || part[0] == 'l');
		strcat(xml, part + 1);
	}
	assert_non_null(strstr(xml, "<architecture>aarch64</architecture>"));
	assert_non_null(strstr(xml, "\"fpcr\""));
	assert_string_equal(xml + strlen(xml) - 9, "</target>");
	assert_string_equal(ask(t, "qXfer:features:read:target.xml:ffffff,200"), "l");
	assert_string_equal(ask(t, "qXfer:features:read:target.xml:x"), "E16");
	free(t);
}

static void expect_actions(struct target *t, const char *text, enum gdb_action first,
			   enum gdb_action second)
{
	assert_string_equal(ask(t, text), "running");
	assert_int_equal(t->actions[0], first);
	assert_int_equal(t->actions[1], second);
	gdb_session_stopped(&t->session, 0, &(struct engine_stop){.why = ENGINE_STOP_STEP});
}

static void resuming_gives_each_its_action(void **state)
{
	struct target *t = set_up();
	expect_actions(t, "c", GDB_CONTINUE, GDB_CONTINUE);
	expect_actions(t, "vCont;c", GDB_CONTINUE, GDB_CONTINUE);
	expect_actions(t, "vCont;s:2;c", GDB_CONTINUE, GDB_STEP);
	expect_actions(t, "vCont;S05:1", GDB_STEP, GDB_STAY);
	expect_actions(t, "vCont;c:-1", GDB_CONTINUE, GDB_CONTINUE);
	expect_actions(t, "s1234", GDB_STEP, GDB_STAY);
	assert_int_equal(t->registers[0].pc, 0x1234);
	assert_string_equal(ask(t, "vCont?"), "vCont;c;C;s;S");
	assert_string_equal(ask(t, "vCont;"), "E16");
	assert_string_equal(ask(t, "vCont"), "E16");
	assert_string_equal(ask(t, "vCont;c:3"), "E16");
	assert_string_equal(ask(t, "vCont;x"), "E16");
	assert_string_equal(ask(t, "c12g"), "E16");
	free(t);
}

static void stops_say_why_and_where(void **state)
{
	struct target *t = set_up();
	ask(t, "QStartNoAckMode");
	ask(t, "c");
	t->sent_len = 0;
	struct engine_stop stop = {ENGINE_STOP_POINT, {ENGINE_POINT_ACCESS, 0x1000, 8}, 0x1003};
	gdb_session_stopped(&t->session, 1, &stop);
	assert_memory_equal(t->sent, "$T05awatch:1003;thread:2;#", 26);
	assert_string_equal(ask(t, "qC"), "QC2");
	ask(t, "c");
	t->sent_len = 0;
	assert_true(gdb_session_input(&t->session, "\x03", 1));
	assert_true(t->interrupted);
	assert_memory_equal(t->sent, "$T02thread:2;#", 14);
	ask(t, "c");
	t->sent_len = 0;
	gdb_session_exited(&t->session);
	assert_memory_equal(t->sent, "$W00#b7", 7);
	free(t);
}

static void damaged_packets_are_sent_again(void **state)
{
	struct target *t = set_up();
	assert_true(gdb_session_input(&t->session, "$qC#00", 6));
	assert_string_equal(t->sent, "-");
	assert_string_equal(ask(t, "qC"), "QC1");
	t->sent_len = 0;
	assert_true(gdb_session_input(&t->session, "-", 1));
	assert_memory_equal(t->sent, "$QC1#", 5);
	free(t);
}

static void sessions_end(void **state)
{
	struct target *t = set_up();
	assert_false(gdb_session_input(&t->session, "$D#44", 5));
	assert_non_null(strstr(t->sent, "$OK#9a"));
	gdb_session_init(&t->session, &ops, t, CPUS);
	assert_false(gdb_session_input(&t->session, "$k#6b", 5));
	assert_true(t->killed);
	/* Registers are asked for while everything runs. */
	gdb_session_init(&t->session, &ops, t, CPUS);
	ask(t, "c");
	assert_false(gdb_session_input(&t->session, "$g#67", 5));
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_are_framed_and_checked),
		cmocka_unit_test(long_packets_are_refused),
		cmocka_unit_test(encoding_is_undone_by_decoding),
		cmocka_unit_test(numbers_have_1_to_16_digits),
		cmocka_unit_test(registers_have_their_places),
		cmocka_unit_test(memory_is_read_and_written),
		cmocka_unit_test(points_are_set_and_cleared),
		cmocka_unit_test(threads_are_vcpus),
		cmocka_unit_test(description_comes_in_pieces),
		cmocka_unit_test(resuming_gives_each_its_action),
		cmocka_unit_test(stops_say_why_and_where),
		cmocka_unit_test(damaged_packets_are_sent_again),
		cmocka_unit_test(sessions_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
