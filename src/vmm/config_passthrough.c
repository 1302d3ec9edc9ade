/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_passthrough.c - the argument of --passthrough:
 * DEVICE[,barN=trap][,rom=FILE|off][,reset=WAY] Threads: set-up only.
 */
#include "vmm/config.h"

#include "base/own.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static int parse_reset(struct config_passthrough *device, const char *value, struct error *err)
{
	static const char *const ways[] = {"none", "flr", "pm", "bus",
					   "device"}; /* enum backend_reset */
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!strcmp(value, ways[i])) {
			device->resets |= 1u << i;
			return 0;
		}
	}
	return error_set(err, -EINVAL,
			 "--passthrough: reset=%s is not one of: flr, pm, bus, device, none",
			 value);
}

static int parse_rom(struct config_passthrough *device, const char *value, struct error *err)
{
	device->no_rom = !strcmp(value, "off");
	if (device->no_rom) {
		return 0;
	}
	free(device->rom_file);
	device->rom_file = strdup(value);
	return device->rom_file ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int parse_part(struct config_passthrough *device, const char *part, struct error *err)
{
	if (!strncmp(part, "reset=", 6)) {
		return parse_reset(device, part + 6, err);
	}
	if (!strncmp(part, "rom=", 4) && part[4]) {
		return parse_rom(device, part + 4, err);
	}
	if (!strncmp(part, "bar", 3) && part[3] >= '0' && part[3] <= '5' &&
	    !strcmp(part + 4, "=trap")) {
		device->trapped_bars |= 1u << (part[3] - '0');
		return 0;
	}
	return error_set(err, -EINVAL,
			 "--passthrough: '%s' is not barN=trap, rom=FILE, rom=off or reset=WAY",
			 part);
}

/* DDDD:BB:DD.F in hexadecimal digits, or without the domain. */
static bool is_bdf(const char *text)
{
	static const char form[] = "xxxx:xx:xx.x";
	const char *expect = strlen(text) == sizeof(form) - 1 ? form : form + 5;
	for (; *text && *expect; text++, expect++) {
		if (*expect == 'x' ? !isxdigit((unsigned char)*text) : *text != *expect) {
			return false;
		}
	}
	return !*text && !*expect;
}

static int parse_address(struct config_passthrough *device, const char *value, struct error *err)
{
	device->vfio_user = !strncmp(value, "vfio-user:", 10);
	const char *address = device->vfio_user ? value + 10 : value;
	if (device->vfio_user ? !*address : !is_bdf(address)) {
		return error_set(err, -EINVAL,
				 "--passthrough: '%s' is neither a PCI address (0000:01:00.0) nor "
				 "vfio-user:SOCKET",
				 value);
	}
	const char *domain = device->vfio_user || strlen(address) > 7 ? "" : "0000:";
	size_t room = strlen(domain) + strlen(address) + 1;
	device->address = malloc(room);
	if (!device->address) {
		return error_set(err, -ENOMEM, "out of memory");
	}
	memcpy(device->address, domain, strlen(domain));
	memcpy(device->address + strlen(domain), address, strlen(address) + 1);
	return 0;
}

int config_parse_passthrough(struct config_passthrough *device, const char *value,
			     struct error *err)
{
	*device = (struct config_passthrough){0};
	AUTO_FREE char *copy = strdup(value);
	if (!copy) {
		return error_set(err, -ENOMEM, "out of memory");
	}
	char *rest = copy, *part = strsep(&rest, ",");
	int status = parse_address(device, part, err);
	while (status == 0 && (part = strsep(&rest, ","))) {
		status = parse_part(device, part, err);
	}
	return status;
}

void config_passthrough_finish(struct config_passthrough *device)
{
	free(device->address);
	free(device->rom_file);
	*device = (struct config_passthrough){0};
}
