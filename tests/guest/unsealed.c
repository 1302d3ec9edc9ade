/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unsealed.c - for LD_PRELOAD: files can shrink that a program has sealed, and it does not see that
 *
 * Stands in for drivers whose memory goes with their device: whoever opens the file of a mapping
 * can cut it.  Threads: any.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>

/* With 64-bit offsets its symbol is fcntl64, here as in what calls it. */
int fcntl(int fd, int command, ...)
{
	int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, "fcntl64");
	va_list more;
	va_start(more, command);
	long argument = va_arg(more, long);
	va_end(more);
	if (command == F_ADD_SEALS) {
		argument &= ~(long)F_SEAL_SHRINK;
	}
	int result = real(fd, command, argument);
	return command == F_GET_SEALS && result > 0 ? result | F_SEAL_SHRINK : result;
}
