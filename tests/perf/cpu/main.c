/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - run lines of the CPU benchmark: cpubench [NAME|GROUP]..., or cpubench --list
 *
 * Prints `@line GROUP NAME SECONDS RESULT` for each.  Each line runs in a process of its own,
 * pinned to the last CPU unless it says otherwise, so that no line finds another's heap or threads.
 * Threads: one.
 */
#include "bench.h"

#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct group *const groups[] = {
	&integer_group, &string_group, &crypto_group,	   &compress_group,
	&fp_group,	&simd_group,   &interpreter_group, &kernel_group,
	&memory_group,	&code_group,   &thread_group,	   &latency_group,
};

_Noreturn void fail(const char *what)
{
	printf("@fail %s\n", what);
	fflush(stdout);
	_exit(1);
}

void *random_bytes(size_t len_bytes)
{
	uint64_t *words = malloc(len_bytes + 8);
	NEED(words);
	uint64_t state = 88172645463325252u;
	for (size_t i = 0; i < len_bytes / 8 + 1; i++) {
		words[i] = next_random(&state);
	}
	return words;
}

double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The shell's output, folded. */
static uint64_t run_command(const char *command)
{
	FILE *out = popen(command, "r");
	NEED(out);
	uint64_t result = 0;
	char block[4096];
	size_t count, total = 0;
	while ((count = fread(block, 1, sizeof(block), out)) > 0) {
		for (size_t i = 0; i < count; i++) {
			result = mix(result, (unsigned char)block[i]);
		}
		total += count;
	}
	if (pclose(out) != 0 || total == 0) {
		fail(command);
	}
	return result;
}

static void pin_to_last_cpu(void)
{
	cpu_set_t set;
	NEED(sched_getaffinity(0, sizeof(set), &set) == 0);
	int last = CPU_SETSIZE - 1;
	while (!CPU_ISSET(last, &set)) {
		last--;
	}
	CPU_ZERO(&set);
	CPU_SET(last, &set);
	NEED(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void run_line(const struct group *group, const struct line *line)
{
	fflush(stdout);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		if (!line->free_cpus) {
			pin_to_last_cpu();
		}
		if (line->prepare) {
			line->prepare();
		}
		double start = now_s();
		uint64_t result =
			line->command ? run_command(line->command) : line->run(line->work);
		double seconds = now_s() - start;
		printf("@line %s %s %.6f %016llx\n", group->name, line->name, seconds,
		       (unsigned long long)result);
		fflush(stdout);
		_exit(0);
	}
	int status = 0;
	NEED(waitpid(child, &status, 0) == child);
	if (status) {
		printf("@fail %s %s status %#x\n", group->name, line->name, (unsigned)status);
	}
}

static bool is_named(const char *name, const struct group *group, const struct line *line)
{
	return strcmp(name, group->name) == 0 || strcmp(name, line->name) == 0;
}

/* Runs the lines that @name stands for, or all if it is NULL.  Returns how many. */
static unsigned run_named(const char *name)
{
	unsigned count = 0;
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (size_t i = 0; i < groups[g]->count; i++) {
			const struct line *line = &groups[g]->lines[i];
			if (!name || is_named(name, groups[g], line)) {
				run_line(groups[g], line);
				count++;
			}
		}
	}
	return count;
}

static void list(void)
{
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (size_t i = 0; i < groups[g]->count; i++) {
			printf("%s %s\n", groups[g]->name, groups[g]->lines[i].name);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		list();
	} else if (argc == 1) {
		run_named(NULL);
	}
	for (int i = 1; i < argc && argv[i][0] != '-'; i++) {
		if (run_named(argv[i]) == 0) {
			printf("@fail no line or group is called '%s'; cpubench --list names all\n",
			       argv[i]);
		}
	}
	return 0;
}
