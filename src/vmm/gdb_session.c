/* SPDX-License-Identifier: Apache-2.0 */
/* gdb_session.c - see gdb_session.h */
#include "vmm/gdb_session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	SIGNAL_INT = 2,
	SIGNAL_TRAP = 5,
	REGISTERS = 68, /* x0 to x30, sp, pc, cpsr, v0 to v31, fpsr, fpcr */
	REGISTER_SP = 31,
	REGISTER_PC,
	REGISTER_CPSR,
	REGISTER_V0,
	REGISTER_FPSR = REGISTER_V0 + 32,
	REGISTER_FPCR,
};

/* ----- replies ----- */

static void send_text(struct gdb_session *session)
{
	session->out_len = gdb_encode(session->text, session->text_len, session->out);
	session->ops->send(session->opaque, session->out, session->out_len);
}

static void __attribute__((format(printf, 2, 3)))
reply(struct gdb_session *session, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	int len = vsnprintf(session->text, sizeof(session->text), format, list);
	va_end(list);
	session->text_len = len < 0				  ? 0
			    : (size_t)len < sizeof(session->text) ? (size_t)len
								  : sizeof(session->text) - 1;
	send_text(session);
}

/* Good or bad, by errno's number as GDB shows it. */
static void reply_status(struct gdb_session *session, int status)
{
	if (status < 0) {
		reply(session, "E%02x", -status & 0xff);
	} else {
		reply(session, "OK");
	}
}

/* ----- registers ----- */

/* Where register @n is; its bytes are in the guest's order, as hosts are little-endian too. */
static void *register_place(struct engine_registers *r, unsigned n, size_t *size)
{
	*size = n >= REGISTER_V0 && n < REGISTER_FPSR	   ? 16
		: n == REGISTER_CPSR || n >= REGISTER_FPSR ? 4
							   : 8;
	switch (n) {
	case REGISTER_SP: return &r->sp;
	case REGISTER_PC: return &r->pc;
	case REGISTER_CPSR: return &r->pstate;
	case REGISTER_FPSR: return &r->fpsr;
	case REGISTER_FPCR: return &r->fpcr;
	default: return n < REGISTER_SP ? (void *)&r->x[n] : &r->v[n - REGISTER_V0];
	}
}

static void put_register(char *to, size_t room, const char *name, unsigned bits, const char *type)
{
	size_t len = strlen(to);
	snprintf(to + len, room - len, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", name, bits,
		 type);
}

/* The target description (GDB manual, appendix G), with the names that GDB knows. */
static void describe_registers(char *to, size_t room)
{
	char name[8];
	snprintf(to, room,
		 "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
		 "<architecture>aarch64</architecture><feature name=\"org.gnu.gdb.aarch64.core\">");
	for (unsigned n = 0; n < REGISTER_SP; n++) {
		snprintf(name, sizeof(name), "x%u", n);
		put_register(to, room, name, 64, "int");
	}
	put_register(to, room, "sp", 64, "data_ptr");
	put_register(to, room, "pc", 64, "code_ptr");
	put_register(to, room, "cpsr", 32, "int");
	strncat(to, "</feature><feature name=\"org.gnu.gdb.aarch64.fpu\">", room - strlen(to) - 1);
	for (unsigned n = 0; n < 32; n++) {
		snprintf(name, sizeof(name), "v%u", n);
		put_register(to, room, name, 128, "uint128");
	}
	put_register(to, room, "fpsr", 32, "int");
	put_register(to, room, "fpcr", 32, "int");
	strncat(to, "</feature></target>", room - strlen(to) - 1);
}

/* qXfer:features:read:target.xml:OFFSET,LENGTH */
static void read_description(struct gdb_session *session, const char *range)
{
	char xml[8192];
	uint64_t offset, len;
	const char *comma = gdb_take_number(range, &offset);
	if (!comma || *comma != ',' || !gdb_take_number(comma + 1, &len)) {
		reply_status(session, -EINVAL);
		return;
	}
	describe_registers(xml, sizeof(xml));
	size_t total = strlen(xml);
	offset = offset < total ? offset : total;
	len = len < GDB_PACKET_ROOM / 2 ? len : GDB_PACKET_ROOM / 2;
	len = len < total - offset ? len : total - offset;
	reply(session, "%c%.*s", offset + len < total ? 'm' : 'l', (int)len, xml + offset);
}

static void read_registers(struct gdb_session *session, const char *arguments)
{
	struct engine_registers r;
	size_t size;
	char *to = session->text;
	session->ops->registers(session->opaque, session->current, &r);
	for (unsigned n = 0; n < REGISTERS; n++) {
		const void *place = register_place(&r, n, &size);
		to = gdb_put_hex(to, place, size);
	}
	session->text_len = (size_t)(to - session->text);
	send_text(session);
}

