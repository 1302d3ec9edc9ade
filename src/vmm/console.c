/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.c - the far end of the serial port
 *
 * How it works: output never waits.  A descriptor that poll() calls writable takes at least one small write, so the
 * caller's terminal needs no O_NONBLOCK (which would leak to other programs on it); when it is full the loop
 * watches it and tells the UART.  Input that the UART has no room for waits here, and reading pauses meanwhile.
 * Threads: see console.h.  Lock: out_lock guards the output side.
 */
#include "vmm/console.h"

#include "base/log.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <termios.h>

enum { CTRL_A = 1, CONSOLE_CHUNK = 512 };

struct console {
	struct loop *loop;
	const struct console_events *events;
	void *opaque;
	struct pl011 *uart;
	struct virtio_device *hvc; /* NULL: none */
	int in_fd, out_fd; /* -1: none; out_fd is owned if it is a file */
	bool is_file, is_raw;
	struct termios saved; /* valid if is_raw */
	struct loop_source *in, *out;
	bool escape; /* Ctrl-A was typed */
	uint8_t waiting[CONSOLE_CHUNK];
	size_t waiting_len; /* typed, not yet taken by the UART */
	atomic_bool push_posted; /* console_push() is queued: never twice, whatever the guest does */
	pthread_mutex_t out_lock; /* guards the three below */
	bool spoke, broken;
	uint64_t written;
};

static void console_put_raw(struct console *console)
{
	if (console->in_fd < 0 || tcgetattr(console->in_fd, &console->saved) < 0) {
		return;
	}
	struct termios raw = console->saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST | ONLCR; /* our own messages stay readable */
	console->is_raw = tcsetattr(console->in_fd, TCSANOW, &raw) == 0;
}

