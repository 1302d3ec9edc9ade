/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.h - how the GPU device gets its servers: implemented by the broker, and by fakes in tests
 * Threads: the device's loop.
 */
#ifndef ORIEL_GPU_SPAWN_H
#define ORIEL_GPU_SPAWN_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct gpu_spawner {
	/*
	 * Start a server with @socket (borrowed; the spawner sends or duplicates it) as its end of
	 * the wire.  Returns at once; a start that fails later shows as end of stream on the other
	 * end.  @token (not 0, unique) names the server in the calls below.  -errno if nothing was
	 * started.
	 */
	int (*start)(void *opaque, uint32_t token, int socket);
	/* The server's socket was closed and it is not needed any more: see that it ends, by force
	 * if it must be. */
	void (*end)(void *opaque, uint32_t token);
	/*
	 * From now on ended(@ended_opaque, token) is called on the loop when a server's process has
	 * ended, or could not be started; of its memory nothing is left.  NULL: no more.
	 */
	void (*watch)(void *opaque, void (*ended)(void *ended_opaque, uint32_t token),
		      void *ended_opaque);
	/* Process id, or 0 if not known (yet, or any more). */
	pid_t (*pid)(void *opaque, uint32_t token);
	void *opaque;
};

#endif
