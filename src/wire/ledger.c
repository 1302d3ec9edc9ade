/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c - what the GPU servers of one VM hold together
 * Threads: as in ledger.h.
 */
#include "wire/ledger.h"

#include "base/os.h"
#include "base/own.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock would be each process's own");

static size_t ledger_bytes(unsigned slots)
{
	return slots * sizeof(uint64_t);
}

/* Maps the first @slots counters of @fd. */
static int ledger_map(struct ledger *ledger, int fd, unsigned slots)
{
	void *map = mmap(NULL, ledger_bytes(slots), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	*ledger = (struct ledger){.fd = -1, .slots = slots, .bytes = map};
	return 0;
}

int ledger_create(struct ledger *ledger, unsigned slots, struct error *err)
{
	unsigned all = slots + 1;
	AUTO_FD int fd = os_memory("oriel-gpu-ledger");
	if (fd < 0 || ftruncate(fd, (off_t)ledger_bytes(all)) < 0 ||
	    os_seal(fd, OS_SEAL_SHRINK | OS_SEAL_GROW | OS_SEAL_SEALS) < 0) {
		return error_errno(err, "gpu: can not make shared memory");
	}
	int status = ledger_map(ledger, fd, all);
	if (status) {
		return error_set(err, status, "gpu: can not map shared memory");
	}
	ledger->fd = fd_take(&fd);
	ledger->owners = calloc(all, sizeof(*ledger->owners));
	if (!ledger->owners) {
		ledger_finish(ledger);
		return error_set(err, -ENOMEM, "gpu: out of memory");
	}
	ledger->owners[LEDGER_PARENT] = UINT32_MAX;
	return 0;
}

int ledger_open(struct ledger *ledger, int fd, uint32_t slot)
{
	struct stat stat;
	if (!os_is_sealed(fd, OS_SEAL_SHRINK) || fstat(fd, &stat) < 0 ||
	    stat.st_size > (off_t)ledger_bytes(LEDGER_MAX_SLOTS)) {
		return -EINVAL;
	}
	unsigned slots = (unsigned)((size_t)stat.st_size / sizeof(uint64_t));
	return slot != LEDGER_PARENT && slot < slots ? ledger_map(ledger, fd, slots) : -EINVAL;
}

void ledger_finish(struct ledger *ledger)
{
	if (!ledger->slots) {
		return;
	}
	munmap(ledger->bytes, ledger_bytes(ledger->slots));
	if (ledger->fd >= 0) {
		close(ledger->fd);
	}
	free(ledger->owners);
	*ledger = (struct ledger){.fd = -1};
}

unsigned ledger_find_free(const struct ledger *ledger)
{
	for (unsigned i = 0; i < ledger->slots; i++) {
		if (!ledger->owners[i]) {
			return i;
		}
	}
	return 0;
}

void ledger_give(struct ledger *ledger, unsigned slot, uint32_t owner)
{
	ledger->owners[slot] = owner;
}

unsigned ledger_end(struct ledger *ledger, uint32_t owner)
{
	unsigned found = 0;
	for (unsigned i = 0; i < ledger->slots; i++) {
		if (ledger->owners[i] == owner && i != LEDGER_PARENT) {
			ledger->owners[i] = 0;
			found = i;
		}
		if (!ledger->owners[i]) {
			ledger_store(ledger, i, 0);
		}
	}
	return found;
}

void ledger_store(struct ledger *ledger, unsigned slot, uint64_t bytes)
{
	if (slot < ledger->slots) {
		atomic_store(&ledger->bytes[slot], bytes);
	}
}

uint64_t ledger_load(const struct ledger *ledger, unsigned slot)
{
	return slot < ledger->slots ? atomic_load(&ledger->bytes[slot]) : 0;
}

uint64_t ledger_others(const struct ledger *ledger, unsigned slot)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < ledger->slots; i++) {
		if (i != slot &&
		    __builtin_add_overflow(sum, atomic_load(&ledger->bytes[i]), &sum)) {
			return UINT64_MAX;
		}
	}
	return sum;
}
