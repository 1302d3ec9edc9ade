/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - see store.h: folder, file, and the table of blocks */
#include "engine/soft/jit/store_priv.h"

#include "base/log.h"
#include "base/own.h"
#include "engine/soft/jit/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* ----- the table ----- */

uint32_t store_key(unsigned first, const uint32_t *words)
{
	uint32_t key[1 + STORE_KEY_WORDS] = {first};
	for (unsigned n = 0; n < STORE_KEY_WORDS && first + n < PAGE_INSNS; n++) {
		key[1 + n] = words[n];
	}
	return (uint32_t)XXH3_64bits(key, sizeof(key));
}

static bool matches(const struct jit_packed *p, unsigned first, const uint32_t *words,
		    unsigned count)
{
	return p->first == first && p->word_count <= count &&
	       !memcmp(words, jit_packed_words(p), p->word_count * sizeof(words[0]));
}

static bool lies_in(const struct store_map *map, const struct jit_packed *p)
{
	return map->bytes && (const uint8_t *)p >= map->bytes &&
	       (const uint8_t *)p < map->bytes + map->blocks_end;
}

bool store_is_good(struct jit_store *store, const struct jit_packed *p)
{
	return lies_in(&store->file, p)	   ? store_check(&store->file, p)
	       : lies_in(&store->newer, p) ? store_check(&store->newer, p)
					   : true; /* made in this run */
}

/* @count: how many words are known.  Where there is no such block, *@empty is the slot for it, or
 * NULL. */
static const struct jit_packed *look_up(struct jit_store *store, uint32_t key, unsigned first,
					const uint32_t *words, unsigned count,
					struct store_slot **empty)
{
	*empty = NULL;
	for (unsigned n = 0; n < STORE_PROBES; n++) {
		struct store_slot *slot = &store->slots[(key + n) & (store->slot_count - 1)];
		if (!slot->block) {
			*empty = slot;
			return NULL;
		}
		if (slot->key == key && store_is_good(store, slot->block) &&
		    matches(slot->block, first, words, count)) {
			return slot->block;
		}
	}
	return NULL;
}

static struct store_slot *find_empty(struct store_slot *slots, size_t slot_count, uint32_t key)
{
	for (unsigned n = 0; n < STORE_PROBES; n++) {
		struct store_slot *slot = &slots[(key + n) & (slot_count - 1)];
		if (!slot->block) {
			return slot;
		}
	}
	return NULL;
}

/* Make the table large enough for @more entries. */
static bool grow(struct jit_store *store, size_t more)
{
	size_t count = store->slot_count;
	while ((store->used + more) * 2 > count) {
		count *= 2;
	}
	if (count == store->slot_count) {
		return true;
	}
	struct store_slot *slots = calloc(count, sizeof(slots[0]));
	if (!slots) {
		return false;
	}
	store->used = 0;
	for (size_t n = 0; n < store->slot_count; n++) {
		const struct store_slot *old = &store->slots[n];
		struct store_slot *slot = old->block ? find_empty(slots, count, old->key) : NULL;
		if (slot) {
			*slot = *old;
			store->used++;
		}
	}
	free(store->slots);
	store->slots = slots;
	store->slot_count = count;
	return true;
}

/* Enter @p, which stays where it is.  False: there is one, or no room. */
static bool enter(struct jit_store *store, const struct jit_packed *p, uint32_t key, bool distinct)
{
	struct store_slot *empty = NULL;
	if (distinct) {
		empty = find_empty(store->slots, store->slot_count, key);
	} else if (grow(store, 1)) {
		look_up(store, key, p->first, jit_packed_words(p), p->word_count, &empty);
	}
	if (empty) {
		*empty = (struct store_slot){p, key};
		store->used++;
	}
	return empty != NULL;
}

void store_enter(struct jit_store *store, const struct store_map *map, bool distinct)
{
	uint32_t count = store_header(map)->count;
	const struct store_place *places =
		(const struct store_place *)(map->bytes + map->blocks_end);
	if (!grow(store, count)) {
		return;
	}
	for (uint32_t n = 0; n < count; n++) {
		const struct jit_packed *p =
			(const struct jit_packed *)(map->bytes + places[n].at * (size_t)8);
		if (distinct || store_is_good(store, p)) {
			enter(store, p, places[n].key, distinct);
		}
	}
}

