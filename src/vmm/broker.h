/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker.h - the one small process that starts and ends helpers (oriel-gpu, passt)
 *
 * How it works: broker_start() forks it before guest code and threads exist.  It takes requests of
 * a few fixed types over a socket, never a path or an argument; what it may execute was decided at
 * its start.  Each helper gets one socket as descriptor 3, /dev/null as 0 and 1, our stderr, and
 * nothing else.  When oriel goes away, however it does, the broker sees the end of its socket, ends
 * what it started, and ends. Threads: broker_start() and broker_stop() while there is one thread
 * (stop: or on the loop's); the rest on the loop.
 */
#ifndef ORIEL_VMM_BROKER_H
#define ORIEL_VMM_BROKER_H

#include "base/error.h"
#include "base/loop.h"
#include "gpu/spawn.h"

#include <sys/types.h>

struct broker;

struct broker_config {
	const char *gpu_server; /* program to execute, an absolute path; NULL: such requests fail */
	const char *passt;	/* the same for passt */
};

/* Fork the broker.  NULL with @err on failure. */
struct broker *broker_start(const struct broker_config *config, struct error *err) MUST_CHECK;
/* Hear on @loop about helpers that started or ended.  Before the loop runs. */
int broker_watch(struct broker *broker, struct loop *loop, struct error *err) MUST_CHECK;
/* Hear nothing more: before that loop is destroyed. */
void broker_unwatch(struct broker *broker);
/* End the broker and all helpers; waits for at most a few seconds.  Accepts NULL. */
void broker_stop(struct broker *broker);

/* The broker as the GPU device's source of servers; borrowed, valid as long as the broker. */
const struct gpu_spawner *broker_gpu_spawner(struct broker *broker);
/* Start passt on @socket (borrowed): a stream of length-prefixed frames.  It ends when the other
 * end is closed. */
int broker_start_passt(struct broker *broker, int socket, struct error *err) MUST_CHECK;

/*
 * Find the program @name: @given if not NULL, else beside our own executable, else in $PATH.
 * Returns an absolute path which the caller frees, or NULL with @err.
 */
char *broker_find_program(const char *name, const char *given, struct error *err) MUST_CHECK;

#endif
