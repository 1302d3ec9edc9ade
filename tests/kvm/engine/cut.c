/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut.c - for LD_PRELOAD: while the file /tmp/cut is there, what a program maps over a range of its
 * own has no pages behind it
 *
 * What a host does by bad luck (a file that is cut, broken memory), done at will to the GPU window
 * of a real `oriel`. Threads: any.
 */
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

/* With 64-bit offsets its symbol is mmap64, here as in what calls it. */
void *mmap(void *at, size_t len, int rights, int flags, int fd, off_t offset)
{
	void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap64");
	if (fd < 0 || !(flags & MAP_FIXED) || access("/tmp/cut", F_OK) < 0) {
		return real(at, len, rights, flags, fd, offset);
	}
	int empty = memfd_create("cut", MFD_CLOEXEC);
	void *mapped = real(at, len, rights, flags, empty, 0);
	close(empty);
	return mapped;
}
