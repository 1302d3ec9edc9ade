/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - levelled messages on stderr
 *
 * error: what the user asked did not happen; warn: odd, harmless; info: rare state changes;
 * debug: for us.  Lines start with the device or module; no newline in formats; no guest data.
 * What a guest can trigger uses log_limited(), which prints a site at most 5 times in 10 seconds.
 * Threads: any.
 */
#ifndef ORIEL_BASE_LOG_H
#define ORIEL_BASE_LOG_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Set once at start-up, before threads.  Default LOG_WARN. */
void log_set_level(enum log_level level);
/* The word in front of each line, e.g. "oriel".  @name is borrowed for the life of the process. */
void log_set_name(const char *name);

void log_print(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

struct log_site {
	_Atomic int64_t window_start_ms;
	atomic_uint count;
};
/* True if this site may print now. */
int log_site_open(struct log_site *site);

#define log_error(...) log_print(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_print(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)
#define log_limited(level, ...)                                                                    \
	do {                                                                                       \
		static struct log_site log_site_here;                                              \
		if (log_site_open(&log_site_here)) {                                               \
			log_print(level, __VA_ARGS__);                                             \
		}                                                                                  \
	} while (0)

#endif
