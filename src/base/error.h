/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - one line that tells a person what went wrong and what to do
 *
 * The lowest layer that knows fills the error; callers may put context in front; the top prints it.
 * Set-up paths only: data paths return a code and count.
 * Threads: an error belongs to its caller.
 */
#ifndef ORIEL_BASE_ERROR_H
#define ORIEL_BASE_ERROR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

struct error {
	char text[512]; /* NUL-terminated, no newline; empty when nothing was reported */
};

/* Fill @err (may be NULL) with a formatted line.  Returns @code, a negative errno, for `return error_set(...)`. */
int error_set(struct error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Fill @err with the formatted line and the text of errno.  Returns -errno (never 0). */
int error_errno(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Put "context: " in front of what @err already says. */
void error_context(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
