/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdb_server.h - where GDB connects: one client at a time, on a TCP port of this machine or a UNIX
 * socket
 *
 * Who can connect can do everything to the guest.  So it listens on the loopback address unless
 * another is named, and a UNIX socket is its user's. Threads: the loop's.
 */
#ifndef ORIEL_VMM_GDB_SERVER_H
#define ORIEL_VMM_GDB_SERVER_H

#include "base/loop.h"
#include "vmm/gdb_session.h"

struct gdb_server;

struct gdb_server_events {
	/* A client is there: stop everything before return. */
	void (*connected)(void *opaque);
	/* It is gone: forget its points and let everything run. */
	void (*left)(void *opaque);
};

/*
 * Listen at @address: [HOST:]PORT or unix:PATH.  @target's send is to be gdb_server_send().  NULL
 * and one line in @err on failure.
 */
struct gdb_server *gdb_server_create(struct loop *loop, const char *address,
				     const struct gdb_server_events *events,
				     const struct gdb_target_ops *target, void *opaque,
				     unsigned cpus, struct error *err) MUST_CHECK;
/* Accepts NULL.  Tells a client that waits that the VM ended. */
void gdb_server_destroy(struct gdb_server *server);
/* To the client, if there is one. */
void gdb_server_send(struct gdb_server *server, const char *bytes, size_t len);
/* The session of a client that waits for a stop; NULL: there is none. */
struct gdb_session *gdb_server_waiting(struct gdb_server *server);

#endif
