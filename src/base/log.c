/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - levelled messages on stderr, one write() per line
 * Threads: any; level and name are set before threads start.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct {
	enum log_level level;
	const char *name;
} log_state = {LOG_WARN, "oriel"};

void log_set_level(enum log_level level)
{
	log_state.level = level;
}

void log_set_name(const char *name)
{
	log_state.name = name;
}

int log_site_open(struct log_site *site)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	int64_t start = atomic_load(&site->window_start_ms);
	if (!start || now_ms - start > 10000) {
		atomic_store(&site->window_start_ms, now_ms);
		atomic_store(&site->count, 0);
	}
	return atomic_fetch_add(&site->count, 1) < 5;
}

void log_print(enum log_level level, const char *format, ...)
{
	static const char *const words[] = {"error", "warning", "info", "debug"};
	if (level > log_state.level) {
		return;
	}
	char line[1024];
	int used = snprintf(line, sizeof(line), "%s: %s: ", log_state.name, words[level]);
	va_list args;
	va_start(args, format);
	int more = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
	va_end(args);
	size_t len = (size_t)used + (size_t)(more < 0 ? 0 : more);
	if (len > sizeof(line) - 2) {
		len = sizeof(line) - 2;
	}
	line[len++] = '\n';
	(void)!write(STDERR_FILENO, line, len);
}
