/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.h - the far end of the serial port, and of a virtio console: a terminal, a file, or nothing
 *
 * A terminal is put in raw mode and given back on console_destroy().  Ctrl-A x asks to quit, Ctrl-A Ctrl-A sends one Ctrl-A.
 * A file stops growing at CONSOLE_FILE_MAX, so that a guest can not fill the disk.
 * Threads: the loop's, except console_backend.write(), which any vCPU thread may call through the UART.
 */
#ifndef ORIEL_VMM_CONSOLE_H
#define ORIEL_VMM_CONSOLE_H

#include "base/loop.h"
#include "devices/pl011.h"
#include "devices/virtio_console.h"
#include "vmm/config.h"

enum { CONSOLE_FILE_MAX = 256 << 20 };

struct console;
struct console_events {
	void (*quit)(void *opaque);  /* the user typed Ctrl-A x; loop thread */
	void (*spoke)(void *opaque); /* the guest wrote its first byte; a vCPU's thread */
};

/* As --console says.  @events and @opaque are borrowed. */
struct console *console_create(struct loop *loop, const struct vm_config *config, const struct console_events *events,
			       void *opaque, struct error *err) MUST_CHECK;
/* Accepts NULL.  No vCPU may run. */
void console_destroy(struct console *console);
/* The UART's back end (its opaque is the console).  Then console_attach() starts the input. */
extern const struct pl011_backend console_backend;
void console_attach(struct console *console, struct pl011 *uart);
/* How a virtio console reaches @console.  Its loop must be the one given to console_create(). */
struct virtio_console_config console_hvc_config(struct console *console);
/* What is typed goes to @hvc from now on, and no more to the UART.  Both show their output. */
void console_attach_hvc(struct console *console, struct virtio_device *hvc);

#endif
