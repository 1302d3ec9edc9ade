/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_window.c - preloaded into X11 programs: their window stays when they are done, until they
 * are killed Threads: any.
 */
#include <stdint.h>
#include <unistd.h>

unsigned xcb_destroy_window(void *connection, uint32_t window);
int xcb_flush(void *connection);

/* In place of libxcb's: says on descriptor 1 that the last frame is there. */
unsigned xcb_destroy_window(void *connection, uint32_t window)
{
	xcb_flush(connection);
	if (write(1, "held\n", 5) < 0) {
		_exit(1);
	}
	for (;;) {
		pause();
	}
}
