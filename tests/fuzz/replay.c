/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c - run a fuzz target over files: the corpus as a test, or one crash under a debugger
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

int main(int argc, char **argv)
{
	unsigned count = 0;
	for (int i = 1; i < argc; i++) {
		count += replay_path(argv[i]);
	}
	printf("%u inputs\n", count);
	return count ? 0 : 1;
}
