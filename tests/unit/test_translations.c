/* SPDX-License-Identifier: Apache-2.0 */
/* test_translations.c - blocks that are kept on disk: the file and what is wrong with it, and code
 * placed elsewhere */
#include "a64/a64.h"
#include "base/own.h"
#include "engine/soft/jit/priv.h"
#include "engine/soft/jit/store_priv.h"
#include "host.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct fixture {
	char folder[64], files[96],
		file[160]; /* cache folder, ours in it, the first file that is written */
	struct jit_identity identity;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	strcpy(f->folder, "/tmp/oriel-translations-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->files, sizeof(f->files), "%s/oriel/translations", f->folder);
	memset(&f->identity, 7, sizeof(f->identity));
	struct jit_store *store = jit_store_open(f->folder, &f->identity, 0);
	assert_non_null(store);
	snprintf(f->file, sizeof(f->file), "%s/%s", f->files, store->name);
	jit_store_close(store);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* ----- blocks without meaning ----- */

enum { WORDS = 6, NOTES = 5, RECORDS = 2, CODE = 101 };

struct sample {
	_Alignas(8) uint8_t bytes[512];
};

static uint32_t sample_word(unsigned number, unsigned n)
{
	return number * 0x9e3779b9 + n * 0x85ebca6b;
}

static const struct jit_packed *make(struct sample *s, unsigned number)
{
	static const uint32_t notes[NOTES] = {
		(uint32_t)JIT_STUB << 29 | 40 << 17 | 1, (uint32_t)JIT_RECORD << 29 | 1 << 17 | 10,
		(uint32_t)JIT_LINK << 29 | 1023 << 17 | 20, (uint32_t)JIT_LANDING << 29 | 60,
		(uint32_t)JIT_PAGE << 29 | 70};
	memset(s, 0, sizeof(*s));
	struct jit_packed *p = (struct jit_packed *)s->bytes;
	p->first = number % 1000;
	p->word_count = WORDS;
	p->note_count = NOTES;
	p->record_count = RECORDS;
	p->code_len = CODE;
	p->size = (uint32_t)jit_packed_size(p);
	uint32_t *words = (uint32_t *)(p + 1);
	for (unsigned n = 0; n < WORDS; n++) {
		words[n] = sample_word(number, n);
	}
	memcpy(words + WORDS, notes, sizeof(notes));
	uint16_t *records = (uint16_t *)(words + WORDS + NOTES);
	records[0] = p->first;
	records[1] = p->first + WORDS - 1;
	memset(records + RECORDS, (int)number, CODE);
	return p;
}

static void add(struct jit_store *store, unsigned number)
{
	struct sample s;
	jit_store_add(store, make(&s, number));
}

/* The block @number, by a page that has its words and goes on with others. */
static const struct jit_packed *find(struct jit_store *store, unsigned number)
{
	uint32_t words[PAGE_INSNS];
	for (unsigned n = 0; n < PAGE_INSNS; n++) {
		words[n] = n < WORDS ? sample_word(number, n) : n;
	}
	return jit_store_find(store, NULL, number % 1000, words);
}

static struct jit_store *open_store(struct fixture *f)
{
	struct jit_store *store = jit_store_open(f->folder, &f->identity, 0);
	assert_non_null(store);
	return store;
}

/* A file with blocks 0 to @count - 1. */
static void fill(struct fixture *f, unsigned count)
{
	struct jit_store *store = open_store(f);
	for (unsigned n = 0; n < count; n++) {
		add(store, n);
	}
	jit_store_close(store);
}

/* How many of the blocks 0 to @count - 1 does the file have? */
static unsigned count_found(struct fixture *f, unsigned count)
{
	struct jit_store *store = open_store(f);
	unsigned found = 0;
	for (unsigned n = 0; n < count; n++) {
		struct sample s;
		const struct jit_packed *p = find(store, n), *expected = make(&s, n);
		if (p) {
			assert_memory_equal(jit_packed_words(p), jit_packed_words(expected),
					    p->size - sizeof(*p));
			found++;
		}
	}
	jit_store_close(store);
	return found;
}

static size_t read_file(const char *path, uint8_t *bytes, size_t room)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, bytes, room);
	assert_true(len > 0 && (size_t)len < room);
	return (size_t)len;
}

