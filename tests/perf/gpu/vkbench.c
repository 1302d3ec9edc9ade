/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vkbench.c - time what Vulkan programs do most, on whatever driver the loader finds
 *
 *   vkbench [GROUP...]    start, sync, memory, record, pipeline, draw; all if none is named
 *   vkbench hold          set everything up, then do nothing until killed
 *
 * Prints the device, then a line "NAME UNIT VALUE" for each measurement.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double bench_now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void bench_print(const char *name, const char *unit, double value)
{
	printf("%s %s %.3f\n", name, unit, value);
	fflush(stdout);
}

static int bench_compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), bench_compare);
	return values[count / 2];
}

static void bench_lines_start(void)
{
	double values[5];
	for (int i = 0; i < 5; i++) {
		struct gpu gpu;
		double start = bench_now_s();
		bench_open(&gpu);
		values[i] = (bench_now_s() - start) * 1e3;
		gpu_close(&gpu);
	}
	bench_print("instance-and-device", "ms", bench_median(values, 5));
}

static bool bench_wants(int argc, char **argv, const char *group)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], group)) {
			return true;
		}
	}
	return argc < 2;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*lines)(struct bench *bench);
	} groups[] = {
		{"sync", bench_lines_sync},
		{"memory", bench_lines_memory},
		{"record", bench_lines_record},
		{"pipeline", bench_lines_pipeline},
		{"draw", bench_lines_draw},
	};
	struct bench bench = {0};
	if (bench_wants(argc, argv, "start")) {
		bench_lines_start();
	}
	bench_setup(&bench);
	printf("device %s\n", bench.gpu.properties.deviceName);
	fflush(stdout);
	if (argc > 1 && !strcmp(argv[1], "hold")) {
		pause();
	}
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (bench_wants(argc, argv, groups[i].name)) {
			groups[i].lines(&bench);
		}
	}
	return 0;
}
