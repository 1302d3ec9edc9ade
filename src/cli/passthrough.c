/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passthrough.c - oriel passthrough: which devices can be handed over, and taking them from the
 * host and back Threads: one.
 */
#include "cli/passthrough.h"

#include "base/log.h"
#include "base/own.h"
#include "passthrough/binding.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_USAGE = 2 };

static const struct binding_paths paths = {"/sys", "/run/oriel/passthrough", "/proc"};

static const char usage[] =
	"Usage: oriel passthrough list [--json]\n"
	"       oriel passthrough bind [--yes] DDDD:BB:DD.F...\n"
	"       oriel passthrough restore [DDDD:BB:DD.F...]\n"
	"\n"
	"  list     every PCI device: IOMMU group, driver, BARs, resets, and what is in the way\n"
	"  bind     take devices, with all of their groups, from the host's drivers\n"
	"  restore  give back what bind took (all of it, if no device is named)\n"
	"  --yes    do not ask about other devices of the same group\n";

static int complain(const struct error *err)
{
	log_error("%s", err->text);
	return STATUS_ERROR;
}

static json_t *json_device(const struct sysfs_device *device, bool ready, const char *why)
{
	json_t *bars = json_array();
	for (unsigned i = 0; i < SYSFS_BARS; i++) {
		json_array_append_new(bars, json_integer((json_int_t)device->bars[i]));
	}
	return json_pack("{s:s,s:i,s:i,s:i,s:i,s:s,s:s,s:b,s:o,s:b,s:s}", "address", device->bdf,
			 "vendor", (int)device->vendor, "device", (int)device->device, "class",
			 (int)device->class_code, "group", device->group, "driver", device->driver,
			 "resets", device->resets, "boot_display", (int)device->boot_display,
			 "bars", bars, "ready", (int)ready, "why", why);
}

/* "16K 128G": sizes of the BARs that are there. */
static void format_bars(const struct sysfs_device *device, char *out, size_t room)
{
	out[0] = '\0';
	for (unsigned i = 0; i < SYSFS_BARS; i++) {
		uint64_t size = device->bars[i];
		unsigned unit = 0;
		while (size >= 1024 && size % 1024 == 0 && unit < 4) {
			size /= 1024;
			unit++;
		}
		size_t len = strlen(out);
		if (size) {
			snprintf(out + len, room - len, "%s%llu%.1s", len ? " " : "",
				 (unsigned long long)size, &"\0KMGT"[unit]);
		}
	}
}

static void print_device(const struct sysfs_device *device, bool ready, const char *why)
{
	char bars[96], group[16] = "-";
	format_bars(device, bars, sizeof(bars));
	if (device->group >= 0) {
		snprintf(group, sizeof(group), "%d", device->group);
	}
	printf("%s  %04x:%04x  class %06x  group %s  driver %s  BARs %s  reset %s%s\n", device->bdf,
	       device->vendor, device->device, device->class_code, group,
	       device->driver[0] ? device->driver : "-", bars[0] ? bars : "-",
	       device->resets[0] ? device->resets : "-",
	       device->boot_display ? "  (the host's display)" : "");
	printf("              %s\n", ready ? "ready" : why);
}

static int command_list(int argc, char **argv)
{
	struct sysfs_device *all;
	struct error err = {0};
	size_t count;
	bool as_json = argc == 1 && !strcmp(argv[0], "--json");
	if (argc && !as_json) {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	if (sysfs_list_devices(paths.sysfs, &all, &count, &err) < 0) {
		return complain(&err);
	}
	json_t *list = as_json ? json_array() : NULL;
	for (size_t i = 0; i < count; i++) {
		char why[512] = "";
		bool ready = binding_is_ready(&paths, &all[i], all, count, why, sizeof(why));
		if (as_json) {
			json_array_append_new(list, json_device(&all[i], ready, why));
		} else if (!sysfs_is_bridge(&all[i])) {
			print_device(&all[i], ready, why);
		}
	}
	if (as_json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(list);
	}
	free(all);
	return STATUS_OK;
}

/* On a terminal a person is asked; elsewhere only --yes is consent. */
static bool ask(void *opaque, const struct sysfs_device *device)
{
	const bool *yes = opaque;
	char answer[16];
	if (*yes || !isatty(STDIN_FILENO)) {
		return *yes;
	}
	fprintf(stderr,
		"%s (driver %s) is in the same IOMMU group and has to go along.  Take it from the "
		"host? [y/N] ",
		device->bdf, device->driver);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int command_bind(int argc, char **argv)
{
	struct error err = {0};
	bool yes = argc && !strcmp(argv[0], "--yes");
	if (argc <= yes) {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	for (int i = yes; i < argc; i++) {
		int status = binding_bind(&paths, argv[i], ask, &yes, &err);
		if (status == -ECANCELED && !isatty(STDIN_FILENO)) {
			log_error("%s (--yes to agree)", err.text);
			return STATUS_ERROR;
		}
		if (status < 0) {
			return complain(&err);
		}
	}
	return STATUS_OK;
}

static int restore_one(void *opaque, const char *bdf)
{
	struct error err = {0};
	int *status = opaque;
	if (binding_restore(&paths, bdf, &err) < 0) {
		*status = complain(&err);
	}
	return 0; /* the others all the same */
}

static int command_restore(int argc, char **argv)
{
	int status = STATUS_OK;
	for (int i = 0; i < argc; i++) {
		restore_one(&status, argv[i]);
	}
	if (!argc) {
		binding_each_record(&paths, restore_one, &status);
	}
	return status;
}

int passthrough_command(int argc, char **argv)
{
	const char *word = argc ? argv[0] : "";
	if (!strcmp(word, "list")) {
		return command_list(argc - 1, argv + 1);
	}
	if (!strcmp(word, "bind")) {
		return command_bind(argc - 1, argv + 1);
	}
	if (!strcmp(word, "restore")) {
		return command_restore(argc - 1, argv + 1);
	}
	bool help = !strcmp(word, "--help") || !strcmp(word, "-h");
	fputs(usage, help ? stdout : stderr);
	return help ? STATUS_OK : STATUS_USAGE;
}