static void write_registers(struct gdb_session *session, const char *from)
{
	struct engine_registers r;
	size_t size;
	session->ops->registers(session->opaque, session->current, &r);
	for (unsigned n = 0; n < REGISTERS && from; n++) {
		void *place = register_place(&r, n, &size);
		from = gdb_take_hex(from, place, size);
	}
	bool good = from && !*from &&
		    session->ops->set_registers(session->opaque, session->current, &r);
	reply_status(session, good ? 0 : -EINVAL);
}

static void read_register(struct gdb_session *session, const char *arguments)
{
	struct engine_registers r;
	uint64_t n;
	size_t size;
	const char *end = gdb_take_number(arguments, &n);
	if (!end || *end || n >= REGISTERS) {
		reply_status(session, -EINVAL);
		return;
	}
	session->ops->registers(session->opaque, session->current, &r);
	const void *place = register_place(&r, (unsigned)n, &size);
	session->text_len = (size_t)(gdb_put_hex(session->text, place, size) - session->text);
	send_text(session);
}

/* N=VALUE */
static void write_register(struct gdb_session *session, const char *arguments)
{
	struct engine_registers r;
	uint64_t n;
	size_t size;
	const char *end = gdb_take_number(arguments, &n);
	if (!end || *end != '=' || n >= REGISTERS) {
		reply_status(session, -EINVAL);
		return;
	}
	session->ops->registers(session->opaque, session->current, &r);
	void *place = register_place(&r, (unsigned)n, &size);
	end = gdb_take_hex(end + 1, place, size);
	bool good =
		end && !*end && session->ops->set_registers(session->opaque, session->current, &r);
	reply_status(session, good ? 0 : -EINVAL);
}

/* ----- memory ----- */

/* ADDRESS,LENGTH; returns what is behind, NULL if that is not it. */
static const char *take_range(const char *from, uint64_t *address, uint64_t *len)
{
	from = gdb_take_number(from, address);
	return from && *from == ',' ? gdb_take_number(from + 1, len) : NULL;
}

static void read_memory(struct gdb_session *session, const char *arguments)
{
	uint8_t bytes[GDB_PACKET_ROOM / 2];
	uint64_t va, len;
	const char *end = take_range(arguments, &va, &len);
	if (!end || *end) {
		reply_status(session, -EINVAL);
		return;
	}
	len = len < sizeof(bytes) ? len : sizeof(bytes);
	size_t got = session->ops->memory(session->opaque, session->current, va, bytes, len, false);
	if (!got && len) {
		reply_status(session, -EFAULT);
		return;
	}
	session->text_len = (size_t)(gdb_put_hex(session->text, bytes, got) - session->text);
	send_text(session);
}

/* ADDRESS,LENGTH:BYTES */
static void write_memory(struct gdb_session *session, const char *arguments)
{
	uint8_t bytes[GDB_PACKET_ROOM / 2];
	uint64_t va, len;
	const char *end = take_range(arguments, &va, &len);
	if (!end || *end != ':' || len > sizeof(bytes) ||
	    !(end = gdb_take_hex(end + 1, bytes, len)) || *end) {
		reply_status(session, -EINVAL);
		return;
	}
	/* All or nothing where it can be known. */
	uint8_t old[GDB_PACKET_ROOM / 2];
	bool good = session->ops->memory(session->opaque, session->current, va, old, len, false) ==
			    len &&
		    session->ops->memory(session->opaque, session->current, va, bytes, len, true) ==
			    len;
	reply_status(session, good ? 0 : -EFAULT);
}

/* ----- points ----- */

/* TYPE,ADDRESS,KIND */
static void change_point(struct gdb_session *session, const char *arguments, bool on)
{
	static const enum engine_point_kind kinds[] = {ENGINE_POINT_BREAK, ENGINE_POINT_BREAK,
						       ENGINE_POINT_WRITE, ENGINE_POINT_READ,
						       ENGINE_POINT_ACCESS};
	unsigned type = (unsigned)(arguments[0] - '0');
	struct engine_point point;
	if (type > 4 || arguments[1] != ',') {
		reply(session, "%s", "");
		return;
	}
	point.kind = kinds[type];
	const char *end = take_range(arguments + 2, &point.address, &point.len);
	reply_status(session,
		     end && !*end ? session->ops->set_point(session->opaque, &point, on) : -EINVAL);
}

static void set_point(struct gdb_session *session, const char *arguments)
{
	change_point(session, arguments, true);
}

static void clear_point(struct gdb_session *session, const char *arguments)
{
	change_point(session, arguments, false);
}