/* The block that is wanted often is one of the next in the file, as code runs in the same order
 * each time. */
static const struct jit_packed *find_near(struct jit_store *store, const struct jit_packed *last,
					  unsigned first, const uint32_t *words)
{
	const struct jit_packed *p = last;
	for (unsigned n = 0; n < STORE_NEAR; n++) {
		p = (const struct jit_packed *)((const uint8_t *)p + p->size);
		if (!lies_in(&store->file, p) || !store_check(&store->file, p)) {
			return NULL;
		}
		if (matches(p, first, words, PAGE_INSNS - first)) {
			return p;
		}
	}
	return NULL;
}

/* What was looked at needs no memory any more: whoever wants it again has it from the host's page
 * cache. */
static void let_go(struct jit_store *store)
{
	if (store->file.bytes) {
		madvise((void *)(uintptr_t)store->file.bytes, store->file.size, MADV_DONTNEED);
	}
	if (store->fresh) {
		madvise((void *)(uintptr_t)store->fresh, STORE_FRESH, MADV_DONTNEED);
	}
}

/* @size bytes were looked at. */
static void count_use(struct jit_store *store, size_t size)
{
	store->found += size;
	if (store->found > (store->settled ? STORE_RESIDENT : STORE_FIRST)) {
		store->found = 0;
		store->settled = true;
		let_go(store);
	}
}

const struct jit_packed *jit_store_find(struct jit_store *store, const struct jit_packed *last,
					unsigned first, const uint32_t *words)
{
	LOCKED(&store->lock);
	const struct jit_packed *p =
		last && lies_in(&store->file, last) ? find_near(store, last, first, words) : NULL;
	if (!p) {
		struct store_slot *empty;
		p = look_up(store, store_key(first, words), first, words, PAGE_INSNS - first,
			    &empty);
	}
	if (p && lies_in(&store->file, p)) {
		size_t at = (size_t)((const uint8_t *)p - store->file.bytes) / 8;
		store->file.used[at / 64] |= UINT64_C(1) << (at % 64);
	}
	count_use(store, p ? p->size : 0);
	return p;
}

bool store_was_used(const struct store_map *map, const struct jit_packed *p)
{
	size_t at = (size_t)((const uint8_t *)p - map->bytes) / 8;
	return lies_in(map, p) && (map->used[at / 64] >> (at % 64) & 1);
}

void jit_store_add(struct jit_store *store, const struct jit_packed *block)
{
	LOCKED(&store->lock);
	if (store->fresh_fd < 0) {
		return;
	}
	if (store->fresh_len + block->size > STORE_FRESH ||
	    pwrite(store->fresh_fd, block, block->size, (off_t)store->fresh_len) !=
		    (ssize_t)block->size) {
		close(store->fresh_fd); /* all that was written stays in view */
		store->fresh_fd = -1;
		return;
	}
	const struct jit_packed *copy =
		(const struct jit_packed *)(store->fresh + store->fresh_len);
	if (enter(store, copy, store_key(copy->first, jit_packed_words(copy)), false)) {
		store->fresh_len += block->size;
	}
	count_use(store, block->size);
}

/* ----- checks of a file ----- */

static bool notes_are_good(const struct jit_packed *p)
{
	const uint32_t *notes = jit_packed_notes(p);
	for (unsigned n = 0; n < p->note_count; n++) {
		enum jit_note_kind kind = jit_note_kind(notes[n]);
		unsigned target = jit_note_target(notes[n]);
		bool landing_follows =
			n + 1u < p->note_count && jit_note_kind(notes[n + 1]) == JIT_LANDING;
		if (kind > JIT_PAGE || jit_note_offset(notes[n]) + 4 > p->code_len ||
		    (kind == JIT_RECORD && target >= p->record_count) ||
		    (kind == JIT_LINK && (target >= PAGE_INSNS || !landing_follows))) {
			return false;
		}
	}
	return true;
}

static bool records_are_good(const struct jit_packed *p)
{
	const uint16_t *records = jit_packed_records(p);
	for (unsigned n = 0; n < p->record_count; n++) {
		if (records[n] < p->first || records[n] >= p->first + p->word_count) {
			return false;
		}
	}
	return true;
}

