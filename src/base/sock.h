/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock.h - messages with descriptors over UNIX sockets
 * Threads: any; one sender and one receiver per socket at a time.
 */
#ifndef ORIEL_BASE_SOCK_H
#define ORIEL_BASE_SOCK_H

#include "base/error.h"

#include <stddef.h>
#include <sys/types.h>

enum { SOCK_MAX_FDS = 16 };

/*
 * Send @len bytes as one message (SOCK_SEQPACKET) or from the start of a stream, with @fd_count
 * descriptors (borrowed).  Returns bytes sent or -errno (-EAGAIN on a full non-blocking socket).
 */
ssize_t sock_send(int socket, const void *data, size_t len, const int *fds, size_t fd_count) MUST_CHECK;

/*
 * Receive up to @len bytes.  Descriptors that came along are put in @fds (at most *fd_count; the caller
 * owns them, close-on-exec), *fd_count becomes their number.  Returns bytes, 0 at end of stream, or -errno; -EMSGSIZE
 * if the message or its descriptors were cut (everything received is closed).
 */
ssize_t sock_recv(int socket, void *data, size_t len, int *fds, size_t *fd_count) MUST_CHECK;

#endif
