/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.c - one line that tells a person what went wrong and what to do
 * Threads: an error belongs to its caller.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
	if (err) {
		va_list args;
		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	return code;
}

int error_errno(struct error *err, const char *format, ...)
{
	int code = errno ? errno : EIO;
	if (err) {
		char text[sizeof(err->text) / 2];
		va_list args;
		va_start(args, format);
		vsnprintf(text, sizeof(text), format, args);
		va_end(args);
		snprintf(err->text, sizeof(err->text), "%s: %s", text, strerror(code));
	}
	return -code;
}

void error_context(struct error *err, const char *format, ...)
{
	if (!err) {
		return;
	}
	char context[sizeof(err->text)];
	char old[sizeof(err->text)];
	va_list args;
	va_start(args, format);
	vsnprintf(context, sizeof(context), format, args);
	va_end(args);
	memcpy(old, err->text, sizeof(old));
	snprintf(err->text, sizeof(err->text), "%.200s: %.300s", context, old);
}