/* ----- threads ----- */

/* A thread's id: false for none of ours.  *all for -1; 0 is any, so the current one. */
static bool take_thread(const struct gdb_session *session, const char **from, unsigned *cpu,
			bool *all)
{
	uint64_t id = 0;
	*all = !strncmp(*from, "-1", 2);
	*from = *all ? *from + 2 : gdb_take_number(*from, &id);
	*cpu = id ? (unsigned)id - 1 : session->current;
	return *from && id <= session->cpus;
}

static void choose_thread(struct gdb_session *session, const char *arguments)
{
	unsigned cpu;
	bool all;
	const char *at = arguments + 1;
	bool good = (arguments[0] == 'g' || arguments[0] == 'c') &&
		    take_thread(session, &at, &cpu, &all) && !*at;
	if (good && arguments[0] == 'g') {
		session->current = cpu;
	}
	reply_status(session, good ? 0 : -EINVAL);
}

static void is_alive(struct gdb_session *session, const char *arguments)
{
	unsigned cpu;
	bool all;
	reply_status(session, take_thread(session, &arguments, &cpu, &all) && !*arguments && !all
				      ? 0
				      : -EINVAL);
}

static void list_threads(struct gdb_session *session, const char *arguments)
{
	char list[GDB_MAX_CPUS * 3 + 2] = "m1";
	for (unsigned n = 2; n <= session->cpus; n++) {
		size_t len = strlen(list);
		snprintf(list + len, sizeof(list) - len, ",%x", n);
	}
	reply(session, "%s", list);
}

static void describe_thread(struct gdb_session *session, const char *arguments)
{
	char text[64] = "";
	unsigned cpu;
	bool all;
	if (!take_thread(session, &arguments, &cpu, &all) || *arguments || all) {
		reply_status(session, -EINVAL);
		return;
	}
	session->ops->describe(session->opaque, cpu, text, sizeof(text));
	session->text_len =
		(size_t)(gdb_put_hex(session->text, text, strlen(text)) - session->text);
	send_text(session);
}

/* ----- running ----- */

static void resume(struct gdb_session *session, const enum gdb_action *actions)
{
	session->running = true;
	session->ops->resume(session->opaque, actions);
}

/* One of the actions of vCont, for the threads that have none yet.  Returns what is behind it, NULL
 * if it is wrong. */
static const char *take_action(const struct gdb_session *session, const char *from,
			       enum gdb_action *actions)
{
	char word = *from++;
	uint64_t signal;
	unsigned cpu = 0;
	bool all = true;
	if (word == 'C' || word == 'S') { /* signals mean nothing to a CPU */
		from = gdb_take_number(from, &signal);
	} else if (word != 'c' && word != 's') {
		return NULL;
	}
	if (from && *from == ':') {
		from++;
		if (!take_thread(session, &from, &cpu, &all)) {
			return NULL;
		}
	}
	for (unsigned n = 0; n < session->cpus; n++) {
		if (actions[n] == GDB_STAY && (all || n == cpu)) {
			actions[n] = word == 's' || word == 'S' ? GDB_STEP : GDB_CONTINUE;
		}
	}
	return from;
}

static void resume_each(struct gdb_session *session, const char *at)
{
	enum gdb_action actions[GDB_MAX_CPUS] = {GDB_STAY};
	bool any = false;
	while (at && *at == ';') {
		at = take_action(session, at + 1, actions);
		any = true;
	}
	if (!at || *at || !any) {
		reply_status(session, -EINVAL);
		return;
	}
	resume(session, actions);
}

/* c or s, [ADDRESS]: all continue, or the current one steps. */
static void resume_simply(struct gdb_session *session, const char *address, bool step)
{
	enum gdb_action actions[GDB_MAX_CPUS] = {GDB_STAY};
	struct engine_registers r;
	if (*address) {
		session->ops->registers(session->opaque, session->current, &r);
		const char *end = gdb_take_number(address, &r.pc);
		if (!end || *end ||
		    !session->ops->set_registers(session->opaque, session->current, &r)) {
			reply_status(session, -EINVAL);
			return;
		}
	}
	for (unsigned n = 0; n < session->cpus; n++) {
		actions[n] = !step ? GDB_CONTINUE : n == session->current ? GDB_STEP : GDB_STAY;
	}
	resume(session, actions);
}

static void go_on(struct gdb_session *session, const char *address)
{
	resume_simply(session, address, false);
}

static void step(struct gdb_session *session, const char *address)
{
	resume_simply(session, address, true);
}

