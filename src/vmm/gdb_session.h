/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdb_session.h - what one connected GDB asks for (GDB manual, appendix E), on a target behind
 * functions
 *
 * How it works: all-stop.  The client finds everything stopped, lets vCPUs run, and hears when one
 * stops again.  vCPU n is thread n + 1 of one process.  Whatever does not make sense is answered
 * with an error; what breaks the protocol ends the session. Threads: the caller's.
 */
#ifndef ORIEL_VMM_GDB_SESSION_H
#define ORIEL_VMM_GDB_SESSION_H

#include "engine/engine.h"
#include "vmm/gdb_packet.h"

enum { GDB_MAX_CPUS = 64 };

enum gdb_action { GDB_STAY, GDB_CONTINUE, GDB_STEP };

/* As the functions of engine.h of the same names.  Only called while everything is stopped, but for
 * interrupt and send. */
struct gdb_target_ops {
	void (*registers)(void *opaque, unsigned cpu, struct engine_registers *registers);
	bool (*set_registers)(void *opaque, unsigned cpu, const struct engine_registers *registers);
	size_t (*memory)(void *opaque, unsigned cpu, uint64_t va, void *buffer, size_t len,
			 bool write);
	int (*set_point)(void *opaque, const struct engine_point *point, bool on);
	/* A few words on a vCPU. */
	void (*describe)(void *opaque, unsigned cpu, char *text, size_t room);
	/* Let vCPUs run, with an action for each; gdb_session_stopped() follows. */
	void (*resume)(void *opaque, const enum gdb_action *actions);
	/* Stop everything; gdb_session_stopped() follows, maybe at once. */
	void (*interrupt)(void *opaque);
	/* End the VM. */
	void (*kill)(void *opaque);
	void (*send)(void *opaque, const char *bytes, size_t len);
};

struct gdb_session {
	const struct gdb_target_ops *ops;
	void *opaque;
	unsigned cpus;
	unsigned current; /* whose registers are meant */
	bool running, no_acks;
	struct gdb_decoder in;
	size_t text_len;
	char text[GDB_PACKET_ROOM + 1]; /* the reply that is made */
	size_t out_len;
	char out[2 * GDB_PACKET_ROOM + 4]; /* the last packet sent */
};

/* Everything is stopped. */
void gdb_session_init(struct gdb_session *session, const struct gdb_target_ops *ops, void *opaque,
		      unsigned cpus);
/* Take what the client sent.  False: the session is over (detached, killed, or the protocol is
 * broken). */
bool gdb_session_input(struct gdb_session *session, const void *bytes, size_t len);
/* Everything is stopped, because of @cpu; @stop NULL: by an interrupt. */
void gdb_session_stopped(struct gdb_session *session, unsigned cpu, const struct engine_stop *stop);
/* The VM ended. */
void gdb_session_exited(struct gdb_session *session);

#endif