/* Is there a block in these @room bytes, with nothing in it that leads out of it? */
static bool block_is_good(const struct jit_packed *p, size_t room)
{
	if (room < sizeof(*p) || p->size < sizeof(*p) || p->size > room || p->first >= PAGE_INSNS ||
	    p->code_len < 4 || p->code_len > JIT_BLOCK_ROOM || p->word_count > JIT_BLOCK_WORDS ||
	    p->first + p->word_count > PAGE_INSNS || p->note_count > JIT_NOTES ||
	    p->record_count > JIT_BLOCK_RECORDS || p->size != jit_packed_size(p)) {
		return false;
	}
	unsigned left = PAGE_INSNS - p->first;
	return p->word_count >= (left < STORE_KEY_WORDS ? left : STORE_KEY_WORDS) &&
	       notes_are_good(p) && records_are_good(p);
}

bool store_check(struct store_map *map, const struct jit_packed *p)
{
	size_t at = (size_t)((const uint8_t *)p - map->bytes);
	uint64_t *bits = &map->checked[at / 512], bit = UINT64_C(1) << (at / 8 % 64);
	if (!(*bits & bit) && !block_is_good(p, map->blocks_end - at)) {
		return false;
	}
	*bits |= bit;
	return true;
}

void store_hash(const uint8_t *bytes, size_t len, uint8_t hash[16])
{
	size_t hashed = offsetof(struct store_header, size);
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes + hashed, len - hashed));
	memcpy(hash, &canonical, sizeof(canonical));
}

/* NULL, or what is wrong. */
static const char *complaint(const struct jit_store *store, struct store_map *map)
{
	const struct store_header *header = store_header(map);
	if (map->size < sizeof(*header) ||
	    memcmp(header->magic, STORE_MAGIC, sizeof(header->magic))) {
		return "no file of this program";
	}
	uint8_t hash[sizeof(header->hash)];
	store_hash(map->bytes, map->size, hash);
	if (header->size != map->size || memcmp(hash, header->hash, sizeof(hash))) {
		return "damaged";
	}
	if (memcmp(&header->identity, &store->identity, sizeof(header->identity))) {
		return "for another program or host";
	}
	size_t index = header->count * sizeof(struct store_place);
	if (map->size % 8 || index > map->size - sizeof(*header)) {
		return "inconsistent";
	}
	map->blocks_end = map->size - index;
	const struct store_place *places =
		(const struct store_place *)(map->bytes + map->blocks_end);
	for (uint32_t n = 0; n < header->count; n++) {
		size_t at = places[n].at * (size_t)8;
		if (at < sizeof(*header) || at >= map->blocks_end) {
			return "inconsistent";
		}
	}
	return NULL;
}

void store_unmap(struct store_map *map)
{
	if (map->bytes) {
		munmap((void *)(uintptr_t)map->bytes, map->size);
	}
	free(map->checked);
	free(map->used);
	*map = (struct store_map){0};
}

bool store_map(struct jit_store *store, struct store_map *map)
{
	*map = (struct store_map){0};
	AUTO_FD int fd =
		openat(store->folder, store->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	if (fd < 0 && errno == ENOENT) {
		return false;
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		log_warn("translations: can not read %s: %s", store->path, strerror(errno));
		return false;
	}
	store->dev = st.st_dev;
	store->ino = st.st_ino;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077)) {
		log_warn(
			"translations: %s is not used: it is no file of this user alone; remove it",
			store->path);
		return false;
	}
	if (st.st_size < (off_t)sizeof(struct store_header) || st.st_size > (off_t)store->limit) {
		log_warn("translations: %s has a wrong size; it is made anew", store->path);
		return false;
	}
	void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (bytes == MAP_FAILED) {
		log_warn("translations: can not map %s: %s", store->path, strerror(errno));
		return false;
	}
	size_t bits = (size_t)st.st_size / 512 + 1;
	*map = (struct store_map){.bytes = bytes, .size = (size_t)st.st_size};
	map->checked = calloc(bits, sizeof(map->checked[0]));
	map->used = calloc(bits, sizeof(map->used[0]));
	const char *wrong =
		map->checked && map->used ? complaint(store, map) : "too large for the memory";
	if (wrong) {
		log_warn("translations: %s is %s; it is made anew", store->path, wrong);
		store_unmap(map);
	}
	return !wrong;
}

