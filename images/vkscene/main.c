/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - vkscene: draw a deterministic scene, read every frame back, hash chosen ones
 *
 * The same source runs in the guest and on the host; equal hashes mean that the guest's GPU path is exact.
 * Prints one line of JSON at the end.
 */
#include "kms.h"
#include "scene.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct options {
	unsigned frames, hash_every, device;
	const char *kms, *ppm;
	bool progress, hold;
};

struct totals {
	uint64_t gpu_ns, samples, hashes[64];
	unsigned hash_count;
};

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* FNV-1a over 32-bit words. */
static uint64_t hash_pixels(const uint32_t *pixels, size_t count)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < count; i++) {
		hash = (hash ^ pixels[i]) * 0x100000001b3u;
	}
	return hash;
}

static void write_ppm(const char *path, const uint32_t *pixels)
{
	FILE *file = fopen(path, "wb");
	if (!file) {
		gpu_die("open %s: %m", path);
	}
	fprintf(file, "P6\n%d %d\n255\n", SCENE_WIDTH, SCENE_HEIGHT);
	for (size_t i = 0; i < (size_t)SCENE_WIDTH * SCENE_HEIGHT; i++) {
		uint8_t rgb[3] = {(uint8_t)(pixels[i] >> 16), (uint8_t)(pixels[i] >> 8), (uint8_t)pixels[i]};
		fwrite(rgb, 3, 1, file);
	}
	if (fclose(file)) {
		gpu_die("write %s: %m", path);
	}
}

static bool is_hashed(const struct options *options, unsigned number)
{
	return number % options->hash_every == 0 || number + 1 == options->frames;
}

/* Frame @number is complete: hash, show. */
static void finish_frame(const struct options *options, struct scene *scene, struct kms *kms, unsigned number,
			 struct totals *totals)
{
	uint64_t gpu_ns, samples;
	const uint32_t *pixels = scene_wait(scene, number % GPU_FRAMES, &gpu_ns, &samples);
	totals->gpu_ns += gpu_ns;
	totals->samples += samples;
	if (is_hashed(options, number) && totals->hash_count < 64) {
		totals->hashes[totals->hash_count++] = hash_pixels(pixels, (size_t)SCENE_WIDTH * SCENE_HEIGHT);
	}
	if (kms) {
		kms_show(kms, pixels, SCENE_WIDTH, SCENE_HEIGHT);
	}
	if (options->ppm && number + 1 == options->frames) {
		write_ppm(options->ppm, pixels);
	}
	if (options->progress && (number + 1) % 10 == 0) {
		printf("@oriel frame %u %u\n", number + 1, options->frames);
		fflush(stdout);
	}
}

static void report(const struct options *options, const struct gpu *gpu, const struct totals *totals, double seconds)
{
	uint32_t api = gpu->properties.apiVersion, version = gpu->properties.driverVersion;
	printf("{\"device\":\"%s\",\"driver\":\"%s\",\"driver_info\":\"%s\",\"api\":\"%u.%u.%u\",\"driver_version\":%u,",
	       gpu->properties.deviceName, gpu->driver, gpu->driver_info, VK_API_VERSION_MAJOR(api),
	       VK_API_VERSION_MINOR(api), VK_API_VERSION_PATCH(api), version);
	printf("\"frames\":%u,\"fps\":%.2f,\"gpu_ms\":%.3f,\"samples\":%llu,\"draws\":%u,\"submits\":%u,\"hashes\":[",
	       options->frames, options->frames / seconds, (double)totals->gpu_ns * 1e-6 / options->frames,
	       (unsigned long long)totals->samples, options->frames * SCENE_DRAWS, options->frames);
	for (unsigned i = 0; i < totals->hash_count; i++) {
		printf("%s\"%016llx\"", i ? "," : "", (unsigned long long)totals->hashes[i]);
	}
	printf("]}\n");
}

static const char usage[] =
	"Usage: vkscene [options]\n"
	"Draw a deterministic scene offscreen and print frames/s and hashes as JSON.\n"
	"  --frames N       frames to draw (default 120)\n"
	"  --hash-every N   hash each Nth frame and the last (default 30)\n"
	"  --device N       number of the Vulkan device (default 0)\n"
	"  --kms PATH       show frames on this DRM device's display\n"
	"  --ppm FILE       write the last frame as a PPM picture\n"
	"  --hold           after the report, keep the last frame on the display until killed\n"
	"  --progress       print a line every ten frames\n";

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {
		{"frames", required_argument, NULL, 'n'}, {"hash-every", required_argument, NULL, 'e'},
		{"device", required_argument, NULL, 'd'}, {"kms", required_argument, NULL, 'k'},
		{"ppm", required_argument, NULL, 'p'},	  {"progress", no_argument, NULL, 'g'},
		{"hold", no_argument, NULL, 'o'},	  {"help", no_argument, NULL, 'h'}, {0}};
	struct options o = {.frames = 120, .hash_every = 30};
	int c;
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'n': o.frames = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'e': o.hash_every = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': o.device = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'k': o.kms = optarg; break;
		case 'p': o.ppm = optarg; break;
		case 'g': o.progress = true; break;
		case 'o': o.hold = true; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (!o.frames || !o.hash_every || optind < argc) {
		fputs(usage, stderr);
		exit(2);
	}
	return o;
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	struct gpu gpu = {0};
	struct scene scene;
	struct kms kms;
	struct totals totals = {0};
	gpu_open(&gpu, options.device);
	scene_create(&scene, &gpu);
	if (options.kms) {
		kms_open(&kms, options.kms);
	}
	double start = now_s();
	for (unsigned n = 0; n < options.frames + GPU_FRAMES - 1; n++) {
		if (n < options.frames) {
			scene_submit(&scene, n % GPU_FRAMES, n);
		}
		if (n >= GPU_FRAMES - 1) {
			finish_frame(&options, &scene, options.kms ? &kms : NULL, n - (GPU_FRAMES - 1), &totals);
		}
	}
	double seconds = now_s() - start;
	scene_destroy(&scene);
	gpu_close(&gpu);
	report(&options, &gpu, &totals, seconds);
	fflush(stdout);
	while (options.hold) {
		pause();
	}
	return 0;
}
