/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames.c - keeps what a program shows, frame by frame, at times that only frames make
 *
 * How it works: preloaded, together with frames_gl.c or frames_vk.c.  Clocks that the program
 * itself asks stand still while it draws a frame, and go on by a sixtieth of a second when it shows
 * one; so frame N is the same picture however fast the machine is.  Every FRAMES_EVERYth one is
 * written to FRAMES_DIR as NNNN.ppm before it is shown, and after FRAMES_END the program ends.
 * Threads: one that shows frames; any that asks for the time.
 */
#include "frames.h"

#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { FRAMES_A_SECOND = 60, FRAMES_START_S = 1000 };

static atomic_long frames_shown;

void frames_die(const char *why)
{
	fprintf(stderr, "frames: %s\n", why);
	_exit(70);
}

static long frames_option(const char *name)
{
	const char *text = getenv(name);
	return text ? atol(text) : 0;
}

bool frames_wanted(void)
{
	long every = frames_option("FRAMES_EVERY");
	return every && (atomic_load(&frames_shown) + 1) % every == 0;
}

void frames_next(void)
{
	if (atomic_fetch_add(&frames_shown, 1) + 1 == frames_option("FRAMES_END")) {
		_exit(0);
	}
}

void frames_write(const uint8_t *row, ptrdiff_t step, uint32_t width, uint32_t height, int red)
{
	char name[512];
	snprintf(name, sizeof(name), "%s/%04ld.ppm", getenv("FRAMES_DIR"),
		 atomic_load(&frames_shown) + 1);
	FILE *file = fopen(name, "w");
	if (!file) {
		frames_die("FRAMES_DIR can not be written to");
	}
	fprintf(file, "P6\n%u %u\n255\n", width, height);
	for (uint32_t y = 0; y < height; y++, row += step) {
		for (uint32_t x = 0; x < width; x++) {
			const uint8_t *pixel = row + 4 * (size_t)x;
			fwrite((uint8_t[]){pixel[red], pixel[1], pixel[2 - red]}, 1, 3, file);
		}
	}
	if (fclose(file)) {
		frames_die("FRAMES_DIR is full");
	}
}

/* The versioned look-up is not one that anybody puts another in front of. */
void *frames_look(void *library, const char *name)
{
	void *(*look)(void *, const char *) =
		(void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
	return look ? look(library, name) : NULL;
}

void *frames_real(const char *name)
{
	void *found = frames_look(RTLD_NEXT, name);
	if (!found) {
		frames_die(name);
	}
	return found;
}

static int frames_is_in(struct dl_phdr_info *info, size_t size, void *address)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    (uintptr_t)address - from < info->dlpi_phdr[i].p_memsz) {
			return 1;
		}
	}
	return -1; /* the first is the program, and no other is looked at */
}

bool frames_of_program(void *caller)
{
	return dl_iterate_phdr(frames_is_in, caller) == 1;
}

static int64_t frames_time_us(void)
{
	return INT64_C(1000000) * FRAMES_START_S +
	       atomic_load(&frames_shown) * 1000000 / FRAMES_A_SECOND;
}

/* Libraries live in real time. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	if (!frames_of_program(__builtin_return_address(0))) {
		return ((int (*)(clockid_t, struct timespec *))frames_real("clock_gettime"))(clock,
											     now);
	}
	int64_t us = frames_time_us();
	*now = (struct timespec){us / 1000000, us % 1000000 * 1000};
	return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	if (!frames_of_program(__builtin_return_address(0))) {
		return ((int (*)(struct timeval *, void *))frames_real("gettimeofday"))(now, zone);
	}
	int64_t us = frames_time_us();
	*now = (struct timeval){us / 1000000, us % 1000000};
	return 0;
}
