/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c - run a fuzz target over files: the corpus as a test, or one crash under a debugger
 *
 * replay-NAME [--random COUNT]... [FILE|FOLDER]...   COUNT random inputs are the same in each run.
 * Threads: one.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static unsigned replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		exit(1);
	}
	static uint8_t bytes[1 << 20];
	size_t len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	uint8_t *exact = malloc(len ? len : 1); /* so that tools see reads beyond the end */
	memcpy(exact, bytes, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	return 1;
}

static unsigned replay_path(const char *path)
{
	struct stat info;
	if (stat(path, &info) < 0 || !S_ISDIR(info.st_mode)) {
		return replay_file(path);
	}
	unsigned count = 0;
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char name[4096];
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.') {
			count += replay_file(name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return count;
}

static uint64_t replay_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned replay_random(unsigned count)
{
	uint64_t state = 88172645463325252u;
	for (unsigned i = 0; i < count; i++) {
		uint8_t bytes[4096];
		size_t len = replay_next(&state) % sizeof(bytes);
		/* Small numbers meet each other: half of the inputs have mostly those. */
		uint8_t mask = replay_next(&state) % 2 ? 0xff : 0x0f;
		for (size_t j = 0; j < len; j++) {
			uint64_t random = replay_next(&state);
			bytes[j] = (uint8_t)(random >> 8) & (random % 8 ? mask : 0xff);
		}
		LLVMFuzzerTestOneInput(bytes, len);
	}
	return count;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--random") == 0 && i + 1 < argc) {
			count += replay_random((unsigned)strtoul(argv[++i], NULL, 10));
		} else {
			count += replay_path(argv[i]);
		}
	}
	printf("%u inputs\n", count);
	return count ? 0 : 1;
}