struct console *console_create(struct loop *loop, const struct vm_config *config, const struct console_events *events,
			       void *opaque, struct error *err)
{
	struct console *console = calloc(1, sizeof(*console));
	if (!console) {
		error_set(err, -ENOMEM, "console: out of memory");
		return NULL;
	}
	*console = (struct console){.loop = loop, .events = events, .opaque = opaque, .in_fd = -1, .out_fd = -1};
	pthread_mutex_init(&console->out_lock, NULL);
	if (config->console == CONFIG_CONSOLE_FILE) {
		console->is_file = true;
		console->out_fd = open(config->console_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (console->out_fd < 0) {
			error_errno(err, "console file %s", config->console_file);
			console_destroy(console);
			return NULL;
		}
	} else if (config->console == CONFIG_CONSOLE_STDIO) {
		console->in_fd = STDIN_FILENO;
		console->out_fd = STDOUT_FILENO;
		console_put_raw(console);
	}
	return console;
}

void console_destroy(struct console *console)
{
	if (!console) {
		return;
	}
	loop_remove(console->in);
	loop_remove(console->out);
	if (console->is_raw) {
		tcsetattr(console->in_fd, TCSANOW, &console->saved);
	}
	if (console->is_file) {
		own_close(&console->out_fd);
	}
	pthread_mutex_destroy(&console->out_lock);
	free(console);
}

/* The descriptor can not be written any more: say so once, then swallow everything. */
static void console_give_up_locked(struct console *console, const char *why)
{
	console->broken = true;
	log_warn("console: output is dropped from here on: %s", why);
}

static size_t console_put_locked(struct console *console, const uint8_t *bytes, size_t len)
{
	struct pollfd ready = {.fd = console->out_fd, .events = POLLOUT};
	if (poll(&ready, 1, 0) <= 0) {
		return 0;
	}
	ssize_t count = write(console->out_fd, bytes, len < CONSOLE_CHUNK ? len : CONSOLE_CHUNK);
	if (count < 0) {
		if (errno == EAGAIN || errno == EINTR) {
			return 0;
		}
		console_give_up_locked(console, strerror(errno));
		return len;
	}
	console->written += (uint64_t)count;
	if (console->is_file && console->written > CONSOLE_FILE_MAX) {
		console_give_up_locked(console, "the file has reached 256 MiB");
	}
	return (size_t)count;
}

static size_t console_write(void *opaque, const uint8_t *bytes, size_t len)
{
	struct console *console = opaque;
	LOCKED(&console->out_lock);
	if (!console->spoke) {
		console->spoke = true;
		console->events->spoke(console->opaque);
	}
	if (console->out_fd < 0 || console->broken) {
		return len;
	}
	size_t done = 0;
	while (done < len) {
		size_t count = console_put_locked(console, bytes + done, len - done);
		if (!count) {
			if (console->out) {
				loop_mod_fd(console->out, LOOP_OUT | LOOP_ONCE);
			}
			break;
		}
		done += count;
	}
	return done;
}

static void console_on_writable(void *opaque, uint32_t events)
{
	struct console *console = opaque;
	(void)events;
	pl011_tx_ready(console->uart);
	if (console->hvc) {
		virtio_console_output_ready(console->hvc);
	}
}

/* Hand what was typed to the UART; reading goes on once all of it is gone. */
static void console_push(void *opaque)
{
	struct console *console = opaque;
	atomic_store(&console->push_posted, false);
	size_t taken = console->hvc ? virtio_console_input(console->hvc, console->waiting, console->waiting_len) :
				      pl011_receive(console->uart, console->waiting, console->waiting_len);
	console->waiting_len -= taken;
	memmove(console->waiting, console->waiting + taken, console->waiting_len);
	if (console->in) {
		loop_mod_fd(console->in, console->waiting_len ? 0 : LOOP_IN);
	}
}

static void console_rx_room(void *opaque)
{
	struct console *console = opaque;
	if (!atomic_exchange(&console->push_posted, true) &&
	    loop_post(console->loop, console_push, console) < 0) {
		atomic_store(&console->push_posted, false);
		log_limited(LOG_WARN, "console: input delayed, out of memory");
	}
}

const struct pl011_backend console_backend = {console_write, console_rx_room};

/* What the keys mean: appends to waiting, or asks to quit. */
static void console_key(struct console *console, uint8_t key)
{
	if (console->escape) {
		console->escape = false;
		if (key == 'x' || key == 'X') {
			console->events->quit(console->opaque);
			return;
		}
	} else if (key == CTRL_A) {
		console->escape = true;
		return;
	}
	console->waiting[console->waiting_len++] = key;
}

static void console_on_readable(void *opaque, uint32_t events)
{
	struct console *console = opaque;
	uint8_t keys[CONSOLE_CHUNK];
	(void)events;
	ssize_t count = read(console->in_fd, keys, sizeof(keys) - console->waiting_len);
	if (count <= 0) {
		if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
			loop_remove(console->in); /* end of input; the guest goes on */
			console->in = NULL;
		}
		return;
	}
	for (ssize_t i = 0; i < count; i++) {
		console_key(console, keys[i]);
	}
	console_push(console);
}

void console_attach(struct console *console, struct pl011 *uart)
{
	console->uart = uart;
	if (console->out_fd >= 0 && !console->is_file) {
		/* Plain files are always writable and refused here, which is fine. */
		console->out = loop_add_fd(console->loop, console->out_fd, 0, console_on_writable, console);
	}
	if (console->in_fd >= 0) {
		console->in = loop_add_fd(console->loop, console->in_fd, LOOP_IN, console_on_readable, console);
	}
}

static size_t console_hvc_output(void *opaque, const void *bytes, size_t len)
{
	return console_write(opaque, bytes, len);
}

struct virtio_console_config console_hvc_config(struct console *console)
{
	return (struct virtio_console_config){
		.name = "console0", .output = console_hvc_output, .input_ready = console_rx_room, .opaque = console};
}

void console_attach_hvc(struct console *console, struct virtio_device *hvc)
{
	console->hvc = hvc;
}
