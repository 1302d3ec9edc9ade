/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passt.h - start passt, the program that connects a guest to the host's network without privileges
 *
 * Threads: any.
 */
#ifndef ORIEL_DEVICES_PASST_H
#define ORIEL_DEVICES_PASST_H

#include "base/error.h"

#include <sys/types.h>

enum { PASST_SOCKET_FD = 3, PASST_MAX_ARGS = 16 };

/*
 * The command line, NULL-terminated, of a passt that serves descriptor PASST_SOCKET_FD in the foreground and ends when the other
 * end is closed.  Strings are static.
 */
void passt_command(const char *argv[PASST_MAX_ARGS]);

struct passt {
	int socket; /* our end, for virtio_net; the caller owns it */
	pid_t pid;  /* to be waited for after the socket was closed */
};

/* Start passt from PATH.  On failure (not installed: -ENOENT) nothing is left running. */
int passt_start(struct passt *passt, struct error *err) MUST_CHECK;

#endif