static void write_file(const char *path, const uint8_t *bytes, size_t len)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, bytes, len), len);
}

static void blocks_are_found_in_the_next_run(void **state)
{
	fill(*state, 3000);
	assert_int_equal(count_found(*state, 3000), 3000);
	struct stat st;
	assert_int_equal(stat(((struct fixture *)*state)->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(((struct fixture *)*state)->files, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void new_blocks_join_the_old_ones(void **state)
{
	fill(*state, 100);
	fill(*state, 200);
	assert_int_equal(count_found(*state, 200), 200);
}

static void hint_does_not_change_what_is_found(void **state)
{
	fill(*state, 500);
	struct jit_store *store = open_store(*state);
	const struct jit_packed *last = NULL;
	for (unsigned n = 0; n < 1000; n++) {
		unsigned number = n * 7 % 500;
		uint32_t words[PAGE_INSNS] = {0};
		for (unsigned k = 0; k < WORDS; k++) {
			words[k] = sample_word(number, k);
		}
		const struct jit_packed *p = jit_store_find(store, last, number, words);
		assert_non_null(p);
		assert_int_equal(p->first, number);
		last = p;
	}
	jit_store_close(store);
}

static void one_other_word_or_place_is_not_found(void **state)
{
	fill(*state, 1);
	struct jit_store *store = open_store(*state);
	assert_non_null(find(store, 0));
	for (unsigned n = 0; n < WORDS; n++) {
		uint32_t words[PAGE_INSNS] = {0};
		for (unsigned k = 0; k < WORDS; k++) {
			words[k] = sample_word(0, k);
		}
		assert_non_null(jit_store_find(store, NULL, 0, words));
		assert_null(jit_store_find(store, NULL, 1, words));
		words[n] ^= 1u << n;
		assert_null(jit_store_find(store, NULL, 0, words));
	}
	jit_store_close(store);
}

static void block_that_looked_beyond_the_page_is_not_compared(void **state)
{
	struct jit_store *store = open_store(*state);
	struct sample s;
	struct jit_packed *p = (struct jit_packed *)(uintptr_t)make(&s, 1);
	p->first = PAGE_INSNS - WORDS;
	jit_store_add(store, p);
	assert_non_null(jit_store_find(store, NULL, PAGE_INSNS - WORDS, jit_packed_words(p)));
	assert_null(jit_store_find(store, NULL, PAGE_INSNS - WORDS + 1, jit_packed_words(p)));
	jit_store_close(store);
}

static void another_identity_has_its_own_file(void **state)
{
	struct fixture *f = *state;
	fill(f, 10);
	f->identity.bytes[100] ^= 1;
	assert_int_equal(count_found(f, 10), 0);
	fill(f, 20);
	f->identity.bytes[100] ^= 1;
	assert_int_equal(count_found(f, 20), 10);
	/* and a file that was given the other's name is refused */
	struct jit_identity other = f->identity;
	other.bytes[0] ^= 1;
	struct jit_store *store = jit_store_open(f->folder, &other, 0);
	char path[160];
	snprintf(path, sizeof(path), "%s/%s", f->files, store->name);
	jit_store_close(store);
	assert_int_equal(rename(f->file, path), 0);
	f->identity = other;
	assert_int_equal(count_found(f, 20), 0);
}

/* ----- damage ----- */

/* After any damage: nothing is found, and the next run writes a good file. */
static void expect_refused(struct fixture *f, const char *what, size_t at)
{
	if (count_found(f, 40) != 0) {
		fail_msg("%s at %zu was not seen", what, at);
	}
	fill(f, 40);
	assert_int_equal(count_found(f, 40), 40);
}

static void damage_at_any_byte_is_seen(void **state)
{
	struct fixture *f = *state;
	static uint8_t good[64 * 1024], bad[64 * 1024];
	fill(f, 40);
	size_t len = read_file(f->file, good, sizeof(good));
	struct sample s;
	size_t block = make(&s, 0)->size, first = sizeof(struct store_header);
	/* every byte of the header, of the first block, of the index's first entries; then some */
	for (size_t at = 0; at < len; at += at < first + block || at + 16 >= len ? 1 : 97) {
		memcpy(bad, good, len);
		bad[at] ^= 1u << (at & 7);
		write_file(f->file, bad, len);
		expect_refused(f, "a flipped bit", at);
	}
}

static void truncated_or_grown_file_is_seen(void **state)
{
	struct fixture *f = *state;
	static uint8_t good[64 * 1024];
	fill(f, 40);
	size_t len = read_file(f->file, good, sizeof(good) - 64);
	const size_t lens[] = {0,
			       1,
			       7,
			       8,
			       sizeof(struct store_header) - 1,
			       sizeof(struct store_header),
			       len / 2,
			       len - 8,
			       len - 1,
			       len + 1,
			       len + 8};
	for (unsigned n = 0; n < sizeof(lens) / sizeof(lens[0]); n++) {
		write_file(f->file, good, lens[n]);
		expect_refused(f, "another length", lens[n]);
	}
}

/* What a hash can not tell: files that someone made. */
static void forged_fields_lead_nowhere(void **state)
{
	struct fixture *f = *state;
	static uint8_t good[64 * 1024], bad[64 * 1024];
	enum { COUNT = 40 };
	fill(f, COUNT);
	size_t len = read_file(f->file, good, sizeof(good));
	struct sample s;
	size_t block = make(&s, 0)->size, first = sizeof(struct store_header),
	       index = len - COUNT * sizeof(struct store_place);
	for (size_t at = offsetof(struct store_header, size); at < len; at++) {
		bool interesting = at < offsetof(struct store_header, identity) ||
				   (at >= first && at < first + block - CODE) || at >= index;
		for (unsigned k = 0; interesting && k < 3; k++) {
			static const uint8_t values[] = {0, 0x7f, 0xff};
			memcpy(bad, good, len);
			bad[at] = values[k];
			store_hash(bad, len, ((struct store_header *)bad)->hash);
			write_file(f->file, bad, len);
			struct jit_store *store = open_store(f);
			for (unsigned n = 0; n < COUNT; n++) {
				const struct jit_packed *p = find(store, n);
				assert_true(!p || jit_packed_size(p) == p->size);
				assert_true(!p || (const uint8_t *)p < store->file.bytes +
									       store->file.size -
									       p->size);
			}
			jit_store_close(store);
		}
	}
}

static void forged_blocks_are_refused(void **state)
{
	struct fixture *f = *state;
	static uint8_t good[64 * 1024], bad[64 * 1024];
	fill(f, 1);
	size_t len = read_file(f->file, good, sizeof(good)), at = sizeof(struct store_header);
	for (unsigned k = 0; k < 9; k++) {
		memcpy(bad, good, len);
		struct jit_packed *p = (struct jit_packed *)(bad + at);
		uint32_t *notes = (uint32_t *)(uintptr_t)jit_packed_notes(p);
		uint16_t *records = (uint16_t *)(uintptr_t)jit_packed_records(p);
		switch (k) {
		case 0: notes[0] = (uint32_t)JIT_STUB << 29 | (CODE - 3); break;
		case 1: notes[1] = (uint32_t)JIT_RECORD << 29 | RECORDS << 17 | 10; break;
		case 2: notes[2] = (uint32_t)JIT_LINK << 29 | PAGE_INSNS << 17 | 20; break;
		case 3:
			notes[3] = (uint32_t)JIT_PAGE << 29 | 60;
			break; /* no landing behind the link */
		case 4: notes[4] = (uint32_t)JIT_LINK << 29 | 70; break; /* nothing behind it */
		case 5: notes[4] = 7u << 29 | 70; break;
		case 6: records[1] = WORDS; break;
		case 7: p->size -= 8; break;
		default: p->code_len = 3; break;
		}
		store_hash(bad, len, ((struct store_header *)bad)->hash);
		write_file(f->file, bad, len);
		struct jit_store *store = open_store(f);
		assert_non_null(store->file.bytes);
		assert_null(find(store, 0));
		jit_store_close(store);
	}
}

/* ----- whose files they are ----- */

static void files_that_others_can_change_are_not_used(void **state)
{
	struct fixture *f = *state;
	static const mode_t modes[] = {0620, 0602, 0640, 0644};
	for (unsigned n = 0; n < sizeof(modes) / sizeof(modes[0]); n++) {
		fill(f, 40);
		assert_int_equal(chmod(f->file, modes[n]), 0);
		expect_refused(f, "mode", modes[n]);
	}
	if (geteuid() == 0) {
		assert_int_equal(chown(f->file, 1, 1), 0);
		expect_refused(f, "owner", 1);
	} else {
		print_message("# SKIP only root can give a file to another user\n");
	}
}

static void links_are_not_followed(void **state)
{
	struct fixture *f = *state;
	char other[128];
	fill(f, 40);
	snprintf(other, sizeof(other), "%s/other", f->folder);
	assert_int_equal(rename(f->file, other), 0);
	assert_int_equal(symlink(other, f->file), 0);
	expect_refused(f, "a link", 0);
	struct stat st;
	assert_int_equal(lstat(f->file, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	/* the folder */
	snprintf(other, sizeof(other), "%s/elsewhere", f->folder);
	assert_int_equal(rename(f->files, other), 0);
	assert_int_equal(symlink(other, f->files), 0);
	assert_null(jit_store_open(f->folder, &f->identity, 0));
}

static void folder_that_others_can_enter_is_not_used(void **state)
{
	struct fixture *f = *state;
	static const mode_t modes[] = {0711, 0720, 0702, 0755};
	for (unsigned n = 0; n < sizeof(modes) / sizeof(modes[0]); n++) {
		assert_int_equal(chmod(f->files, modes[n]), 0);
		assert_null(jit_store_open(f->folder, &f->identity, 0));
	}
	assert_int_equal(chmod(f->files, 0700), 0);
	char path[128];
	snprintf(path, sizeof(path), "%s/oriel", f->folder);
	assert_int_equal(chmod(path, 0777), 0);
	assert_null(jit_store_open(f->folder, &f->identity, 0));
}

static void folder_that_can_not_be_is_no_error(void **state)
{
	struct fixture *f = *state;
	char path[128];
	snprintf(path, sizeof(path), "%s/none/at/all", f->folder);
	assert_null(jit_store_open(path, &f->identity, 0));
	assert_null(jit_store_open("/dev/null", &f->identity, 0));
}

/* ----- room ----- */

static void least_recently_used_blocks_give_way(void **state)
{
	struct fixture *f = *state;
	struct sample s;
	size_t room = sizeof(struct store_header) +
		      100 * (make(&s, 0)->size + sizeof(struct store_place));
	fill(f, 80);
	/* the next run uses the first 20 and makes 60: 140 do not fit */
	struct jit_store *store = jit_store_open(f->folder, &f->identity, room);
	for (unsigned n = 0; n < 20; n++) {
		assert_non_null(find(store, n));
	}
	for (unsigned n = 100; n < 150; n++) {
		add(store, n);
	}
	jit_store_close(store);
	store = jit_store_open(f->folder, &f->identity, room);
	assert_true(store->file.size <= room);
	for (unsigned n = 0; n < 150; n++) {
		bool recent = n < 20 || n >= 100;
		assert_true(!recent || find(store, n));
	}
	assert_true(store_header(&store->file)->count < 80);
	jit_store_close(store);
}

static void full_disk_keeps_the_old_file(void **state)
{
	struct fixture *f = *state;
	fill(f, 40);
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit old, tight = {12000, RLIM_INFINITY};
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	fill(f, 400);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	char path[160];
	snprintf(path, sizeof(path), "%s/new", f->files);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(count_found(f, 400), 40);
}

/* New blocks do not fit: what was kept before is still found, and nothing else happens. */
static void full_disk_ends_the_keeping(void **state)
{
	enum { OLD = 20, NEW = 200 };
	struct fixture *f = *state;
	struct rlimit old, tight = {.rlim_cur = 4096};
	fill(f, OLD);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight.rlim_max = old.rlim_max;
	struct jit_store *store = open_store(f);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	for (unsigned n = OLD; n < NEW; n++) {
		add(store, n);
	}
	unsigned found = 0;
	for (unsigned n = 0; n < NEW; n++) {
		found += find(store, n) != NULL;
	}
	assert_in_range(found, OLD + 1, NEW / 2);
	assert_non_null(find(store, OLD - 1));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	jit_store_close(store);
	assert_int_equal(count_found(f, NEW), found);
}

static void files_of_other_programs_are_bounded(void **state)
{
	struct fixture *f = *state;
	char path[256];
	static uint8_t bytes[8000];
	for (unsigned n = 0; n < 10; n++) {
		snprintf(path, sizeof(path), "%s/%032x", f->files, n);
		write_file(path, bytes, sizeof(bytes));
		const struct timespec times[2] = {{.tv_sec = 1000 + n}, {.tv_sec = 1000 + n}};
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	}
	struct jit_store *store =
		jit_store_open(f->folder, &f->identity, 16000); /* so 32000 for all */
	add(store, 0);
	jit_store_close(store);
	for (unsigned n = 0; n < 10; n++) {
		snprintf(path, sizeof(path), "%s/%032x", f->files, n);
		assert_int_equal(access(path, F_OK), n < 7 ? -1 : 0);
	}
	assert_int_equal(access(f->file, F_OK), 0);
}

/* ----- several VMs ----- */

static void two_that_end_together_keep_both(void **state)
{
	struct fixture *f = *state;
	fill(f, 10);
	struct jit_store *a = open_store(f), *b = open_store(f);
	for (unsigned n = 10; n < 20; n++) {
		add(a, n);
		add(b, n + 10);
	}
	jit_store_close(a);
	jit_store_close(b);
	assert_int_equal(count_found(f, 30), 30);
}

static void many_processes_that_end_together_keep_all(void **state)
{
	struct fixture *f = *state;
	enum { PROCESSES = 8, EACH = 50 };
	for (unsigned k = 0; k < PROCESSES; k++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			struct jit_store *store = jit_store_open(f->folder, &f->identity, 0);
			for (unsigned n = 0; store && n < EACH; n++) {
				add(store, k * EACH + n);
			}
			jit_store_close(store);
			_exit(store ? 0 : 1);
		}
	}
	for (unsigned k = 0; k < PROCESSES; k++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(count_found(f, PROCESSES * EACH), PROCESSES * EACH);
}

/* ----- code ----- */

static const struct engine_host host_ops = {host_no_read,      host_no_write,
					    host_no_icc_read,  host_no_icc_write,
					    host_no_hypercall, host_no_timer_line};

/* An engine with its own folder; its code, records and pages lie elsewhere than another one's. */
struct translator {
	char folder[96];
	struct engine *engine;
	struct cpu *cpu;
};

static void start(struct translator *t, const struct fixture *f, const char *name, unsigned vcpus)
{
	struct error err;
	snprintf(t->folder, sizeof(t->folder), "%s/%s", f->folder, name);
	const struct engine_config config = {
		.host_ops = &host_ops, .vcpus = vcpus, .cache_folder = t->folder};
	t->engine = soft_engine_create(&config, &err);
	assert_non_null(t->engine);
	struct engine_vcpu *vcpu = engine_vcpu_create(t->engine, 0, 0, &err);
	assert_non_null(vcpu);
	t->cpu = &soft_vcpu(vcpu)->cpu;
	assert_non_null(t->cpu->jit);
	assert_non_null(t->cpu->jit->store);
}

static struct jit_store *store_of(const struct translator *t)
{
	return soft_engine(t->engine)->store;
}

static uint64_t random_number(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 29;
}

/* A page of instructions: any that exist. */
static void fill_page(uint32_t *words, uint64_t *seed)
{
	for (unsigned n = 0; n < PAGE_INSNS; n++) {
		do {
			words[n] = (uint32_t)(random_number(seed) ^ random_number(seed) << 16);
		} while (a64_decode(words[n]) == A64_UNDEFINED);
		if (n % 5 == 4) { /* more branches inside the page than by chance: B.cond, CBZ */
			unsigned to = (unsigned)(random_number(seed) & 0x7f) - 64;
			words[n] = (n & 1 ? 0x54000000 : 0xb4000000) | (to & 0x7ffff) << 5 |
				   (unsigned)(random_number(seed) & 15);
		}
	}
}

/* Translate from @n, unless it was; then have all kept and forgotten. */
static void translate_page(struct translator *t, const uint32_t *words, uint64_t gpa,
			   const unsigned *starts, unsigned count)
{
	struct jit_page *page = jit_find_page(t->cpu, gpa, (const uint8_t *)words);
	for (unsigned n = 0; n < count; n++) {
		if (!jit_is_translated(t->cpu->jit, page, starts[n])) {
			jit_translate(t->cpu, page, starts[n]);
		}
	}
}

enum { PAGES = 150, STARTS = 24 };

static void code_at_two_places_is_kept_alike(void **state)
{
	static uint32_t words[PAGE_INSNS];
	struct translator a, b;
	uint64_t seed = 1;
	unsigned blocks = 0, links = 0;
	start(&a, *state, "a", 1);
	start(&b, *state, "b", 1);
	static uint32_t other[PAGE_INSNS];
	for (unsigned n = 0; n < PAGE_INSNS; n++) {
		other[n] = 0xd503201f; /* so that b's positions differ */
	}
	for (unsigned k = 0; k < PAGES; k++) {
		unsigned starts[STARTS];
		fill_page(words, &seed);
		for (unsigned n = 0; n < STARTS; n++) {
			starts[n] = (unsigned)(random_number(&seed) % PAGE_INSNS);
		}
		jit_drop_all(a.cpu);
		jit_drop_all(b.cpu);
		translate_page(&b, other, 0x7000, &k, 1);
		translate_page(&a, words, 0x1000, starts, STARTS);
		translate_page(&b, words, 0x2000, starts, STARTS);
		jit_drop_all(a.cpu);
		jit_drop_all(b.cpu);
		for (unsigned n = 0; n < STARTS; n++) {
			const struct jit_packed *p =
				jit_store_find(store_of(&a), NULL, starts[n], words + starts[n]);
			const struct jit_packed *q =
				jit_store_find(store_of(&b), NULL, starts[n], words + starts[n]);
			assert_non_null(p);
			assert_non_null(q);
			assert_int_equal(p->size, q->size);
			assert_memory_equal(p, q, p->size);
			blocks++;
			for (unsigned m = 0; m < p->note_count; m++) {
				links += jit_note_kind(jit_packed_notes(p)[m]) == JIT_LINK;
			}
		}
	}
	assert_true(blocks == PAGES * STARTS && links > blocks / 4);
	engine_destroy(a.engine);
	engine_destroy(b.engine);
}

/* A block from the store is, byte for byte, what would have been translated there. */
static void placed_code_is_what_translation_gives(void **state)
{
	static uint32_t words[PAGE_INSNS];
	static uint8_t code[JIT_BLOCK_ROOM];
	struct translator a;
	uint64_t seed = 2;
	start(&a, *state, "a", 1);
	struct jit *jit = a.cpu->jit;
	for (unsigned k = 0; k < PAGES; k++) {
		unsigned n = (unsigned)(random_number(&seed) % PAGE_INSNS);
		fill_page(words, &seed);
		/* as many pages, blocks and records before it each time */
		translate_page(&a, words, 0x1000, &n, 1);
		jit_drop_all(a.cpu);
		translate_page(&a, words, 0x3000, (unsigned[]){(n + 500) % PAGE_INSNS}, 1);
		uint8_t *at = jit->at;
		size_t records = jit->records_used;
		struct jit_page *page = jit_find_page(a.cpu, 0x2000, (const uint8_t *)words);
		jit_translate(a.cpu, page, n);
		size_t len = (size_t)(jit->at - at), used = jit->records_used;
		memcpy(code, at, len);
		uint32_t entry = page->entry[n];
		jit->at = at;
		jit->records_used = records;
		jit->journal_len = 0;
		jit_drop_page(a.cpu, 0x2000);
		const struct jit_packed *p = jit_store_find(jit->store, NULL, n, words + n);
		assert_non_null(p);
		assert_int_equal(p->code_len, len);
		assert_true(jit_place(a.cpu, page, n));
		assert_int_equal(page->entry[n], entry);
		assert_true(jit->records_used >= used);
		for (unsigned m = 0; m < p->note_count;
		     m++) { /* links may lead to blocks that were placed with it */
			uint32_t note = jit_packed_notes(p)[m];
			if (jit_note_kind(note) == JIT_LINK) {
				memset(at + jit_note_offset(note), 0, 4);
				memset(code + jit_note_offset(note), 0, 4);
			}
		}
		assert_memory_equal(at, code, len);
		jit_drop_all(a.cpu);
	}
	engine_destroy(a.engine);
}

static void other_options_have_other_translations(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct jit_store *stores[4];
	struct engine *engines[4];
	for (unsigned k = 0; k < 4; k++) {
		const struct engine_config config = {.host_ops = &host_ops,
						     .vcpus = 1,
						     .cache_folder = f->folder,
						     .cpu = k == 1 ? ENGINE_CPU_MAX
								   : ENGINE_CPU_DEFAULT,
						     .isv_strict = k == 2,
						     .plain_host = k == 3};
		engines[k] = soft_engine_create(&config, &err);
		assert_non_null(engines[k]);
		stores[k] = soft_engine(engines[k])->store;
		assert_non_null(stores[k]);
	}
	assert_string_not_equal(stores[0]->name, stores[1]->name);
	assert_string_not_equal(stores[0]->name, stores[2]->name);
	assert_string_not_equal(stores[1]->name, stores[2]->name);
	if (jit_host_features(false)) {
		assert_string_not_equal(stores[0]->name, stores[3]->name);
	}
	for (unsigned k = 0; k < 4; k++) {
		engine_destroy(engines[k]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blocks_are_found_in_the_next_run),
		TEST(new_blocks_join_the_old_ones),
		TEST(hint_does_not_change_what_is_found),
		TEST(one_other_word_or_place_is_not_found),
		TEST(block_that_looked_beyond_the_page_is_not_compared),
		TEST(another_identity_has_its_own_file),
		TEST(damage_at_any_byte_is_seen),
		TEST(truncated_or_grown_file_is_seen),
		TEST(forged_fields_lead_nowhere),
		TEST(forged_blocks_are_refused),
		TEST(files_that_others_can_change_are_not_used),
		TEST(links_are_not_followed),
		TEST(folder_that_others_can_enter_is_not_used),
		TEST(folder_that_can_not_be_is_no_error),
		TEST(least_recently_used_blocks_give_way),
		TEST(full_disk_keeps_the_old_file),
		TEST(full_disk_ends_the_keeping),
		TEST(files_of_other_programs_are_bounded),
		TEST(two_that_end_together_keep_both),
		TEST(many_processes_that_end_together_keep_all),
		TEST(code_at_two_places_is_kept_alike),
		TEST(placed_code_is_what_translation_gives),
		TEST(other_options_have_other_translations),
	};
	if (!jit_is_supported()) {
		printf("1..0 # SKIP this host's CPU can not run translated code\n");
		return 0;
	}
	return cmocka_run_group_tests_name("translations", tests, NULL, NULL);
}
