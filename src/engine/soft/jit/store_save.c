/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_save.c - write the file of kept translations
 *
 * How it works: under a lock of the folder, so that VMs that end together take turns: take in what
 * another one wrote since, put all blocks into one new file, drop those not used for longest if it
 * gets too large, and rename it over the old one. Nothing is synced to the disk: what a power
 * failure leaves half-written does not match its hash. Threads: one, when no vCPU is left.
 */
#include "engine/soft/jit/store_priv.h"

#include "base/log.h"
#include "base/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum {
	WORTH = 64,	  /* new blocks are written if they add 1/64 */
	LOCK_TRIES = 100, /* of 20 ms */
	FILES_LIMIT = 2,  /* all files of the folder, in sizes of one */
};

static bool take_lock(int folder)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	for (unsigned n = 0; n < LOCK_TRIES; n++) {
		if (flock(folder, LOCK_EX | LOCK_NB) == 0) {
			return true;
		}
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Did another VM replace the file since it was opened? */
static bool is_replaced(const struct jit_store *store)
{
	struct stat st;
	return fstatat(store->folder, store->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (st.st_ino != store->ino || st.st_dev != store->dev);
}

/* A block for the new file, and the run that used it last. */
struct entry {
	const struct jit_packed *block;
	uint32_t key, stamp;
};

/* Those used last first; among them in the order they have, as blocks that were translated together
 * are wanted together. */
static int by_use(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->stamp != y->stamp) {
		return x->stamp > y->stamp ? -1 : 1;
	}
	return x->block < y->block ? -1 : x->block > y->block;
}

static uint32_t stamp_of(const struct jit_store *store, const struct jit_packed *p, uint32_t run)
{
	bool is_fresh = (const uint8_t *)p >= store->fresh &&
			(const uint8_t *)p < store->fresh + store->fresh_len;
	return is_fresh || store_was_used(&store->file, p) ? run : p->used;
}

/* All good blocks, sorted.  Caller frees.  NULL: no memory. */
static struct entry *collect(struct jit_store *store, uint32_t run, size_t *count)
{
	struct entry *all = malloc((store->used + 1) * sizeof(all[0]));
	*count = 0;
	for (size_t n = 0; all && n < store->slot_count; n++) {
		const struct store_slot *slot = &store->slots[n];
		if (slot->block && store_is_good(store, slot->block)) {
			all[(*count)++] = (struct entry){slot->block, slot->key,
							 stamp_of(store, slot->block, run)};
		}
	}
	if (all) {
		qsort(all, *count, sizeof(all[0]), by_use);
	}
	return all;
}

/* How many of the sorted blocks are kept; *@len: bytes of the file. */
static size_t count_kept(const struct jit_store *store, const struct entry *all, size_t count,
			 size_t *len)
{
	size_t kept = 0, limit = store->limit;
	*len = sizeof(struct store_header);
	for (size_t n = 0; n < count; n++) {
		*len += all[n].block->size + sizeof(struct store_place);
	}
	if (*len <= limit) {
		return count;
	}
	limit = limit / 4 * 3; /* room for what comes next, so that not every run has to drop */
	*len = sizeof(struct store_header);
	while (kept < count && *len + all[kept].block->size + sizeof(struct store_place) <= limit) {
		*len += all[kept++].block->size + sizeof(struct store_place);
	}
	return kept;
}

/* The new file in memory.  Caller frees.  NULL: no memory. */
static uint8_t *build(struct jit_store *store, size_t *len)
{
	uint32_t run = store->run + 1;
	size_t count;
	AUTO_FREE struct entry *all = collect(store, run, &count);
	if (!all) {
		return NULL;
	}
	count = count_kept(store, all, count, len);
	uint8_t *bytes = malloc(*len), *at = bytes + sizeof(struct store_header);
	if (!bytes) {
		return NULL;
	}
	struct store_place *places = (struct store_place *)(bytes + *len) - count;
	for (size_t n = 0; n < count; n++) {
		places[n] = (struct store_place){all[n].key, (uint32_t)((size_t)(at - bytes) / 8)};
		memcpy(at, all[n].block, all[n].block->size);
		((struct jit_packed *)at)->used = all[n].stamp;
		at += all[n].block->size;
	}
	struct store_header *header = (struct store_header *)bytes;
	*header = (struct store_header){
		.magic = STORE_MAGIC, .size = *len, .run = run, .count = (uint32_t)count};
	header->identity = store->identity;
	store_hash(bytes, *len, header->hash);
	return bytes;
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t done = write(fd, bytes, len);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done <= 0) {
			errno = done ? errno : ENOSPC;
			return false;
		}
		bytes += done;
		len -= (size_t)done;
	}
	return true;
}

/* False: errno says why. */
static bool replace(struct jit_store *store, const uint8_t *bytes, size_t len)
{
	static const char name[] = "new"; /* the lock makes it ours */
	unlinkat(store->folder, name, 0);
	AUTO_FD int fd = openat(store->folder, name,
				O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return false;
	}
	if (write_all(fd, bytes, len) &&
	    renameat(store->folder, name, store->folder, store->name) == 0) {
		return true;
	}
	int why = errno;
	unlinkat(store->folder, name, 0);
	errno = why;
	return false;
}

/* ----- files of other programs, hosts and configurations ----- */

struct other {
	char name[48];
	off_t size;
	time_t used;
};

/* The least recently used file beside ours; the bytes of all in *@all. */
static struct other find_oldest(const struct jit_store *store, off_t *all)
{
	struct other oldest = {0};
	*all = 0;
	int fd = openat(store->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	while (dir && (e = readdir(dir))) {
		struct stat st;
		if (fstatat(store->folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode)) {
			continue;
		}
		*all += st.st_size;
		if (strlen(e->d_name) == strlen(store->name) && strcmp(e->d_name, store->name) &&
		    (!oldest.name[0] || st.st_mtime < oldest.used)) {
			oldest = (struct other){.size = st.st_size, .used = st.st_mtime};
			memcpy(oldest.name, e->d_name, strlen(store->name) + 1);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return oldest;
}

static void prune(const struct jit_store *store)
{
	for (unsigned n = 0; n < 64; n++) {
		off_t all;
		struct other oldest = find_oldest(store, &all);
		if (!oldest.name[0] || all <= (off_t)store->limit * FILES_LIMIT ||
		    unlinkat(store->folder, oldest.name, 0) < 0) {
			return;
		}
	}
}

/* Replace the file if that is worth it. */
static void save(struct jit_store *store)
{
	if (store->fresh_len * WORTH <= store->file.size) {
		utimensat(store->folder, store->name, NULL, AT_SYMLINK_NOFOLLOW); /* it was used */
		return;
	}
	if (!take_lock(store->folder)) {
		log_warn("translations: %s is locked by another program; new ones are not kept",
			 store->path);
		return;
	}
	if (is_replaced(store) && store_map(store, &store->newer)) {
		uint32_t run = store_header(&store->newer)->run;
		store->run = run > store->run ? run : store->run;
		store_enter(store, &store->newer, false);
	}
	size_t len;
	AUTO_FREE uint8_t *bytes = build(store, &len);
	if (!bytes || !replace(store, bytes, len)) {
		log_warn("translations: can not write %s: %s; new ones are not kept", store->path,
			 bytes ? strerror(errno) : "out of memory");
	}
	prune(store);
	flock(store->folder, LOCK_UN);
}

void jit_store_close(struct jit_store *store)
{
	if (store) {
		save(store);
		store_free(store);
	}
}