/* ----- folders ----- */

/* Open @name in @parent, made if missing; must belong to the user.  @forbidden: bits of the mode.
 * -1: said in the log. */
static int open_own(int parent, const char *name, mode_t forbidden, const char *folder)
{
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST) {
		log_warn("translations: not kept, can not make %s for them in %s: %s", name, folder,
			 strerror(errno));
		return -1;
	}
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		log_warn("translations: not kept, can not open %s in %s: %s", name, folder,
			 strerror(errno));
	} else if (st.st_uid != geteuid() || (st.st_mode & forbidden)) {
		log_warn("translations: not kept, as %s in %s is open to others; chmod 700 it",
			 name, folder);
	} else {
		return fd;
	}
	if (fd >= 0) {
		close(fd);
	}
	return -1;
}

static int open_folder(const char *folder)
{
	mkdir(folder, 0700); /* if it is missing */
	AUTO_FD int cache = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cache < 0) {
		log_warn("translations: not kept, can not open %s: %s", folder, strerror(errno));
		return -1;
	}
	AUTO_FD int ours = open_own(cache, "oriel", 022, folder);
	return ours < 0 ? -1 : open_own(ours, "translations", 077, folder);
}

/* ----- the store ----- */

void store_free(struct jit_store *store)
{
	store_unmap(&store->file);
	store_unmap(&store->newer);
	if (store->fresh) {
		munmap((void *)(uintptr_t)store->fresh, STORE_FRESH);
	}
	if (store->fresh_fd >= 0) {
		close(store->fresh_fd);
	}
	if (store->folder >= 0) {
		close(store->folder);
	}
	pthread_mutex_destroy(&store->lock);
	free(store->slots);
	free(store);
}

/* A file for new blocks, so that they take no memory until the VM ends.  It is written by calls,
 * which can fail, not by its view. */
static int open_fresh(const struct jit_store *store)
{
	char name[64];
	snprintf(name, sizeof(name), "fresh-%d-%p", (int)getpid(), (const void *)store);
	unlinkat(store->folder, name, 0);
	int fd = openat(store->folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0600);
	if (fd < 0) {
		log_warn("translations: new ones are not kept, can not write beside %s: %s",
			 store->path, strerror(errno));
		return -1;
	}
	unlinkat(store->folder, name, 0);
	return fd;
}

static bool get_memory(struct jit_store *store)
{
	enum { SLOTS = 4096 };
	store->slots = calloc(SLOTS, sizeof(store->slots[0]));
	store->slot_count = SLOTS;
	store->fresh_fd = open_fresh(store);
	if (store->fresh_fd >= 0) {
		void *view = mmap(NULL, STORE_FRESH, PROT_READ, MAP_SHARED, store->fresh_fd, 0);
		store->fresh = view == MAP_FAILED ? NULL : view;
	}
	return store->slots && (store->fresh || store->fresh_fd < 0);
}

struct jit_store *jit_store_open(const char *folder, const struct jit_identity *identity,
				 size_t limit)
{
	struct jit_store *store = calloc(1, sizeof(*store));
	if (!store) {
		return NULL;
	}
	pthread_mutex_init(&store->lock, NULL);
	store->identity = *identity;
	store->limit = limit ? limit : STORE_LIMIT;
	store->fresh_fd = -1;
	XXH128_hash_t hash = XXH3_128bits(identity, sizeof(*identity));
	snprintf(store->name, sizeof(store->name), "%016llx%016llx",
		 (unsigned long long)hash.high64, (unsigned long long)hash.low64);
	snprintf(store->path, sizeof(store->path), "%s/oriel/translations/%s", folder, store->name);
	store->folder = open_folder(folder);
	if (store->folder < 0 || !get_memory(store)) {
		store_free(store);
		return NULL;
	}
	if (store_map(store, &store->file)) {
		store->run = store_header(&store->file)->run;
		store_enter(store, &store->file, true);
		let_go(store); /* the check read it all */
	}
	return store;
}
