/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_process.h - inside of the broker: its messages and its main function
 * Threads: the broker's only one.
 */
#ifndef ORIEL_VMM_BROKER_PROCESS_H
#define ORIEL_VMM_BROKER_PROCESS_H

#include <stdint.h>
#include <stdnoreturn.h>

enum {
	BROKER_MAX_HELPERS = 128,
	BROKER_EXIT_NO_EXEC = 127, /* status of a helper whose program could not be executed */
};

enum broker_kind {
	/* oriel -> broker */
	BROKER_START_GPU_SERVER = 1, /* + fd: its socket */
	BROKER_START_PASST,	     /* + fd: its socket */
	BROKER_END,		     /* the helper of that token: soon, by force if it must be */
	/* broker -> oriel */
	BROKER_STARTED, /* pid */
	BROKER_FAILED,	/* status: errno */
	BROKER_EXITED,	/* pid, status as of waitpid() */
};

struct broker_request {
	uint32_t kind, token;
};

struct broker_event {
	uint32_t kind, token;
	int32_t pid, status;
};

/* The broker's life: serves @socket until its end.  The paths may be NULL. */
noreturn void broker_process_run(int socket, const char *gpu_server, const char *passt);

#endif
