/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.c - what this host offers, what is missing, and what to do about it
 *
 * How it works: plain look-ups; the Vulkan drivers are probed by `oriel-gpu --probe`, so that a broken driver can not take
 * the doctor down with it.
 * Threads: main.
 */
#include "cli/doctor.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"
#include "engine/kvm/probe.h"
#include "vmm/broker.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const char *what, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("  %-16s ", what);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}

/* Value of a "Key:   N kB" line of /proc/meminfo in MiB; 0 if absent. */
static unsigned long memory_mib(const char *key)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned long kib = 0;
	size_t len = strlen(key);
	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, len) && line[len] == ':') {
			kib = strtoul(line + len + 1, NULL, 10);
			break;
		}
	}
	if (file) {
		fclose(file);
	}
	return kib / 1024;
}

static void doctor_host(void)
{
	struct utsname host;
	puts("Host");
	if (uname(&host) == 0) {
		say("system", "%s %s, %s", host.sysname, host.release, host.machine);
	}
	say("CPUs", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	say("page size", "%ld bytes", sysconf(_SC_PAGESIZE));
	say("memory", "%lu MiB, %lu MiB available", memory_mib("MemTotal"), memory_mib("MemAvailable"));
}

static void say_text(const char *what, const char *text)
{
	say(what, "%s", text);
}

static void doctor_engines(void)
{
	puts("CPU engines (--engine)");
	say("soft", "yes: built in, runs everywhere");
	kvm_report(say_text);
}

/* Starts `oriel-gpu --probe`; returns what it prints as JSON, or NULL.  The caller owns the reference. */
static json_t *doctor_probe(const char *server)
{
	int ends[2];
	if (os_pipe(ends) < 0) {
		return NULL;
	}
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execl(server, "oriel-gpu", "--probe", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	json_t *probe = child > 0 ? json_loadfd(ends[0], 0, NULL) : NULL;
	close(ends[0]);
	if (child > 0) {
		waitpid(child, NULL, 0);
	}
	return probe;
}

/* One line for a driver; true if guests can use it. */
static bool doctor_driver(json_t *device)
{
	const char *name = "?", *info = "", *api = "?", *backing = "none", *problem = "";
	int shared = 0;
	json_unpack(device, "{s:s, s:s, s:s, s:s, s:s, s:i}", "name", &name, "driver_info", &info, "api_version", &api,
		    "backing", &backing, "problem", &problem, "shared_types", &shared);
	say("driver", "%s, %s, Vulkan %s", name, info, api);
	if (*problem) {
		say("", "not usable: %s", problem);
		return false;
	}
	say("", "guest memory is backed by: %s; programs of a guest share it by %s", backing,
	    shared ? "the driver's dma-bufs" : "emulated dma-bufs");
	return true;
}

/* True if a driver is usable. */
static bool doctor_gpu(void)
{
	struct error err = {0};
	AUTO_FREE char *server = broker_find_program("oriel-gpu", NULL, &err);
	puts("Vulkan drivers (--gpu shared)");
	if (!server) {
		say("oriel-gpu", "%s", err.text);
		return false;
	}
	bool usable = false;
	size_t index;
	json_t *device;
	json_t *probe = doctor_probe(server);
	json_array_foreach(json_object_get(probe, "devices"), index, device)
	{
		usable |= doctor_driver(device);
	}
	json_decref(probe);
	if (!usable) {
		say("result", "no usable driver: install one (Debian: apt install mesa-vulkan-drivers)");
	}
	return usable;
}

static void doctor_file(const char *path, const char *use)
{
	say(path, "%s; %s", access(path, F_OK) == 0 ? "present" : "absent", use);
}

int command_doctor(int argc, char **argv)
{
	if (argc > 0) {
		log_error("unexpected argument '%s'; oriel doctor takes none", argv[0]);
		return 2;
	}
	doctor_host();
	doctor_engines();
	bool gpu = doctor_gpu();
	puts("Optional parts of the host");
	doctor_file("/dev/dri", "not needed for the shared GPU");
	doctor_file("/dev/udmabuf", "not needed for the shared GPU");
	AUTO_FREE char *passt = broker_find_program("passt", NULL, NULL);
	say("passt", "%s", passt ? "present; --net user works" : "missing: for --net user, apt install passt");
	return gpu ? 0 : 1;
}
