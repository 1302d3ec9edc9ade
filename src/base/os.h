/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os.h - what differs between operating systems, but for the event loop (loop.h), messages (sock.h)
 * and sleep (wait.h)
 *
 * The platform layer: the rest of the tree calls POSIX, and this.  ARCHITECTURE.md lists who may go
 * to Linux directly; tests/style refuses others.  Functions that return a descriptor give -1 and
 * errno; all descriptors are close-on-exec. Threads: any.
 */
#ifndef ORIEL_BASE_OS_H
#define ORIEL_BASE_OS_H

#include "base/error.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct iovec;

/* ----- bells: readable once rung, until cleared; non-blocking ----- */

int os_bell(void) MUST_CHECK;
void os_bell_ring(int bell);
/* True if it had been rung. */
bool os_bell_clear(int bell);

/* ----- memory that other processes can map ----- */

enum os_seal {
	OS_SEAL_SHRINK = 1 << 0,
	OS_SEAL_GROW = 1 << 1,
	OS_SEAL_WRITE = 1 << 2,	       /* by nobody, nor ever mapped for it */
	OS_SEAL_FUTURE_WRITE = 1 << 3, /* but by who has it mapped */
	OS_SEAL_SEALS = 1 << 4,	       /* no more seals */
};

/* An empty file without a name in any folder; @name is for tools that list a process's memory. */
int os_memory(const char *name) MUST_CHECK;
/*
 * Gives back the first pages of the file at or after *@at that are there, @len bytes at most, and
 * moves *@at behind them: they read as zeros from then on.  False: there are none, or this system
 * can not.
 */
bool os_discard_some(int fd, uint64_t *at, size_t len) MUST_CHECK;
/* 0, or -1 and errno. */
int os_seal(int fd, unsigned seals) MUST_CHECK;
/* Bits of enum os_seal, or -1: it can not be sealed. */
int os_seals(int fd);
/* Has it all of @seals? */
bool os_is_sealed(int fd, unsigned seals);
/* Has the file these bytes?  To touch a mapped page behind its end is fatal. */
bool os_file_has(int fd, uint64_t offset, uint64_t len);
/* Is the file kept in memory alone, so that reading it waits for nothing? */
bool os_is_memory(int fd);
/* Is it a buffer of a device's driver (a dma-buf)?  Its size is fixed when it is made. */
bool os_is_dma_buf(int fd);
/* Before and after the CPU reads such a buffer: waits for the device and for its caches. */
void os_dma_buf_begin_read(int fd);
void os_dma_buf_end_read(int fd);
/* Huge pages are welcome in the range.  A hint. */
void os_prefer_huge(void *at, size_t len);
/* Pages of the heap that hold nothing any more go back.  Takes up to some milliseconds, in which
 * other threads may wait for their malloc().  A hint. */
void os_trim_heap(void);
/* Bytes of memory that are this process's alone: no file's, and shared with nobody.  0 if the kernel
 * does not tell. */
uint64_t os_own_memory(void);
/* Where the host, or the control group, runs out of memory, this process is to be ended rather than
 * others.  A hint. */
void os_end_me_first(void);

/* ----- sockets and pipes ----- */

/* poll(): the other end of a stream is gone.  Linux tells it before all data was read. */
#ifdef POLLRDHUP
#define OS_POLL_GONE POLLRDHUP
#else
#define OS_POLL_GONE POLLHUP
#endif

/* A UNIX socket; @type is SOCK_STREAM or SOCK_SEQPACKET. */
int os_socket(int type, bool nonblocking) MUST_CHECK;
/* The same of another @family. */
int os_socket_of(int family, int type, bool nonblocking) MUST_CHECK;
int os_accept(int listener, bool nonblocking) MUST_CHECK;
/* 0, or -1 and errno. */
int os_socketpair(int type, int ends[2]) MUST_CHECK;
int os_pipe(int ends[2]) MUST_CHECK;

/* ----- threads and processes ----- */

/* At most 15 characters; for debuggers. */
void os_name_thread(pthread_t thread, const char *name);
/* How many CPUs this process may use, at least 1. */
unsigned os_cpus(void);
/* The calling thread's sleeps end within some microseconds of their time. */
void os_wake_precisely(void);
/* The calling thread gives way to others: as nice(). */
void os_set_nice(int nice);
/* The calling process gets @signal when its parent ends. */
void os_die_with_parent(int signal);
/* A descriptor that is readable when a signal of @set, which must be blocked, is pending; and which
 * one that is, 0: none. */
int os_signals(const sigset_t *set) MUST_CHECK;
int os_take_signal(int fd);

/* ----- disks: 0 or a count, or -1 and errno ----- */

/* The size of a block device. */
int os_device_bytes(int fd, uint64_t *bytes) MUST_CHECK;
/* pwritev(); @durable: on the medium when it returns. */
ssize_t os_pwritev(int fd, const struct iovec *iov, int count, off_t offset,
		   bool durable) MUST_CHECK;
/* Let the range read as zero, with its blocks kept or given back. */
int os_zero(int fd, off_t offset, off_t len, bool keep_blocks) MUST_CHECK;
/* All that was written is on the medium. */
int os_sync_data(int fd) MUST_CHECK;

/* ----- randomness ----- */

/* Up to @len bytes, all of them if no more than 256.  How many there are, or -1 and errno: EAGAIN
 * if the system has none yet and the caller does not want to @wait. */
ssize_t os_random(void *to, size_t len, bool wait) MUST_CHECK;

#endif