void gdb_session_stopped(struct gdb_session *session, unsigned cpu, const struct engine_stop *stop)
{
	static const char *const words[] = {[ENGINE_POINT_WRITE] = "watch",
					    [ENGINE_POINT_READ] = "rwatch",
					    [ENGINE_POINT_ACCESS] = "awatch"};
	session->running = false;
	session->current = cpu;
	if (stop && stop->why == ENGINE_STOP_POINT && stop->point.kind != ENGINE_POINT_BREAK) {
		reply(session, "T%02x%s:%" PRIx64 ";thread:%x;", SIGNAL_TRAP,
		      words[stop->point.kind], stop->address, cpu + 1);
	} else {
		reply(session, "T%02xthread:%x;", stop ? SIGNAL_TRAP : SIGNAL_INT, cpu + 1);
	}
}

void gdb_session_exited(struct gdb_session *session)
{
	if (session->running) {
		reply(session, "W00");
	}
}

/* ----- packets ----- */

static void report_stop(struct gdb_session *session, const char *arguments)
{
	reply(session, "T%02xthread:%x;", SIGNAL_TRAP, session->current + 1);
}

static void report_features(struct gdb_session *session, const char *arguments)
{
	reply(session, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+",
	      GDB_PACKET_ROOM);
}

static void report_current(struct gdb_session *session, const char *arguments)
{
	if (*arguments) {
		reply(session, "%s", ""); /* a longer name */
	} else {
		reply(session, "QC%x", session->current + 1);
	}
}

static void stop_acks(struct gdb_session *session, const char *arguments)
{
	reply(session, "OK");
	session->no_acks = true;
}

static void report_end_of_list(struct gdb_session *session, const char *arguments)
{
	reply(session, "l");
}

static void report_attached(struct gdb_session *session, const char *arguments)
{
	reply(session, "1");
}

static void report_actions(struct gdb_session *session, const char *arguments)
{
	reply(session, "vCont;c;C;s;S");
}

/* The first that is a prefix counts, so longer ones come first. */
static const struct {
	const char *prefix;
	void (*run)(struct gdb_session *session, const char *arguments);
} commands[] = {
	{"qSupported", report_features},
	{"qXfer:features:read:target.xml:", read_description},
	{"qfThreadInfo", list_threads},
	{"qsThreadInfo", report_end_of_list},
	{"qThreadExtraInfo,", describe_thread},
	{"qAttached", report_attached},
	{"qC", report_current},
	{"QStartNoAckMode", stop_acks},
	{"vCont?", report_actions},
	{"vCont", resume_each},
	{"?", report_stop},
	{"H", choose_thread},
	{"T", is_alive},
	{"g", read_registers},
	{"G", write_registers},
	{"p", read_register},
	{"P", write_register},
	{"m", read_memory},
	{"M", write_memory},
	{"Z", set_point},
	{"z", clear_point},
	{"c", go_on},
	{"s", step},
};

/* False: the session is over. */
static bool run_packet(struct gdb_session *session)
{
	const char *text = session->in.text;
	if (session->running) {
		return false; /* nothing but an interrupt may come now */
	}
	if (text[0] == 'D' || text[0] == 'k') {
		if (text[0] == 'k') {
			session->ops->kill(session->opaque);
		} else {
			reply(session, "OK");
		}
		return false;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		size_t len = strlen(commands[i].prefix);
		if (!strncmp(text, commands[i].prefix, len)) {
			commands[i].run(session, text + len);
			return true;
		}
	}
	reply(session, "%s", ""); /* not supported */
	return true;
}

static void acknowledge(struct gdb_session *session, const char *sign)
{
	if (!session->no_acks) {
		session->ops->send(session->opaque, sign, 1);
	}
}

static bool run_event(struct gdb_session *session, enum gdb_event event)
{
	switch (event) {
	case GDB_PACKET: acknowledge(session, "+"); return run_packet(session);
	case GDB_DAMAGED: acknowledge(session, "-"); return true;
	case GDB_TOO_LONG: return false;
	case GDB_INTERRUPT:
		if (session->running) {
			session->ops->interrupt(session->opaque);
		}
		return true;
	case GDB_NACK:
		if (!session->no_acks && session->out_len) {
			session->ops->send(session->opaque, session->out, session->out_len);
		}
		return true;
	default: return true;
	}
}

void gdb_session_init(struct gdb_session *session, const struct gdb_target_ops *ops, void *opaque,
		      unsigned cpus)
{
	*session = (struct gdb_session){.ops = ops, .opaque = opaque, .cpus = cpus};
}

bool gdb_session_input(struct gdb_session *session, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;
	bool goes_on = true;
	for (size_t i = 0; i < len && goes_on; i++) {
		goes_on = run_event(session, gdb_decode(&session->in, from[i]));
	}
	return goes_on;
}
